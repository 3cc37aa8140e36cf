#include "service/worker/egress.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/utf8.h"
#include "service/shared/frame.h"
#include "service/worker/denials.h"
#include "service/worker/deny.h"
#include "service/worker/egress_packet.h"
#include "service/worker/events.h"
#include "service/worker/policy/policy.h"
#include "service/worker/sandbox.h"
#include "service/worker/spawner.h"
#include "service/worker/worker.h"

enum {
    MAX_HEARD = 16 << 10, /* bytes of one packet of the proxy */
    PER_TURN = 32,        /* packets heard before others have their turn */
    PER_SETTLE = 1024,    /* bounds what a program's end can wait for */
    RETRY_MS = 100,       /* doubled with each failure */
    MAX_FAILURES = 6,     /* in a row, before it is given up */
    LONG_LIFE_MS = 10000, /* a death after that is not one of a row */
};

enum state {
    OFF,      /* not wanted yet, or given up */
    STARTING, /* the spawner was asked */
    UP,       /* it has a socket */
    WAITING,  /* for another try */
};

/* A CLOSE that is to be sent. */
struct farewell {
    struct sb_list link;
    struct sb_egress_close packet;
};

_Static_assert(SB_ID_SIZE <= SB_EGRESS_ID_SIZE, "an id fits");

struct sb_egress {
    struct sb_worker *worker;
    enum state state;
    bool is_ready; /* it has said so */
    int fd;        /* -1: not UP */
    struct event readable;
    struct event writable;
    struct event retry;
    struct sb_list lines;
    struct sb_list farewells;
    unsigned n_failures;                 /* in a row */
    uint64_t start_ms;                   /* monotonic */
    char failure[SB_ERR_TEXT_SIZE + 32]; /* why it was given up, or is down; "": it was not */
};

void sb_egress_line_init(struct sb_egress_line *line)
{
    *line = (struct sb_egress_line){.listener = -1};
}

static struct sb_sandbox *sandbox_of(struct sb_list *node)
{
    struct sb_egress_line *line = SB_LIST_ENTRY(node, struct sb_egress_line, link);
    return SB_LIST_ENTRY(line, struct sb_sandbox, line);
}

/* ---- telling ---- */

/* 1: sent, 0: the socket is full, -1: it failed. */
static int say(struct sb_egress *egress, const void *data, size_t len, int fd)
{
    struct sb_err err;
    if (sb_fd_send(egress->fd, data, len, &fd, fd >= 0, &err) >= 0) {
        return 1;
    }
    if (err.sys != EAGAIN) {
        SB_LOG_WARN("cannot tell the egress proxy", "why=%s", err.text);
    }
    return err.sys == EAGAIN ? 0 : -1;
}

static int say_rules(struct sb_egress *egress, struct sb_sandbox *sandbox)
{
    struct sb_err err;
    struct sb_egress_line *line = &sandbox->line;
    SB_CLEANUP(sb_buf_done) struct sb_buf packet = SB_BUF_INIT(SB_EGRESS_MAX_PACKET);
    enum sb_egress_type type = line->is_open ? SB_EGRESS_UPDATE : SB_EGRESS_OPEN;
    if (sb_egress_packet_rules(type, sandbox->id, sandbox->policy, line, &packet, &err) < 0) {
        SB_LOG_ERROR("cannot tell the egress proxy", "sandbox=%s why=%s", sandbox->id, err.text);
        return -1;
    }
    int said = say(egress, sb_buf_cstr(&packet), packet.len, line->is_open ? -1 : line->listener);
    if (said > 0) {
        bool is_news = !line->is_open && line->answered != line->serial;
        line->answered =
            line->is_open ? line->answered : line->serial; /* a new proxy's first rules */
        line->is_open = true;
        line->is_changed = false;
        if (is_news) {
            sb_sandbox_tell(sandbox);
        }
    }
    return said;
}

