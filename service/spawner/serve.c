#include "service/spawner/serve.h"

/* Theory of operation. One thread waits for three things: requests of the worker, signals (a child
 * has ended; we shall end), and what the children that are starting have to say. It never waits for
 * one child alone. The worker parses what strangers send, so it is taken to be hostile: which
 * requests are permitted is one row per state, and anything else ends the spawner, and with it all
 * sandboxes. A request that is merely refused gets a Failure. */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "service/shared/frame.h"
#include "service/spawner/cgroup.h"
#include "service/spawner/child.h"
#include "service/spawner/egress.h"
#include "service/spawner/filter.h"
#include "service/spawner/host.h"
#include "service/spawner/hostmount.h"
#include "service/spawner/ids.h"
#include "service/spawner/layers/changes.h"
#include "service/spawner/layers/layer.h"
#include "service/spawner/layers/take.h"
#include "service/spawner/peer.h"
#include "service/spawner/plan.h"
#include "service/spawner/probe.h"
#include "service/spawner/sandbox.h"

enum {
    PROTOCOL_VERSION = 1,
    MAX_STARTING = 64,   /* sandboxes that work on their steps at one time */
    LAST_REAP_MS = 5000, /* how long the end waits for killed sandboxes */
    MAX_CHANGES = 64,    /* children that compare files at one time */
};

enum state {
    STATE_NEW,   /* nothing said yet */
    STATE_READY, /* versions agree */
};

struct server {
    const struct sb_host *host;
    int sock;
    int signal_fd;
    enum state state;
    bool is_stopping;
    bool is_orderly; /* the worker said so */
    uid_t worker;    /* its user id while it serves */
    uint64_t last_slot;
    size_t n_sandboxes;
    size_t n_starting;
    pid_t egress_pid; /* 0: none */
    int egress_sock;  /* a copy of its socket; -1: none */
    struct sb_list sandboxes;
    struct sb_ids_pool pool;
    struct sb_filter_cache filters;
    struct sb_layers layers;
    struct sb_list takes; /* snapshots that are being taken */
    size_t n_takes;
    pid_t changes[MAX_CHANGES]; /* children that compare; 0: none */
};

static int reply(struct server *server,
                 Spawn__V1__Reply *message,
                 const int *fds,
                 size_t n_fds,
                 struct sb_err *err)
{
    return sb_frame_send(server->sock, &message->base, fds, n_fds, err);
}

static int reply_failure(struct server *server,
                         uint64_t tag,
                         const char *step,
                         const struct sb_err *failure,
                         struct sb_err *err)
{
    Spawn__V1__Failure body = SPAWN__V1__FAILURE__INIT;
    Spawn__V1__Reply message = SPAWN__V1__REPLY__INIT;
    char step_text[SB_CHILD_STEP_SIZE] = "";
    char text[SB_ERR_TEXT_SIZE];
    (void)snprintf(step_text, sizeof step_text, "%s", step);
    (void)memcpy(text, failure->text, sizeof text);
    body.code = (uint32_t)failure->code;
    body.sys = failure->sys;
    body.step = step_text;
    body.text = text;
    message.tag = tag;
    message.body_case = SPAWN__V1__REPLY__BODY_FAILURE;
    message.failure = &body;
    return reply(server, &message, NULL, 0, err);
}

static struct sb_sandbox *find_slot(struct server *server, uint64_t slot)
{
    SB_FOREACH (node, &server->sandboxes) {
        struct sb_sandbox *sandbox = SB_LIST_ENTRY(node, struct sb_sandbox, link);
        if (sandbox->slot == slot) {
            return sandbox;
        }
    }
    return NULL;
}

static struct sb_sandbox *find_pid(struct server *server, pid_t pid)
{
    SB_FOREACH (node, &server->sandboxes) {
        struct sb_sandbox *sandbox = SB_LIST_ENTRY(node, struct sb_sandbox, link);
        if (sandbox->pid == pid) {
            return sandbox;
        }
    }
    return NULL;
}

/* Handlers of requests. 0: answered, or will be; -1: refused, *failure says why.
 * A socket that fails shows as end of file later. */

