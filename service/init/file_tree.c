/* Trees, listed and removed. */
#include <errno.h>
#include <fcntl.h>

#include "service/init/file.h"
#include "service/init/file_sys.h"
#include "service/init/glob.h"
#include "service/init/place.h"
#include "service/init/text.h"

enum { READ_SIZE = 4096, REMOVE_DIR = 0x200 /* AT_REMOVEDIR */, MAX_LEVELS = 256 };

/* ---- LIST ---- */

struct list {
    const struct sb_file *file;
    char path[SB_FILE_MAX_PATH]; /* below the directory, of the entry looked at */
};

/* The order of bytes, over at most max of them. */
static int compare(const char *a, const char *b, size_t max)
{
    for (size_t i = 0; i < max; i++) {
        if (a[i] != b[i] || a[i] == '\0') {
            return (unsigned char)a[i] - (unsigned char)b[i];
        }
    }
    return 0;
}

static int is_wanted(const struct list *list)
{
    const struct sb_file *file = list->file;
    return compare(list->path, file->third, SB_FILE_MAX_PATH) > 0 &&
           (file->second[0] == '\0' || sb_glob_matches(file->second, list->path));
}

/* NOLINTBEGIN(misc-no-recursion): SB_FILE_MAX_DEPTH levels at most */
static void list_dir(struct list *list, int fd, char *end, uint32_t depth);

/* Of a directory below which there may be more to tell: all of it comes after "path/". */
static void descend(struct list *list, int dir, const char *name, char *end, uint32_t depth)
{
    char *after = end;
    sb_text_add(&after, list->path + sizeof list->path, "/");
    if (compare(list->path, list->file->third, (size_t)(after - list->path)) < 0) {
        return;
    }
    int fd = sb_file_open_dir(dir, name);
    if (fd >= 0) { /* what the job may not read, or has removed, is not told */
        list_dir(list, fd, after, depth);
        sb_sys_close(fd);
    }
}

static void list_entry(struct list *list, int dir, const char *name, char *end, uint32_t depth)
{
    struct stat st = {.st_mode = 0};
    char *after = end;
    const char *limit = list->path + sizeof list->path;
    if (sb_text_len(name) + 2 > (size_t)(limit - end)) {
        return; /* longer than a path may be: nobody could name it */
    }
    sb_text_add(&after, limit, name);
    int wanted = is_wanted(list);
    if ((!wanted && depth == 1) || sb_sys_lstatat(dir, name, &st) < 0) {
        return;
    }
    if (wanted) {
        sb_file_tell(list->file, &st, list->path, dir, name);
    }
    if (depth > 1 && S_ISDIR(st.st_mode)) {
        descend(list, dir, name, after, depth - 1);
    }
}

static void list_dir(struct list *list, int fd, char *end, uint32_t depth)
{
    _Alignas(struct sb_sys_entry) char entries[READ_SIZE] = {0};
    long len = 0;
    while ((len = sb_sys_getdents(fd, entries, sizeof entries)) > 0) {
        sb_file_check_listener(list->file);
        for (long i = 0; i < len;) {
            const struct sb_sys_entry *entry =
                (const struct sb_sys_entry *)(const void *)(entries + i);
            if (!sb_file_is_itself(entry->name)) {
                list_entry(list, fd, entry->name, end, depth);
            }
            i += entry->len;
        }
    }
}

/* NOLINTEND(misc-no-recursion) */

void sb_file_list(const struct sb_file *file)
{
    static struct sb_place place;
    static struct list list;
    int fd = sb_file_open_root(file, &place);
    list.file = file;
    list_dir(&list, fd, list.path, file->request.depth == 0 ? 1 : file->request.depth);
    sb_file_finish(file, 1);
}

/* ---- REMOVE ---- */

struct removal {
    const struct sb_file *file;
    uint64_t removed;
};

/* NOLINTBEGIN(misc-no-recursion): MAX_LEVELS levels at most */
static void empty_dir(struct removal *removal, int fd, unsigned level);

/* Returns whether something went. */
static int remove_entry(struct removal *removal, int dir, const char *name, unsigned level)
{
    long error = sb_sys_unlinkat(dir, name, 0);
    if (error == -EISDIR || error == -EPERM) {
        int fd = sb_file_open_dir(dir, name);
        if (fd == -ENOTDIR || fd == -ELOOP) {
            sb_file_fail(removal->file, error, 0); /* no directory: the first answer stands */
        }
        if (fd < 0 && fd != -ENOENT) {
            sb_file_fail(removal->file, fd, 0);
        }
        if (fd >= 0) {
            empty_dir(removal, fd, level + 1);
            sb_sys_close(fd);
        }
        error = sb_sys_unlinkat(dir, name, REMOVE_DIR);
    }
    if (error < 0 && error != -ENOENT) {
        sb_file_fail(removal->file, error, 0);
    }
    removal->removed += error == 0;
    return error == 0;
}

/* Returns whether something of this piece of a directory went. */
static int
remove_some(struct removal *removal, int fd, const char *entries, long len, unsigned level)
{
    int has_removed = 0;
    for (long i = 0; i < len;) {
        const struct sb_sys_entry *entry = (const struct sb_sys_entry *)(const void *)(entries + i);
        if (!sb_file_is_itself(entry->name) && remove_entry(removal, fd, entry->name, level)) {
            has_removed = 1;
        }
        i += entry->len;
    }
    return has_removed;
}

/* From the start again until nothing is found: what was removed moves what is still to be read. */
static void empty_dir(struct removal *removal, int fd, unsigned level)
{
    _Alignas(struct sb_sys_entry) char entries[READ_SIZE] = {0};
    int has_removed = 1;
    if (level > MAX_LEVELS) {
        sb_file_fail(removal->file, -ELOOP, SB_FILE_WHY_DEEP);
    }
    while (has_removed && sb_sys_lseek(fd, 0) == 0) {
        long len = 0;
        has_removed = 0;
        while ((len = sb_sys_getdents(fd, entries, sizeof entries)) > 0) {
            sb_file_check_listener(removal->file);
            has_removed |= remove_some(removal, fd, entries, len, level);
        }
    }
}
/* NOLINTEND(misc-no-recursion) */

void sb_file_remove(const struct sb_file *file)
{
    static struct sb_place place;
    struct removal removal = {file, 0};
    sb_file_find_there(file, file->path, 0, &place);
    if (place.is_proc) {
        sb_file_fail(file, -EACCES, SB_FILE_WHY_PROC);
    }
    if (sb_file_is_itself(place.name)) {
        sb_file_fail(file, -EBUSY, SB_FILE_WHY_ROOT);
    }
    if ((file->request.flags & SB_FILE_TREE) != 0) {
        (void)remove_entry(&removal, place.dir, place.name, 0);
    } else {
        long error =
            sb_sys_unlinkat(place.dir, place.name, S_ISDIR(place.st.st_mode) ? REMOVE_DIR : 0);
        if (error < 0) {
            sb_file_fail(file, error, 0);
        }
        removal.removed = 1;
    }
    sb_file_finish(file, removal.removed);
}