/* One thing that only the proxy may know: secret number i, or behind them the authority. */
static int say_hidden(struct sb_egress *egress, const struct sb_sandbox *sandbox, size_t i)
{
    struct sb_err err;
    int said = -1;
    const struct sb_policy *policy = sandbox->policy;
    SB_CLEANUP(sb_buf_done) struct sb_buf packet = SB_BUF_INIT(SB_EGRESS_MAX_PACKET);
    int rc = i < policy->secrets.n
                 ? sb_egress_packet_secret(sandbox->id, &policy->secrets.items[i], &packet, &err)
                 : sb_egress_packet_authority(sandbox->id, &policy->authority, &packet, &err);
    if (rc == 0) {
        said = say(egress, sb_buf_cstr(&packet), packet.len, -1);
    }
    if (packet.mem != NULL) {
        explicit_bzero(packet.mem, packet.cap);
    }
    return said;
}

static size_t count_hidden(const struct sb_policy *policy)
{
    return policy->secrets.n + (policy->authority.cert != NULL);
}

static int say_all_hidden(struct sb_egress *egress, struct sb_sandbox *sandbox)
{
    struct sb_egress_line *line = &sandbox->line;
    int said = 1;
    while (said > 0 && line->n_hidden < count_hidden(sandbox->policy)) {
        said = say_hidden(egress, sandbox, line->n_hidden);
        line->n_hidden += said > 0;
    }
    return said;
}

static int say_farewells(struct sb_egress *egress)
{
    SB_FOREACH (node, &egress->farewells) {
        struct farewell *farewell = SB_LIST_ENTRY(node, struct farewell, link);
        int said = say(egress, &farewell->packet, sizeof farewell->packet, -1);
        if (said <= 0) {
            return said;
        }
        sb_list_remove(&farewell->link);
        free(farewell);
    }
    return 1;
}

static int say_all(struct sb_egress *egress)
{
    int said = say_farewells(egress);
    SB_FOREACH (node, &egress->lines) {
        struct sb_sandbox *sandbox = sandbox_of(node);
        const struct sb_egress_line *line = &sandbox->line;
        bool knows = line->is_open && !line->is_changed;
        if (said <= 0) {
            return said;
        }
        if (!knows) {
            said = say_rules(egress, sandbox);
        }
        if (said > 0) {
            said = say_all_hidden(egress, sandbox);
        }
    }
    return said;
}

static void lose(struct sb_egress *egress, const char *why);

static void flush(struct sb_egress *egress)
{
    if (egress->state != UP) {
        return;
    }
    int said = say_all(egress);
    if (said == 0) {
        (void)event_add(&egress->writable, NULL);
    } else if (said < 0) {
        lose(egress, "it takes no packets");
    }
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    flush(ctx);
}

/* ---- hearing ---- */

static void
on_ready(struct sb_egress *egress, struct sb_sandbox *sandbox, const struct sb_egress_heard *heard)
{
    (void)sandbox;
    if (heard->head.ready.version != SB_EGRESS_VERSION) {
        lose(egress, "it is of another build");
        return;
    }
    egress->is_ready = true;
    egress->failure[0] = '\0';
    SB_LOG_INFO("egress proxy is ready");
}

static void on_updated(struct sb_egress *egress,
                       struct sb_sandbox *sandbox,
                       const struct sb_egress_heard *heard)
{
    (void)egress;
    sandbox->line.answered = heard->head.updated.serial;
    sb_sandbox_tell(sandbox);
}

/* Its texts are of strangers in the end. */
static const char *one_line(const char *text, char out[SB_EGRESS_MAX_TEXT])
{
    (void)sb_utf8_sanitize(out, SB_EGRESS_MAX_TEXT, sb_str_from(text), SB_UTF8_ONE_LINE);
    return out;
}

