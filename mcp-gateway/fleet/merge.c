#include "mcp-gateway/fleet/merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "mcp-gateway/fleet/merge_internal.h"
#include "mcp-gateway/fleet/rates.h"
#include "proto/client/message.h"

enum {
    MERGE_MS = 10000, /* all may take to say what they have, or a page of it */
    MAX_PAGES = 50,   /* of one worker */
};

/* ---- ends ---- */

void sb_merge_free(struct sb_merge *merge)
{
    if (merge == NULL) {
        return;
    }
    for (size_t i = 0; i < merge->n; i++) {
        if (merge->legs[i]->message != NULL) {
            protobuf_c_message_free_unpacked(merge->legs[i]->message, NULL);
        }
        free(merge->legs[i]);
    }
    sb_page_free(merge->page);
    free(merge);
}

static void cancel_legs(struct sb_merge *merge)
{
    merge->is_ending = true;
    for (size_t i = 0; i < merge->n; i++) {
        if (merge->legs[i]->is_live) {
            sb_leg_cancel(&merge->legs[i]->leg);
        }
    }
}

/* ---- who is missing ---- */

static void miss(struct sb_merge *merge, const char *id)
{
    if (merge->n_missing < SB_MEMBERS_MAX) {
        (void)snprintf(merge->missing[merge->n_missing++], SB_ID_SIZE, "%s",
                       id[0] == '\0' ? "unknown" : id);
    }
}

int sb_merge_tell_missing(const struct sb_merge *merge, ProtobufCMessage *reply, struct sb_err *err)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(reply->descriptor, "missing_workers");
    if (field == NULL || merge->n_missing == 0) {
        return 0;
    }
    size_t *n = (size_t *)(void *)((char *)reply + field->quantifier_offset);
    char ***texts = (char ***)(void *)((char *)reply + field->offset);
    *texts = calloc(merge->n_missing, sizeof **texts);
    while (*texts != NULL && *n < merge->n_missing &&
           ((*texts)[*n] = strdup(merge->missing[*n])) != NULL) {
        (*n)++;
    }
    return *n == merge->n_missing ? 0 : sb_err_oom(err);
}

/* ---- unary ---- */

/* What answers for all: a worker that refuses refuses for the others, too; one that is not reached
 * has lost what it had. */
static const struct sb_merge_leg *failure_of(const struct sb_merge *merge)
{
    const struct sb_merge_leg *worst = NULL;
    bool has_answer = false;
    for (size_t i = 0; i < merge->n; i++) {
        const struct sb_merge_leg *leg = merge->legs[i];
        enum sb_code code = leg->err.code;
        bool is_left_out = code == SB_UNAVAILABLE || code == SB_DEADLINE || code == SB_CANCELLED ||
                           (merge->kind->one_is_enough && code == SB_NOT_FOUND);
        has_answer = has_answer || leg->message != NULL;
        if (leg->message == NULL && (worst == NULL || !is_left_out)) {
            worst = leg;
        }
        if (leg->message == NULL && !is_left_out) {
            return leg;
        }
    }
    return has_answer ? NULL : worst;
}

static void finish_unary(struct sb_fleet_call *call)
{
    struct sb_err err = {.code = SB_OK};
    struct sb_merge *merge = call->merge;
    const struct sb_merge_leg *failure = failure_of(merge);
    if (call->is_cancelled || call->fleet->is_closing) {
        (void)sb_err_set(&err, SB_CANCELLED, "cancelled");
    } else if (merge->is_ending) {
        err = call->failure;
    } else if (failure != NULL) {
        err = failure->err;
    } else {
        for (size_t i = 0; i < merge->n; i++) {
            if (merge->legs[i]->err.code != SB_OK) {
                miss(merge, merge->legs[i]->id);
            }
        }
        ProtobufCMessage *reply = merge->kind->join(merge, call, &err);
        if (reply != NULL && sb_merge_tell_missing(merge, reply, &err) == 0) {
            call->callbacks->message(call, reply, call->user);
        }
        if (reply != NULL) {
            protobuf_c_message_free_unpacked(reply, NULL);
        }
    }
    sb_fleet_finish(call, &err);
}

