/* What operations on files have in common. */
#include <errno.h>
#include <fcntl.h>

#include "service/init/file.h"
#include "service/init/file_sys.h"
#include "service/init/place.h"
#include "service/init/text.h"

#define PART_PREFIX ".aisbx-part-"
enum { PART_MODE = 0600, MAX_NAMES = 64 };

void sb_file_find(const struct sb_file *file, const char *path, int flags, struct sb_place *place)
{
    unsigned why = 0;
    int error = sb_place_find(path, flags, place, &why);
    if (error < 0) {
        sb_file_fail(file, error, why);
    }
}

void sb_file_find_there(const struct sb_file *file,
                        const char *path,
                        int flags,
                        struct sb_place *place)
{
    sb_file_find(file, path, flags, place);
    if (place->fd < 0) {
        sb_file_fail(file, -ENOENT, 0);
    }
}

int sb_file_open_root(const struct sb_file *file, struct sb_place *place)
{
    sb_file_find_there(file, file->path, SB_PLACE_FOLLOW, place);
    if (!S_ISDIR(place->st.st_mode)) {
        sb_file_fail(file, -ENOTDIR, 0);
    }
    int fd = sb_file_open_dir(place->dir, place->name);
    if (fd < 0) {
        sb_file_fail(file, fd, 0);
    }
    return fd;
}

int sb_file_open_dir(int dir, const char *name)
{
    return (int)sb_sys_openat(dir, name,
                              O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
}

int sb_file_open_regular(const struct sb_file *file,
                         const struct sb_place *place,
                         int flags,
                         struct stat *ret_stat)
{
    if (S_ISDIR(place->st.st_mode)) {
        sb_file_fail(file, -EISDIR, 0);
    }
    if (!S_ISREG(place->st.st_mode)) {
        sb_file_fail(file, -EINVAL, SB_FILE_WHY_NOT_REGULAR);
    }
    int fd = (int)sb_sys_openat(place->dir, place->name,
                                flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
    long error = fd < 0 ? fd : sb_sys_fstat(fd, ret_stat);
    if (error < 0) {
        sb_file_fail(file, error, 0);
    }
    if (!S_ISREG(ret_stat->st_mode)) { /* changed in between */
        sb_file_fail(file, -EINVAL, SB_FILE_WHY_NOT_REGULAR);
    }
    return fd;
}

void sb_file_check_listener(const struct sb_file *file)
{
    struct timespec now = {.tv_sec = 0};
    struct pollfd fds = {.fd = file->sock};
    if (sb_sys_poll(&fds, 1, &now) > 0) {
        sb_sys_exit(0);
    }
}

int sb_file_is_itself(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

void *sb_file_memory(const struct sb_file *file, unsigned long size)
{
    long at = sb_sys_memory(size);
    void *memory = NULL;
    if (at < 0 && at > -4096) {
        sb_file_fail(file, at, 0);
    }
    __builtin_memcpy(&memory, &at, sizeof memory);
    return memory;
}

/* ---- parts ---- */

int sb_file_is_part(const char *name)
{
    for (const char *want = PART_PREFIX; *want != '\0'; want++, name++) {
        if (*name != *want) {
            return 0;
        }
    }
    return 1;
}

long sb_file_part_new(struct sb_file_part *part,
                      int dir,
                      long (*open)(const struct sb_file_part *part, void *ctx),
                      void *ctx)
{
    long error = -EEXIST;
    part->dir = dir;
    part->fd = -1;
    for (unsigned i = 0; i < MAX_NAMES && error == -EEXIST; i++) {
        char *at = part->name;
        char *end = part->name + sizeof part->name;
        sb_text_add(&at, end, PART_PREFIX);
        sb_text_add_number(&at, end, (unsigned)sb_sys_getpid());
        sb_text_add(&at, end, "-");
        sb_text_add_number(&at, end, i);
        error = open(part, ctx);
    }
    if (error < 0) {
        part->name[0] = '\0';
    }
    return error < 0 ? error : 0;
}

static long open_file(const struct sb_file_part *part, void *ctx)
{
    int *fd = ctx;
    *fd = (int)sb_sys_openat(part->dir, part->name,
                             O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, PART_MODE);
    return *fd;
}

long sb_file_part_open(struct sb_file_part *part, int dir)
{
    int fd = -1;
    long error = sb_file_part_new(part, dir, open_file, &fd);
    part->fd = fd;
    return error;
}

void sb_file_part_drop(struct sb_file_part *part)
{
    if (part->name[0] != '\0') {
        (void)sb_sys_unlinkat(part->dir, part->name, 0);
        part->name[0] = '\0';
    }
    if (part->fd >= 0) {
        sb_sys_close(part->fd);
        part->fd = -1;
    }
}

long sb_file_part_name(struct sb_file_part *part, int dir, const char *name)
{
    return sb_sys_renameat(part->dir, part->name, dir, name, 0);
}

long sb_file_write_all(int fd, const char *bytes, unsigned long len)
{
    for (unsigned long at = 0; at < len;) {
        long n = sb_sys_write(fd, bytes + at, len - at);
        if (n < 0 && n != -EINTR) {
            return n;
        }
        at += n < 0 ? 0 : (unsigned long)n;
    }
    return 0;
}

long sb_file_receive(const struct sb_file *file, char *data)
{
    for (;;) {
        struct sb_file_head head = {0};
        struct iovec iov[2] = {{.iov_base = &head, .iov_len = sizeof head},
                               {.iov_base = data, .iov_len = SB_FILE_MAX_DATA}};
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
        long len = sb_sys_recvmsg(file->sock, &msg, 0);
        if (len == -EINTR) {
            continue;
        }
        if (len == (long)sizeof head && head.type == SB_FILE_COMMIT) {
            return 0;
        }
        if (len <= (long)sizeof head || head.type != SB_FILE_DATA ||
            (msg.msg_flags & MSG_TRUNC) != 0) {
            return -1;
        }
        return len - (long)sizeof head;
    }
}
