#include "service/worker/spawner.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/list.h"
#include "base/log.h"
#include "service/shared/frame.h"
#include "service/worker/harden.h"
#include "service/worker/limits.h"
#include "service/worker/policy/seccomp_json.h"
#include "service/worker/spawner_internal.h"
#include "service/worker/spawner_start.h"

enum { END_WAIT_MS = 2000 }; /* for the spawner to end by itself */

static void free_ask(struct sb_spawner *spawner, struct sb_ask *ask)
{
    sb_list_remove(&ask->link);
    spawner->n_asks--;
    spawner->n_spawning -= ask->is_spawning ? 1 : 0;
    if (ask->spawn.plan != NULL) {
        spawn__v1__plan__free_unpacked(ask->spawn.plan, NULL);
    }
    sb_filter_unref(ask->filter);
    sb_fd_close_all(ask->fds, ask->n_fds);
    free(ask);
}

/** Answers with a failure, and frees. */
static void refuse(struct sb_spawner *spawner, struct sb_ask *ask, const struct sb_err *err)
{
    sb_spawner_reply_fn *on_reply = ask->on_reply;
    void *ctx = ask->ctx;
    free_ask(spawner, ask);
    if (on_reply != NULL) {
        on_reply(ctx, NULL, NULL, err);
    }
}

/** The oldest one that is not answered; NULL: none is left. */
static struct sb_ask *take_oldest(struct sb_spawner *spawner)
{
    struct sb_list *node = sb_list_pop(&spawner->sent);
    if (node == NULL && spawner->front != NULL) {
        return SB_STEAL_PTR(spawner->front);
    }
    node = node == NULL ? sb_list_pop(&spawner->unsent) : node;
    node = node == NULL ? sb_list_pop(&spawner->held) : node;
    return node == NULL ? NULL : SB_LIST_ENTRY(node, struct sb_ask, link);
}

static void on_dead(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_spawner *spawner = ctx;
    struct sb_err err;
    (void)sb_err_set(&err, SB_UNAVAILABLE, "the worker's spawner died");
    for (struct sb_ask *ask = NULL; (ask = take_oldest(spawner)) != NULL;) {
        refuse(spawner, ask, &err);
    }
    spawner->events.lost(spawner->ctx, &err);
}

void sb_spawner_lose(struct sb_spawner *spawner, const char *why)
{
    if (spawner->is_lost) {
        return;
    }
    SB_LOG_ERROR("spawner lost", "why=%s", why);
    spawner->is_lost = true;
    if (spawner->is_attached) {
        (void)event_del(&spawner->readable);
        (void)event_del(&spawner->writable);
        event_active(&spawner->dead, 0, 0);
    }
}

void sb_spawner_release(struct sb_spawner *spawner)
{
    struct sb_list *node = NULL;
    while (spawner->n_spawning < SB_MAX_SPAWNING && (node = sb_list_pop(&spawner->held)) != NULL) {
        struct sb_ask *ask = SB_LIST_ENTRY(node, struct sb_ask, link);
        ask->is_spawning = true;
        spawner->n_spawning++;
        sb_list_append(&spawner->unsent, &ask->link);
        event_active(&spawner->writable, EV_WRITE, 0);
    }
}

/** The ask whose turn it is to be sent; NULL: none. */
static struct sb_ask *next_unsent(struct sb_spawner *spawner)
{
    if (spawner->front == NULL) {
        struct sb_list *node = sb_list_pop(&spawner->unsent);
        spawner->front = node == NULL ? NULL : SB_LIST_ENTRY(node, struct sb_ask, link);
    }
    return spawner->front;
}

static void mark_sent(struct sb_spawner *spawner, struct sb_ask *ask)
{
    sb_list_append(&spawner->sent, &ask->link);
    sb_fd_close_all(ask->fds, ask->n_fds);
    ask->n_fds = 0;
}

bool sb_spawner_send_now(struct sb_spawner *spawner, struct sb_ask *ask)
{
    struct sb_err err;
    if (spawner->is_lost || spawner->front != NULL || !sb_list_is_empty(&spawner->unsent) ||
        sb_frame_send(spawner->sock, &ask->req.base, ask->fds, ask->n_fds, &err) < 0) {
        return false;
    }
    mark_sent(spawner, ask);
    return true;
}