static void
on_denied(struct sb_egress *egress, struct sb_sandbox *sandbox, const struct sb_egress_heard *heard)
{
    (void)egress;
    const struct sb_egress_denied *head = &heard->head.denied;
    char texts[4][SB_EGRESS_MAX_TEXT];
    char name[SB_EGRESS_MAX_TEXT + 16];
    for (size_t i = 0; i < 4; i++) {
        (void)one_line(heard->texts[i], texts[i]);
    }
    bool is_v6 = strchr(texts[0], ':') != NULL && texts[0][0] != '[';
    bool is_limit = head->reason == SB_EGRESS_LIMIT;
    bool is_secret = head->reason == SB_EGRESS_SECRET_HOST;
    if (is_limit) { /* whoever was asked for */
        (void)snprintf(name, sizeof name, "network.%s", texts[1]);
    } else if (head->port == 0) {
        (void)snprintf(name, sizeof name, "%s", texts[0]);
    } else {
        (void)snprintf(name, sizeof name, "%s%s%s:%u", is_v6 ? "[" : "", texts[0], is_v6 ? "]" : "",
                       head->port);
    }
    const struct sb_denial what = {
        .kind = is_limit ? SB_DENIAL_BOUND : SB_DENIAL_HOST,
        .name = name,
        .rule = head->reason == SB_EGRESS_DENY_RULE || is_secret ? texts[1] : NULL,
        .is_secret = is_secret,
        .why = texts[2],
        .allow = texts[3],
        .key_arg = -1,
        .count = head->count,
    };
    sb_deny_count(sandbox, &what);
    sb_deny_lost(sandbox, head->n_lost);
}

static void tell_more(struct sb_sandbox *sandbox)
{
    struct sb_decisions *more = &sandbox->line.decisions;
    if (more->n_more > 0) {
        SB_LOG_INFO("more connections", "sandbox=%s count=%ju out=%ju in=%ju", sandbox->id,
                    (uintmax_t)more->n_more, (uintmax_t)more->out_bytes, (uintmax_t)more->in_bytes);
        sb_decisions_told(more);
    }
}

static void on_decision(struct sb_egress *egress,
                        struct sb_sandbox *sandbox,
                        const struct sb_egress_heard *heard)
{
    (void)egress;
    const struct sb_egress_decision *head = &heard->head.decision;
    char host[SB_EGRESS_MAX_TEXT];
    char address[SB_EGRESS_MAX_TEXT];
    sandbox->line.used_bytes += head->out_bytes + head->in_bytes;
    if (!sb_decisions_note(&sandbox->line.decisions, sb_clock_mono_ms(), head->out_bytes,
                           head->in_bytes)) {
        return;
    }
    const struct sb_event_connection what = {
        .host = one_line(heard->texts[0], host),
        .address = one_line(heard->texts[1], address),
        .port = head->port,
        .out_bytes = head->out_bytes,
        .in_bytes = head->in_bytes,
        .n_more = sandbox->line.decisions.n_more,
    };
    sb_event_connected(sandbox, &what);
    tell_more(sandbox);
    SB_LOG_INFO("connection", "sandbox=%s to=%s port=%u address=%s out=%ju in=%ju", sandbox->id,
                one_line(heard->texts[0], host), head->port, one_line(heard->texts[1], address),
                (uintmax_t)head->out_bytes, (uintmax_t)head->in_bytes);
}

static void cut(struct sb_sandbox *sandbox, const char *why);

/* Of a line that was not taken back, it says that the proxy could not take it on. */
static void
on_closed(struct sb_egress *egress, struct sb_sandbox *sandbox, const struct sb_egress_heard *heard)
{
    (void)egress;
    (void)heard;
    cut(sandbox, "aisbx-egress could not take it");
}

static const struct {
    enum sb_egress_type type;
    bool is_of_sandbox; /* and is not for us without one */
    void (*handle)(struct sb_egress *egress,
                   struct sb_sandbox *sandbox,
                   const struct sb_egress_heard *heard);
} rows[] = {
    {SB_EGRESS_READY, false, on_ready},  {SB_EGRESS_UPDATED, true, on_updated},
    {SB_EGRESS_DENIED, true, on_denied}, {SB_EGRESS_DECISION, true, on_decision},
    {SB_EGRESS_CLOSED, true, on_closed},
};

static void dispatch(struct sb_egress *egress, const struct sb_egress_heard *heard)
{
    struct sb_sandbox *sandbox =
        heard->id[0] == '\0' ? NULL : sb_registry_sandbox(&egress->worker->registry, heard->id);
    bool is_open = sandbox != NULL && sandbox->line.is_open;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].type == heard->type && (is_open || !rows[i].is_of_sandbox)) {
            rows[i].handle(egress, sandbox, heard);
            return;
        }
    }
}

