/* WATCH: changes below a directory, as the kernel tells them (inotify).
 *
 * Theory of operation. The kernel watches directories one by one. Of each the table has its parent
 * and its name, so a path is found by walking up. A directory that is made or moved here is watched
 * as soon as that is told, and then listed, for what was made in it before is told by nobody: such
 * a file may be told twice, and never not at all. One that moves away is forgotten with all below
 * it. When the kernel's queue overflows, or there are more directories than are watched, OVERFLOW
 * is told: then a caller has to list. */
#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>

#include "service/init/file.h"
#include "service/init/file_sys.h"
#include "service/init/place.h"
#include "service/init/text.h"

enum { READ_SIZE = 4096, NAME = 256, NONE = -1, ROOT = 0 };
enum {
    MASK = IN_CREATE | IN_MOVED_TO | IN_MODIFY | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM |
           IN_ONLYDIR | IN_DONT_FOLLOW,
    END_MASK = IN_DELETE | IN_MOVED_FROM | IN_ONLYDIR | IN_DONT_FOLLOW,
};

struct watched {
    int wd; /* NONE: the row is free */
    int parent;
    char name[NAME];
};

struct watch {
    const struct sb_file *file;
    int fd;
    int root;
    int above; /* the directory that the root is in, for its end; NONE: it has none */
    const char *root_name;
    int is_tree;
    int n_rows;        /* used ones are below */
    int is_overflowed; /* and that was told */
    char path[SB_FILE_MAX_PATH];
    struct watched rows[SB_FILE_MAX_WATCHES];
};

/* ---- telling ---- */

/* Puts the path of a directory into watch->path, with a slash behind it. Returns its end, or NULL:
 * too long. */
static char *path_of(struct watch *watch, int row)
{
    int up[SB_FILE_MAX_DEPTH + 1];
    int n = 0;
    char *at = watch->path;
    const char *limit = watch->path + sizeof watch->path;
    *at = '\0';
    for (; row != ROOT; row = watch->rows[row].parent) {
        if (n > SB_FILE_MAX_DEPTH) {
            return NULL;
        }
        up[n++] = row;
    }
    while (n > 0) {
        const char *name = watch->rows[up[--n]].name;
        if (sb_text_len(name) + 2 > (size_t)(limit - at)) {
            return NULL;
        }
        sb_text_add(&at, limit, name);
        sb_text_add(&at, limit, "/");
    }
    return at;
}

static void send_event(const struct watch *watch, uint32_t kind, const char *path)
{
    const struct sb_file_event event = {SB_FILE_EVENT, kind};
    sb_file_send(watch->file, &event, sizeof event, path, sb_text_len(path));
}

static void tell(struct watch *watch, int row, const char *name, uint32_t kind)
{
    char *at = path_of(watch, row);
    const char *limit = watch->path + sizeof watch->path;
    if (at == NULL || sb_text_len(name) >= (size_t)(limit - at) || sb_file_is_part(name)) {
        return;
    }
    sb_text_add(&at, limit, name);
    send_event(watch, kind, watch->path);
}

static void tell_overflow(struct watch *watch)
{
    if (!watch->is_overflowed) {
        send_event(watch, SB_FILE_EVENT_OVERFLOW, "");
    }
    watch->is_overflowed = 1;
}

/* ---- the table ---- */

static int depth_of(const struct watch *watch, int row)
{
    int depth = 0;
    for (; row != ROOT; row = watch->rows[row].parent) {
        depth++;
    }
    return depth;
}

static int find_wd(const struct watch *watch, int wd)
{
    for (int row = 0; row < watch->n_rows; row++) {
        if (watch->rows[row].wd == wd) {
            return row;
        }
    }
    return NONE;
}

static int is_same(const char *a, const char *b)
{
    while (*a == *b && *a != '\0') {
        a++;
        b++;
    }
    return *a == *b;
}

static int find_name(const struct watch *watch, int parent, const char *name)
{
    for (int row = 1; row < watch->n_rows; row++) {
        if (watch->rows[row].wd != NONE && watch->rows[row].parent == parent &&
            is_same(watch->rows[row].name, name)) {
            return row;
        }
    }
    return NONE;
}

static int free_row(struct watch *watch)
{
    for (int row = 1; row < watch->n_rows; row++) {
        if (watch->rows[row].wd == NONE) {
            return row;
        }
    }
    return watch->n_rows < SB_FILE_MAX_WATCHES ? watch->n_rows++ : NONE;
}