static void flush(struct sb_spawner *spawner)
{
    struct sb_ask *ask = NULL;
    while (!spawner->is_lost && (ask = next_unsent(spawner)) != NULL) {
        struct sb_err err;
        int rc = sb_frame_send(spawner->sock, &ask->req.base, ask->fds, ask->n_fds, &err);
        if (rc < 0 && err.sys == EAGAIN) {
            (void)event_add(&spawner->writable, NULL);
            return;
        }
        if (rc < 0 && err.code == SB_UNAVAILABLE) {
            sb_spawner_lose(spawner, err.text);
            return;
        }
        spawner->front = NULL;
        if (rc < 0) {
            refuse(spawner, ask, &err); /* this one cannot be sent, e.g. too long */
            sb_spawner_release(spawner);
            continue;
        }
        mark_sent(spawner, ask);
    }
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    flush(ctx);
}

/** Which body answers which request. */
static const struct {
    Spawn__V1__Request__BodyCase request;
    Spawn__V1__Reply__BodyCase reply;
} answers[] = {
    {SPAWN__V1__REQUEST__BODY_HELLO, SPAWN__V1__REPLY__BODY_WELCOME},
    {SPAWN__V1__REQUEST__BODY_LOAD_FILTER, SPAWN__V1__REPLY__BODY_FILTER_LOADED},
    {SPAWN__V1__REQUEST__BODY_SPAWN, SPAWN__V1__REPLY__BODY_SPAWNED},
    {SPAWN__V1__REQUEST__BODY_KILL, SPAWN__V1__REPLY__BODY_KILLED},
    {SPAWN__V1__REQUEST__BODY_COUNT, SPAWN__V1__REPLY__BODY_COUNTERS},
    {SPAWN__V1__REQUEST__BODY_FREEZE, SPAWN__V1__REPLY__BODY_FROZEN},
    {SPAWN__V1__REQUEST__BODY_PROBE, SPAWN__V1__REPLY__BODY_PROBED},
    {SPAWN__V1__REQUEST__BODY_START_EGRESS, SPAWN__V1__REPLY__BODY_EGRESS_STARTED},
    {SPAWN__V1__REQUEST__BODY_TAKE_LAYER, SPAWN__V1__REPLY__BODY_LAYER_TAKEN},
    {SPAWN__V1__REQUEST__BODY_DROP_LAYER, SPAWN__V1__REPLY__BODY_LAYER_DROPPED},
    {SPAWN__V1__REQUEST__BODY_READ_CHANGES, SPAWN__V1__REPLY__BODY_CHANGES_OPENED},
    {SPAWN__V1__REQUEST__BODY_COMPARE, SPAWN__V1__REPLY__BODY_COMPARED},
};

static bool fits(const struct sb_ask *ask, const Spawn__V1__Reply *reply)
{
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        if (answers[i].request == ask->req.body_case) {
            return answers[i].reply == reply->body_case;
        }
    }
    return false;
}

static void failure_err(const Spawn__V1__Failure *failure, struct sb_err *ret_err)
{
    enum sb_code code = failure->code == 0 || failure->code > SB_UNAUTHENTICATED
                            ? SB_INTERNAL
                            : (enum sb_code)failure->code;
    if (failure->step[0] != '\0') {
        (void)sb_err_set(ret_err, code, "%s: %s", failure->step, failure->text);
    } else {
        (void)sb_err_set(ret_err, code, "%s", failure->text);
    }
    ret_err->sys = failure->sys;
}

static struct sb_ask *find_sent(const struct sb_spawner *spawner, uint64_t tag)
{
    SB_FOREACH (node, &spawner->sent) {
        struct sb_ask *ask = SB_LIST_ENTRY(node, struct sb_ask, link);
        if (ask->req.tag == tag) {
            return ask;
        }
    }
    return NULL;
}

