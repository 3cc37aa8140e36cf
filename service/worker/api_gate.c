#include "service/worker/api_gate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/list.h"
#include "proto/rpc/rpc.h"
#include "service/worker/acts.h"
#include "service/worker/api.h"
#include "service/worker/api_gate_internal.h"
#include "service/worker/claims.h"
#include "service/worker/elsewhere.h"
#include "service/worker/exec.h"
#include "service/worker/idem_store.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/profiles.h"
#include "service/worker/probe.h"
#include "service/worker/registry.h"
#include "service/worker/sandbox.h"
#include "service/worker/spans.h"
#include "service/worker/trail/detail.h"
#include "service/worker/trail/trail.h"
#include "service/worker/worker.h"
#include "trail/action.h"

#define SANDBOX_SERVICE "aisbx.v1.SandboxService"

/* ---- what a call is about ---- */

static void note_sandbox(struct sb_ticket *ticket, const struct sb_sandbox *sandbox)
{
    (void)snprintf(ticket->sandbox_id, sizeof ticket->sandbox_id, "%s", sandbox->id);
    if (sandbox->policy != NULL) {
        (void)snprintf(ticket->policy_hash, sizeof ticket->policy_hash, "%s",
                       sandbox->policy->hash);
    }
}

void sb_gate_note(struct sb_ticket *ticket,
                  const struct sb_sandbox *sandbox,
                  const struct sb_exec *exec)
{
    if (ticket == NULL) {
        return;
    }
    note_sandbox(ticket, sandbox);
    if (exec != NULL) {
        (void)snprintf(ticket->exec_id, sizeof ticket->exec_id, "%s", exec->id);
    }
}

void sb_gate_goes_on(struct sb_ticket *ticket)
{
    if (ticket != NULL) {
        ticket->goes_on = true;
    }
}

static void
take_id(const ProtobufCMessage *msg, const char *const *paths, const char *prefix, char *out)
{
    for (size_t i = 0; paths[i] != NULL && out[0] == '\0'; i++) {
        const char *id = sb_detail_text(msg, paths[i]);
        if (id != NULL && sb_id_valid(sb_str_from(id), prefix)) {
            (void)snprintf(out, SB_ID_SIZE, "%s", id);
        }
    }
}

static void take_sandbox_id(const ProtobufCMessage *msg, char *out)
{
    static const char *const paths[] = {
        "sandbox_id",        "target.sandbox_id", "start.target.sandbox_id",
        "header.sandbox_id", "open.sandbox_id",   NULL};
    take_id(msg, paths, "sb_", out);
}

/** The ids that the request names, and the policy they stand under when the caller may know. */
static void look_up(struct sb_ticket *ticket, const ProtobufCMessage *msg)
{
    static const char *const execs[] = {"exec_id", NULL};
    const struct sb_registry *registry = &ticket->worker->registry;
    take_sandbox_id(msg, ticket->sandbox_id);
    take_id(msg, execs, "ex_", ticket->exec_id);
    const struct sb_exec *exec =
        ticket->exec_id[0] == '\0' ? NULL : sb_registry_exec(registry, ticket->exec_id);
    const struct sb_sandbox *sandbox =
        exec != NULL
            ? exec->sandbox
            : (ticket->sandbox_id[0] == '\0' ? NULL
                                             : sb_registry_sandbox(registry, ticket->sandbox_id));
    if (sandbox != NULL && sb_caller_sees(&ticket->caller, sandbox->tenant)) {
        note_sandbox(ticket, sandbox);
    }
}

/* ---- the way in ---- */

static void ticket_free(struct sb_ticket *ticket)
{
    sb_list_remove(&ticket->link);
    sb_idem_note_end(&ticket->worker->idem, ticket->note);
    free(ticket);
}

