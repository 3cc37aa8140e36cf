#include "service/worker/policy/collections.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

#define PATH_BYTES_MAX 4095

/* One more element of @size bytes at the end of @items; grows by doubling. */
static int grow(void *items, size_t n, size_t size, struct sb_err *err)
{
    if (n != 0 && (n & (n - 1)) != 0) {
        return 0;
    }
    void *old = NULL;
    memcpy(&old, items, sizeof old);
    void *mem = reallocarray(old, n == 0 ? 1 : n * 2, size);
    if (mem == NULL) {
        return sb_err_oom(err);
    }
    memcpy(items, &mem, sizeof mem);
    return 0;
}

int sb_strings_add(struct sb_strings *strings, struct sb_str text, struct sb_err *err)
{
    if (grow(&strings->items, strings->n, sizeof strings->items[0], err) < 0) {
        return -1;
    }
    char *copy = sb_str_dup(text);
    if (copy == NULL) {
        return sb_err_oom(err);
    }
    strings->items[strings->n++] = copy;
    return 0;
}

int sb_strings_copy(struct sb_strings *to, const struct sb_strings *from, struct sb_err *err)
{
    for (size_t i = 0; i < from->n; i++) {
        if (sb_strings_add(to, sb_str_from(from->items[i]), err) < 0) {
            return -1;
        }
    }
    return 0;
}

void sb_strings_done(struct sb_strings *strings)
{
    for (size_t i = 0; i < strings->n; i++) {
        free(strings->items[i]);
    }
    free(strings->items);
    *strings = (struct sb_strings){0};
}

static int compare(struct sb_str a, struct sb_str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n == 0 ? 0 : memcmp(a.ptr, b.ptr, n);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* Index of name, or of the first greater one. */
static size_t find_pair(const struct sb_pairs *pairs, struct sb_str name, bool *ret_found)
{
    size_t low = 0;
    size_t high = pairs->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(sb_str_from(pairs->items[middle].name), name);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *ret_found = false;
    return low;
}

int sb_pairs_set(struct sb_pairs *pairs,
                 struct sb_str name,
                 struct sb_str value,
                 struct sb_err *err)
{
    SB_CLEANUP(sb_freep) char *value_copy = sb_str_dup(value);
    if (value_copy == NULL) {
        return sb_err_oom(err);
    }
    bool found = false;
    size_t at = find_pair(pairs, name, &found);
    if (found) {
        free(pairs->items[at].value);
        pairs->items[at].value = SB_STEAL_PTR(value_copy);
        return 0;
    }
    if (grow(&pairs->items, pairs->n, sizeof pairs->items[0], err) < 0) {
        return -1;
    }
    char *name_copy = sb_str_dup(name);
    if (name_copy == NULL) {
        return sb_err_oom(err);
    }
    memmove(&pairs->items[at + 1], &pairs->items[at], (pairs->n - at) * sizeof pairs->items[0]);
    pairs->items[at] = (struct sb_pair){.name = name_copy, .value = SB_STEAL_PTR(value_copy)};
    pairs->n++;
    return 0;
}

const char *sb_pairs_get(const struct sb_pairs *pairs, struct sb_str name)
{
    bool found = false;
    size_t at = find_pair(pairs, name, &found);
    return found ? pairs->items[at].value : NULL;
}

int sb_pairs_merge(struct sb_pairs *to, const struct sb_pairs *from, struct sb_err *err)
{
    for (size_t i = 0; i < from->n; i++) {
        const struct sb_pair *pair = &from->items[i];
        if (sb_pairs_set(to, sb_str_from(pair->name), sb_str_from(pair->value), err) < 0) {
            return -1;
        }
    }
    return 0;
}

void sb_pairs_done(struct sb_pairs *pairs)
{
    for (size_t i = 0; i < pairs->n; i++) {
        free(pairs->items[i].name);
        free(pairs->items[i].value);
    }
    free(pairs->items);
    *pairs = (struct sb_pairs){0};
}

const char *sb_mount_mode(const struct sb_mount *mount)
{
    return mount->is_overlay ? "overlay" : mount->is_writable ? "rw" : "ro";
}

const struct sb_mount *sb_mounts_find(const struct sb_mounts *mounts, struct sb_str target)
{
    for (size_t i = 0; i < mounts->n; i++) {
        if (sb_str_eq(sb_str_from(mounts->items[i].target), target)) {
            return &mounts->items[i];
        }
    }
    return NULL;
}

static void free_mount(struct sb_mount *mount)
{
    free(mount->source);
    free(mount->target);
}

int sb_mounts_set(struct sb_mounts *mounts, const struct sb_mount *mount, struct sb_err *err)
{
    SB_CLEANUP(sb_freep) char *source = strdup(mount->source);
    SB_CLEANUP(sb_freep) char *target = strdup(mount->target);
    if (source == NULL || target == NULL) {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): its cleanup frees what it holds
        return sb_err_oom(err);
    }
    const struct sb_mount *old = sb_mounts_find(mounts, sb_str_from(target));
    size_t at = old == NULL ? mounts->n : (size_t)(old - mounts->items);
    if (old != NULL) {
        free_mount(&mounts->items[at]);
    } else {
        if (grow(&mounts->items, mounts->n, sizeof mounts->items[0], err) < 0) {
            return -1;
        }
        mounts->n++;
    }
    mounts->items[at] = *mount;
    mounts->items[at].source = SB_STEAL_PTR(source);
    mounts->items[at].target = SB_STEAL_PTR(target);
    return 0;
}

