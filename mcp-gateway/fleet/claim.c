#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aisbx/v1/worker_service.rpc.h"
#include "base/log.h"
#include "mcp-gateway/fleet/fleet_internal.h"
#include "mcp-gateway/fleet/pbpath.h"
#include "mcp-gateway/shared/shared.h"

enum { CLAIM_MS = 5000 };

/** A question to the worker that remembers, and what it said; then one to the shared store, which
 *  has the last word. Only what a worker has admitted gets there. */
struct sb_claim {
    struct sb_leg leg;
    bool is_asking;
    bool is_release;
    struct sb_shared_ask *stored;   /* NULL: not under way */
    bool is_stored;                 /* the store has it */
    char hash[SB_SHARED_HASH_SIZE]; /* its name there */
    char witness_id[SB_ID_SIZE];
    char first_id[SB_ID_SIZE]; /* where the call goes if it went nowhere before */
    char owner_id[SB_ID_SIZE]; /* where it went; "": not told yet */
};

static const char *request_id_of(const struct sb_fleet_call *call)
{
    const ProtobufCMessage *message =
        call->message != NULL ? call->message
                              : SB_LIST_ENTRY(call->pending.next, struct sb_pending, node)->message;
    const char *id = sb_pbpath_text(message, "request_id");
    return id != NULL ? id : sb_pbpath_text(message, "start.request_id");
}

static struct sb_member *by_id(const struct sb_fleet *fleet, const char *id)
{
    struct sb_member *member = sb_fleet_by_tag(fleet, sb_id_tag(sb_str_from(id), "wk_"));
    return member != NULL && strcmp(member->id, id) == 0 && sb_fleet_is_up(member) ? member : NULL;
}

static void on_reply(struct sb_leg *leg, const ProtobufCMessage *message, void *user)
{
    (void)leg;
    struct sb_claim *claim = ((struct sb_fleet_call *)user)->claim;
    const Aisbx__V1__ClaimRequestResponse *reply = (const void *)message;
    (void)snprintf(claim->owner_id, sizeof claim->owner_id, "%s", reply->worker_id);
}

/* It is known where the call belongs. */
static void settle(struct sb_fleet_call *call)
{
    const struct sb_claim *claim = call->claim;
    struct sb_member *owner = by_id(call->fleet, claim->owner_id);
    if (owner != NULL) {
        sb_fleet_begin(call, owner);
    } else {
        sb_fleet_fail_lost(call, SB_PRECONDITION,
                           "request_id %s went to worker %s, which is lost: it may have been done; "
                           "use a new one to do it again",
                           request_id_of(call), claim->owner_id);
    }
}

static void on_stored(void *ctx, const char *owner, const struct sb_err *err)
{
    struct sb_fleet_call *call = ctx;
    struct sb_claim *claim = call->claim;
    claim->stored = NULL;
    if (call->fleet->is_closing) {
        return; /* it is ended with the fleet */
    }
    if (err->code == SB_OK) {
        claim->is_stored = true;
        (void)snprintf(claim->owner_id, sizeof claim->owner_id, "%s", owner);
    } else if (!sb_shared_goes_on_without(call->fleet->options.shared)) {
        char text[SB_ERR_TEXT_SIZE];
        (void)snprintf(
            text, sizeof text,
            "nothing was done: %.300s, and without it request_id might be done twice; try "
            "again, or leave request_id out",
            err->text);
        sb_fleet_fail_unavailable(call, text);
        return;
    }
    settle(call);
}

/* A worker has said whose it is; two of them may say different things when others were lost. */
static void store(struct sb_fleet_call *call)
{
    struct sb_err err;
    struct sb_claim *claim = call->claim;
    struct sb_shared *shared = call->fleet->options.shared;
    if (shared == NULL) {
        settle(call);
    } else if (sb_shared_hash(sb_fleet_caller(call), call->method->name, request_id_of(call),
                              claim->hash, &err) < 0 ||
               (claim->stored = sb_shared_claim(shared, claim->hash, claim->owner_id, on_stored,
                                                call, &err)) == NULL) {
        on_stored(call, NULL, &err);
    }
}