static void on_intent(void *ctx, const struct sb_err *err)
{
    struct sb_ticket *ticket = ctx;
    struct sb_rpc_call *call = ticket->call;
    ticket->is_waiting = false;
    ticket->has_intent = err == NULL;
    if (err == NULL && ticket->note_err.code != SB_OK) {
        err = &ticket->note_err;
    }
    if (ticket->has_left) {
        if (ticket->has_intent) {
            sb_gate_write_outcome(ticket, NULL);
        }
        ticket_free(ticket);
    } else if (err != NULL) {
        struct sb_err failure;
        (void)sb_err_set(&failure, SB_UNAVAILABLE,
                         "nothing was done, as it could not be written down before: %s", err->text);
        sb_rpc_call_fail(call, &failure);
    } else {
        sb_rpc_call_pass(call);
    }
    sb_rpc_call_unref(call);
}

/** Told before on_intent: both were posted in that order. */
static void on_noted(void *ctx, const struct sb_err *err)
{
    struct sb_ticket *ticket = ctx;
    if (err != NULL) {
        ticket->note_err = *err;
    }
    if (ticket->worker->trail == NULL) {
        on_intent(ticket, NULL);
    }
}

/** What of a first message makes a repeated call a repetition; request_id NULL: nothing. */
static struct sb_idem_call request_of(const struct sb_ticket *ticket, const ProtobufCMessage *msg)
{
    struct sb_idem_call call = {
        .owner = ticket->caller.actor,
        .method = sb_rpc_call_method(ticket->call)->name,
        .content = sb_detail_message(msg, "start"), /* of InteractExec */
    };
    if (call.content == NULL) {
        call.content = msg;
    }
    call.request_id = sb_detail_text(call.content, "request_id");
    return call;
}

/** The request_id is written with the intent: what was done once is not done again, even by the
 *  worker after this one. */
static int note_request(struct sb_ticket *ticket, const ProtobufCMessage *msg, struct sb_err *err)
{
    const struct sb_idem_call call = request_of(ticket, msg);
    return call.request_id == NULL ? 0
                                   : sb_idem_note(&ticket->worker->idem, &call, sb_clock_real_ms(),
                                                  on_noted, ticket, &ticket->note, err);
}

/** It went to another worker before (claims.h). */
static bool
is_claimed(const struct sb_ticket *ticket, const ProtobufCMessage *msg, struct sb_err *err)
{
    struct sb_worker *worker = ticket->worker;
    const struct sb_idem_call call = request_of(ticket, msg);
    return call.request_id != NULL &&
           sb_claims_check(&worker->claims, &call, worker->id, sb_clock_real_ms(), err) < 0;
}

/** For gateways that count together (mcp-gateway/fleet/rates.h). */
static void tell_limits(struct sb_rpc_call *call,
                        const struct sb_auth_config *config,
                        const struct sb_caller *caller)
{
    char text[SB_TENANT_SIZE + 100];
    const struct sb_tenant_limits limits = sb_auth_config_limits(config, caller->tenant);
    if (limits.rate != 0 || limits.key_rate != 0) {
        int n = snprintf(text, sizeof text, "%ju %ju %ju %ju %s", (uintmax_t)limits.rate,
                         (uintmax_t)limits.burst, (uintmax_t)limits.key_rate,
                         (uintmax_t)limits.key_burst, caller->tenant);
        sb_rpc_call_trailer(call, "x-aisbx-rates", text, (size_t)n);
    }
}