struct call {
    const Spawn__V1__Request *request;
    struct sb_frame *frame;
    Spawn__V1__Reply *reply; /* to be sent when is_answered */
    bool is_answered;
    int fd; /* goes with the reply, and is closed then; -1: none */
    union {
        Spawn__V1__Welcome welcome;
        Spawn__V1__FilterLoaded filter_loaded;
        Spawn__V1__Killed killed;
        Spawn__V1__Counters counters;
        struct sb_probe_result probed;
        Spawn__V1__EgressStarted egress_started;
        Spawn__V1__Frozen frozen;
        Spawn__V1__LayerDropped layer_dropped;
        Spawn__V1__ChangesOpened changes_opened;
        Spawn__V1__Compared compared;
    } body; /* what the reply points at */
};

static int on_hello(struct server *server, struct call *call, struct sb_err *failure)
{
    if (call->request->hello->version != PROTOCOL_VERSION) {
        return sb_err_set(failure, SB_PRECONDITION,
                          "worker speaks version %u, spawner %d: they are of different builds",
                          call->request->hello->version, PROTOCOL_VERSION);
    }
    Spawn__V1__Welcome *body = &call->body.welcome;
    spawn__v1__welcome__init(body);
    body->is_root = server->host->is_root;
    body->id_ranges = server->pool.n_ranges;
    body->has_idmap = server->host->has_idmap;
    call->reply->body_case = SPAWN__V1__REPLY__BODY_WELCOME;
    call->reply->welcome = body;
    call->fd = SB_STEAL_FD(*server->host->audit_fd);
    body->tells_paths = call->fd >= 0;
    call->is_answered = true;
    server->worker = call->request->hello->uid;
    server->state = STATE_READY;
    return 0;
}

static int on_load_filter(struct server *server, struct call *call, struct sb_err *failure)
{
    uint64_t id = 0;
    if (sb_filter_load(&server->filters, call->request->load_filter, &id, failure) < 0) {
        return -1;
    }
    const struct sb_filter *filter = sb_filter_find(&server->filters, id);
    Spawn__V1__FilterLoaded *body = &call->body.filter_loaded;
    spawn__v1__filter_loaded__init(body);
    body->filter_id = id;
    body->instructions = (uint32_t)filter->allow.len + filter->deny.len;
    call->reply->body_case = SPAWN__V1__REPLY__BODY_FILTER_LOADED;
    call->reply->filter_loaded = body;
    call->is_answered = true;
    return 0;
}

static int on_spawn(struct server *server, struct call *call, struct sb_err *failure)
{
    struct sb_plan plan;
    struct sb_peer peer;
    const struct sb_peer *has_peer = NULL;
    struct sb_layer *layer = NULL;
    if (sb_plan_check(call->request->spawn->plan, &plan, failure) < 0) {
        return -1;
    }
    if (server->n_sandboxes >= SB_SANDBOX_MAX || server->n_starting >= MAX_STARTING) {
        return sb_err_set(failure, SB_EXHAUSTED, "%zu sandboxes, %zu of them starting",
                          server->n_sandboxes, server->n_starting);
    }
    const struct sb_filter *filter = sb_filter_find(&server->filters, plan.filter_id);
    if (filter == NULL) {
        return sb_err_set(failure, SB_NOT_FOUND, "filter_id: no filter %llu is loaded",
                          (unsigned long long)plan.filter_id);
    }
    if (plan.layer_id != 0 && (layer = sb_layer_find(&server->layers, plan.layer_id)) == NULL) {
        return sb_err_set(failure, SB_NOT_FOUND, "layer_id: the snapshot is gone");
    }
    size_t n_peers = call->frame->nfds - plan.n_of_worker;
    if (call->frame->nfds < plan.n_of_worker || n_peers > 1) {
        return sb_err_set(failure, SB_INVALID, "mounts: %zu descriptors came for %zu of the worker",
                          call->frame->nfds, plan.n_of_worker);
    }
    if (plan.n_mounts > plan.n_of_worker && n_peers == 1) {
        if (sb_peer_of(call->frame->fds[0], server->host, server->worker, &peer, failure) < 0) {
            return -1;
        }
        has_peer = &peer;
    }
    plan.slot = ++server->last_slot;
    struct sb_sandbox *sandbox =
        sb_sandbox_start(server->host, &server->pool, &server->layers, layer, &plan, filter,
                         has_peer, call->frame->fds + n_peers, failure);
    if (sandbox == NULL) {
        return -1;
    }
    sandbox->slot = plan.slot;
    sandbox->tag = call->request->tag;
    sb_list_append(&server->sandboxes, &sandbox->link);
    server->n_sandboxes++;
    server->n_starting++;
    return 0;
}

