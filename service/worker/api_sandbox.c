#include "service/worker/api_sandbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "service/worker/api.h"
#include "service/worker/api_batch.h"
#include "service/worker/api_exec.h"
#include "service/worker/api_gate.h"
#include "service/worker/api_network.h"
#include "service/worker/api_pause.h"
#include "service/worker/api_pb.h"
#include "service/worker/api_run.h"
#include "service/worker/api_stream.h"
#include "service/worker/api_watch.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/request.h"
#include "service/worker/process/home.h"
#include "service/worker/sandbox.h"
#include "service/worker/snapshot/api_snapshot.h"
#include "service/worker/watch.h"
#include "service/worker/worker.h"

enum { QUESTION_MAX = 64 << 10 };

/* ---- calls that wait for a state ---- */

/** Create and Destroy. */
struct wait {
    struct sb_sandbox_observer observer;
    struct sb_rpc_call *call;
    struct sb_sandbox *sandbox;
    bool is_owner; /* the sandbox goes when the call does, before it was answered */
    bool is_here;
    bool is_over;
};

static struct wait *wait_new(struct sb_rpc_call *call,
                             struct sb_sandbox *sandbox,
                             const struct sb_caller *caller,
                             void (*changed)(struct sb_sandbox_observer *, struct sb_sandbox *))
{
    struct sb_err err;
    struct wait *wait = calloc(1, sizeof *wait);
    if (wait == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return NULL;
    }
    wait->observer.changed = changed;
    wait->call = call;
    wait->sandbox = sandbox;
    wait->is_here = caller->is_here;
    sb_sandbox_observe(sandbox, &wait->observer);
    sb_rpc_call_set_user(call, wait);
    return wait;
}

static void wait_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)svc;
    struct wait *wait = sb_rpc_call_user(call);
    if (wait == NULL) {
        return;
    }
    sb_rpc_call_set_user(call, NULL);
    sb_sandbox_unobserve(&wait->observer);
    if (cancelled && wait->is_owner) {
        sb_sandbox_destroy(wait->sandbox, SB_REASON_CANCELLED,
                           "the call that made it ended before it could be told of it");
    }
    free(wait);
}

/* ---- CreateSandbox ---- */

static void answer_create(struct wait *wait)
{
    struct sb_err err = wait->sandbox->start_err;
    Aisbx__V1__CreateSandboxResponse *msg = NULL;
    if (err.code == SB_OK && wait->sandbox->state > SB_STATE_PAUSED) {
        (void)sb_err_set(&err, SB_ABORTED, "sandbox %s is %s: %s", wait->sandbox->id,
                         sb_state_name(wait->sandbox->state), wait->sandbox->destroy_message);
    }
    if (err.code == SB_OK) {
        msg = sb_api_pb_new(&aisbx__v1__create_sandbox_response__descriptor);
        if (msg != NULL) {
            msg->sandbox = sb_api_pb_sandbox(wait->sandbox, wait->is_here);
            if (msg->sandbox == NULL) {
                (void)sb_err_oom(&err);
            }
        }
    }
    wait->is_over = true;
    sb_api_finish(wait->call, msg, &err);
}

static void on_created(struct sb_sandbox_observer *observer, struct sb_sandbox *sandbox)
{
    struct wait *wait = SB_LIST_ENTRY(observer, struct wait, observer);
    bool is_settled = sandbox->state == SB_STATE_RUNNING || sandbox->state == SB_STATE_PAUSED ||
                      sandbox->state == SB_STATE_DESTROYED;
    if (!wait->is_over && is_settled) {
        answer_create(wait);
    }
}

/** Nobody's but the tenant's: it stays when the call goes. */
static int create_home(struct sb_worker *worker,
                       const struct sb_caller *caller,
                       const Aisbx__V1__CreateSandboxRequest *req,
                       struct sb_rate *ret_rate,
                       struct sb_sandbox **ret_sandbox,
                       struct sb_err *err)
{
    if (req->sandbox != NULL || req->snapshot_id[0] != '\0' || req->request_id[0] != '\0' ||
        req->first_language[0] != '\0') {
        return sb_err_set(
            err, SB_INVALID,
            "home: what it is says the worker; leave sandbox, snapshot_id, first_language and "
            "request_id out");
    }
    return sb_home_open(worker, caller, ret_rate, ret_sandbox, err);
}