/* Hears at most n packets. */
static void hear(struct sb_egress *egress, int n)
{
    char data[MAX_HEARD];
    struct sb_err err;
    while (n-- > 0 && egress->state == UP) {
        struct sb_egress_heard heard;
        struct sb_fd_msg msg = {.data = data, .cap = sizeof data};
        int got = sb_fd_recv(egress->fd, &msg, MSG_DONTWAIT, &err);
        if (got < 0 && err.sys == EAGAIN) {
            return;
        }
        if (got <= 0) {
            lose(egress, got == 0 ? "it ended" : err.text);
        } else if (sb_egress_packet_read(data, msg.len, &heard, &err) < 0) {
            lose(egress, err.text);
        } else {
            dispatch(egress, &heard);
        }
    }
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    hear(ctx, PER_TURN);
}

void sb_egress_settle(struct sb_egress *egress)
{
    if (egress != NULL) {
        hear(egress, PER_SETTLE);
    }
}

/* ---- its life ---- */

static void hang_up(struct sb_egress *egress)
{
    if (egress->fd >= 0) {
        (void)event_del(&egress->readable);
        (void)event_del(&egress->writable);
        close(egress->fd);
        egress->fd = -1;
    }
    egress->is_ready = false;
    for (struct sb_list *node = NULL; (node = sb_list_pop(&egress->farewells)) != NULL;) {
        free(SB_LIST_ENTRY(node, struct farewell, link));
    }
    SB_FOREACH (node, &egress->lines) {
        struct sb_egress_line *line = &sandbox_of(node)->line;
        line->is_open = false;
        line->is_changed = true;
        line->n_hidden = 0;
    }
}

/* True: the proxy knows the line. */
static bool unplug(struct sb_sandbox *sandbox)
{
    struct sb_egress_line *line = &sandbox->line;
    bool was_open = line->is_open;
    tell_more(sandbox);
    sb_list_remove(&line->link);
    close(line->listener);
    sb_egress_line_init(line);
    return was_open;
}

/* The proxy does not have the line, or not any more. */
static void cut(struct sb_sandbox *sandbox, const char *why)
{
    struct sb_err err;
    char text[SB_ERR_TEXT_SIZE + 96];
    (void)snprintf(text, sizeof text, "egress: the network is cut off: %s", why);
    (void)unplug(sandbox);
    (void)sb_strings_add(&sandbox->degraded, sb_str_from(text), &err);
    sb_sandbox_tell(sandbox);
}

static void give_up(struct sb_egress *egress)
{
    SB_LOG_ERROR("egress proxy is given up", "why=%s", egress->failure);
    egress->state = OFF;
    SB_FOREACH (node, &egress->lines) {
        cut(sandbox_of(node), egress->failure);
    }
}

/* It is not there any more, or could not be had. */
static void lose(struct sb_egress *egress, const char *why)
{
    bool lived_long = egress->is_ready && sb_clock_mono_ms() - egress->start_ms > LONG_LIFE_MS;
    (void)snprintf(egress->failure, sizeof egress->failure, "aisbx-egress: %s", why);
    SB_LOG_WARN("egress proxy is gone", "why=%s", why);
    hang_up(egress);
    egress->n_failures = lived_long ? 1 : egress->n_failures + 1;
    if (sb_list_is_empty(&egress->lines)) {
        egress->state = OFF; /* until somebody needs it */
    } else if (egress->n_failures >= MAX_FAILURES) {
        egress->n_failures = 0;
        give_up(egress);
    } else {
        uint64_t ms = (uint64_t)RETRY_MS * ((1U << (egress->n_failures - 1)) - 1);
        const struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
        egress->state = WAITING;
        (void)event_add(&egress->retry, &tv);
    }
}