static int on_kill(struct server *server, struct call *call, struct sb_err *failure)
{
    const struct sb_sandbox *sandbox = find_slot(server, call->request->kill->slot);
    if (sandbox == NULL) {
        return sb_err_set(failure, SB_NOT_FOUND, "no sandbox in slot %llu",
                          (unsigned long long)call->request->kill->slot);
    }
    sb_sandbox_kill(sandbox);
    Spawn__V1__Killed *body = &call->body.killed;
    spawn__v1__killed__init(body);
    call->reply->body_case = SPAWN__V1__REPLY__BODY_KILLED;
    call->reply->killed = body;
    call->is_answered = true;
    return 0;
}

static void fill_counters(const struct sb_cgroup_counters *from, Spawn__V1__Counters *ret_counters)
{
    spawn__v1__counters__init(ret_counters);
    ret_counters->version = from->version;
    ret_counters->controllers = from->controllers;
    ret_counters->memory_bytes = from->memory;
    ret_counters->memory_peak_bytes = from->memory_peak;
    ret_counters->oom_kills = from->oom_kills;
    ret_counters->pids_refused = from->pids_refused;
    ret_counters->cpu_throttled = from->cpu_throttled;
    ret_counters->cpu_user_us = from->cpu_user_us;
    ret_counters->cpu_system_us = from->cpu_system_us;
}

static int on_count(struct server *server, struct call *call, struct sb_err *failure)
{
    struct sb_cgroup_counters counters;
    uint64_t slot = call->request->count->slot;
    const struct sb_cgroups *host = &server->host->cgroups;
    const struct sb_cgroup all = {.host = host->driver == NULL ? NULL : host, .name = "."};
    const struct sb_sandbox *sandbox = slot == 0 ? NULL : find_slot(server, slot);
    if (slot != 0 && sandbox == NULL) {
        return sb_err_set(failure, SB_NOT_FOUND, "no sandbox in slot %llu",
                          (unsigned long long)slot);
    }
    sb_cgroup_read(sandbox == NULL ? &all : &sandbox->cgroup, &counters);
    fill_counters(&counters, &call->body.counters);
    call->reply->body_case = SPAWN__V1__REPLY__BODY_COUNTERS;
    call->reply->counters = &call->body.counters;
    call->is_answered = true;
    return 0;
}

static int on_freeze(struct server *server, struct call *call, struct sb_err *failure)
{
    const Spawn__V1__Freeze *freeze = call->request->freeze;
    const struct sb_sandbox *sandbox = find_slot(server, freeze->slot);
    bool is_done = false;
    if (sandbox == NULL) {
        return sb_err_set(failure, SB_NOT_FOUND, "no sandbox in slot %llu",
                          (unsigned long long)freeze->slot);
    }
    if (sb_cgroup_freeze(&sandbox->cgroup, !freeze->thaw, &is_done, failure) < 0) {
        return -1;
    }
    Spawn__V1__Frozen *body = &call->body.frozen;
    spawn__v1__frozen__init(body);
    body->done = is_done;
    call->reply->body_case = SPAWN__V1__REPLY__BODY_FROZEN;
    call->reply->frozen = body;
    call->is_answered = true;
    return 0;
}

static int on_probe(struct server *server, struct call *call, struct sb_err *failure)
{
    (void)failure;
    Spawn__V1__Probed *body = &call->body.probed.message;
    sb_probe_run(server->host, &call->body.probed);
    body->layers_way = (Spawn__V1__LayersWay)sb_layers_way(&server->layers);
    body->layers_why = server->layers.why.text;
    call->reply->body_case = SPAWN__V1__REPLY__BODY_PROBED;
    call->reply->probed = &call->body.probed.message;
    call->is_answered = true;
    return 0;
}

