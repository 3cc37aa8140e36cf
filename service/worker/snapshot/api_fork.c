/* Theory of operation. All sandboxes of a fork are made at once, so that quotas and names are
 * decided before anything is copied and a repeated call finds them; they wait for one snapshot that
 * is never listed. Then they start, a few at a time. When one fails all go. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/api_gate.h"
#include "service/worker/api_pb.h"
#include "service/worker/events.h"
#include "service/worker/limits.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/request.h"
#include "service/worker/sandbox.h"
#include "service/worker/snapshot/api_snapshot.h"
#include "service/worker/snapshot/snapshot.h"
#include "service/worker/snapshot/spec.h"
#include "service/worker/worker.h"

struct fork;

/** One of the new sandboxes. */
struct twin {
    struct sb_sandbox_observer observer;
    struct fork *fork;
    struct sb_sandbox *sandbox;
};

struct fork {
    struct sb_snapshot_observer observer;
    struct sb_worker *worker;
    struct sb_rpc_call *call;     /* NULL: nobody waits any more */
    struct sb_snapshot *snapshot; /* a reference; NULL: the first call has it */
    char notice[128];
    bool is_here;
    bool is_owner; /* the sandboxes go when the call does, before it was answered */
    bool is_over;
    size_t n_begun;
    size_t n; /* twins */
    struct twin twins[];
};

static void fork_free(struct fork *fork)
{
    for (size_t i = 0; i < fork->n; i++) {
        sb_sandbox_unobserve(&fork->twins[i].observer);
    }
    if (fork->snapshot != NULL) {
        sb_snapshot_unobserve(&fork->observer);
        sb_snapshot_unref(fork->worker, fork->snapshot);
    }
    free(fork);
}

static void destroy_all(struct fork *fork, const char *why)
{
    for (size_t i = 0; i < fork->n; i++) {
        sb_sandbox_destroy(fork->twins[i].sandbox, SB_REASON_CANCELLED, why);
    }
}

/* ---- the answer ---- */

static bool add_notice(const struct fork *fork, Aisbx__V1__ForkSandboxResponse *msg)
{
    if (fork->notice[0] == '\0') {
        return true;
    }
    msg->notices = calloc(1, sizeof(char *));
    if (msg->notices == NULL) {
        return false;
    }
    msg->notices[0] = strdup(fork->notice);
    msg->n_notices = msg->notices[0] != NULL;
    return msg->n_notices > 0;
}

static bool fill(const struct fork *fork, Aisbx__V1__ForkSandboxResponse *msg)
{
    msg->sandboxes = calloc(fork->n, sizeof(Aisbx__V1__Sandbox *));
    for (size_t i = 0; msg->sandboxes != NULL && i < fork->n; i++) {
        msg->sandboxes[i] = sb_api_pb_sandbox(fork->twins[i].sandbox, fork->is_here);
        if (msg->sandboxes[i] == NULL) {
            return false;
        }
        msg->n_sandboxes++;
    }
    return msg->sandboxes != NULL && add_notice(fork, msg);
}

static void finish(struct fork *fork, const struct sb_err *failure)
{
    struct sb_err err = {.code = SB_OK};
    Aisbx__V1__ForkSandboxResponse *msg = NULL;
    fork->is_over = true;
    if (failure != NULL) {
        err = *failure;
        if (fork->snapshot != NULL) { /* else it is another call's to decide */
            destroy_all(fork, "another one of its fork failed");
        }
    } else {
        msg = sb_api_pb_new(&aisbx__v1__fork_sandbox_response__descriptor);
        if (msg != NULL && !fill(fork, msg)) {
            (void)sb_err_oom(&err);
        }
    }
    if (fork->call != NULL) {
        sb_api_finish(fork->call, msg, &err);
    } else {
        if (msg != NULL) {
            aisbx__v1__fork_sandbox_response__free_unpacked(msg, NULL);
        }
        fork_free(fork);
    }
}

/* ---- the way there ---- */