/** False: the call has been refused. */
static bool admit(struct sb_ticket *ticket)
{
    struct sb_err err;
    struct sb_rate rate;
    struct sb_rpc_call *call = ticket->call;
    struct sb_worker *worker = ticket->worker;
    const struct sb_auth_call what = {
        .peer = sb_rpc_call_peer(call),
        .method = sb_rpc_call_method(call)->path,
        .key = sb_rpc_call_metadata(call, "x-api-key", NULL),
        .authorization = sb_rpc_call_metadata(call, "authorization", NULL),
        .via = sb_rpc_call_metadata(call, "x-aisbx-via", NULL),
        .identity = sb_rpc_call_metadata(call, "x-aisbx-identity", NULL),
        .from = sb_rpc_call_metadata(call, "x-aisbx-peer", NULL),
        .protocol = sb_rpc_call_metadata(call, "x-aisbx-protocol", NULL),
        .peer_fd = sb_rpc_call_peer_fd(call),
    };
    if (sb_auth_admit(&worker->auth, sb_profiles_auth(worker->profiles), &what, &ticket->caller,
                      &rate, &err) < 0) {
        sb_api_refuse(call, &rate, &err);
        return false;
    }
    ticket->caller.ticket = ticket;
    ticket->is_admitted = true;
    sb_api_tell_rate(call, &rate);
    tell_limits(call, sb_profiles_auth(worker->profiles), &ticket->caller);
    if (sb_act_ends_with_key(ticket->act)) {
        sb_list_append(&worker->lookers, &ticket->link);
    }
    return true;
}

void sb_gate_cut(struct sb_worker *worker, const char *actor)
{
    struct sb_err err;
    (void)sb_err_set(&err, SB_UNAUTHENTICATED, "%s was revoked", actor);
    SB_FOREACH (node, &worker->lookers) {
        struct sb_ticket *ticket = SB_LIST_ENTRY(node, struct sb_ticket, link);
        if (strcmp(ticket->caller.actor, actor) == 0) {
            sb_rpc_call_fail(ticket->call, &err); /* leaves, which frees the ticket and no other */
        }
    }
}

static bool fail(struct sb_rpc_call *call, const struct sb_err *err)
{
    sb_rpc_call_fail(call, err);
    return false;
}

/** What of this message is to be written before it acts; NULL: nothing. */
static const char *
action_of(struct sb_ticket *ticket, const ProtobufCMessage *msg, const char **ret_detail)
{
    const struct sb_act *act = ticket->act;
    *ret_detail = NULL;
    if (ticket->action == NULL) {
        *ret_detail = act->detail;
        return act->action;
    }
    for (size_t i = 0; act->more != NULL && act->more[i].field != NULL; i++) {
        const struct sb_act_more *more = &act->more[i];
        if (sb_detail_has(msg, more->field) && (ticket->had_once >> i & 1) == 0) {
            ticket->had_once |= more->is_once ? 1U << i : 0;
            *ret_detail = more->field;
            return more->action;
        }
    }
    return NULL;
}

static struct sb_ticket *ticket_new(struct sb_worker *worker, struct sb_rpc_call *call)
{
    struct sb_ticket *ticket = calloc(1, sizeof *ticket);
    if (ticket != NULL) {
        ticket->worker = worker;
        ticket->call = call;
        ticket->act = sb_act_find(sb_rpc_call_method(call)->path);
        sb_spans_call_begin(worker, call, &ticket->span);
        sb_rpc_call_set_ticket(call, ticket);
    }
    return ticket;
}

static bool begin(struct sb_ticket *ticket, const ProtobufCMessage *msg)
{
    struct sb_err err;
    const char *detail = NULL;
    bool is_first = ticket->action == NULL;
    bool is_kept = ticket->worker->trail != NULL;
    const char *action = action_of(ticket, msg, &detail);
    if (action == NULL) {
        return true;
    }
    ticket->action = action;
    if (ticket->sandbox_id[0] == '\0') {
        look_up(ticket, msg);
    }
    if (is_first && is_claimed(ticket, msg, &err)) {
        return fail(ticket->call, &err);
    }
    int rc = is_first ? note_request(ticket, msg, &err) : 0;
    if (rc == 0 && !is_kept && (!is_first || ticket->note == NULL)) {
        return true;
    }
    if (rc < 0 || (is_kept && sb_gate_write_intent(ticket, msg, detail, on_intent, &err) < 0)) {
        (void)sb_err_wrap(&err, "nothing was done, as it could not be written down before");
        return fail(ticket->call, &err);
    }
    ticket->is_waiting = true;
    sb_rpc_call_ref(ticket->call);
    return false;
}