static int on_compare(struct server *server, struct call *call, struct sb_err *failure)
{
    const struct sb_sandbox *sandbox = find_slot(server, call->request->compare->slot);
    struct sb_peer peer;
    if (sandbox == NULL) {
        return sb_err_set(failure, SB_NOT_FOUND, "no sandbox in slot %llu",
                          (unsigned long long)call->request->compare->slot);
    }
    if (call->frame->nfds != 1) {
        return sb_err_set(failure, SB_INVALID, "mounts: the caller's connection is missing");
    }
    if (sb_peer_of(call->frame->fds[0], server->host, server->worker, &peer, failure) < 0) {
        return -1;
    }
    int is_same = sb_hostmount_compare(server->host, &sandbox->bound, &peer, failure);
    if (is_same < 0) {
        return -1;
    }
    Spawn__V1__Compared *body = &call->body.compared;
    spawn__v1__compared__init(body);
    body->same = is_same > 0;
    call->reply->body_case = SPAWN__V1__REPLY__BODY_COMPARED;
    call->reply->compared = body;
    call->is_answered = true;
    return 0;
}

/* It has an id of its own, so we may not kill it; its socket tells it, and our death does. */
static void end_egress(struct server *server)
{
    if (server->egress_pid > 0) {
        (void)shutdown(server->egress_sock, SHUT_RDWR);
    }
}

static int on_start_egress(struct server *server, struct call *call, struct sb_err *failure)
{
    int sock = -1;
    if (server->egress_pid > 0) {
        end_egress(server);
        return sb_err_set(failure, SB_UNAVAILABLE, "the one before has not ended yet");
    }
    pid_t pid = sb_egress_start(server->host, &sock, &server->egress_sock, failure);
    if (pid < 0) {
        return -1;
    }
    server->egress_pid = pid;
    Spawn__V1__EgressStarted *body = &call->body.egress_started;
    spawn__v1__egress_started__init(body);
    call->reply->body_case = SPAWN__V1__REPLY__BODY_EGRESS_STARTED;
    call->reply->egress_started = body;
    call->is_answered = true;
    call->fd = sock;
    return 0;
}

static int on_take_layer(struct server *server, struct call *call, struct sb_err *failure)
{
    const Spawn__V1__TakeLayer *request = call->request->take_layer;
    const struct sb_sandbox *sandbox = find_slot(server, request->slot);
    if (sandbox == NULL) {
        return sb_err_set(failure, SB_NOT_FOUND, "no sandbox in slot %llu",
                          (unsigned long long)request->slot);
    }
    if (server->n_takes >= SB_TAKE_MAX) {
        return sb_err_set(failure, SB_EXHAUSTED, "%d snapshots are being taken; try again",
                          SB_TAKE_MAX);
    }
    struct sb_take *take = sb_take_start(&server->layers, sandbox, request->max_bytes,
                                         request->is_frozen, call->request->tag, failure);
    if (take == NULL) {
        return -1;
    }
    sb_list_append(&server->takes, &take->link);
    server->n_takes++;
    return 0;
}

static int on_drop_layer(struct server *server, struct call *call, struct sb_err *failure)
{
    (void)failure;
    sb_layer_release(&server->layers, call->request->drop_layer->layer_id);
    spawn__v1__layer_dropped__init(&call->body.layer_dropped);
    call->reply->body_case = SPAWN__V1__REPLY__BODY_LAYER_DROPPED;
    call->reply->layer_dropped = &call->body.layer_dropped;
    call->is_answered = true;
    return 0;
}

