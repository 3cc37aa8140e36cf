/* What the worker may ask, and when. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "service/shared/frame.h"
#include "service/spawner/cgroup.h"
#include "service/spawner/egress.h"
#include "service/spawner/filter.h"
#include "service/spawner/host.h"
#include "service/spawner/hostmount.h"
#include "service/spawner/ids.h"
#include "service/spawner/launch.h"
#include "service/spawner/layers/changes.h"
#include "service/spawner/layers/layer.h"
#include "service/spawner/layers/take.h"
#include "service/spawner/peer.h"
#include "service/spawner/plan.h"
#include "service/spawner/probe.h"
#include "service/spawner/sandbox.h"
#include "service/spawner/serve_internal.h"

enum { PROTOCOL_VERSION = 1 };

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

static int on_hello(struct sb_server *server, struct call *call, struct sb_err *failure)
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
    server->state = SB_SERVER_READY;
    return 0;
}

static int on_load_filter(struct sb_server *server, struct call *call, struct sb_err *failure)
{
    uint64_t id = 0;
    if (sb_filter_load(&server->filters, call->request->load_filter, &id, failure) < 0) {
        return -1;
    }
    const struct sb_filter *filter = sb_filter_find(&server->filters, id);
    Spawn__V1__FilterLoaded *body = &call->body.filter_loaded;
    spawn__v1__filter_loaded__init(body);
    body->filter_id = id;
    body->instructions = filter->forms.plain.len;
    call->reply->body_case = SPAWN__V1__REPLY__BODY_FILTER_LOADED;
    call->reply->filter_loaded = body;
    call->is_answered = true;
    return 0;
}

static int on_spawn(struct sb_server *server, struct call *call, struct sb_err *failure)
{
    struct sb_plan plan;
    struct sb_peer peer;
    const struct sb_peer *has_peer = NULL;
    struct sb_layer *layer = NULL;
    if (sb_plan_check(call->request->spawn->plan, &plan, failure) < 0) {
        return -1;
    }
    if (server->n_sandboxes >= SB_SANDBOX_MAX || server->n_starting >= SB_SERVE_MAX_STARTING) {
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
    const struct sb_launch_request request = {
        .host = server->host,
        .pool = &server->pool,
        .lanes = &server->lanes,
        .layers = &server->layers,
        .layer = layer,
        .plan = &plan,
        .message = &call->frame->msg,
        .filter = filter,
        .peer = has_peer,
        .of_worker = call->frame->fds + n_peers,
    };
    uint64_t tag = call->request->tag;
    struct sb_sandbox *sandbox = sb_sandbox_start(&request, failure);
    if (sandbox == NULL) {
        return -1;
    }
    sandbox->slot = plan.slot;
    sandbox->tag = tag;
    sb_list_append(&server->sandboxes, &sandbox->link);
    server->n_sandboxes++;
    server->n_starting++;
    return 0;
}

static int on_kill(struct sb_server *server, struct call *call, struct sb_err *failure)
{
    const struct sb_sandbox *sandbox = sb_serve_find(server, call->request->kill->slot);
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

void sb_serve_fill_counters(const struct sb_cgroup_counters *from,
                            Spawn__V1__Counters *ret_counters)
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

static int on_count(struct sb_server *server, struct call *call, struct sb_err *failure)
{
    struct sb_cgroup_counters counters;
    uint64_t slot = call->request->count->slot;
    const struct sb_cgroups *host = &server->host->cgroups;
    const struct sb_cgroup all = {.host = host->driver == NULL ? NULL : host, .name = "."};
    const struct sb_sandbox *sandbox = slot == 0 ? NULL : sb_serve_find(server, slot);
    if (slot != 0 && sandbox == NULL) {
        return sb_err_set(failure, SB_NOT_FOUND, "no sandbox in slot %llu",
                          (unsigned long long)slot);
    }
    sb_cgroup_read(sandbox == NULL ? &all : &sandbox->cgroup, &counters);
    sb_serve_fill_counters(&counters, &call->body.counters);
    call->reply->body_case = SPAWN__V1__REPLY__BODY_COUNTERS;
    call->reply->counters = &call->body.counters;
    call->is_answered = true;
    return 0;
}

static int on_freeze(struct sb_server *server, struct call *call, struct sb_err *failure)
{
    const Spawn__V1__Freeze *freeze = call->request->freeze;
    const struct sb_sandbox *sandbox = sb_serve_find(server, freeze->slot);
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

static int on_probe(struct sb_server *server, struct call *call, struct sb_err *failure)
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

static int on_compare(struct sb_server *server, struct call *call, struct sb_err *failure)
{
    const struct sb_sandbox *sandbox = sb_serve_find(server, call->request->compare->slot);
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
void sb_serve_end_egress(struct sb_server *server)
{
    if (server->egress_pid > 0) {
        (void)shutdown(server->egress_sock, SHUT_RDWR);
    }
}

static int on_start_egress(struct sb_server *server, struct call *call, struct sb_err *failure)
{
    int sock = -1;
    if (server->egress_pid > 0) {
        sb_serve_end_egress(server);
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

static int on_take_layer(struct sb_server *server, struct call *call, struct sb_err *failure)
{
    const Spawn__V1__TakeLayer *request = call->request->take_layer;
    const struct sb_sandbox *sandbox = sb_serve_find(server, request->slot);
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

static int on_drop_layer(struct sb_server *server, struct call *call, struct sb_err *failure)
{
    (void)failure;
    sb_layer_release(&server->layers, call->request->drop_layer->layer_id);
    spawn__v1__layer_dropped__init(&call->body.layer_dropped);
    call->reply->body_case = SPAWN__V1__REPLY__BODY_LAYER_DROPPED;
    call->reply->layer_dropped = &call->body.layer_dropped;
    call->is_answered = true;
    return 0;
}

static int on_read_changes(struct sb_server *server, struct call *call, struct sb_err *failure)
{
    const Spawn__V1__ReadChanges *request = call->request->read_changes;
    const struct sb_sandbox *sandbox = sb_serve_find(server, request->slot);
    size_t free_at = 0;
    int sock = -1;
    while (free_at < SB_SERVE_MAX_CHANGES && server->changes[free_at] != 0) {
        free_at++;
    }
    if (free_at == SB_SERVE_MAX_CHANGES) {
        return sb_err_set(failure, SB_EXHAUSTED,
                          "files of %d sandboxes are being compared; try again",
                          SB_SERVE_MAX_CHANGES);
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

static int on_end(struct sb_server *server, struct call *call, struct sb_err *failure)
{
    static Spawn__V1__Ended ended = SPAWN__V1__ENDED__INIT;
    (void)failure;
    server->is_stopping = server->is_orderly = true;
    call->reply->body_case = SPAWN__V1__REPLY__BODY_ENDED;
    call->reply->ended = &ended;
    return 0;
}

/* Which request is permitted when, and how many descriptors it may bring. */
static const struct row {
    Spawn__V1__Request__BodyCase body;
    enum sb_server_state state;
    size_t max_fds;
    const char *name;
    int (*handle)(struct sb_server *server, struct call *call, struct sb_err *failure);
} rows[] = {
    {SPAWN__V1__REQUEST__BODY_HELLO, SB_SERVER_NEW, 0, "hello", on_hello},
    {SPAWN__V1__REQUEST__BODY_LOAD_FILTER, SB_SERVER_READY, 0, "load_filter", on_load_filter},
    {SPAWN__V1__REQUEST__BODY_SPAWN, SB_SERVER_READY, SB_FRAME_MAX_FDS, "spawn", on_spawn},
    {SPAWN__V1__REQUEST__BODY_KILL, SB_SERVER_READY, 0, "kill", on_kill},
    {SPAWN__V1__REQUEST__BODY_COUNT, SB_SERVER_READY, 0, "count", on_count},
    {SPAWN__V1__REQUEST__BODY_FREEZE, SB_SERVER_READY, 0, "freeze", on_freeze},
    {SPAWN__V1__REQUEST__BODY_PROBE, SB_SERVER_READY, 0, "probe", on_probe},
    {SPAWN__V1__REQUEST__BODY_START_EGRESS, SB_SERVER_READY, 0, "start_egress", on_start_egress},
    {SPAWN__V1__REQUEST__BODY_END, SB_SERVER_READY, 0, "end", on_end},
    {SPAWN__V1__REQUEST__BODY_TAKE_LAYER, SB_SERVER_READY, 0, "take_layer", on_take_layer},
    {SPAWN__V1__REQUEST__BODY_DROP_LAYER, SB_SERVER_READY, 0, "drop_layer", on_drop_layer},
    {SPAWN__V1__REQUEST__BODY_READ_CHANGES, SB_SERVER_READY, 0, "read_changes", on_read_changes},
    {SPAWN__V1__REQUEST__BODY_COMPARE, SB_SERVER_READY, 1, "compare", on_compare},
};

int sb_serve_dispatch(struct sb_server *server, struct sb_frame *frame, struct sb_err *err)
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
            return sb_serve_fail(server, request->tag, row->name, &failure, err);
        }
        int done =
            call.is_answered ? sb_serve_reply(server, &message, &call.fd, call.fd >= 0, err) : 0;
        sb_fd_close_all(&call.fd, 1);
        return done;
    }
    return sb_err_set(err, SB_INVALID, "unknown request");
}
