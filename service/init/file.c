#include "service/init/file.h"

#include <errno.h>
#include <fcntl.h>

#include "service/init/file_sys.h"
#include "service/init/place.h"
#include "service/init/text.h"
#include "service/shared/initproto.h"

enum { PERMISSIONS = 0777, DIR_MODE = 0755, RENAME_KEEP = 1 /* RENAME_NOREPLACE */ };

int sb_file_parse(
    const char *packet, unsigned long len, const int *fds, int n_fds, struct sb_file *ret_file)
{
    struct sb_file_request *request = &ret_file->request;
    if (len <= sizeof *request || n_fds != 1 || packet[len - 1] != '\0') {
        return -EINVAL;
    }
    __builtin_memcpy(request, packet, sizeof *request);
    if (request->type != SB_INIT_FILE || request->op == 0 || request->op >= SB_FILE_OPS ||
        request->depth > SB_FILE_MAX_DEPTH || (request->mode & ~(uint32_t)PERMISSIONS) != 0) {
        return -EINVAL;
    }
    const char *end = packet + len;
    const char *texts[3] = {"", "", ""};
    const char *at = packet + sizeof *request;
    for (int i = 0; i < 3; i++) {
        if (at >= end) {
            return -EINVAL;
        }
        texts[i] = at;
        if (sb_text_len(at) >= SB_FILE_MAX_PATH) {
            return -ENAMETOOLONG;
        }
        at += sb_text_len(at) + 1;
    }
    if (at != end || texts[0][0] != '/') {
        return -EINVAL;
    }
    ret_file->path = texts[0];
    ret_file->second = texts[1];
    ret_file->third = texts[2];
    ret_file->sock = fds[0];
    return 0;
}

void sb_file_send(const struct sb_file *file,
                  const void *head,
                  unsigned long head_len,
                  const void *data,
                  unsigned long len)
{
    struct iovec iov[2] = {{.iov_len = head_len}, {.iov_len = len}};
    __builtin_memcpy(&iov[0].iov_base, &head, sizeof head);
    __builtin_memcpy(&iov[1].iov_base, &data, sizeof data);
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    long sent = 0;
    do {
        sent = sb_sys_sendmsg(file->sock, &msg, MSG_NOSIGNAL);
    } while (sent == -EINTR);
    if (sent < 0) {
        sb_sys_exit(0);
    }
}

void sb_file_fail(const struct sb_file *file, long error, unsigned why)
{
    sb_file_fail_at(file, error, why, "");
}

void sb_file_fail_at(const struct sb_file *file, long error, unsigned why, const char *path)
{
    struct sb_file_failed failed = {SB_FILE_FAILED, (int32_t)-error, why, 0};
    sb_file_send(file, &failed, sizeof failed, path, sb_text_len(path));
    sb_sys_exit(0);
}

void sb_file_finish(const struct sb_file *file, uint64_t count)
{
    struct sb_file_done done = {.type = SB_FILE_DONE, .count = count};
    sb_file_send(file, &done, sizeof done, "", 0);
    sb_sys_exit(0);
}

static uint32_t kind_of(mode_t mode)
{
    return S_ISREG(mode)   ? SB_FILE_KIND_REGULAR
           : S_ISDIR(mode) ? SB_FILE_KIND_DIRECTORY
           : S_ISLNK(mode) ? SB_FILE_KIND_SYMLINK
                           : SB_FILE_KIND_SPECIAL;
}

void sb_file_tell(
    const struct sb_file *file, const struct stat *st, const char *path, int dir, const char *name)
{
    static char text[2 * SB_FILE_MAX_PATH];
    struct sb_file_info info = {
        .type = SB_FILE_INFO,
        .kind = kind_of(st->st_mode),
        .mode = st->st_mode & PERMISSIONS,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .links = (uint32_t)st->st_nlink,
        .size = (uint64_t)st->st_size,
        .allocated = (uint64_t)st->st_blocks * 512,
        .inode = st->st_ino,
        .modify_s = st->st_mtim.tv_sec,
        .change_s = st->st_ctim.tv_sec,
        .change_ns = (uint32_t)st->st_ctim.tv_nsec,
        .modify_ns = (uint32_t)st->st_mtim.tv_nsec,
    };
    char *end = text;
    sb_text_add(&end, text + SB_FILE_MAX_PATH, path);
    info.path_len = (uint16_t)(end - text);
    if (S_ISLNK(st->st_mode)) {
        long len = sb_sys_readlinkat(dir, name, end, SB_FILE_MAX_PATH - 1);
        info.link_len = (uint16_t)(len < 0 ? 0 : len);
    }
    sb_file_send(file, &info, sizeof info, text, (unsigned long)info.path_len + info.link_len);
}