/** Returns 1: made now, 0: the first call with this request_id made it, or -1. */
static int create(struct sb_worker *worker,
                  const struct sb_caller *caller,
                  const Aisbx__V1__CreateSandboxRequest *req,
                  struct sb_rate *ret_rate,
                  struct sb_sandbox **ret_sandbox,
                  struct sb_err *err)
{
    char known[SB_ID_SIZE];
    const struct sb_idem_call id = {caller->actor, "CreateSandbox", req->request_id, &req->base};
    struct sb_snapshot *base = NULL;
    if (req->home) {
        return create_home(worker, caller, req, ret_rate, ret_sandbox, err);
    }
    if (sb_idem_find(&worker->idem, &id, sb_clock_real_ms(), known, err) < 0) {
        return -1;
    }
    if (known[0] != '\0') {
        return sb_api_find_sandbox(worker, caller, known, ret_sandbox, err);
    }
    if (req->snapshot_id[0] != '\0' &&
        sb_api_find_snapshot(worker, caller, req->snapshot_id, &base, err) < 0) {
        return -1;
    }
    if (base != NULL && base->state != SB_SNAPSHOT_KEPT) {
        return sb_err_set(err, SB_UNAVAILABLE, "snapshot %s is still being taken; try again",
                          base->id);
    }
    SB_CLEANUP(sb_request_freep) struct sb_request *request = NULL;
    if (sb_request_make(req->sandbox, "sandbox", &request, err) < 0) {
        return -1;
    }
    struct sb_warm_want first = {.is_only = false};
    bool has_first = req->first_language[0] != '\0';
    if (has_first && sb_language_from(sb_str_from(req->first_language), &first.language, err) < 0) {
        return sb_err_wrap(err, "first_language");
    }
    const struct sb_lineage lineage = sb_gate_lineage(caller->ticket);
    const struct sb_sandbox_options options = {
        .owner = caller->actor,
        .tenant = caller->tenant,
        .rate = ret_rate,
        .request = request,
        .first = has_first && sb_warm_can(first.language) ? &first : NULL,
        .is_admin = sb_caller_is_admin(caller),
        .peer_fd = caller->peer_fd,
        .base = base,
        .lineage = &lineage,
    };
    if (sb_sandbox_new(worker, &options, ret_sandbox, err) < 0) {
        return -1;
    }
    sb_gate_note(caller->ticket, *ret_sandbox, NULL);
    if (sb_idem_add(&worker->idem, &id, sb_clock_real_ms(), (*ret_sandbox)->id, err) < 0) {
        sb_sandbox_destroy(*ret_sandbox, SB_REASON_CANCELLED, err->text);
        return -1;
    }
    return 1;
}

static void
create_sandbox(struct sb_rpc_call *call, const Aisbx__V1__CreateSandboxRequest *req, void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err;
    struct sb_caller caller;
    struct sb_sandbox *sandbox = NULL;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    struct sb_rate rate = {0};
    int is_first = create(worker, &caller, req, &rate, &sandbox, &err);
    if (is_first < 0) {
        sb_api_refuse(call, &rate, &err);
        return;
    }
    assert(sandbox != NULL);
    struct wait *wait = wait_new(call, sandbox, &caller, on_created);
    if (wait == NULL) {
        return;
    }
    /* With a request_id the caller can come back for it. */
    wait->is_owner = is_first > 0 && req->request_id[0] == '\0';
    on_created(&wait->observer, sandbox);
}

/* ---- DestroySandbox ---- */

static void on_destroyed(struct sb_sandbox_observer *observer, struct sb_sandbox *sandbox)
{
    struct wait *wait = SB_LIST_ENTRY(observer, struct wait, observer);
    if (wait->is_over || sandbox->state != SB_STATE_DESTROYED) {
        return;
    }
    struct sb_err err = {.code = SB_OK};
    Aisbx__V1__DestroySandboxResponse *msg =
        sb_api_pb_new(&aisbx__v1__destroy_sandbox_response__descriptor);
    if (msg != NULL && (msg->sandbox = sb_api_pb_sandbox(sandbox, wait->is_here)) == NULL) {
        (void)sb_err_oom(&err);
    }
    wait->is_over = true;
    sb_api_finish(wait->call, msg, &err);
}