/** Whether the answer shows the controls in force, and nobody knows them yet. */
static bool wants_controls(const struct sb_ticket *ticket, const ProtobufCMessage *msg)
{
    const ProtobufCMessage *start = sb_detail_message(msg, "start"); /* of InteractExec */
    bool shows = strcmp(sb_rpc_call_method(ticket->call)->service, SANDBOX_SERVICE) == 0;
    return shows && !sb_probe_was_made(ticket->worker->probe) &&
           !sb_detail_has(start == NULL ? msg : start, "without_controls");
}

/** A spawner that cannot even be asked is the handler's to tell. */
static void on_probed(struct sb_probe_waiter *waiter, const struct sb_err *err)
{
    (void)err;
    struct sb_ticket *ticket = SB_LIST_ENTRY(waiter, struct sb_ticket, probe);
    struct sb_rpc_call *call = ticket->call;
    ticket->is_probing = false;
    if (begin(ticket, ticket->msg)) {
        sb_rpc_call_pass(call);
    }
    sb_rpc_call_unref(call);
}

static bool enter_known(struct sb_ticket *ticket, const ProtobufCMessage *msg)
{
    struct sb_err err;
    ticket->probe.ready = on_probed;
    if (!wants_controls(ticket, msg) ||
        sb_probe_refresh(ticket->worker->probe, &ticket->probe, &err) < 0) {
        return begin(ticket, msg);
    }
    ticket->msg = msg;
    ticket->is_probing = true;
    sb_rpc_call_ref(ticket->call);
    return false;
}

/** Whether what was before this worker may count for the answer, and was not read yet. */
static bool wants_past(const struct sb_ticket *ticket, const ProtobufCMessage *msg)
{
    char id[SB_ID_SIZE] = "";
    if (sb_tombs_are_read(ticket->worker)) {
        return false;
    }
    const char *request_id = request_of(ticket, msg).request_id;
    if (sb_act_looks_back(ticket->act) || (request_id != NULL && request_id[0] != '\0')) {
        return true;
    }
    take_sandbox_id(msg, id);
    return id[0] != '\0' && sb_registry_sandbox(&ticket->worker->registry, id) == NULL;
}

static void on_past(struct sb_tombs_waiter *waiter, const struct sb_err *err)
{
    struct sb_ticket *ticket = SB_LIST_ENTRY(waiter, struct sb_ticket, tombs);
    struct sb_rpc_call *call = ticket->call;
    ticket->is_recalling = false;
    if (err != NULL) {
        struct sb_err failure = *err;
        (void)sb_err_wrap(&failure, "what was before this worker is not known");
        sb_rpc_call_fail(call, &failure);
    } else if (enter_known(ticket, ticket->msg)) {
        sb_rpc_call_pass(call);
    }
    sb_rpc_call_unref(call);
}

static bool enter_message(struct sb_ticket *ticket, const ProtobufCMessage *msg)
{
    struct sb_err err;
    if (!wants_past(ticket, msg)) {
        return enter_known(ticket, msg);
    }
    ticket->tombs.ready = on_past;
    if (sb_tombs_recall(ticket->worker, &ticket->tombs, &err) < 0) {
        return fail(ticket->call, &err);
    }
    ticket->msg = msg;
    ticket->is_recalling = true;
    sb_rpc_call_ref(ticket->call);
    return false;
}

static bool enter(struct sb_rpc_call *call, const ProtobufCMessage *msg, void *ctx)
{
    struct sb_err err;
    struct sb_ticket *ticket = sb_rpc_call_ticket(call);
    if (ticket != NULL) {
        return enter_message(ticket, msg);
    }
    ticket = ticket_new(ctx, call);
    if (ticket == NULL) {
        (void)sb_err_oom(&err);
        return fail(call, &err);
    }
    if (ticket->act == NULL) {
        (void)sb_err_set(&err, SB_INTERNAL, "%s has no row in the table of acts",
                         sb_rpc_call_method(call)->path);
        return fail(call, &err);
    }
    if (ticket->act->is_open) {
        return true;
    }
    if (!admit(ticket)) {
        return false;
    }
    return msg == NULL ? true : enter_message(ticket, msg);
}

