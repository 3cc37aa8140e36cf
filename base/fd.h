#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sb_buf;
struct sb_err;

#define SB_FD_PASS_MAX 253 /* descriptors per message: the kernel's SCM_MAX_FD */

/* All calls retry on EINTR and create descriptors with O_CLOEXEC. */

/** Reads until len bytes or end of file; *ret_len (bytes) tells which. May block.
 *  Errors: by errno. */
int sb_fd_read_full(int fd, void *data, size_t len, size_t *ret_len, struct sb_err *err);

/** Writes all len bytes; on a non-blocking descriptor waits with poll(2). May block.
 *  The caller ignores SIGPIPE if fd may be a pipe or socket. Errors: by errno. */
int sb_fd_write_full(int fd, const void *data, size_t len, struct sb_err *err);

/** Appends the contents of one regular file (or /proc, /sys file) to @buf.
 *  @dirfd  for relative paths, or AT_FDCWD.   @max  bytes; a longer file is refused, SB_EXHAUSTED.
 *  Errors: by errno; SB_INVALID for anything but a regular file. On failure buf is unchanged. */
int sb_fd_read_file(
    int dirfd, const char *path, size_t max, struct sb_buf *buf, struct sb_err *err);

/** Sends bytes and descriptors over a unix socket (stream or seqpacket); SIGPIPE is not raised.
 *  @len  at least 1.   @fds  borrowed, may be NULL when nfds is 0; nfds at most SB_FD_PASS_MAX.
 *  Returns the bytes taken: on a stream socket perhaps fewer than len, and the descriptors have
 *  then gone with them. -1: nothing was sent; err->sys is EAGAIN when the socket would block. */
ssize_t
sb_fd_send(int sock, const void *data, size_t len, const int *fds, size_t nfds, struct sb_err *err);

/** What to receive and what came. */
struct sb_fd_msg {
    void *data;      /* in: where to put bytes */
    size_t cap;      /* in: bytes; at least 1 */
    size_t len;      /* out: bytes received; 0 when the peer has closed */
    int *fds;        /* in: where to put descriptors; NULL when nfds_cap is 0 */
    size_t nfds_cap; /* in */
    size_t nfds;     /* out: descriptors received, O_CLOEXEC; the caller owns them */
};

/** Receives one message (seqpacket) or some bytes (stream), with the descriptors that came along.
 *  @flags  0 or MSG_DONTWAIT.
 *  Returns 1, or 0 when the peer has closed, or -1; err->sys is EAGAIN when nothing is there.
 *  SB_INVALID: the message was longer than cap, or brought more descriptors than nfds_cap;
 *  SB_EXHAUSTED: this process has too many files open. Then the message is lost, and all of its
 *  descriptors are closed. The outputs are set only when 1 or 0 is returned. */
int sb_fd_recv(int sock, struct sb_fd_msg *msg, int flags, struct sb_err *err);

/** Closes n descriptors, skipping negative ones, and sets them to -1. Keeps errno. */
void sb_fd_close_all(int *fds, size_t n);

int sb_fd_nonblock(int fd, struct sb_err *err);
/** Lets this process open as many as the hard limit says. Best effort. */
void sb_fd_raise_limit(void);

/** ret_fds[0] is for reading, [1] for writing. */
int sb_fd_pipe(int ret_fds[2], struct sb_err *err);

/** For a descriptor that was named on the command line (--ready-fd): whether it is open and can be
 *  written to. UINT64_MAX: none was, which is fine. Before this program opens any of its own.
 *  Errors: SB_INVALID. */
int sb_fd_check_given(uint64_t fd, const char *option, struct sb_err *err);

/** Opens /dev/null in the place of each of 0, 1 and 2 that is closed, so that no socket of ours
 * ever is somebody's standard stream. Reading then finds the end; writing output fails as it would
 *  without (EBADF), and errors go nowhere. First thing in main. */
void sb_fd_standard(void);