static void
destroy_sandbox(struct sb_rpc_call *call, const Aisbx__V1__DestroySandboxRequest *req, void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err;
    struct sb_caller caller;
    struct sb_sandbox *sandbox = NULL;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    if (sb_api_find_sandbox(worker, &caller, req->sandbox_id, &sandbox, &err) < 0) {
        sb_rpc_call_fail(call, &err);
        return;
    }
    struct wait *wait = wait_new(call, sandbox, &caller, on_destroyed);
    if (wait == NULL) {
        return;
    }
    sb_sandbox_destroy(sandbox, SB_REASON_REQUESTED, "DestroySandbox was called");
    on_destroyed(&wait->observer, sandbox);
}

/* ---- GetSandbox, UpdateSandbox ---- */

static int find_home(const struct sb_worker *worker,
                     const struct sb_caller *caller,
                     const Aisbx__V1__GetSandboxRequest *req,
                     struct sb_sandbox **ret_sandbox,
                     struct sb_err *err)
{
    if (req->sandbox_id[0] != '\0') {
        return sb_err_set(err, SB_INVALID, "sandbox_id: either it or home");
    }
    struct sb_sandbox *sandbox = sb_home_find(worker, caller);
    if (sandbox == NULL || sandbox->state == SB_STATE_STARTING) {
        return sb_err_set(err, SB_NOT_FOUND,
                          "no sandbox of one's own runs (CreateSandbox with home makes it)");
    }
    *ret_sandbox = sandbox;
    return 0;
}

static void
get_sandbox(struct sb_rpc_call *call, const Aisbx__V1__GetSandboxRequest *req, void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err = {.code = SB_OK};
    struct sb_caller caller;
    struct sb_sandbox *sandbox = NULL;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    if (req->home ? find_home(worker, &caller, req, &sandbox, &err) < 0
                  : sb_api_find_sandbox(worker, &caller, req->sandbox_id, &sandbox, &err) < 0) {
        sb_rpc_call_fail(call, &err);
        return;
    }
    Aisbx__V1__GetSandboxResponse *msg =
        sb_api_pb_new(&aisbx__v1__get_sandbox_response__descriptor);
    if (msg != NULL && (msg->sandbox = sb_api_pb_sandbox(sandbox, caller.is_here)) == NULL) {
        (void)sb_err_oom(&err);
    }
    sb_api_finish(call, msg, &err);
}

static int update_ttl(struct sb_sandbox *sandbox, struct sb_request *to, struct sb_err *err)
{
    (void)err;
    sb_sandbox_set_ttl(sandbox, to->ttl_ms);
    return 0;
}

static int update_idle(struct sb_sandbox *sandbox, struct sb_request *to, struct sb_err *err)
{
    (void)err;
    sb_sandbox_set_idle(sandbox, to->idle_ms);
    return 0;
}

static int update_labels(struct sb_sandbox *sandbox, struct sb_request *to, struct sb_err *err)
{
    (void)err;
    sb_pairs_done(&sandbox->labels);
    sandbox->labels = to->labels;
    to->labels = (struct sb_pairs){NULL, 0};
    return 0;
}

static const struct {
    const char *path;
    int (*apply)(struct sb_sandbox *sandbox, struct sb_request *to, struct sb_err *err);
} updates[] = {
    {"ttl_ms", update_ttl},
    {"idle_ms", update_idle},
    {"labels", update_labels},
};
enum { N_UPDATES = sizeof updates / sizeof *updates };

/** Bits of updates[] that the mask names. */
static int
read_mask(const Google__Protobuf__FieldMask *mask, unsigned *ret_bits, struct sb_err *err)
{
    unsigned bits = 0;
    for (size_t i = 0; mask != NULL && i < mask->n_paths; i++) {
        size_t k = 0;
        while (k < N_UPDATES && strcmp(mask->paths[i], updates[k].path) != 0) {
            k++;
        }
        if (k == N_UPDATES) {
            return sb_err_set(
                err, SB_INVALID,
                "update_mask: %s cannot be changed; what can is ttl_ms, idle_ms, labels",
                mask->paths[i]);
        }
        bits |= 1U << k;
    }
    if (bits == 0) {
        return sb_err_set(err, SB_INVALID, "update_mask: names no field");
    }
    *ret_bits = bits;
    return 0;
}