/** For a gateway before many: a failure without this is one of the way, and whether another worker
 *  may do what this one has not begun. */
static void
tell_worker(struct sb_rpc_call *call, const struct sb_worker *worker, const struct sb_err *status)
{
    if (status == NULL || status->code == SB_OK) {
        return;
    }
    sb_rpc_call_trailer(call, "x-aisbx-worker", worker->id, strlen(worker->id));
    if (sb_elsewhere_is(status)) {
        sb_rpc_call_trailer(call, "x-aisbx-elsewhere", "1", 1);
    }
}

static void end_span(const struct sb_ticket *ticket,
                     const struct sb_rpc_call *call,
                     const struct sb_err *status)
{
    bool is_open = ticket->act != NULL && ticket->act->is_open;
    const struct sb_call_end end = {
        .code = sb_code_name(status == NULL ? SB_CANCELLED : status->code),
        .is_good = status != NULL && status->code == SB_OK,
        .tenant = ticket->is_admitted ? ticket->caller.tenant : "",
        .sandbox_id = ticket->sandbox_id,
        .exec_id = ticket->exec_id,
    };
    if (!is_open) {
        sb_spans_call_end(ticket->worker, call, &ticket->span, &end);
    }
}

struct sb_lineage sb_gate_lineage(const struct sb_ticket *ticket)
{
    return ticket == NULL ? (struct sb_lineage){.state = NULL}
                          : sb_spans_lineage(ticket->call, &ticket->span);
}

static void leave(struct sb_rpc_call *call, const struct sb_err *status, void *ctx)
{
    (void)ctx;
    struct sb_ticket *ticket = sb_rpc_call_ticket(call);
    sb_rpc_call_set_ticket(call, NULL);
    if (ticket == NULL) {
        return;
    }
    end_span(ticket, call, status);
    if (ticket->is_admitted) {
        tell_worker(call, ticket->worker, status);
    }
    if (ticket->is_waiting) {
        ticket->has_left = true; /* on_intent ends it */
        return;
    }
    if (ticket->is_recalling) {
        sb_tombs_leave(&ticket->tombs);
        sb_rpc_call_unref(call); /* not the last one, as below */
    }
    if (ticket->is_probing) {
        sb_probe_leave(&ticket->probe);
        sb_rpc_call_unref(call);
    }
    if (ticket->has_intent) {
        ticket->action = ticket->act->action;
        sb_gate_write_outcome(ticket, status);
    } else if (ticket->act != NULL && !ticket->act->is_open &&
               (sb_gate_is_refusal(status) || (!ticket->is_admitted && status != NULL))) {
        bool is_rate = status->code == SB_EXHAUSTED;
        ticket->action = is_rate ? "rate" : "auth";
        sb_gate_write_refusal(ticket, status);
    }
    ticket_free(ticket);
}

const struct sb_caller *sb_gate_caller(const struct sb_rpc_call *call)
{
    const struct sb_ticket *ticket = sb_rpc_call_ticket(call);
    return ticket == NULL ? NULL : &ticket->caller;
}

int sb_gate_install(struct sb_worker *worker, struct sb_err *err)
{
    static const struct sb_rpc_gate gate = {.enter = enter, .leave = leave};
    const struct sb_rpc_method *method = NULL;
    for (size_t i = 0; (method = sb_rpc_server_method(worker->server, i)) != NULL; i++) {
        const struct sb_act *act = sb_act_find(method->path);
        if (act == NULL) {
            return sb_err_set(err, SB_INTERNAL, "%s has no row in the table of acts", method->path);
        }
        if (act->action != NULL && !sb_trail_action_is_known(sb_str_from(act->action))) {
            return sb_err_set(err, SB_INTERNAL, "%s is not in the list of actions", act->action);
        }
    }
    sb_rpc_server_set_gate(worker->server, &gate, worker);
    return 0;
}
