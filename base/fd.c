#include "base/fd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

#define READ_CHUNK ((size_t)16384)

static ssize_t read_some(int fd, void *data, size_t len)
{
    ssize_t n = 0;
    do {
        n = read(fd, data, len);
    } while (n < 0 && errno == EINTR);
    return n;
}

static ssize_t write_some(int fd, const void *data, size_t len)
{
    ssize_t n = 0;
    do {
        n = write(fd, data, len);
    } while (n < 0 && errno == EINTR);
    return n;
}

static int wait_for(int fd, short events, struct sb_err *err)
{
    struct pollfd p = {.fd = fd, .events = events};
    while (poll(&p, 1, -1) < 0) {
        if (errno != EINTR) {
            return sb_err_sys(err, errno, "poll");
        }
    }
    return 0;
}

int sb_fd_read_full(int fd, void *data, size_t len, size_t *ret_len, struct sb_err *err)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = read_some(fd, (char *)data + got, len - got);
        if (n == 0) {
            break;
        }
        if (n > 0) {
            got += (size_t)n;
        } else if (errno != EAGAIN) {
            return sb_err_sys(err, errno, "read");
        } else if (wait_for(fd, POLLIN, err) < 0) {
            return -1;
        }
    }
    *ret_len = got;
    return 0;
}

int sb_fd_write_full(int fd, const void *data, size_t len, struct sb_err *err)
{
    size_t put = 0;
    while (put < len) {
        ssize_t n = write_some(fd, (const char *)data + put, len - put);
        if (n >= 0) {
            put += (size_t)n;
        } else if (errno != EAGAIN) {
            return sb_err_sys(err, errno, "write");
        } else if (wait_for(fd, POLLOUT, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* O_NONBLOCK so that a FIFO put in the file's place cannot hold us up. */
static int open_regular(int dirfd, const char *path, struct sb_err *err)
{
    SB_CLEANUP(sb_closep)
    int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return sb_err_sys(err, errno, "open %s", path);
    }
    struct stat st;
    if (fstat(fd, &st) < 0) {
        return sb_err_sys(err, errno, "stat %s", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return sb_err_set(err, SB_INVALID, "%s is not a regular file", path);
    }
    return SB_STEAL_FD(fd);
}

/* Appends up to limit bytes. 1: there is more, 0: end of file, -1: errno. */
static int read_chunk(int fd, size_t limit, struct sb_buf *buf)
{
    char probe = 0;
    void *room = &probe;
    size_t want = limit < READ_CHUNK ? limit : READ_CHUNK;
    if (want == 0) { /* full: one byte more would be too many */
        ssize_t n = read_some(fd, room, 1);
        errno = n > 0 ? ENOBUFS : errno;
        return n == 0 ? 0 : -1;
    }
    if (sb_buf_reserve(buf, want, &room) < 0) {
        return -1;
    }
    ssize_t n = read_some(fd, room, want);
    if (n > 0) {
        sb_buf_commit(buf, (size_t)n);
    }
    return n > 0 ? 1 : (int)n;
}

int sb_fd_read_file(int dirfd, const char *path, size_t max, struct sb_buf *buf, struct sb_err *err)
{
    SB_CLEANUP(sb_closep) int fd = open_regular(dirfd, path, err);
    if (fd < 0) {
        return -1;
    }
    size_t before = buf->len;
    size_t limit = max < sb_buf_room(buf) ? max : sb_buf_room(buf);
    int more = 1;
    while (more > 0) {
        more = read_chunk(fd, limit - (buf->len - before), buf);
    }
    if (more < 0) {
        int sys = errno;
        sb_buf_truncate(buf, before);
        if (sys == ENOBUFS) {
            return sb_err_set(err, SB_EXHAUSTED, "%s is longer than %zu bytes", path, limit);
        }
        return sb_err_sys(err, sys, "read %s", path);
    }
    return 0;
}

/* Room for the most descriptors a message may carry, so that the kernel never has to cut the list,
 * and for credentials in case the socket has SO_PASSCRED. */
union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * SB_FD_PASS_MAX) + CMSG_SPACE(sizeof(struct ucred))];
};

ssize_t
sb_fd_send(int sock, const void *data, size_t len, const int *fds, size_t nfds, struct sb_err *err)
{
    assert(len > 0 && nfds <= SB_FD_PASS_MAX);
    struct iovec iov = {.iov_len = len};
    memcpy(&iov.iov_base, &data, sizeof iov.iov_base); /* sendmsg does not write through it */
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    union control control;
    if (nfds > 0) {
        memset(&control, 0, sizeof control);
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
        memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * nfds);
    }
    ssize_t n = 0;
    do {
        n = sendmsg(sock, &msg, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? sb_err_sys(err, errno, "send") : n;
}

/* Copies all descriptors that came to fds, which has room for SB_FD_PASS_MAX; returns how many. */
static size_t collect_fds(struct msghdr *msg, int *fds)
{
    size_t n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        assert(count <= SB_FD_PASS_MAX - n);
        memcpy(fds + n, CMSG_DATA(c), count * sizeof(int));
        n += count;
    }
    return n;
}

static int
check_whole(const struct msghdr *hdr, size_t nfds, const struct sb_fd_msg *msg, struct sb_err *err)
{
    if ((hdr->msg_flags & MSG_TRUNC) != 0) {
        return sb_err_set(err, SB_INVALID, "message of more than %zu bytes", msg->cap);
    }
    if ((hdr->msg_flags & MSG_CTRUNC) != 0) { /* our limit of open files */
        return sb_err_set(err, SB_EXHAUSTED, "no room for the descriptors of a message");
    }
    if (nfds > msg->nfds_cap) {
        return sb_err_set(err, SB_INVALID, "message with %zu descriptors, %zu are permitted", nfds,
                          msg->nfds_cap);
    }
    return 0;
}

int sb_fd_recv(int sock, struct sb_fd_msg *msg, int flags, struct sb_err *err)
{
    assert(msg->cap > 0);
    union control control;
    struct iovec iov = {.iov_base = msg->data, .iov_len = msg->cap};
    struct msghdr hdr = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    ssize_t n = 0;
    do {
        n = recvmsg(sock, &hdr, flags | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return sb_err_sys(err, errno, "receive");
    }

    int fds[SB_FD_PASS_MAX];
    size_t nfds = collect_fds(&hdr, fds);
    if (check_whole(&hdr, nfds, msg, err) < 0) {
        sb_fd_close_all(fds, nfds);
        return -1;
    }
    if (nfds > 0) {
        memcpy(msg->fds, fds, nfds * sizeof fds[0]);
    }
    msg->len = (size_t)n;
    msg->nfds = nfds;
    return n > 0 ? 1 : 0;
}

void sb_fd_close_all(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sb_closep(&fds[i]);
        fds[i] = -1;
    }
}

int sb_fd_nonblock(int fd, struct sb_err *err)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        return sb_err_sys(err, errno, "make descriptor non-blocking");
    }
    return 0;
}