/* ---- streams ---- */

static void pass_on(struct sb_fleet_call *call, ProtobufCMessage *message)
{
    call->merge->wants = false;
    call->callbacks->message(call, message, call->user);
    protobuf_c_message_free_unpacked(message, NULL);
}

/* What the caller wants to read, if it is there. */
static void deliver(struct sb_fleet_call *call)
{
    struct sb_merge *merge = call->merge;
    struct sb_err err;
    if (merge->kind->is_sum) {
        ProtobufCMessage *sum = merge->is_news ? merge->kind->join(merge, call, &err) : NULL;
        if (sum != NULL) {
            merge->is_news = false;
            pass_on(call, sum);
        }
        return;
    }
    for (size_t i = 0; i < merge->n; i++) {
        struct sb_merge_leg *leg = merge->legs[i];
        ProtobufCMessage *message = SB_STEAL_PTR(leg->message);
        if (message != NULL) {
            if (leg->is_live) {
                sb_leg_read(&leg->leg);
            }
            pass_on(call, message);
            return;
        }
    }
}

void sb_merge_read(struct sb_fleet_call *call)
{
    call->merge->wants = true;
    event_active(call->timer, EV_READ, 0);
}

void sb_merge_due(struct sb_fleet_call *call)
{
    struct sb_merge *merge = call->merge;
    if ((call->method->flags & SB_RPC_SERVER_STREAM) == 0) {
        if (merge->n_live == 0) {
            finish_unary(call);
        }
    } else if (merge->wants && !merge->is_ending) {
        deliver(call);
    }
}

static void drop_message(struct sb_merge_leg *leg)
{
    if (leg->message != NULL) {
        protobuf_c_message_free_unpacked(leg->message, NULL);
        leg->message = NULL;
    }
}

static void on_message(struct sb_leg *base, const ProtobufCMessage *message, void *user)
{
    (void)base;
    struct sb_merge_leg *leg = user;
    struct sb_fleet_call *call = leg->call;
    struct sb_err err;
    const struct sb_merge_pages *pages = call->merge->kind->pages;
    SB_CLEANUP(sb_message_freep) ProtobufCMessage *copy = sb_message_copy(message, &err);
    if (pages != NULL && leg->message != NULL) {
        if (copy == NULL || pages->append(leg->message, copy, &err) < 0) {
            leg->err = err;
        }
        return;
    }
    drop_message(leg);
    leg->message = SB_STEAL_PTR(copy);
    if ((call->method->flags & SB_RPC_SERVER_STREAM) == 0) {
        return;
    }
    call->merge->is_news = true;
    if (call->merge->kind->is_sum) {
        sb_leg_read(&leg->leg);
    }
    if (call->merge->wants && !call->merge->is_ending) {
        deliver(call);
    }
}

/* Who watches must not take silence for nothing: it begins anew. */
static void end_stream(struct sb_fleet_call *call, const struct sb_merge_leg *leg)
{
    struct sb_merge *merge = call->merge;
    if (merge->kind->is_sum && leg->err.code == SB_UNAVAILABLE && merge->n_live > 0) {
        return; /* what there is now counts */
    }
    if (!merge->is_ending) {
        call->failure = leg->err;
        if (sb_fleet_is_loss(&leg->leg, &leg->err)) {
            call->reason = "worker_lost";
            (void)sb_err_set(&call->failure, SB_UNAVAILABLE,
                             "worker_lost: the connection to worker %s broke; begin anew",
                             leg->leg.member->id);
        }
        cancel_legs(merge);
    }
    if (merge->n_live == 0) {
        struct sb_err err = call->failure;
        if (call->is_cancelled || call->fleet->is_closing) {
            (void)sb_err_set(&err, SB_CANCELLED, "cancelled");
        }
        sb_fleet_finish(call, &err);
    }
}