static void look(struct fork *fork)
{
    size_t n_running = 0;
    struct sb_err err;
    for (size_t i = 0; i < fork->n && !fork->is_over; i++) {
        const struct sb_sandbox *sandbox = fork->twins[i].sandbox;
        n_running += sandbox->state == SB_STATE_RUNNING || sandbox->state == SB_STATE_PAUSED;
        if (sandbox->state > SB_STATE_PAUSED) {
            err = sandbox->start_err;
            if (err.code == SB_OK) {
                (void)sb_err_set(&err, SB_ABORTED, "sandbox %s is %s: %s", sandbox->id,
                                 sb_state_name(sandbox->state), sandbox->destroy_message);
            }
            finish(fork, &err);
            return;
        }
    }
    if (!fork->is_over && n_running == fork->n) {
        finish(fork, NULL);
        return;
    }
    /* A failure comes back by its observer, so the next look is from there. */
    while (fork->snapshot != NULL && fork->snapshot->state == SB_SNAPSHOT_KEPT && !fork->is_over &&
           fork->n_begun < fork->n && fork->n_begun - n_running < SB_MAX_FORKS_AT_ONCE) {
        size_t next = fork->n_begun++;
        if (sb_sandbox_begin(fork->twins[next].sandbox, fork->snapshot, &err) < 0) {
            return;
        }
    }
}

static void on_changed(struct sb_sandbox_observer *observer, struct sb_sandbox *sandbox)
{
    struct twin *twin = SB_LIST_ENTRY(observer, struct twin, observer);
    (void)sandbox;
    if (!twin->fork->is_over) {
        look(twin->fork);
    }
}

static void on_settled(struct sb_snapshot_observer *observer, struct sb_snapshot *snapshot)
{
    struct fork *fork = SB_LIST_ENTRY(observer, struct fork, observer);
    if (fork->is_over) {
        return;
    }
    if (snapshot->state == SB_SNAPSHOT_FAILED) {
        finish(fork, &snapshot->err);
    } else {
        look(fork);
    }
}

/* ---- the call ---- */