/* Says what is there now, as the last thing done. */
static _Noreturn void show(const struct sb_file *file, const struct sb_place *place)
{
    struct stat st = {.st_mode = 0};
    long error = sb_sys_lstatat(place->dir, place->name, &st);
    if (error < 0) {
        sb_file_fail(file, error, 0);
    }
    sb_file_tell(file, &st, "", place->dir, place->name);
    sb_file_finish(file, 1);
}

static _Noreturn void stat_one(const struct sb_file *file)
{
    static struct sb_place place;
    int flags = (file->request.flags & SB_FILE_FOLLOW) != 0 ? SB_PLACE_FOLLOW : 0;
    sb_file_find_there(file, file->path, flags, &place);
    sb_file_tell(file, &place.st, "", place.fd, "");
    sb_file_finish(file, 1);
}

static _Noreturn void make_dir(const struct sb_file *file)
{
    static struct sb_place place;
    int has_parents = (file->request.flags & SB_FILE_PARENTS) != 0;
    uint32_t mode = file->request.mode == 0 ? DIR_MODE : file->request.mode;
    sb_file_find(file, file->path, SB_PLACE_FOLLOW | (has_parents ? SB_PLACE_PARENTS : 0), &place);
    if (place.fd >= 0) {
        if (!has_parents || !S_ISDIR(place.st.st_mode)) {
            sb_file_fail(file, -EEXIST, 0);
        }
        show(file, &place);
    }
    long error = place.is_proc ? -EACCES : sb_sys_mkdirat(place.dir, place.name, mode);
    if (error == 0) { /* whatever the umask is */
        error = sb_sys_fchmodat(place.dir, place.name, mode);
    }
    if (error < 0) {
        sb_file_fail(file, error, place.is_proc ? SB_FILE_WHY_PROC : 0);
    }
    show(file, &place);
}

static _Noreturn void move(const struct sb_file *file)
{
    static struct sb_place from;
    static struct sb_place to;
    sb_file_find_there(file, file->path, 0, &from);
    sb_file_find(file, file->second, 0, &to);
    if (from.is_proc || to.is_proc) {
        sb_file_fail(file, -EACCES, SB_FILE_WHY_PROC);
    }
    unsigned flags = (file->request.flags & SB_FILE_NO_REPLACE) != 0 ? RENAME_KEEP : 0;
    long error = sb_sys_renameat(from.dir, from.name, to.dir, to.name, flags);
    if (error < 0) {
        sb_file_fail(file, error, 0);
    }
    show(file, &to);
}

static _Noreturn void change_mode(const struct sb_file *file)
{
    static struct sb_place place;
    sb_file_find_there(file, file->path, SB_PLACE_FOLLOW, &place);
    long error =
        place.is_proc ? -EACCES : sb_sys_fchmodat(place.dir, place.name, file->request.mode);
    if (error < 0) {
        sb_file_fail(file, error, place.is_proc ? SB_FILE_WHY_PROC : 0);
    }
    show(file, &place);
}

void sb_file_serve(const struct sb_file *file)
{
    static void (*const ops[SB_FILE_OPS])(const struct sb_file *file) = {
        [SB_FILE_STAT] = stat_one,         [SB_FILE_LIST] = sb_file_list,
        [SB_FILE_READ] = sb_file_read,     [SB_FILE_WRITE] = sb_file_write,
        [SB_FILE_MKDIR] = make_dir,        [SB_FILE_MOVE] = move,
        [SB_FILE_REMOVE] = sb_file_remove, [SB_FILE_CHMOD] = change_mode,
        [SB_FILE_SEARCH] = sb_file_search, [SB_FILE_REPLACE] = sb_file_replace,
        [SB_FILE_WATCH] = sb_file_watch,   [SB_FILE_EXPORT] = sb_file_export,
        [SB_FILE_IMPORT] = sb_file_import,
    };
    sb_sys_sigmask(~0ULL); /* SIGXFSZ is not to end it; SIGKILL still does */
    ops[file->request.op](file);
    sb_sys_exit(0);
}