static void on_done(struct sb_leg *leg, const struct sb_err *err, void *user)
{
    struct sb_fleet_call *call = user;
    struct sb_claim *claim = call->claim;
    bool is_loss = sb_fleet_is_loss(leg, err);
    claim->is_asking = false;
    if (call->is_cancelled || call->fleet->is_closing) {
        struct sb_err ended;
        (void)sb_err_set(&ended, SB_CANCELLED, "cancelled");
        sb_fleet_finish(call, &ended);
    } else if (claim->is_release) {
        claim->owner_id[0] = '\0';
        sb_fleet_route(call);
    } else if (err->code == SB_OK && claim->owner_id[0] != '\0') {
        store(call);
    } else if (is_loss && call->n_tried < SB_FLEET_TRIES) {
        call->tried[call->n_tried++] = leg->member; /* another one remembers */
        sb_fleet_route(call);
    } else {
        call->ended = leg;
        sb_fleet_finish(call, err);
    }
}

static const struct sb_leg_callbacks callbacks = {.message = on_reply, .done = on_done};

static bool ask(struct sb_fleet_call *call, struct sb_member *witness, bool is_release)
{
    struct sb_err err;
    struct sb_claim *claim = call->claim;
    Aisbx__V1__ClaimRequestRequest req;
    struct sb_rpc_stream_options options = sb_fleet_stream_options(call);
    union {
        const char *in;
        char *out;
    } id = {.in = request_id_of(call)}, method = {.in = call->method->name}; /* only packed */
    aisbx__v1__claim_request_request__init(&req);
    req.request_id = id.out;
    req.method = method.out;
    req.worker_id = is_release ? claim->owner_id : claim->first_id;
    req.release = is_release;
    if (options.timeout_ms == 0 || options.timeout_ms > CLAIM_MS) {
        options.timeout_ms = CLAIM_MS;
    }
    claim->leg = (struct sb_leg){.callbacks = &callbacks, .user = call};
    claim->is_release = is_release;
    claim->is_asking =
        sb_leg_start(
            &claim->leg, witness,
            &aisbx__v1__worker_service__methods[AISBX__V1__WORKER_SERVICE__METHOD_CLAIM_REQUEST],
            &req.base, &options, &err) == 0;
    return claim->is_asking;
}

void sb_claim_ask(struct sb_fleet_call *call, struct sb_member *witness, struct sb_member *first)
{
    struct sb_err err;
    if (call->claim == NULL && (call->claim = calloc(1, sizeof *call->claim)) == NULL) {
        (void)sb_err_oom(&err);
        sb_fleet_fail(call, &err);
        return;
    }
    if (call->claim->is_asking || call->claim->stored != NULL) {
        return;
    }
    (void)snprintf(call->claim->witness_id, SB_ID_SIZE, "%s", witness->id);
    (void)snprintf(call->claim->first_id, SB_ID_SIZE, "%s", first->id);
    call->claim->owner_id[0] = '\0';
    if (ask(call, witness, false)) {
        sb_fleet_stop_waiting(call);
    } else {
        sb_fleet_wait(call); /* it has just gone: its loss is news */
    }
}

bool sb_claim_release(struct sb_fleet_call *call)
{
    struct sb_claim *claim = call->claim;
    struct sb_member *witness =
        claim == NULL || claim->owner_id[0] == '\0' ? NULL : by_id(call->fleet, claim->witness_id);
    if (claim != NULL && claim->is_stored) {
        claim->is_stored = false;
        sb_shared_release(call->fleet->options.shared, claim->hash, claim->owner_id);
    }
    /* When the owner told of itself, there is no claim of it, but where it was asked as the only
     * one. */
    return witness != NULL &&
           (strcmp(claim->owner_id, claim->witness_id) != 0 ||
            strcmp(claim->first_id, claim->witness_id) == 0) &&
           ask(call, witness, true);
}

static void forget_stored(struct sb_claim *claim)
{
    if (claim->stored != NULL) {
        sb_shared_forget(claim->stored);
        claim->stored = NULL;
    }
}

void sb_claim_cancel(struct sb_fleet_call *call)
{
    if (call->claim->is_asking) {
        sb_leg_cancel(&call->claim->leg);
    } else {
        struct sb_err err;
        forget_stored(call->claim);
        (void)sb_err_set(&err, SB_CANCELLED, "cancelled");
        sb_fleet_fail(call, &err);
    }
}

void sb_claim_free(struct sb_claim *claim)
{
    if (claim != NULL) {
        forget_stored(claim);
    }
    free(claim);
}