int sb_fd_pipe(int ret_fds[2], struct sb_err *err)
{
    if (pipe2(ret_fds, O_CLOEXEC) < 0) { /* leaves ret_fds alone on failure */
        return sb_err_sys(err, errno, "make pipe");
    }
    return 0;
}

void sb_fd_raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int sb_fd_check_given(uint64_t fd, const char *option, struct sb_err *err)
{
    int flags = fd == UINT64_MAX ? O_WRONLY : fcntl((int)fd, F_GETFL);
    if (flags < 0) {
        return sb_err_set(err, SB_INVALID,
                          "option --%s: descriptor %" PRIu64
                          " is not open; the program that starts "
                          "this one opens it, as a shell does by %" PRIu64 ">file",
                          option, fd, fd);
    }
    return (flags & O_ACCMODE) != O_RDONLY
               ? 0
               : sb_err_set(err, SB_INVALID,
                            "option --%s: descriptor %" PRIu64 " cannot be written to", option, fd);
}

void sb_fd_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) {
            continue;
        }
        /* The lowest number that is free is this one, as those below it are open. Kept by what we
         * start, and so without O_CLOEXEC. */
        int mode = fd == STDOUT_FILENO ? O_RDONLY : O_RDWR;
        if (open("/dev/null", mode) < 0) {
            (void)open("/", O_RDONLY | O_DIRECTORY); /* neither read nor written either */
        }
    }
}
