#include "service/supervisor/given.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/activation.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "service/supervisor/supervisor.h"

static const struct {
    const char *name; /* FileDescriptorName= */
    const char *serves;
    size_t max;
} rows[SB_SUPERVISOR_PARTS] = {
    [SB_SUPERVISOR_WORKER] = {"worker", "sockets of a path", SB_ACTIVATION_MAX},
    [SB_SUPERVISOR_GATEWAY] = {"gateway", "one TCP socket", 1},
};

/* Whoever calls a socket by the name of a part means that one. */
static int check_name(const struct sb_activated *item, int part, struct sb_err *err)
{
    for (int other = 0; other < SB_SUPERVISOR_PARTS; other++) {
        if (other != part && strcmp(item->name, rows[other].name) == 0) {
            return sb_err_set(
                err, SB_INVALID,
                "the socket at %s is called %s, which serves %s: change FileDescriptorName= "
                "or ListenStream= of its unit",
                item->address, item->name, rows[other].serves);
        }
    }
    return 0;
}

static int
give(struct sb_supervisor *supervisor, const struct sb_activated *item, struct sb_err *err)
{
    int part = item->is_unix ? SB_SUPERVISOR_WORKER : SB_SUPERVISOR_GATEWAY;
    size_t *n = &supervisor->n_given[part];
    if (check_name(item, part, err) < 0) {
        return -1;
    }
    if ((size_t)part >= supervisor->n_parts) {
        return sb_err_set(
            err, SB_INVALID,
            "the service manager gave us %s port %u for the gateway, which --without-gateway "
            "leaves out",
            item->address, (unsigned)item->port);
    }
    if (*n == rows[part].max) {
        return sb_err_set(
            err, SB_INVALID,
            "the service manager gave us too many sockets, %s among them: the %s serves %s",
            item->address, rows[part].name, rows[part].serves);
    }
    int fd = fcntl(item->fd, F_DUPFD_CLOEXEC, SB_PART_LOWEST_FD);
    if (fd < 0) {
        return sb_err_sys(err, errno, "keep the socket at %s", item->address);
    }
    supervisor->given[part][(*n)++] = fd;
    if (part == SB_SUPERVISOR_GATEWAY) {
        (void)snprintf(supervisor->given_address, sizeof supervisor->given_address, "%.*s",
                       (int)sizeof supervisor->given_address - 1, item->address);
        (void)snprintf(supervisor->port, sizeof supervisor->port, "%u", (unsigned)item->port);
        supervisor->address = supervisor->given_address;
    }
    SB_LOG_INFO("given a socket", "address=%s port=%u part=%s", item->address, (unsigned)item->port,
                rows[part].name);
    return 0;
}

int sb_given_take(struct sb_supervisor *supervisor, struct sb_err *err)
{
    struct sb_activation activation;
    int rc = 0;
    if (sb_activation_take(&activation, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < activation.n && rc == 0; i++) {
        rc = give(supervisor, &activation.items[i], err);
    }
    sb_activation_done(&activation);
    return rc;
}

void sb_given_done(struct sb_supervisor *supervisor)
{
    for (size_t part = 0; part < SB_SUPERVISOR_PARTS; part++) {
        sb_fd_close_all(supervisor->given[part], supervisor->n_given[part]);
        supervisor->n_given[part] = 0;
    }
}