static int on_read_changes(struct server *server, struct call *call, struct sb_err *failure)
{
    const Spawn__V1__ReadChanges *request = call->request->read_changes;
    const struct sb_sandbox *sandbox = find_slot(server, request->slot);
    size_t free_at = 0;
    int sock = -1;
    while (free_at < MAX_CHANGES && server->changes[free_at] != 0) {
        free_at++;
    }
    if (free_at == MAX_CHANGES) {
        return sb_err_set(failure, SB_EXHAUSTED,
                          "files of %d sandboxes are being compared; try again", MAX_CHANGES);
    }
    if (sandbox == NULL) {
        return sb_err_set(failure, SB_NOT_FOUND, "no sandbox in slot %llu",
                          (unsigned long long)request->slot);
    }
    const struct sb_layer *layer =
        request->layer_id == 0 ? sandbox->layer : sb_layer_find(&server->layers, request->layer_id);
    if (request->layer_id != 0 && layer == NULL) {
        return sb_err_set(failure, SB_NOT_FOUND, "the snapshot is gone");
    }
    if (request->content > SB_CHANGE_TAR || (request->since_host && request->layer_id != 0)) {
        return sb_err_set(failure, SB_INVALID, "content, since_host: not that together");
    }
    const struct sb_changes_of of = {layer, request->since_host != 0,
                                     (enum sb_change_content)request->content};
    pid_t pid = sb_changes_start(&server->layers, sandbox, &of, &sock, failure);
    if (pid < 0) {
        return -1;
    }
    server->changes[free_at] = pid;
    spawn__v1__changes_opened__init(&call->body.changes_opened);
    call->reply->body_case = SPAWN__V1__REPLY__BODY_CHANGES_OPENED;
    call->reply->changes_opened = &call->body.changes_opened;
    call->is_answered = true;
    call->fd = sock;
    return 0;
}

/* Which request is permitted when, and how many descriptors it may bring. */
static int on_end(struct server *server, struct call *call, struct sb_err *failure)
{
    static Spawn__V1__Ended ended = SPAWN__V1__ENDED__INIT;
    (void)failure;
    server->is_stopping = server->is_orderly = true;
    call->reply->body_case = SPAWN__V1__REPLY__BODY_ENDED;
    call->reply->ended = &ended;
    return 0;
}

static const struct row {
    Spawn__V1__Request__BodyCase body;
    enum state state;
    size_t max_fds;
    const char *name;
    int (*handle)(struct server *server, struct call *call, struct sb_err *failure);
} rows[] = {
    {SPAWN__V1__REQUEST__BODY_HELLO, STATE_NEW, 0, "hello", on_hello},
    {SPAWN__V1__REQUEST__BODY_LOAD_FILTER, STATE_READY, 0, "load_filter", on_load_filter},
    {SPAWN__V1__REQUEST__BODY_SPAWN, STATE_READY, SB_FRAME_MAX_FDS, "spawn", on_spawn},
    {SPAWN__V1__REQUEST__BODY_KILL, STATE_READY, 0, "kill", on_kill},
    {SPAWN__V1__REQUEST__BODY_COUNT, STATE_READY, 0, "count", on_count},
    {SPAWN__V1__REQUEST__BODY_FREEZE, STATE_READY, 0, "freeze", on_freeze},
    {SPAWN__V1__REQUEST__BODY_PROBE, STATE_READY, 0, "probe", on_probe},
    {SPAWN__V1__REQUEST__BODY_START_EGRESS, STATE_READY, 0, "start_egress", on_start_egress},
    {SPAWN__V1__REQUEST__BODY_END, STATE_READY, 0, "end", on_end},
    {SPAWN__V1__REQUEST__BODY_TAKE_LAYER, STATE_READY, 0, "take_layer", on_take_layer},
    {SPAWN__V1__REQUEST__BODY_DROP_LAYER, STATE_READY, 0, "drop_layer", on_drop_layer},
    {SPAWN__V1__REQUEST__BODY_READ_CHANGES, STATE_READY, 0, "read_changes", on_read_changes},
    {SPAWN__V1__REQUEST__BODY_COMPARE, STATE_READY, 1, "compare", on_compare},
};