static int
update(struct sb_sandbox *sandbox, const Aisbx__V1__UpdateSandboxRequest *req, struct sb_err *err)
{
    SB_CLEANUP(sb_request_freep) struct sb_request *request = NULL;
    unsigned bits = 0;
    if (sandbox->state > SB_STATE_PAUSED) {
        return sb_err_set(err, SB_PRECONDITION, "sandbox %s is %s", sandbox->id,
                          sb_state_name(sandbox->state));
    }
    if (read_mask(req->update_mask, &bits, err) < 0 ||
        sb_request_make(req->sandbox, "sandbox", &request, err) < 0) {
        return -1;
    }
    for (size_t k = 0; k < N_UPDATES; k++) {
        if ((bits >> k & 1) != 0 && updates[k].apply(sandbox, request, err) < 0) {
            return -1;
        }
    }
    sb_watch_sandbox(sandbox->worker, SB_WATCH_CHANGED, sandbox);
    return 0;
}

static void
update_sandbox(struct sb_rpc_call *call, const Aisbx__V1__UpdateSandboxRequest *req, void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err = {.code = SB_OK};
    struct sb_caller caller;
    struct sb_sandbox *sandbox = NULL;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    if (sb_api_find_sandbox(worker, &caller, req->sandbox_id, &sandbox, &err) < 0 ||
        update(sandbox, req, &err) < 0) {
        sb_rpc_call_fail(call, &err);
        return;
    }
    Aisbx__V1__UpdateSandboxResponse *msg =
        sb_api_pb_new(&aisbx__v1__update_sandbox_response__descriptor);
    if (msg != NULL && (msg->sandbox = sb_api_pb_sandbox(sandbox, caller.is_here)) == NULL) {
        (void)sb_err_oom(&err);
    }
    sb_api_finish(call, msg, &err);
}

/* ---- ListSandboxes ---- */

static bool has_labels(const struct sb_sandbox *sandbox, const Aisbx__V1__ListSandboxesRequest *req)
{
    for (size_t i = 0; i < req->n_labels; i++) {
        const char *value = sb_pairs_get(&sandbox->labels, sb_str_from(req->labels[i]->key));
        if (value == NULL || strcmp(value, req->labels[i]->value) != 0) {
            return false;
        }
    }
    return true;
}

static bool has_state(const struct sb_sandbox *sandbox, const Aisbx__V1__ListSandboxesRequest *req)
{
    if (req->n_states == 0) {
        return sandbox->state != SB_STATE_DESTROYED;
    }
    for (size_t i = 0; i < req->n_states; i++) {
        if ((unsigned)req->states[i] == (unsigned)sandbox->state) {
            return true;
        }
    }
    return false;
}

static bool matches(const struct sb_sandbox *sandbox,
                    const struct sb_caller *caller,
                    const Aisbx__V1__ListSandboxesRequest *req)
{
    return !sandbox->is_internal && sb_caller_sees(caller, sandbox->tenant) &&
           has_state(sandbox, req) &&
           (req->profile[0] == '\0' || strcmp(req->profile, sandbox->policy->profile) == 0) &&
           has_labels(sandbox, req);
}

/** Hash of who asks for what: a token is good for that only. */
static int question_of(const struct sb_worker *worker,
                       const struct sb_caller *caller,
                       const Aisbx__V1__ListSandboxesRequest *req,
                       uint64_t *ret_question,
                       struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(QUESTION_MAX);
    int rc = sb_buf_printf(&text, "sandboxes|%s|%s", caller->actor, req->profile);
    for (size_t i = 0; i < req->n_states && rc == 0; i++) {
        rc = sb_buf_printf(&text, "|%d", (int)req->states[i]);
    }
    for (size_t i = 0; i < req->n_labels && rc == 0; i++) {
        rc = sb_buf_printf(&text, "|%s=%s", req->labels[i]->key, req->labels[i]->value);
    }
    if (rc < 0) {
        return sb_err_set(err, SB_INVALID, "states, labels: too many filters");
    }
    *ret_question = sb_hash_sip13(worker->page_key.key, sb_buf_cstr(&text), text.len);
    return 0;
}