static void shorten(const struct sb_fleet_call *call, struct sb_rpc_stream_options *options)
{
    bool is_stream = (call->method->flags & SB_RPC_SERVER_STREAM) != 0;
    if (!is_stream && (options->timeout_ms == 0 || options->timeout_ms > MERGE_MS)) {
        options->timeout_ms = MERGE_MS;
    }
}

/* Asks for the next page. False: there is none, or the leg's err says why it is not asked for. */
static bool ask_more(struct sb_merge_leg *leg)
{
    struct sb_merge *merge = leg->call->merge;
    const struct sb_merge_pages *pages = merge->kind->pages;
    struct sb_rpc_stream_options options = sb_fleet_stream_options(leg->call);
    if (pages == NULL || leg->message == NULL || leg->err.code != SB_OK || merge->is_ending) {
        return false;
    }
    SB_CLEANUP(sb_message_freep) ProtobufCMessage *next = pages->more(leg->message, &leg->err);
    if (next == NULL) {
        return false;
    }
    shorten(leg->call, &options);
    if (++leg->n_pages == MAX_PAGES) {
        (void)sb_err_set(&leg->err, SB_EXHAUSTED,
                         "worker %s has more than %d pages for %s: ask it itself, or give it less",
                         leg->id, (int)MAX_PAGES, leg->call->method->name);
        return false;
    }
    if (leg->leg.member == NULL) {
        (void)sb_err_set(&leg->err, SB_UNAVAILABLE, "worker %s is not connected", leg->address);
        return false;
    }
    if (sb_leg_start(&leg->leg, leg->leg.member, leg->call->method, next, &options, &leg->err) <
        0) {
        return false;
    }
    leg->is_live = true;
    merge->n_live++;
    return true;
}

static void on_done(struct sb_leg *base, const struct sb_err *err, void *user)
{
    (void)base;
    struct sb_merge_leg *leg = user;
    struct sb_fleet_call *call = leg->call;
    leg->is_live = false;
    if (err->code != SB_OK) {
        leg->err = *err;
    }
    call->merge->n_live--;
    sb_rates_learn(call, &leg->leg, err);
    if ((call->method->flags & SB_RPC_SERVER_STREAM) != 0) {
        end_stream(call, leg);
        return;
    }
    if (ask_more(leg)) {
        return;
    }
    if (leg->err.code != SB_OK) {
        drop_message(leg); /* some of it is not what it has */
    }
    if (call->merge->n_live == 0 && call->merge->is_started) {
        finish_unary(call);
    }
}

static const struct sb_leg_callbacks callbacks = {.message = on_message, .done = on_done};

/* ---- beginning ---- */

static int ask(struct sb_fleet_call *call, struct sb_member *member, struct sb_err *err)
{
    struct sb_merge *merge = call->merge;
    struct sb_rpc_stream_options options = sb_fleet_stream_options(call);
    const ProtobufCMessage *message = call->message;
    SB_CLEANUP(sb_message_freep) ProtobufCMessage *own = NULL;
    struct sb_merge_leg *leg = calloc(1, sizeof *leg);
    if (leg == NULL) {
        return sb_err_oom(err);
    }
    leg->call = call;
    leg->leg = (struct sb_leg){.callbacks = &callbacks, .user = leg};
    (void)snprintf(leg->address, sizeof leg->address, "%s", member->address);
    (void)snprintf(leg->id, sizeof leg->id, "%s", member->id);
    (void)snprintf(leg->tag, sizeof leg->tag, "%.*s",
                   SB_STR_ARG(sb_id_tag(sb_str_from(member->id), "wk_")));
    err->code = SB_OK;
    if (merge->page != NULL || merge->kind->pages != NULL) {
        own = merge->page != NULL ? sb_page_request(merge->page, call, leg->tag, err)
                                  : merge->kind->pages->request(call, err);
        message = own;
    }
    bool is_stream = (call->method->flags & SB_RPC_SERVER_STREAM) != 0;
    shorten(call, &options);
    if (message == NULL) {
        free(leg);
        return err->code == SB_OK ? 0 : -1;
    }
    if (sb_leg_start(&leg->leg, member, call->method, message, &options, err) < 0) {
        free(leg);
        if (err->code != SB_UNAVAILABLE) {
            return -1;
        }
        miss(merge, member->id);
        return 0;
    }
    leg->is_live = true;
    merge->legs[merge->n++] = leg;
    merge->n_live++;
    if (is_stream) {
        sb_leg_read(&leg->leg);
    }
    return 0;
}