static int dispatch(struct server *server, struct sb_frame *frame, struct sb_err *err)
{
    const Spawn__V1__Request *request = (const Spawn__V1__Request *)frame->msg;
    Spawn__V1__Reply message = SPAWN__V1__REPLY__INIT;
    struct call call = {.request = request, .frame = frame, .reply = &message, .fd = -1};
    struct sb_err failure;
    message.tag = request->tag;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        if (row->body != request->body_case) {
            continue;
        }
        if (row->state != server->state || frame->nfds > row->max_fds || request->tag == 0) {
            return sb_err_set(err, SB_INVALID, "%s is not permitted now", row->name);
        }
        if (row->handle(server, &call, &failure) < 0) {
            return reply_failure(server, request->tag, row->name, &failure, err);
        }
        int done = call.is_answered ? reply(server, &message, &call.fd, call.fd >= 0, err) : 0;
        sb_fd_close_all(&call.fd, 1);
        return done;
    }
    return sb_err_set(err, SB_INVALID, "unknown request");
}

static int on_worker(struct server *server, struct sb_err *err)
{
    SB_CLEANUP(sb_frame_done) struct sb_frame frame = SB_FRAME_INIT;
    int got =
        sb_frame_recv(server->sock, &spawn__v1__request__descriptor, MSG_DONTWAIT, &frame, err);
    if (got < 0) {
        return err->sys == EAGAIN ? 0 : -1;
    }
    if (got == 0) {
        server->is_stopping = true;
        return 0;
    }
    return dispatch(server, &frame, err);
}

static uint32_t host_uid(const struct server *server, const struct sb_sandbox *sandbox)
{
    uint32_t uid = sb_ids_job_uid(&sandbox->ids);
    if (server->host->is_root) {
        return uid;
    }
    return uid == 0 ? server->host->caller_uid : server->host->first_subuid + uid - 1;
}

static int tell_spawned(struct server *server, struct sb_sandbox *sandbox, struct sb_err *err)
{
    Spawn__V1__Spawned body = SPAWN__V1__SPAWNED__INIT;
    Spawn__V1__Reply message = SPAWN__V1__REPLY__INIT;
    char *degraded[SB_SANDBOX_MAX_DEGRADED];
    memcpy(degraded, sandbox->degraded, sizeof degraded);
    body.slot = sandbox->slot;
    body.init_pid = sandbox->init_pid;
    body.host_uid = host_uid(server, sandbox);
    body.distinct_uid = sb_ids_are_distinct(&sandbox->ids);
    body.n_degraded = sandbox->n_degraded;
    body.degraded = degraded;
    body.has_group = sandbox->cgroup.host != NULL;
    body.lacks_io = sandbox->io_lacks[0] != '\0';
    message.tag = sandbox->tag;
    message.body_case = SPAWN__V1__REPLY__BODY_SPAWNED;
    message.spawned = &body;
    int init_pidfd = sandbox->init_pidfd >= 0 ? sandbox->init_pidfd : sandbox->pidfd;
    const int fds[] = {sandbox->ctl_fd, init_pidfd};
    int done = reply(server, &message, fds, 2, err);
    sb_closep(&sandbox->ctl_fd); /* init must see the end when the worker closes its copy */
    sandbox->ctl_fd = -1;
    return done;
}

static int
on_report(struct server *server, struct sb_sandbox *sandbox, bool is_dead, struct sb_err *err)
{
    char step[SB_CHILD_STEP_SIZE];
    struct sb_err failure;
    int started = sb_sandbox_started(sandbox, is_dead, step, &failure);
    if (started == 0) {
        return 0;
    }
    server->n_starting--;
    return started < 0 ? reply_failure(server, sandbox->tag, step, &failure, err)
                       : tell_spawned(server, sandbox, err);
}

/* A child that copies has something to say, or died. */
static int on_taken(struct server *server, struct sb_take *take, struct sb_err *err)
{
    struct sb_err failure;
    struct sb_taken taken = {0};
    Spawn__V1__LayerTaken body = SPAWN__V1__LAYER_TAKEN__INIT;
    Spawn__V1__Reply message = SPAWN__V1__REPLY__INIT;
    const struct sb_layer *layer = sb_take_finish(&server->layers, take, &taken, &failure);
    uint64_t tag = take->tag;
    sb_take_free(&server->layers, take);
    server->n_takes--;
    if (layer == NULL) {
        return reply_failure(server, tag, "take_layer", &failure, err);
    }
    body.layer_id = layer->id;
    body.depth = layer->depth;
    body.size_bytes = taken.size_bytes;
    body.copied_bytes = taken.copied_bytes;
    body.copied_files = taken.files;
    message.tag = tag;
    message.body_case = SPAWN__V1__REPLY__BODY_LAYER_TAKEN;
    message.layer_taken = &body;
    return reply(server, &message, NULL, 0, err);
}

