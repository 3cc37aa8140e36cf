#pragma once
/** Listening sockets that a service manager made before it started us, as sd_listen_fds(3) hands
 * them over: LISTEN_PID says whom they are for, LISTEN_FDS how many follow descriptor 2,
 * LISTEN_FDNAMES what each is called. Source: systemd's sd_listen_fds(3), "the protocol is stable
 * and may be reimplemented". */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

struct sb_err;

enum {
    SB_ACTIVATION_FIRST_FD = 3,
    SB_ACTIVATION_MAX = 8,
    SB_ACTIVATION_NAME_SIZE = 64, /* longer names are cut */
};

struct sb_activated {
    int fd; /* owned; O_CLOEXEC, does not block, listens; -1: somebody took it */
    bool is_unix;
    uint16_t port; /* 0 of a unix socket */
    char address[sizeof((struct sockaddr_un *)0)->sun_path +
                 1];                    /* "/run/x.sock", "127.0.0.1", "::1" */
    char name[SB_ACTIVATION_NAME_SIZE]; /* FileDescriptorName=; "" */
};

struct sb_activation {
    struct sb_activated items[SB_ACTIVATION_MAX];
    size_t n; /* 0: nobody handed us any */
};

/** Looks at what the environment says, and takes those variables out of it: no program that we
 * start is meant. Call it once, before anything is started and from one thread. Errors: SB_INVALID:
 * a descriptor that is not there, or no stream socket that listens on a path, IPv4 or IPv6; the
 * text names it and what to change in the socket unit. Nothing is owned then. */
int sb_activation_take(struct sb_activation *ret_activation, struct sb_err *err);

/** Closes what nobody took. Also for a zeroed one. */
void sb_activation_done(struct sb_activation *activation);

/** In a child that is to be a program with these n sockets, from SB_ACTIVATION_FIRST_FD on.
 *  @fds  above SB_ACTIVATION_FIRST_FD + n.  0, or -1 with errno. n may be 0. */
int sb_activation_give(const int *fds, size_t n);
