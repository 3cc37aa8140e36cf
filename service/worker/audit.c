#include "service/worker/audit.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <inttypes.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "service/worker/audit_record.h"
#include "service/worker/denials.h"
#include "service/worker/deny.h"
#include "service/worker/sandbox.h"
#include "service/worker/worker.h"

enum {
    PER_TURN = 64,    /* records, before others have their turn */
    PER_SETTLE = 512, /* more than fit into a socket */
    N_WALLS = 64,     /* remembered, whose sandbox is not known */
    N_WAITING = 64,   /* denials, whose wall is not known */
    LOST_EACH_MS = 60000,
    RECORD_MAX = 9216 /* bytes; the kernel's are shorter */
};

struct wall {
    uint64_t domain; /* 0: none */
    int64_t pid;
    uint32_t uid;
};

struct waiting {
    uint64_t domain; /* 0: none */
    char *path;      /* owned */
    char blockers[SB_AUDIT_BLOCKERS_SIZE];
};

struct sb_audit {
    struct sb_worker *worker;
    int fd;
    struct event readable;
    struct wall walls[N_WALLS]; /* rings */
    size_t n_walls;             /* that ever were */
    struct waiting waiting[N_WAITING];
    size_t n_waiting;
    uint64_t lost_ms; /* when the log said last that records were lost; 0: never */
};

static bool is_here(const struct sb_sandbox *sandbox)
{
    return sandbox->init_pid > 0 && sandbox->state != SB_STATE_DESTROYED;
}

static struct sb_sandbox *find_domain(const struct sb_audit *audit, uint64_t domain)
{
    SB_FOREACH (node, &audit->worker->registry.sandbox_list) {
        struct sb_sandbox *sandbox = SB_LIST_ENTRY(node, struct sb_sandbox, link);
        if (sandbox->domain == domain && is_here(sandbox)) {
            return sandbox;
        }
    }
    return NULL;
}

/* Init has the job's user id, or the next one, which no job has. The wall of a process that ended
 * keeps its number though another may have it now: but not with these ids. */
static struct sb_sandbox *find_maker(const struct sb_audit *audit, const struct wall *wall)
{
    SB_FOREACH (node, &audit->worker->registry.sandbox_list) {
        struct sb_sandbox *sandbox = SB_LIST_ENTRY(node, struct sb_sandbox, link);
        if (is_here(sandbox) && sandbox->init_pid == wall->pid && sandbox->domain == 0 &&
            wall->uid - sandbox->host_uid <= 1) {
            return sandbox;
        }
    }
    return NULL;
}

static void count(struct sb_sandbox *sandbox, const char *path, const char *blockers)
{
    const struct sb_denial what = {
        .kind = SB_DENIAL_PATH, .name = path, .why = blockers, .error = EACCES, .key_arg = -1};
    sb_deny_count(sandbox, &what);
}

static void drop(struct waiting *waiting)
{
    free(waiting->path);
    *waiting = (struct waiting){.domain = 0};
}

static void claim(struct sb_audit *audit, struct sb_sandbox *sandbox)
{
    for (size_t i = 0; i < N_WAITING; i++) {
        struct waiting *waiting = &audit->waiting[(audit->n_waiting + i) % N_WAITING];
        if (waiting->domain != 0 && waiting->domain == sandbox->domain) {
            count(sandbox, waiting->path, waiting->blockers);
            drop(waiting);
        }
    }
}

void sb_audit_join(struct sb_audit *audit)
{
    for (size_t i = 0; audit != NULL && i < N_WALLS; i++) {
        struct wall *wall = &audit->walls[i];
        struct sb_sandbox *sandbox = wall->domain == 0 ? NULL : find_maker(audit, wall);
        if (sandbox != NULL) {
            sandbox->domain = wall->domain;
            wall->domain = 0;
            claim(audit, sandbox);
        }
    }
}

static void wait_for_wall(struct sb_audit *audit, const struct sb_audit_record *record)
{
    struct waiting *waiting = &audit->waiting[audit->n_waiting++ % N_WAITING];
    drop(waiting);
    waiting->path = strdup(record->path);
    waiting->domain = waiting->path == NULL ? 0 : record->domain;
    memcpy(waiting->blockers, record->blockers, sizeof waiting->blockers);
}

void sb_audit_hear(struct sb_audit *audit, unsigned type, struct sb_str text)
{
    struct sb_audit_record record;
    if (!sb_audit_record_read(type, text, &record)) {
        return;
    }
    struct sb_sandbox *sandbox = find_domain(audit, record.domain);
    if (record.type == SB_AUDIT_ACCESS) {
        if (sandbox != NULL) {
            count(sandbox, record.path, record.blockers);
        } else {
            wait_for_wall(audit, &record);
        }
    } else if (sandbox == NULL) {
        audit->walls[audit->n_walls++ % N_WALLS] =
            (struct wall){record.domain, record.pid, record.uid};
        sb_audit_join(audit);
    }
}

/* ---- the socket ---- */

static void tell_lost(struct sb_audit *audit)
{
    uint64_t now_ms = sb_clock_mono_ms();
    if (audit->lost_ms == 0 || now_ms - audit->lost_ms >= LOST_EACH_MS) {
        audit->lost_ms = now_ms;
        SB_LOG_WARN("denied paths come faster than they can be counted: some are not told");
    }
}

/* False: nothing is there. */
static bool receive(struct sb_audit *audit)
{
    union {
        struct nlmsghdr head;
        char bytes[RECORD_MAX];
    } record;
    struct sockaddr_nl from = {0};
    socklen_t from_len = sizeof from;
    ssize_t n = recvfrom(audit->fd, &record, sizeof record, MSG_DONTWAIT, (struct sockaddr *)&from,
                         &from_len);
    if (n < 0 && errno == ENOBUFS) {
        tell_lost(audit);
        return true;
    }
    if (n < 0) {
        return errno == EINTR;
    }
    if (n > (ssize_t)NLMSG_HDRLEN && from_len == sizeof from && from.nl_family == AF_NETLINK &&
        from.nl_pid == 0) { /* from the kernel */
        struct sb_str text =
            sb_str_of(record.bytes + NLMSG_HDRLEN, (size_t)n - (size_t)NLMSG_HDRLEN);
        while (text.len > 0 && text.ptr[text.len - 1] == '\0') {
            text.len--;
        }
        sb_audit_hear(audit, record.head.nlmsg_type, text);
    }
    return true;
}

static void read_some(struct sb_audit *audit, int left)
{
    while (left > 0 && receive(audit)) {
        left--;
    }
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    read_some(ctx, PER_TURN);
}

void sb_audit_settle(struct sb_audit *audit)
{
    if (audit != NULL && audit->fd >= 0) {
        read_some(audit, PER_SETTLE);
    }
}

struct sb_audit *sb_audit_new(struct sb_worker *worker, int fd)
{
    struct sb_audit *audit = calloc(1, sizeof *audit);
    if (audit == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    audit->worker = worker;
    audit->fd = fd;
    if (fd >= 0) {
        (void)event_assign(&audit->readable, worker->base, fd, EV_READ | EV_PERSIST, on_readable,
                           audit);
        (void)event_add(&audit->readable, NULL);
    }
    return audit;
}

void sb_audit_free(struct sb_audit *audit)
{
    if (audit == NULL) {
        return;
    }
    if (audit->fd >= 0) {
        (void)event_del(&audit->readable);
        close(audit->fd);
    }
    for (size_t i = 0; i < N_WAITING; i++) {
        drop(&audit->waiting[i]);
    }
    free(audit);
}