static bool is_asked(const struct sb_merge *merge, const struct sb_member *member)
{
    struct sb_str tag = sb_id_tag(sb_str_from(member->id), "wk_");
    for (size_t i = 0; i < merge->n; i++) {
        if (sb_str_eq(sb_str_from(merge->legs[i]->tag), tag)) {
            return true;
        }
    }
    return false;
}

static int ask_all(struct sb_fleet_call *call, struct sb_err *err)
{
    struct sb_merge *merge = call->merge;
    SB_FOREACH (node, &call->fleet->members) {
        struct sb_member *member = SB_LIST_ENTRY(node, struct sb_member, node);
        if (sb_fleet_is_up(member) && !is_asked(merge, member) && merge->n < SB_MEMBERS_MAX &&
            ask(call, member, err) < 0) {
            return -1;
        }
        if (!sb_fleet_is_up(member) && member->is_named) {
            miss(merge, member->id);
        }
    }
    return 0;
}

static bool has_any(const struct sb_fleet *fleet)
{
    SB_FOREACH (node, &fleet->members) {
        if (sb_fleet_is_up(SB_LIST_ENTRY(node, struct sb_member, node))) {
            return true;
        }
    }
    return false;
}

static int begin(struct sb_fleet_call *call, struct sb_err *err)
{
    struct sb_merge *merge = calloc(1, sizeof *merge);
    if (merge == NULL) {
        return sb_err_oom(err);
    }
    call->merge = merge;
    merge->kind = sb_merge_find(call->method->path);
    merge->wants = call->wants_read;
    if (merge->kind == NULL) {
        return sb_err_set(err, SB_UNIMPLEMENTED, "%s: not of many workers", call->method->path);
    }
    if (merge->kind->items != NULL && (merge->page = sb_page_new(call, err)) == NULL) {
        return -1;
    }
    if (ask_all(call, err) < 0) {
        return -1;
    }
    merge->is_started = true;
    return 0;
}

void sb_merge_start(struct sb_fleet_call *call)
{
    struct sb_err err;
    if (!sb_fleet_is_settled(call->fleet)) {
        sb_fleet_wait(call);
        return;
    }
    if (!has_any(call->fleet)) {
        call->retry_ms = "1000";
        (void)sb_err_set(&err, SB_UNAVAILABLE, "no worker is there");
        sb_fleet_fail(call, &err);
        return;
    }
    sb_fleet_stop_waiting(call);
    if (begin(call, &err) < 0) {
        call->failure = err;
        if (call->merge != NULL && call->merge->n_live > 0) {
            cancel_legs(call->merge);
            call->merge->is_started = true;
        } else {
            sb_fleet_fail(call, &err);
        }
    } else if (call->merge->n_live == 0) { /* the last page of each has been read */
        event_active(call->timer, EV_READ, 0);
    }
}

void sb_merge_widen(struct sb_fleet_call *call)
{
    struct sb_err err;
    if ((call->method->flags & SB_RPC_SERVER_STREAM) != 0 && !call->merge->is_ending &&
        !call->is_failing && ask_all(call, &err) < 0) {
        SB_LOG_WARN("stream not widened", "method=%s why=%s", call->method->name, err.text);
    }
}

void sb_merge_cancel(struct sb_fleet_call *call)
{
    struct sb_err err;
    if (call->merge->n_live > 0) {
        cancel_legs(call->merge);
    } else {
        (void)sb_err_set(&err, SB_CANCELLED, "cancelled");
        sb_fleet_fail(call, &err);
    }
}