/* With all below it. Parents may stand behind their children, so until nothing changes. */
static void forget(struct watch *watch, int row)
{
    int has_changed = 1;
    sb_sys_inotify_remove(watch->fd, watch->rows[row].wd);
    watch->rows[row].wd = NONE;
    while (has_changed) {
        has_changed = 0;
        for (int i = 1; i < watch->n_rows; i++) {
            struct watched *below = &watch->rows[i];
            if (below->wd != NONE && watch->rows[below->parent].wd == NONE) {
                sb_sys_inotify_remove(watch->fd, below->wd);
                below->wd = NONE;
                has_changed = 1;
            }
        }
    }
}

/* ---- adding ---- */

/* inotify takes a path; a name in the current directory is one that no link can lead astray. */
static long add_watch(const struct watch *watch, int dir, const char *name, uint32_t mask)
{
    long error = sb_sys_fchdir(dir);
    return error < 0 ? error : sb_sys_inotify_add(watch->fd, name, mask);
}

/* NOLINTBEGIN(misc-no-recursion): SB_FILE_MAX_DEPTH levels at most */
static void add_below(struct watch *watch, int dir, int row, int is_new);

/* Returns 0, or -errno: it is not watched. What is gone is no error. */
static long add(struct watch *watch, int dir, const char *name, int parent, int is_new)
{
    if (depth_of(watch, parent) == SB_FILE_MAX_DEPTH) {
        return 0;
    }
    int known = find_name(watch, parent, name);
    if (known != NONE) {
        return 0;
    }
    int row = free_row(watch);
    if (row == NONE) {
        return -ENOSPC;
    }
    struct watched *made = &watch->rows[row];
    made->wd = NONE;
    long wd = add_watch(watch, dir, name, MASK);
    if (wd < 0) {
        return wd == -ENOENT || wd == -ENOTDIR || wd == -ELOOP || wd == -EACCES ? 0 : wd;
    }
    int other = find_wd(watch, (int)wd);
    if (other != NONE) {
        made = &watch->rows[row = other]; /* the same directory, by a new name */
    }
    char *at = made->name;
    made->wd = (int)wd;
    made->parent = parent;
    sb_text_add(&at, made->name + sizeof made->name, name);
    int fd = sb_file_open_dir(dir, name);
    if (fd >= 0) {
        add_below(watch, fd, row, is_new);
        sb_sys_close(fd);
    }
    return 0;
}

static void add_entry(struct watch *watch, int dir, const char *name, int row, int is_new)
{
    struct stat st = {.st_mode = 0};
    if (sb_sys_lstatat(dir, name, &st) < 0) {
        return;
    }
    if (is_new) {
        tell(watch, row, name, SB_FILE_EVENT_CREATED);
    }
    if (S_ISDIR(st.st_mode) && watch->is_tree && !sb_place_is_proc(&st)) {
        long error = add(watch, dir, name, row, is_new);
        if (error < 0 && !is_new) {
            sb_file_fail(watch->file, error, error == -ENOSPC ? SB_FILE_WHY_WATCHES : 0);
        }
        if (error < 0) {
            tell_overflow(watch);
        }
    }
}

/* @is_new  since the watch began: what is found is told. */
static void add_below(struct watch *watch, int dir, int row, int is_new)
{
    _Alignas(struct sb_sys_entry) char entries[READ_SIZE] = {0};
    long len = 0;
    if (!watch->is_tree && !is_new) {
        return;
    }
    while ((len = sb_sys_getdents(dir, entries, sizeof entries)) > 0) {
        sb_file_check_listener(watch->file);
        for (long i = 0; i < len;) {
            const struct sb_sys_entry *entry =
                (const struct sb_sys_entry *)(const void *)(entries + i);
            if (!sb_file_is_itself(entry->name)) {
                add_entry(watch, dir, entry->name, row, is_new);
            }
            i += entry->len;
        }
    }
}
/* NOLINTEND(misc-no-recursion) */

/* Opens a watched directory, name by name from the root. Returns -errno. */
static int open_row(struct watch *watch, int row)
{
    int up[SB_FILE_MAX_DEPTH + 1];
    int n = 0;
    for (; row != ROOT; row = watch->rows[row].parent) {
        if (n > SB_FILE_MAX_DEPTH) {
            return -ELOOP;
        }
        up[n++] = row;
    }
    int fd = (int)sb_sys_fcntl(watch->root, F_DUPFD_CLOEXEC, 0);
    while (n > 0 && fd >= 0) {
        int next = sb_file_open_dir(fd, watch->rows[up[--n]].name);
        sb_sys_close(fd);
        fd = next;
    }
    return fd;
}