static int fill_page(const struct sb_worker *worker,
                     const struct sb_caller *caller,
                     const Aisbx__V1__ListSandboxesRequest *req,
                     Aisbx__V1__ListSandboxesResponse *msg,
                     struct sb_err *err)
{
    uint64_t question = 0;
    uint64_t cursor = 0;
    uint64_t last = 0;
    size_t size = sb_page_size(req->page_size);
    if (question_of(worker, caller, req, &question, err) < 0 ||
        sb_page_cursor(&worker->page_key, sb_str_from(req->page_token), question, &cursor, err) <
            0) {
        return -1;
    }
    msg->sandboxes = calloc(size, sizeof(Aisbx__V1__Sandbox *));
    if (msg->sandboxes == NULL) {
        return sb_err_oom(err);
    }
    SB_FOREACH (node, &worker->registry.sandbox_list) {
        const struct sb_sandbox *sandbox = SB_LIST_ENTRY(node, struct sb_sandbox, link);
        if (sandbox->seq >= cursor || !matches(sandbox, caller, req)) {
            continue;
        }
        if (msg->n_sandboxes == size) {
            char token[SB_PAGE_TOKEN_SIZE];
            sb_page_token(&worker->page_key, last, question, token);
            return sb_api_pb_text(&msg->next_page_token, token) ? 0 : sb_err_oom(err);
        }
        Aisbx__V1__Sandbox *item = sb_api_pb_sandbox(sandbox, caller->is_here);
        if (item == NULL) {
            return sb_err_oom(err);
        }
        msg->sandboxes[msg->n_sandboxes++] = item;
        last = sandbox->seq;
    }
    return 0;
}

static void
list_sandboxes(struct sb_rpc_call *call, const Aisbx__V1__ListSandboxesRequest *req, void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_caller caller;
    struct sb_err err = {.code = SB_OK};
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    Aisbx__V1__ListSandboxesResponse *msg =
        sb_api_pb_new(&aisbx__v1__list_sandboxes_response__descriptor);
    if (msg != NULL) {
        (void)fill_page(worker, &caller, req, msg, &err);
    }
    sb_api_finish(call, msg, &err);
}

/* Rows that are not here answer UNIMPLEMENTED. */
const struct aisbx__v1__sandbox_service__server sb_api_sandbox_service = {
    .create_sandbox = {create_sandbox, wait_done},
    .get_sandbox = {get_sandbox, NULL},
    .list_sandboxes = {list_sandboxes, NULL},
    .update_sandbox = {update_sandbox, NULL},
    .update_network = {sb_api_network_update, sb_api_network_done},
    .destroy_sandbox = {destroy_sandbox, wait_done},
    .pause_sandbox = {sb_api_pause_start, sb_api_pause_done},
    .resume_sandbox = {sb_api_pause_resume, sb_api_pause_done},
    .snapshot_sandbox = {sb_api_snapshot_take, sb_api_snapshot_done},
    .list_snapshots = {sb_api_snapshot_list, NULL},
    .delete_snapshot = {sb_api_snapshot_delete, NULL},
    .fork_sandbox = {sb_api_fork_start, sb_api_fork_done},
    .rollback_sandbox = {sb_api_rollback_start, sb_api_rollback_done},
    .watch_sandboxes = {sb_api_watch_start, sb_api_watch_drained, sb_api_watch_done},
    .run = {sb_api_run_start, sb_api_run_done},
    .run_batch = {sb_api_batch_start, sb_api_batch_drained, sb_api_batch_done},
    .start_exec = {sb_api_stream_start_exec, sb_api_stream_drained, sb_api_stream_done},
    .interact_exec = {sb_api_stream_interact, sb_api_stream_interact_message,
                      sb_api_stream_interact_half_close, sb_api_stream_drained, sb_api_stream_done},
    .attach_exec = {sb_api_stream_attach, sb_api_stream_drained, sb_api_stream_done},
    .get_exec = {sb_api_exec_get, NULL},
    .list_execs = {sb_api_exec_list, NULL},
    .read_exec_output = {sb_api_exec_read, sb_api_exec_wait_done},
    .send_exec_input = {sb_api_exec_send_input, NULL},
    .signal_exec = {sb_api_exec_signal, NULL},
    .cancel_exec = {sb_api_exec_cancel, sb_api_exec_wait_done},
    .resize_exec = {sb_api_exec_resize, NULL},
};