static void on_started(void *ctx,
                       const Spawn__V1__Reply *reply,
                       struct sb_frame *frame,
                       const struct sb_err *failure)
{
    struct sb_egress *egress = ctx;
    struct sb_err err;
    int fd = reply == NULL ? -1 : sb_frame_take_fd(frame, 0);
    if (reply == NULL && failure->code == SB_NOT_FOUND) { /* trying again does not help */
        (void)snprintf(egress->failure, sizeof egress->failure, "%s", failure->text);
        give_up(egress);
        return;
    }
    if (fd < 0 || sb_fd_nonblock(fd, &err) < 0) {
        sb_fd_close_all(&fd, 1);
        lose(egress, reply == NULL ? failure->text : "it has no socket");
        return;
    }
    egress->state = UP;
    egress->fd = fd;
    egress->start_ms = sb_clock_mono_ms();
    (void)event_assign(&egress->readable, egress->worker->base, fd, EV_READ | EV_PERSIST,
                       on_readable, egress);
    (void)event_assign(&egress->writable, egress->worker->base, fd, EV_WRITE, on_writable, egress);
    (void)event_add(&egress->readable, NULL);
    flush(egress);
}

static void start(struct sb_egress *egress)
{
    struct sb_err err;
    egress->state = STARTING;
    if (sb_spawner_start_egress(egress->worker->spawner, on_started, egress, &err) < 0) {
        lose(egress, err.text);
    }
}

static void on_retry(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    start(ctx);
}

void sb_egress_want(struct sb_egress *egress)
{
    if (egress->state == OFF) {
        start(egress);
    }
}

struct sb_egress *sb_egress_new(struct sb_worker *worker)
{
    struct sb_egress *egress = calloc(1, sizeof *egress);
    if (egress != NULL) {
        egress->worker = worker;
        egress->fd = -1;
        sb_list_init(&egress->lines);
        sb_list_init(&egress->farewells);
        (void)event_assign(&egress->retry, worker->base, -1, 0, on_retry, egress);
    }
    return egress;
}

void sb_egress_free(struct sb_egress *egress)
{
    if (egress == NULL) {
        return;
    }
    hang_up(egress);
    (void)event_del(&egress->retry);
    free(egress);
}

/* ---- lines ---- */

int sb_egress_join(struct sb_egress *egress,
                   struct sb_sandbox *sandbox,
                   int listener,
                   struct sb_err *err)
{
    if (egress->state == OFF) {
        sb_fd_close_all(&listener, 1);
        return sb_err_set(err, SB_UNAVAILABLE, "%s", egress->failure);
    }
    sandbox->line.listener = listener;
    sb_list_append(&egress->lines, &sandbox->line.link);
    flush(egress);
    return 0;
}

void sb_egress_change(struct sb_egress *egress, struct sb_sandbox *sandbox)
{
    if (sandbox->line.listener >= 0) {
        sandbox->line.is_changed = true;
        sandbox->line.serial++;
        flush(egress);
    }
}

bool sb_egress_is_settled(const struct sb_sandbox *sandbox)
{
    const struct sb_egress_line *line = &sandbox->line;
    return line->listener < 0 || (!line->is_changed && line->answered == line->serial);
}

void sb_egress_leave(struct sb_egress *egress, struct sb_sandbox *sandbox)
{
    if (sandbox->policy != NULL) {
        sb_profile_secrets_forget(&sandbox->policy->secrets);
        sb_authority_done(&sandbox->policy->authority);
    }
    sb_egress_part(egress, sandbox);
}

void sb_egress_part(struct sb_egress *egress, struct sb_sandbox *sandbox)
{
    if (sandbox->line.listener < 0 || !unplug(sandbox)) {
        return;
    }
    struct farewell *farewell = calloc(1, sizeof *farewell);
    if (farewell == NULL) {
        lose(egress, "memory is out"); /* the next one does not know of this line */
        return;
    }
    farewell->packet.type = SB_EGRESS_CLOSE;
    (void)memcpy(farewell->packet.id, sandbox->id, sizeof sandbox->id);
    sb_list_append(&egress->farewells, &farewell->link);
    flush(egress);
}

const char *sb_egress_failure(const struct sb_egress *egress)
{
    bool is_down = egress != NULL && !egress->is_ready && egress->failure[0] != '\0';
    return is_down ? egress->failure : NULL;
}