/* ---- events ---- */

static void arrived(struct watch *watch, int row, const char *name)
{
    if (!watch->is_tree) {
        return;
    }
    int known = find_name(watch, row, name);
    if (known != NONE) { /* its end was not told yet */
        forget(watch, known);
    }
    int dir = open_row(watch, row);
    long error = dir < 0 ? 0 : add(watch, dir, name, row, 1);
    if (dir >= 0) {
        sb_sys_close(dir);
    }
    if (error < 0) {
        tell_overflow(watch);
    }
}

static void left(struct watch *watch, int row, const char *name)
{
    int known = find_name(watch, row, name);
    if (known != NONE) {
        forget(watch, known);
    }
}

static void act(struct watch *watch, const struct inotify_event *event)
{
    const char *name = event->len > 0 ? event->name : "";
    if ((event->mask & IN_Q_OVERFLOW) != 0) {
        watch->is_overflowed = 0;
        tell_overflow(watch);
        return;
    }
    /* Nobody else could tell: we hold the root open, so it does not end for the kernel. */
    if (event->wd == watch->above && is_same(name, watch->root_name)) {
        send_event(watch, SB_FILE_EVENT_REMOVED, "");
        sb_file_finish(watch->file, 1);
    }
    int row = find_wd(watch, event->wd);
    if (row == NONE) {
        return; /* forgotten meanwhile */
    }
    if (event->len == 0) {
        return; /* a mode of the directory itself: told by its parent */
    }
    watch->is_overflowed = 0;
    if ((event->mask & (IN_CREATE | IN_MOVED_TO)) != 0) {
        tell(watch, row, name, SB_FILE_EVENT_CREATED);
        if ((event->mask & IN_ISDIR) != 0) {
            arrived(watch, row, name);
        }
    } else if ((event->mask & (IN_DELETE | IN_MOVED_FROM)) != 0) {
        tell(watch, row, name, SB_FILE_EVENT_REMOVED);
        if ((event->mask & IN_ISDIR) != 0) {
            left(watch, row, name);
        }
    } else {
        tell(watch, row, name, SB_FILE_EVENT_CHANGED);
    }
}

static void follow(struct watch *watch)
{
    _Alignas(struct inotify_event) char events[16 * READ_SIZE];
    for (;;) {
        struct pollfd fds[2] = {{.fd = watch->fd, .events = POLLIN}, {.fd = watch->file->sock}};
        if (sb_sys_poll(fds, 2, NULL) < 0 || fds[1].revents != 0) {
            sb_sys_exit(0);
        }
        long len = sb_sys_read(watch->fd, events, sizeof events);
        if (len < 0 && len != -EAGAIN && len != -EINTR) {
            sb_file_fail(watch->file, len, 0);
        }
        for (long i = 0; i < len;) {
            const struct inotify_event *event =
                (const struct inotify_event *)(const void *)(events + i);
            act(watch, event);
            i += (long)sizeof *event + event->len;
        }
    }
}

void sb_file_watch(const struct sb_file *file)
{
    static struct sb_place place;
    const struct sb_file_head ready = {SB_FILE_READY};
    struct watch *watch = sb_file_memory(file, sizeof *watch);
    watch->file = file;
    watch->is_tree = (file->request.flags & SB_FILE_TREE) != 0;
    watch->root = sb_file_open_root(file, &place);
    watch->fd = (int)sb_sys_inotify(IN_CLOEXEC | IN_NONBLOCK);
    if (watch->fd < 0) {
        sb_file_fail(file, watch->fd, 0);
    }
    watch->root_name = place.name;
    long above = sb_file_is_itself(place.name) ? NONE : add_watch(watch, place.dir, ".", END_MASK);
    watch->above = above < 0 ? NONE : (int)above;
    long wd = add_watch(watch, watch->root, ".", MASK);
    if (wd < 0) {
        sb_file_fail(file, wd, wd == -ENOSPC ? SB_FILE_WHY_WATCHES : 0);
    }
    watch->rows[ROOT].wd = (int)wd;
    watch->n_rows = 1;
    add_below(watch, watch->root, ROOT, 0);
    sb_file_send(file, &ready, sizeof ready, "", 0);
    follow(watch);
    sb_sys_exit(0);
}