static struct fork *
fork_new(struct sb_worker *worker, struct sb_rpc_call *call, size_t count, struct sb_err *err)
{
    struct fork *fork = calloc(1, sizeof *fork + count * sizeof fork->twins[0]);
    if (fork == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    fork->worker = worker;
    fork->call = call;
    fork->observer.settled = on_settled;
    return fork;
}

static void add_twin(struct fork *fork, struct sb_sandbox *sandbox)
{
    struct twin *twin = &fork->twins[fork->n++];
    twin->observer.changed = on_changed;
    twin->fork = fork;
    twin->sandbox = sandbox;
    sb_sandbox_observe(sandbox, &twin->observer);
}

/** Those that the first call with this request_id made, in the order in which it made them. */
static int find_twins(struct fork *fork, const struct sb_sandbox *first, struct sb_err *err)
{
    const struct sb_registry *registry = &fork->worker->registry;
    for (struct sb_list *node = registry->sandbox_list.prev; node != &registry->sandbox_list;
         node = node->prev) {
        struct sb_sandbox *sandbox = SB_LIST_ENTRY(node, struct sb_sandbox, link);
        if (sandbox->fork_group != 0 && sandbox->fork_group == first->fork_group &&
            fork->n < SB_MAX_FORKS) {
            add_twin(fork, sandbox);
        }
    }
    return fork->n > 0 ? 0 : sb_err_set(err, SB_NOT_FOUND, "what it made is gone");
}

static int make_twins(struct fork *fork,
                      const struct sb_caller *caller,
                      const struct sb_sandbox *source,
                      size_t count,
                      struct sb_rate *ret_rate,
                      struct sb_err *err)
{
    SB_CLEANUP(sb_spec_freep) Aisbx__V1__SandboxSpec *spec = NULL;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = NULL;
    if (sb_spec_of(source, &spec, err) < 0 || sb_request_make(spec, "sandbox", &request, err) < 0) {
        return -1;
    }
    const struct sb_lineage lineage = sb_gate_lineage(caller->ticket);
    const struct sb_sandbox_options options = {
        .owner = caller->actor,
        .tenant = source->tenant,
        .rate = ret_rate,
        .request = request,
        .is_admin = sb_caller_is_admin(caller),
        .peer_fd = caller->peer_fd,
        .waits = true,
        .lineage = &lineage,
    };
    while (fork->n < count) {
        struct sb_sandbox *sandbox = NULL;
        if (sb_sandbox_new(fork->worker, &options, &sandbox, err) < 0) {
            return sb_err_wrap(err, "fork %zu of %zu", fork->n + 1, count);
        }
        sandbox->fork_group = fork->n == 0 ? sandbox->seq : fork->twins[0].sandbox->fork_group;
        (void)snprintf(sandbox->forked_from, sizeof sandbox->forked_from, "%s", source->id);
        add_twin(fork, sandbox);
        sb_event_sandbox_forked(sandbox);
    }
    return 0;
}

static int begin(struct fork *fork,
                 const struct sb_caller *caller,
                 const Aisbx__V1__ForkSandboxRequest *req,
                 size_t count,
                 struct sb_rate *ret_rate,
                 struct sb_err *err)
{
    char known[SB_ID_SIZE];
    struct sb_sandbox *source = NULL;
    struct sb_worker *worker = fork->worker;
    const struct sb_idem_call id = {caller->actor, "ForkSandbox", req->request_id, &req->base};
    if (sb_idem_find(&worker->idem, &id, sb_clock_real_ms(), known, err) < 0) {
        return -1;
    }
    if (known[0] != '\0') {
        return sb_api_find_sandbox(worker, caller, known, &source, err) < 0
                   ? -1
                   : find_twins(fork, source, err);
    }
    if (sb_api_find_sandbox(worker, caller, req->sandbox_id, &source, err) < 0) {
        return -1;
    }
    if (source->is_only) {
        return sb_err_set(err, SB_PRECONDITION, "sandbox %s was made for one exec only",
                          source->id);
    }
    if (sb_sandbox_check_binder(source, caller->actor, caller->peer_fd, err) < 0 ||
        sb_snapshot_take(source, "", false, &fork->snapshot, err) < 0) {
        return -1;
    }
    sb_snapshot_observe(fork->snapshot, &fork->observer);
    if (source->n_active > 0) {
        (void)snprintf(fork->notice, sizeof fork->notice, "%u %s of %s %s not copied",
                       source->n_active, source->n_active == 1 ? "exec" : "execs", source->id,
                       source->n_active == 1 ? "was" : "were");
    }
    fork->is_owner = req->request_id[0] == '\0';
    return make_twins(fork, caller, source, count, ret_rate, err) < 0
               ? -1
               : sb_idem_add(&worker->idem, &id, sb_clock_real_ms(), fork->twins[0].sandbox->id,
                             err);
}

void sb_api_fork_start(struct sb_rpc_call *call,
                       const Aisbx__V1__ForkSandboxRequest *req,
                       void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err;
    struct sb_caller caller;
    struct sb_rate rate = {0};
    size_t count = req->count == 0 ? 1 : req->count;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    if (count > SB_MAX_FORKS) {
        (void)sb_err_set(&err, SB_INVALID, "count: %zu, at most %d", count, (int)SB_MAX_FORKS);
        sb_rpc_call_fail(call, &err);
        return;
    }
    struct fork *fork = fork_new(worker, call, SB_MAX_FORKS, &err);
    if (fork == NULL) {
        sb_rpc_call_fail(call, &err);
        return;
    }
    fork->is_here = caller.is_here;
    if (begin(fork, &caller, req, count, &rate, &err) < 0) {
        fork->is_over = true;
        if (fork->snapshot != NULL) { /* else they are not ours */
            destroy_all(fork, "another one of its fork failed");
        }
        fork_free(fork);
        sb_api_refuse(call, &rate, &err);
        return;
    }
    sb_rpc_call_set_user(call, fork);
    look(fork);
}

void sb_api_fork_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)svc;
    struct fork *fork = sb_rpc_call_user(call);
    if (fork == NULL) {
        return;
    }
    sb_rpc_call_set_user(call, NULL);
    fork->call = NULL;
    if (!cancelled || fork->is_over || fork->snapshot == NULL) {
        fork_free(fork);
    } else if (fork->is_owner) {
        fork->is_over = true;
        destroy_all(fork, "the call that made it ended before it could be told of it");
        fork_free(fork);
    } /* else it goes on for who comes back with the request_id */
}
