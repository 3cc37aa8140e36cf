#include "base/activation.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"

static const char *const variables[] = {"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS",
                                        "LISTEN_FDNAMES"};

static void forget_variables(void)
{
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        (void)unsetenv(variables[i]);
    }
}

/* ---- what one is ---- */

static int check_kind(int fd, struct sb_err *err)
{
    static const struct {
        int option;
        int want;
        const char *text;
    } rows[] = {
        {SO_TYPE, SOCK_STREAM, "is no stream socket; use ListenStream= in the socket unit"},
        {SO_ACCEPTCONN, 1, "is no socket that listens; use Accept=no in the socket unit"},
    };
    if (fcntl(fd, F_GETFD) < 0) {
        return sb_err_set(err, SB_INVALID, "is not open");
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int got = -1;
        socklen_t len = sizeof got;
        if (getsockopt(fd, SOL_SOCKET, rows[i].option, &got, &len) < 0 || got != rows[i].want) {
            return sb_err_set(err, SB_INVALID, "%s", rows[i].text);
        }
    }
    return 0;
}

static int read_unix(const struct sockaddr_un *name,
                     socklen_t len,
                     struct sb_activated *item,
                     struct sb_err *err)
{
    size_t max = len - offsetof(struct sockaddr_un, sun_path);
    size_t n = strnlen(name->sun_path, max);
    if (n == 0 || name->sun_path[0] != '/') {
        return sb_err_set(
            err, SB_INVALID,
            "has no path; use an absolute one, as in ListenStream=/run/aisbx/worker.sock");
    }
    item->is_unix = true;
    (void)snprintf(item->address, sizeof item->address, "%.*s", (int)n, name->sun_path);
    return 0;
}

static int read_address(int fd, struct sb_activated *item, struct sb_err *err)
{
    union {
        struct sockaddr any;
        struct sockaddr_un un;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } name;
    socklen_t len = sizeof name;
    if (getsockname(fd, &name.any, &len) < 0) {
        return sb_err_sys(err, errno, "getsockname");
    }
    switch (name.any.sa_family) {
    case AF_UNIX:
        return read_unix(&name.un, len, item, err);
    case AF_INET:
        item->port = ntohs(name.in.sin_port);
        (void)inet_ntop(AF_INET, &name.in.sin_addr, item->address, sizeof item->address);
        return 0;
    case AF_INET6:
        item->port = ntohs(name.in6.sin6_port);
        (void)inet_ntop(AF_INET6, &name.in6.sin6_addr, item->address, sizeof item->address);
        return 0;
    default:
        return sb_err_set(err, SB_INVALID,
                          "is of a family that we do not serve; use a path, IPv4 or IPv6");
    }
}

static int take_one(struct sb_activated *item, struct sb_err *err)
{
    if (check_kind(item->fd, err) < 0 || read_address(item->fd, item, err) < 0) {
        return -1;
    }
    if (fcntl(item->fd, F_SETFD, FD_CLOEXEC) < 0) {
        return sb_err_sys(err, errno, "cannot be kept from programs that we start");
    }
    return sb_fd_nonblock(item->fd, err);
}

/* ---- all of them ---- */

/* How many are ours; 0: none. */
static int count(size_t *ret_n, struct sb_err *err)
{
    struct sb_err ignored;
    uint64_t pid = 0;
    uint64_t n = 0;
    const char *whose = getenv("LISTEN_PID");
    const char *many = getenv("LISTEN_FDS");
    *ret_n = 0;
    if (whose == NULL || many == NULL ||
        sb_num_u64(sb_str_from(whose), 1, INT32_MAX, &pid, &ignored) < 0 ||
        (pid_t)pid != getpid()) {
        return 0; /* as sd_listen_fds(3) does: another's, which ours inherited */
    }
    if (sb_num_u64(sb_str_from(many), 0, SB_ACTIVATION_MAX, &n, err) < 0) {
        return sb_err_wrap(err, "LISTEN_FDS");
    }
    *ret_n = (size_t)n;
    return 0;
}

static void name_all(struct sb_activation *activation, size_t n)
{
    const char *names = getenv("LISTEN_FDNAMES");
    struct sb_str rest = sb_str_from(names == NULL ? "" : names);
    activation->n = n;
    for (size_t i = 0; i < n; i++) {
        struct sb_activated *item = &activation->items[i];
        struct sb_str name = SB_STR("");
        (void)sb_str_next(&rest, ':', &name);
        item->fd = SB_ACTIVATION_FIRST_FD + (int)i;
        (void)snprintf(item->name, sizeof item->name, "%.*s", SB_STR_ARG(name));
    }
}

static int take_all(struct sb_activation *activation, struct sb_err *err)
{
    for (size_t i = 0; i < activation->n; i++) {
        struct sb_activated *item = &activation->items[i];
        if (take_one(item, err) < 0) {
            bool has_name = item->name[0] != '\0';
            return sb_err_set(err, err->code, "LISTEN_FDS: descriptor %d%s%s%s %s", item->fd,
                              has_name ? " (" : "", item->name, has_name ? ")" : "", err->text);
        }
    }
    return 0;
}

int sb_activation_take(struct sb_activation *ret_activation, struct sb_err *err)
{
    struct sb_activation activation = {.n = 0};
    size_t n = 0;
    int rc = count(&n, err);
    if (rc == 0) {
        name_all(&activation, n);
        rc = take_all(&activation, err);
    }
    forget_variables();
    if (rc < 0) {
        sb_activation_done(&activation);
        return -1;
    }
    *ret_activation = activation;
    return 0;
}

void sb_activation_done(struct sb_activation *activation)
{
    for (size_t i = 0; i < activation->n; i++) {
        sb_closep(&activation->items[i].fd);
        activation->items[i].fd = -1;
    }
    activation->n = 0;
}

int sb_activation_give(const int *fds, size_t n)
{
    char pid[24];
    char many[24];
    if (n == 0) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (dup2(fds[i], SB_ACTIVATION_FIRST_FD + (int)i) < 0) {
            return -1;
        }
    }
    (void)snprintf(pid, sizeof pid, "%d", (int)getpid());
    (void)snprintf(many, sizeof many, "%zu", n);
    return setenv("LISTEN_PID", pid, 1) < 0 ? -1 : setenv("LISTEN_FDS", many, 1);
}