static uint64_t micros(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

static int tell_gone(struct server *server,
                     uint64_t slot,
                     int status,
                     const struct rusage *usage,
                     const struct sb_cgroup_counters *read,
                     struct sb_err *err)
{
    Spawn__V1__Gone body = SPAWN__V1__GONE__INIT;
    Spawn__V1__Counters counters;
    fill_counters(read, &counters);
    body.counters = &counters;
    Spawn__V1__Reply message = SPAWN__V1__REPLY__INIT;
    body.slot = slot;
    body.wait_status = status;
    body.cpu_user_us = micros(usage->ru_utime);
    body.cpu_system_us = micros(usage->ru_stime);
    body.max_rss_bytes = (uint64_t)usage->ru_maxrss * 1024;
    message.body_case = SPAWN__V1__REPLY__BODY_GONE;
    message.gone = &body;
    return reply(server, &message, NULL, 0, err);
}

/* Reaps whatever has ended. @tells  whether the worker is told. */
static int reap(struct server *server, bool tells, struct sb_err *err)
{
    struct rusage usage;
    int status = 0;
    int done = 0;
    pid_t pid = 0;
    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
        struct sb_sandbox *sandbox = find_pid(server, pid);
        if (pid == server->egress_pid) {
            server->egress_pid = 0;
            sb_fd_close_all(&server->egress_sock, 1);
        }
        for (size_t i = 0; i < MAX_CHANGES; i++) {
            server->changes[i] = server->changes[i] == pid ? 0 : server->changes[i];
        }
        if (sandbox == NULL) {
            continue;
        }
        if (sandbox->state == SB_SANDBOX_STARTING && tells && done == 0) {
            done = on_report(server, sandbox, true, err); /* what it had to say lies in the pipe */
        }
        bool was_told = sandbox->state == SB_SANDBOX_RUNNING;
        status = sb_sandbox_init_status(sandbox, status);
        uint64_t slot = sandbox->slot;
        struct sb_cgroup_counters counters;
        sb_cgroup_read(&sandbox->cgroup, &counters);
        /* The kernel takes its time to let go of the mounts: somebody waits to hear of the end. */
        int namespaces[] = {SB_STEAL_FD(sandbox->mnt_fd), SB_STEAL_FD(sandbox->pid_fd)};
        sb_sandbox_free(sandbox);
        server->n_sandboxes--;
        if (was_told && tells && done == 0) {
            done = tell_gone(server, slot, status, &usage, &counters, err);
        }
        sb_fd_close_all(namespaces, 2);
    }
    return done;
}

static int on_signal(struct server *server, struct sb_err *err)
{
    struct signalfd_siginfo info;
    while (read(server->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo != SIGCHLD) {
            server->is_stopping = true;
        }
    }
    return reap(server, true, err);
}

/* Gives up sandboxes whose child hangs, say in a file system that does not answer.
 * Returns milliseconds until the next deadline, -1: none. */
static int check_deadlines(struct server *server, int *ret_wait_ms, struct sb_err *err)
{
    int wait_ms = -1;
    SB_FOREACH (node, &server->sandboxes) {
        struct sb_sandbox *sandbox = SB_LIST_ENTRY(node, struct sb_sandbox, link);
        if (sandbox->state != SB_SANDBOX_STARTING) {
            continue;
        }
        int left = sb_clock_left_ms(sandbox->deadline_ms);
        if (left == 0) {
            struct sb_err failure;
            (void)sb_err_set(&failure, SB_DEADLINE, "not ready within %d ms", SB_SANDBOX_START_MS);
            server->n_starting--;
            sb_sandbox_fail(sandbox);
            if (reply_failure(server, sandbox->tag, "", &failure, err) < 0) {
                return -1;
            }
        } else if (wait_ms < 0 || left < wait_ms) {
            wait_ms = left;
        }
    }
    *ret_wait_ms = wait_ms;
    return 0;
}