static void dispatch(struct sb_spawner *spawner, struct sb_frame *frame)
{
    const Spawn__V1__Reply *reply = (const Spawn__V1__Reply *)(const void *)frame->msg;
    if (reply->tag == 0) {
        if (reply->body_case == SPAWN__V1__REPLY__BODY_GONE) {
            spawner->events.gone(spawner->ctx, reply->gone);
        }
        return;
    }
    struct sb_ask *ask = find_sent(spawner, reply->tag);
    if (ask == NULL) {
        SB_LOG_WARN("spawner answered nobody", "tag=%ju", (uintmax_t)reply->tag);
        return;
    }
    sb_spawner_reply_fn *on_reply = ask->on_reply;
    void *ctx = ask->ctx;
    bool is_fitting = fits(ask, reply);
    if (is_fitting && ask->filter != NULL) {
        struct sb_loaded *loaded = &spawner->loaded[spawner->n_loaded++ % SB_SPAWNER_MAX_LOADED];
        memcpy(loaded->hash, ask->filter->hash, sizeof loaded->hash);
        loaded->id = reply->filter_loaded->filter_id;
    }
    free_ask(spawner, ask);
    sb_spawner_release(spawner);
    if (on_reply == NULL) {
        return;
    }
    if (is_fitting) {
        on_reply(ctx, reply, frame, NULL);
        return;
    }
    struct sb_err err;
    if (reply->body_case == SPAWN__V1__REPLY__BODY_FAILURE) {
        failure_err(reply->failure, &err);
    } else {
        (void)sb_err_set(&err, SB_INTERNAL, "the spawner gave an answer that does not fit");
    }
    on_reply(ctx, NULL, NULL, &err);
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_spawner *spawner = ctx;
    for (int turn = 0; turn < 64 && !spawner->is_lost; turn++) {
        SB_CLEANUP(sb_frame_done) struct sb_frame frame = SB_FRAME_INIT;
        struct sb_err err;
        int got =
            sb_frame_recv(spawner->sock, &spawn__v1__reply__descriptor, MSG_DONTWAIT, &frame, &err);
        if (got < 0 && err.sys == EAGAIN) {
            return;
        }
        if (got <= 0) {
            sb_spawner_lose(spawner, got == 0 ? "end of file" : err.text);
            return;
        }
        dispatch(spawner, &frame);
    }
}

/* ---- start ---- */

static int greet(struct sb_spawner *spawner, struct sb_err *err)
{
    Spawn__V1__Hello hello = SPAWN__V1__HELLO__INIT;
    Spawn__V1__Request req = SPAWN__V1__REQUEST__INIT;
    hello.version = SB_SPAWNER_VERSION;
    hello.uid = sb_harden_uid();
    req.tag = spawner->next_tag++;
    req.body_case = SPAWN__V1__REQUEST__BODY_HELLO;
    req.hello = &hello;
    return sb_frame_send(spawner->sock, &req.base, NULL, 0, err);
}

static int be_greeted(struct sb_spawner *spawner, struct sb_err *err)
{
    SB_CLEANUP(sb_frame_done) struct sb_frame frame = SB_FRAME_INIT;
    int got = sb_frame_recv(spawner->sock, &spawn__v1__reply__descriptor, 0, &frame, err);
    if (got <= 0) {
        return got < 0 ? -1
                       : sb_err_set(err, SB_UNAVAILABLE, "it ended at once (see its messages)");
    }
    Spawn__V1__Reply *reply = (Spawn__V1__Reply *)(void *)frame.msg;
    if (reply->body_case == SPAWN__V1__REPLY__BODY_FAILURE) {
        failure_err(reply->failure, err);
        return -1;
    }
    if (reply->body_case != SPAWN__V1__REPLY__BODY_WELCOME) {
        return sb_err_set(err, SB_INTERNAL, "it did not answer the greeting");
    }
    spawner->welcome = reply;
    spawner->audit_fd = sb_frame_take_fd(&frame, 0);
    frame.msg = NULL;
    return sb_fd_nonblock(spawner->sock, err);
}

/** @sock  taken in every case. */
static int take_socket(int sock, struct sb_spawner **ret_spawner, struct sb_err *err)
{
    struct sb_spawner *spawner = calloc(1, sizeof *spawner);
    if (spawner == NULL) {
        close(sock);
        return sb_err_oom(err);
    }
    spawner->sock = sock;
    spawner->audit_fd = -1;
    spawner->next_tag = 1;
    sb_list_init(&spawner->unsent);
    sb_list_init(&spawner->sent);
    sb_list_init(&spawner->held);
    if (greet(spawner, err) < 0) {
        sb_spawner_free(spawner);
        return sb_err_wrap(err, "spawner");
    }
    *ret_spawner = spawner;
    return 0;
}