int sb_mounts_merge(struct sb_mounts *to, const struct sb_mounts *from, struct sb_err *err)
{
    for (size_t i = 0; i < from->n; i++) {
        if (sb_mounts_set(to, &from->items[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

void sb_mounts_done(struct sb_mounts *mounts)
{
    for (size_t i = 0; i < mounts->n; i++) {
        free_mount(&mounts->items[i]);
    }
    free(mounts->items);
    *mounts = (struct sb_mounts){0};
}

/* What the sandbox fills itself; nothing may be put over or below these. */
static const struct sb_str system_dirs[] = {
    SB_STR("/bin"),
    SB_STR("/boot"),
    SB_STR("/dev"),
    SB_STR("/etc"),
    SB_STR("/lib"),
    SB_STR("/lib32"),
    SB_STR("/lib64"),
    SB_STR("/libx32"),
    SB_STR("/proc"),
    SB_STR("/sbin"),
    SB_STR("/sys"),
    SB_STR("/usr"),
    /* Links to /run and /tmp: one place, one name. */
    SB_STR("/var/run"),
    SB_STR("/var/tmp"),
};

/* Something may be put below these, but not over them. */
static const struct sb_str own_points[] = {SB_STR("/run"), SB_STR("/tmp"), SB_STR("/var")};

static bool is_at_or_below(struct sb_str path, struct sb_str dir)
{
    return sb_str_starts_with(path, dir) && (path.len == dir.len || path.ptr[dir.len] == '/');
}

static bool is_normal(struct sb_str path)
{
    struct sb_str rest = sb_str_skip(path, 1);
    struct sb_str part;
    for (size_t i = 0; i < path.len; i++) {
        if ((unsigned char)path.ptr[i] < ' ' || path.ptr[i] == 0x7f) {
            return false;
        }
    }
    while (sb_str_next(&rest, '/', &part)) {
        if (part.len == 0 || part.len > 255 || sb_str_eq(part, SB_STR(".")) ||
            sb_str_eq(part, SB_STR(".."))) {
            return false;
        }
    }
    return true;
}

int sb_mounts_check_target(struct sb_str target, struct sb_err *err)
{
    if (target.len == 0 || target.ptr[0] != '/' || sb_str_has_nul(target)) {
        return sb_err_set(err, SB_INVALID, "\"%.*s\" is not an absolute path", SB_STR_ARG(target));
    }
    if (target.len > PATH_BYTES_MAX) {
        return sb_err_set(err, SB_INVALID, "longer than %d bytes", PATH_BYTES_MAX);
    }
    if (target.len == 1) {
        return sb_err_set(err, SB_INVALID, "the root itself cannot be mounted over");
    }
    if (!is_normal(target)) {
        return sb_err_set(err, SB_INVALID,
                          "\"%.*s\" has an empty, \".\" or \"..\" part, or a control character",
                          SB_STR_ARG(target));
    }
    for (size_t i = 0; i < sizeof own_points / sizeof own_points[0]; i++) {
        if (sb_str_eq(target, own_points[i])) {
            return sb_err_set(err, SB_INVALID, "%.*s is the sandbox's own",
                              SB_STR_ARG(own_points[i]));
        }
    }
    for (size_t i = 0; i < sizeof system_dirs / sizeof system_dirs[0]; i++) {
        if (is_at_or_below(target, system_dirs[i])) {
            return sb_err_set(err, SB_INVALID, "\"%.*s\" is in the system directory %.*s",
                              SB_STR_ARG(target), SB_STR_ARG(system_dirs[i]));
        }
    }
    return 0;
}

bool sb_mounts_overlap(struct sb_str a, struct sb_str b)
{
    return is_at_or_below(a, b) || is_at_or_below(b, a);
}
