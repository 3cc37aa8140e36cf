/* Content of regular files, read and written. */
#include <errno.h>
#include <fcntl.h>

#include "service/init/file.h"
#include "service/init/file_sys.h"
#include "service/init/place.h"
#include "service/init/text.h"

enum { FILE_MODE = 0644, PERMISSIONS = 0777, RENAME_KEEP = 1 };
enum { MAX_SIZELESS = 64 << 20 }; /* bytes of a file that says it has none, as those of /proc */

static char data[SB_FILE_MAX_DATA];

/* Up to its end as it was when it was opened, so that a file that grows has one. */
static uint64_t wanted(const struct sb_file *file, const struct stat *st)
{
    const struct sb_file_request *request = &file->request;
    uint64_t size = st->st_size == 0 ? MAX_SIZELESS : (uint64_t)st->st_size;
    uint64_t left = request->offset < size ? size - request->offset : 0;
    return request->max_bytes != 0 && request->max_bytes < left ? request->max_bytes : left;
}

void sb_file_read(const struct sb_file *file)
{
    static struct sb_place place;
    const struct sb_file_head head = {SB_FILE_DATA};
    struct stat st = {.st_mode = 0};
    sb_file_find_there(file, file->path, SB_PLACE_FOLLOW, &place);
    int fd = sb_file_open_regular(file, &place, O_RDONLY, &st);
    uint64_t left = wanted(file, &st);
    sb_file_tell(file, &st, "", place.fd, "");
    if (left > 0 && file->request.offset > 0) {
        long error = sb_sys_lseek(fd, (int64_t)file->request.offset);
        if (error < 0) {
            sb_file_fail(file, error, 0);
        }
    }
    while (left > 0) {
        long len = sb_sys_read(fd, data, left < sizeof data ? left : sizeof data);
        if (len < 0) {
            sb_file_fail(file, len, 0);
        }
        if (len == 0 && st.st_size != 0) {
            sb_file_fail(file, -EAGAIN, SB_FILE_WHY_SHRUNK);
        }
        if (len == 0) {
            break;
        }
        sb_file_send(file, &head, sizeof head, data, (unsigned long)len);
        left -= (uint64_t)len;
    }
    sb_file_finish(file, 1);
}

/* ---- WRITE ---- */

static _Noreturn void give_up(const struct sb_file *file, struct sb_file_part *part, long error)
{
    sb_file_part_drop(part);
    if (error < 0) {
        sb_file_fail(file, error, 0);
    }
    sb_sys_exit(0); /* nobody waits for it any more */
}

static int open_end(const struct sb_file *file, const struct sb_place *place, struct stat *st)
{
    if (place->fd >= 0) {
        return sb_file_open_regular(file, place, O_WRONLY | O_APPEND, st);
    }
    uint32_t mode = file->request.mode == 0 ? FILE_MODE : file->request.mode;
    int fd =
        (int)sb_sys_openat(place->dir, place->name,
                           O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    long error = fd < 0 ? fd : sb_sys_fchmod(fd, mode);
    if (error < 0) {
        sb_file_fail(file, error, 0);
    }
    return fd;
}

/* Until the worker says that this was all. */
static void take(const struct sb_file *file, struct sb_file_part *part)
{
    long len = 0;
    while ((len = sb_file_receive(file, data)) > 0) {
        long error = sb_file_write_all(part->fd, data, (unsigned long)len);
        if (error < 0) {
            give_up(file, part, error);
        }
    }
    if (len < 0) {
        give_up(file, part, 0);
    }
}

/* Gives the part its name. */
static long
commit(const struct sb_file *file, const struct sb_place *place, struct sb_file_part *part)
{
    if ((file->request.flags & SB_FILE_NO_REPLACE) == 0) {
        return sb_file_part_name(part, place->dir, place->name);
    }
    long error = sb_sys_renameat(part->dir, part->name, place->dir, place->name, RENAME_KEEP);
    if (error != -EINVAL && error != -ENOSYS) {
        return error;
    }
    error = sb_sys_linkat(part->dir, part->name, place->dir, place->name); /* cannot replace */
    return error < 0 ? error : sb_sys_unlinkat(part->dir, part->name, 0);
}

static void check_target(const struct sb_file *file, const struct sb_place *place)
{
    if (place->is_proc) {
        sb_file_fail(file, -EACCES, SB_FILE_WHY_PROC);
    }
    if (place->fd < 0) {
        return;
    }
    if (S_ISDIR(place->st.st_mode)) {
        sb_file_fail(file, -EISDIR, 0);
    }
    if (!S_ISREG(place->st.st_mode)) {
        sb_file_fail(file, -EINVAL, SB_FILE_WHY_NOT_REGULAR);
    }
    if ((file->request.flags & SB_FILE_NO_REPLACE) != 0) {
        sb_file_fail(file, -EEXIST, 0);
    }
}

void sb_file_write(const struct sb_file *file)
{
    static struct sb_place place;
    const struct sb_file_head ready = {SB_FILE_READY};
    const struct sb_file_request *request = &file->request;
    int has_parents = (request->flags & SB_FILE_PARENTS) != 0;
    int is_append = (request->flags & SB_FILE_APPEND) != 0;
    struct sb_file_part part = {-1, -1, ""};
    struct stat st = {.st_mode = 0};
    sb_file_find(file, file->path, SB_PLACE_FOLLOW | (has_parents ? SB_PLACE_PARENTS : 0), &place);
    check_target(file, &place);
    if (is_append) {
        part.fd = open_end(file, &place, &st);
    } else {
        long error = sb_file_part_open(&part, place.dir);
        if (error < 0) {
            sb_file_fail(file, error, 0);
        }
    }
    sb_file_send(file, &ready, sizeof ready, "", 0);
    take(file, &part);
    if (!is_append) {
        uint32_t mode = request->mode != 0 ? request->mode
                        : place.fd >= 0    ? place.st.st_mode & PERMISSIONS
                                           : FILE_MODE;
        long error = sb_sys_fchmod(part.fd, mode);
        error = error < 0 ? error : commit(file, &place, &part);
        if (error < 0) {
            give_up(file, &part, error);
        }
    }
    long error = sb_sys_fstat(part.fd, &st);
    if (error < 0) {
        sb_file_fail(file, error, 0);
    }
    sb_sys_close(part.fd); /* now it can be executed, and whoever hears of us may do so at once */
    sb_file_tell(file, &st, "", -1, "");
    sb_file_finish(file, 1);
}