int sb_spawner_await(struct sb_spawner *spawner, struct sb_err *err)
{
    return be_greeted(spawner, err) < 0 ? sb_err_wrap(err, "spawner") : 0;
}

int sb_spawner_adopt(int sock, struct sb_spawner **ret_spawner, struct sb_err *err)
{
    struct sb_spawner *spawner = NULL;
    if (take_socket(sock, &spawner, err) < 0) {
        return -1;
    }
    if (sb_spawner_await(spawner, err) < 0) {
        sb_spawner_free(spawner);
        return -1;
    }
    *ret_spawner = spawner;
    return 0;
}

int sb_spawner_start(const struct sb_options *options,
                     struct sb_spawner **ret_spawner,
                     struct sb_err *err)
{
    int sock = -1;
    if (sb_spawner_start_process(options, &sock, err) < 0) {
        return sb_err_wrap(err, "spawner");
    }
    if (take_socket(sock, ret_spawner, err) < 0) {
        return -1;
    }
    (*ret_spawner)->is_process = true;
    return 0;
}

/** Lets the spawner end by itself, which removes what it made: our own end would kill it. */
static void await_end(int sock)
{
    char ignored[64];
    struct pollfd readable = {.fd = sock, .events = POLLIN};
    (void)shutdown(sock, SHUT_WR);
    while (poll(&readable, 1, END_WAIT_MS) > 0 && recv(sock, ignored, sizeof ignored, 0) > 0) {
    }
}

void sb_spawner_end(struct sb_spawner *spawner)
{
    Spawn__V1__End end = SPAWN__V1__END__INIT;
    Spawn__V1__Request req = SPAWN__V1__REQUEST__INIT;
    struct sb_err ignored; /* then the log stays */
    if (spawner == NULL || spawner->is_lost) {
        return;
    }
    req.tag = spawner->next_tag++;
    req.body_case = SPAWN__V1__REQUEST__BODY_END;
    req.end = &end;
    (void)sb_frame_send(spawner->sock, &req.base, NULL, 0, &ignored);
}

void sb_spawner_free(struct sb_spawner *spawner)
{
    if (spawner == NULL) {
        return;
    }
    if (spawner->is_attached) {
        (void)event_del(&spawner->readable);
        (void)event_del(&spawner->writable);
        (void)event_del(&spawner->dead);
    }
    for (struct sb_ask *ask = NULL; (ask = take_oldest(spawner)) != NULL;) {
        free_ask(spawner, ask);
    }
    if (spawner->welcome != NULL) {
        spawn__v1__reply__free_unpacked(spawner->welcome, NULL);
    }
    if (spawner->is_process && !spawner->is_lost) {
        await_end(spawner->sock);
    }
    close(spawner->sock);
    sb_closep(&spawner->audit_fd);
    free(spawner);
}

int sb_spawner_attach(struct sb_spawner *spawner,
                      struct event_base *base,
                      const struct sb_spawner_events *events,
                      void *ctx,
                      struct sb_err *err)
{
    spawner->events = *events;
    spawner->ctx = ctx;
    (void)event_assign(&spawner->readable, base, spawner->sock, EV_READ | EV_PERSIST, on_readable,
                       spawner);
    (void)event_assign(&spawner->writable, base, spawner->sock, EV_WRITE, on_writable, spawner);
    (void)event_assign(&spawner->dead, base, -1, 0, on_dead, spawner);
    if (event_add(&spawner->readable, NULL) < 0) {
        return sb_err_set(err, SB_INTERNAL, "spawner: the event loop refused its socket");
    }
    spawner->is_attached = true;
    return 0;
}

const Spawn__V1__Welcome *sb_spawner_welcome(const struct sb_spawner *spawner)
{
    return spawner->welcome->welcome;
}

bool sb_spawner_is_lost(const struct sb_spawner *spawner)
{
    return spawner->is_lost;
}

int sb_spawner_take_audit(struct sb_spawner *spawner)
{
    return SB_STEAL_FD(spawner->audit_fd);
}