static int turn(struct server *server, struct sb_err *err)
{
    struct pollfd fds[2 + MAX_STARTING + SB_TAKE_MAX] = {
        {.fd = server->sock, .events = POLLIN},
        {.fd = server->signal_fd, .events = POLLIN},
    };
    struct sb_sandbox *starting[2 + MAX_STARTING];
    nfds_t n = 2;
    int wait_ms = -1;
    if (check_deadlines(server, &wait_ms, err) < 0) {
        return -1;
    }
    SB_FOREACH (node, &server->sandboxes) {
        struct sb_sandbox *sandbox = SB_LIST_ENTRY(node, struct sb_sandbox, link);
        if (sandbox->state == SB_SANDBOX_STARTING) {
            starting[n] = sandbox;
            fds[n++] = (struct pollfd){.fd = sandbox->report_fd, .events = POLLIN};
        }
    }
    nfds_t n_starting = n;
    struct sb_take *takes[2 + MAX_STARTING + SB_TAKE_MAX];
    SB_FOREACH (node, &server->takes) {
        takes[n] = SB_LIST_ENTRY(node, struct sb_take, link);
        fds[n] = (struct pollfd){.fd = takes[n]->report_fd, .events = POLLIN};
        n++;
    }
    if (poll(fds, n, wait_ms) < 0) {
        return errno == EINTR ? 0 : sb_err_sys(err, errno, "poll");
    }
    /* Reports first: reaping frees sandboxes. */
    for (nfds_t i = 2; i < n; i++) {
        bool is_start = i < n_starting;
        if (fds[i].revents != 0 && (is_start ? on_report(server, starting[i], false, err)
                                             : on_taken(server, takes[i], err)) < 0) {
            return -1;
        }
    }
    if (fds[1].revents != 0 && on_signal(server, err) < 0) {
        return -1;
    }
    return fds[0].revents != 0 && !server->is_stopping ? on_worker(server, err) : 0;
}

/* Kills all, and waits until it is true that nothing is left. */
static void end_all(struct server *server)
{
    struct sb_err ignored;
    uint64_t deadline = sb_clock_mono_ms() + LAST_REAP_MS;
    end_egress(server);
    SB_FOREACH (node, &server->sandboxes) {
        sb_sandbox_kill(SB_LIST_ENTRY(node, struct sb_sandbox, link));
    }
    while (reap(server, false, &ignored) == 0 && server->n_sandboxes > 0) {
        struct pollfd wait = {.fd = server->signal_fd, .events = POLLIN};
        struct signalfd_siginfo info;
        int left = sb_clock_left_ms(deadline);
        if (left == 0) {
            SB_LOG_ERROR("sandboxes do not end", "left=%zu", server->n_sandboxes);
            return;
        }
        (void)poll(&wait, 1, left);
        while (read(server->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        }
    }
}

int sb_serve_run(
    const struct sb_host *host, int sock, int signal_fd, bool *ret_is_orderly, struct sb_err *err)
{
    *ret_is_orderly = false;
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        return sb_err_oom(err);
    }
    server->host = host;
    server->sock = sock;
    server->signal_fd = signal_fd;
    server->egress_sock = -1;
    sb_list_init(&server->sandboxes);
    sb_list_init(&server->takes);
    sb_layers_init(&server->layers, host);
    sb_ids_pool_init(&server->pool, host);
    int done = 0;
    while (done == 0 && !server->is_stopping) {
        done = turn(server, err);
        if (done < 0 && err->code == SB_UNAVAILABLE) { /* the worker closed before it was told */
            server->is_stopping = true;
            done = 0;
        }
    }
    end_all(server);
    SB_FOREACH (node, &server->takes) {
        sb_take_free(&server->layers, SB_LIST_ENTRY(node, struct sb_take, link));
    }
    sb_layers_done(&server->layers);
    sb_filter_cache_done(&server->filters);
    *ret_is_orderly = server->is_orderly;
    free(server);
    return done;
}
