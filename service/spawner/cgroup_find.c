#include "service/spawner/cgroup_find.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"

bool sb_cgroup_has_word(struct sb_str list, char separator, const char *word)
{
    struct sb_str part;
    while (sb_str_next(&list, separator, &part)) {
        if (sb_str_eq(part, sb_str_from(word))) {
            return true;
        }
    }
    return false;
}

/* One line of mountinfo; see proc(5). */
struct mount_line {
    struct sb_str root;
    struct sb_str point;
    struct sb_str type;
    struct sb_str options; /* of the super block */
};

static bool parse_mount(struct sb_str line, struct mount_line *ret_line)
{
    struct sb_str part;
    *ret_line = (struct mount_line){0};
    for (int i = 0; i < 6; i++) {
        if (!sb_str_next(&line, ' ', &part)) {
            return false;
        }
        ret_line->root = i == 3 ? part : ret_line->root;
        ret_line->point = i == 4 ? part : ret_line->point;
    }
    do { /* optional fields, ended by "-" */
        if (!sb_str_next(&line, ' ', &part)) {
            return false;
        }
    } while (!sb_str_eq(part, SB_STR("-")));
    return sb_str_next(&line, ' ', &ret_line->type) && sb_str_next(&line, ' ', &part) &&
           sb_str_next(&line, ' ', &ret_line->options);
}

static bool find_mount(struct sb_str mounts, const char *controller, struct mount_line *ret_line)
{
    struct sb_str line;
    while (sb_str_next(&mounts, '\n', &line)) {
        struct mount_line mount;
        if (!parse_mount(line, &mount)) {
            continue;
        }
        bool fits = controller == NULL ? sb_str_eq(mount.type, SB_STR("cgroup2"))
                                       : sb_str_eq(mount.type, SB_STR("cgroup")) &&
                                             sb_cgroup_has_word(mount.options, ',', controller);
        if (fits) {
            *ret_line = mount;
            return true;
        }
    }
    return false;
}

/* "4:memory:/a/b" or "0::/a/b". */
static bool find_path(struct sb_str groups, const char *controller, struct sb_str *ret_path)
{
    struct sb_str line;
    while (sb_str_next(&groups, '\n', &line)) {
        struct sb_str number;
        struct sb_str names;
        if (!sb_str_next(&line, ':', &number) || !sb_str_next(&line, ':', &names)) {
            continue;
        }
        if (controller == NULL ? names.len == 0 && sb_str_eq(number, SB_STR("0"))
                               : sb_cgroup_has_word(names, ',', controller)) {
            *ret_path = line;
            return true;
        }
    }
    return false;
}

bool sb_cgroup_find(const struct sb_cgroup_view *view,
                    const char *controller,
                    char *ret_dir,
                    char *ret_root)
{
    struct mount_line mount;
    struct sb_str path;
    if (!find_mount(view->mounts, controller, &mount) ||
        !find_path(view->groups, controller, &path) || mount.point.len >= PATH_MAX) {
        return false;
    }
    /* A container sees a part of the hierarchy, and its own path from the top of all. */
    bool is_part = mount.root.len > 1;
    if (is_part && path.len >= mount.root.len &&
        memcmp(path.ptr, mount.root.ptr, mount.root.len) == 0) {
        path = sb_str_skip(path, mount.root.len);
    } else if (is_part || sb_str_eq(path, SB_STR("/")) ||
               (path.len >= 3 && memcmp(path.ptr, "/..", 3) == 0)) {
        path = SB_STR("");
    }
    if (mount.point.len + path.len >= PATH_MAX) {
        return false;
    }
    (void)snprintf(ret_root, PATH_MAX, "%.*s", (int)mount.point.len, mount.point.ptr);
    (void)snprintf(ret_dir, PATH_MAX, "%.*s%.*s", (int)mount.point.len, mount.point.ptr,
                   (int)path.len, path.ptr);
    return true;
}

bool sb_cgroup_keyed(struct sb_str text, const char *key, uint64_t *ret_value)
{
    struct sb_str line;
    struct sb_err ignored;
    while (sb_str_next(&text, '\n', &line)) {
        struct sb_str name;
        if (sb_str_next(&line, ' ', &name) && sb_str_eq(name, sb_str_from(key))) {
            return sb_num_u64(line, 0, UINT64_MAX, ret_value, &ignored) == 0;
        }
    }
    return false;
}

static void join(char *out, size_t cap, const char *group, const char *file)
{
    (void)snprintf(out, cap, "%s%s%s", group, group[0] == '\0' ? "" : "/", file);
}

int sb_cgroup_write(
    int dir, const char *group, const char *file, const char *text, struct sb_err *err)
{
    char path[256];
    join(path, sizeof path, group, file);
    SB_CLEANUP(sb_closep) int fd = openat(dir, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    size_t len = strlen(text);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len) {
        return sb_err_sys(err, errno, "write %s to %s", text, path);
    }
    return 0;
}

int sb_cgroup_write_u64(
    int dir, const char *group, const char *file, uint64_t value, struct sb_err *err)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    return sb_cgroup_write(dir, group, file, text, err);
}

struct sb_str sb_cgroup_get(int dir, const char *group, const char *file, char *ret_text)
{
    char path[256];
    size_t len = 0;
    ssize_t n = 0;
    join(path, sizeof path, group, file);
    SB_CLEANUP(sb_closep) int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    while (fd >= 0 && len < SB_CGROUP_FILE_SIZE &&
           (n = read(fd, ret_text + len, SB_CGROUP_FILE_SIZE - len)) > 0) {
        len += (size_t)n;
    }
    return sb_str_of(ret_text, len);
}

uint64_t sb_cgroup_get_u64(int dir, const char *group, const char *file)
{
    char text[SB_CGROUP_FILE_SIZE];
    struct sb_err ignored;
    uint64_t value = 0;
    struct sb_str got = sb_cgroup_get(dir, group, file, text);
    while (got.len > 0 && got.ptr[got.len - 1] == '\n') {
        got.len--;
    }
    (void)sb_num_u64(got, 0, UINT64_MAX, &value, &ignored);
    return value;
}
