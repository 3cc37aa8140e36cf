#include "mcp-gateway/mcp/call.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/err.h"
#include "base/log.h"
#include "mcp-gateway/mcp/link.h"
#include "mcp-gateway/mcp/method.h"
#include "mcp-gateway/mcp/server.h"
#include "mcp-gateway/mcp/session.h"

enum { MAX_STATE_TEXT = 2048 };

/* Copies what points into the text of the request, which goes away. */
static bool keep_text(struct sb_mcp_call *call)
{
    struct sb_str *id = &call->message.id;
    struct sb_str *token = &call->message.progress_token;
    call->copied = malloc(id->len + token->len + 1);
    if (call->copied == NULL) {
        return false;
    }
    memcpy(call->copied, id->ptr, id->len);
    id->ptr = call->copied;
    if (token->len > 0) {
        memcpy(call->copied + id->len, token->ptr, token->len);
        token->ptr = call->copied + id->len;
    }
    return true;
}

/* Before 2026-07-28 the session has the level; since then each request. */
static int level_of(const struct sb_mcp_call *call)
{
    struct sb_str name;
    enum sb_mcp_level level = SB_MCP_INFO;
    if (call->revision < SB_MCP_2026_07_28) {
        return call->link->session == NULL ? -1 : (int)call->link->session->level;
    }
    return sb_mcp_string(call->message.meta, SB_MCP_META_LEVEL, &name) &&
                   sb_mcp_level_from(name, &level)
               ? (int)level
               : -1;
}

/* ---- its span ---- */

static void begin_span(struct sb_mcp_call *call)
{
    struct sb_str text;
    struct sb_trace parent;
    struct sb_mcp_caller *caller = &call->caller;
    if (sb_mcp_string(call->message.meta, "traceparent", &text) && sb_trace_parse(text, &parent)) {
        caller->trace = parent;
        caller->tracestate =
            sb_mcp_string(call->message.meta, "tracestate", &text) && sb_trace_state_is_good(text)
                ? text.ptr
                : NULL;
    }
    sb_span_begin(call->mcp->definition->tracer, &caller->trace, true, &call->span);
    caller->trace = call->span.trace;
}

/* What a method and a tool are called is ours; nothing else is told. */
static void end_span(struct sb_mcp_call *call)
{
    struct sb_tracer *tracer = call->mcp->definition->tracer;
    char name[96];
    if (call->method == NULL || !sb_span_is_recorded(&call->span)) {
        return;
    }
    (void)snprintf(name, sizeof name, "%s%s%s", call->method->name, call->tool == NULL ? "" : " ",
                   call->tool == NULL ? "" : call->tool->name);
    struct sb_span_record *record = sb_span_end(tracer, &call->span, SB_SPAN_SERVER, name, 0);
    sb_span_text(record, "mcp.method.name", call->method->name);
    sb_span_text(record, "mcp.protocol.version", sb_mcp_revision_name(call->revision));
    sb_span_text(record, "network.transport", call->link->is_stdio ? "pipe" : "tcp");
    if (call->tool != NULL) {
        sb_span_text(record, "gen_ai.tool.name", call->tool->name);
    }
    if (call->failure == NULL && call->has_failed) {
        call->failure = "tool_error";
    }
    if (call->failure != NULL) {
        sb_span_text(record, "error.type", call->failure);
        sb_span_fail(record, call->failure);
    }
    sb_span_commit(tracer, record);
}

struct sb_mcp_call *sb_mcp_call_new(struct sb_mcp *mcp,
                                    struct sb_mcp_link *link,
                                    struct sb_mcp_batch *batch,
                                    const struct sb_mcp_message *message,
                                    enum sb_mcp_revision revision)
{
    struct sb_mcp_call *call = calloc(1, sizeof *call);
    if (call != NULL) {
        call->message = *message;
    }
    if (call == NULL || !keep_text(call)) {
        free(call);
        cJSON_Delete(message->json);
        return NULL;
    }
    call->mcp = mcp;
    call->link = link;
    call->batch = batch;
    call->revision = revision;
    call->caller = link->caller;
    call->missing = -1;
    call->progress = -1;
    call->level = level_of(call);
    begin_span(call);
    sb_out_init(&call->out, -1);
    call->out.buf.max = SB_MCP_MAX_RESULT;
    sb_buf_init(&call->structured, SB_MCP_MAX_RESULT);
    sb_buf_init(&call->state_buf, MAX_STATE_TEXT);
    call->json = (struct sb_json){.out = &call->out};
    sb_list_append(&link->calls, &call->in_link);
    link->n_calls++;
    if (link->session != NULL) {
        sb_list_append(&link->session->calls, &call->in_session);
        link->session->n_calls++;
    }
    if (batch != NULL) {
        sb_mcp_batch_expect(batch);
    }
    mcp->n_calls++;
    return call;
}

static void unlink_call(struct sb_mcp_call *call)
{
    end_span(call);
    if (sb_list_is_linked(&call->in_session)) {
        call->link->session->n_calls--;
    }
    if (sb_list_is_linked(&call->in_listeners)) {
        call->mcp->n_listeners--;
    }
    call->link->n_calls--;
    call->mcp->n_calls--;
    sb_list_remove(&call->in_link);
    sb_list_remove(&call->in_session);
    sb_list_remove(&call->in_listeners);
}

static void free_call(struct sb_mcp_call *call)
{
    sb_out_done(&call->out);
    sb_buf_done(&call->structured);
    sb_buf_done(&call->state_buf);
    cJSON_Delete(call->message.json);
    free(call->copied);
    free(call);
}

/* Unlinks, answers, frees. */
static void finish(struct sb_mcp_call *call, int status, struct sb_str message)
{
    struct sb_mcp_link *link = call->link;
    struct sb_mcp_batch *batch = call->batch;
    unlink_call(call);
    if (batch != NULL) {
        sb_mcp_batch_take(batch, message, false);
    } else {
        link->ops->answer(link, status, message);
    }
    free_call(call);
}

static void tell_handler(struct sb_mcp_call *call)
{
    void (*cancel)(void *ctx) = call->cancel;
    call->failure = "cancelled";
    call->cancel = NULL;
    if (cancel != NULL) {
        cancel(call->cancel_ctx);
    }
}

void sb_mcp_call_cancel(struct sb_mcp_call *call)
{
    tell_handler(call);
    finish(call, 200, (struct sb_str){NULL, 0});
}

void sb_mcp_call_drop(struct sb_mcp_call *call)
{
    struct sb_mcp_batch *batch = call->batch;
    tell_handler(call);
    unlink_call(call);
    if (batch != NULL) {
        sb_mcp_batch_take(batch, (struct sb_str){NULL, 0}, true);
    }
    free_call(call);
}

const struct sb_mcp_caller *sb_mcp_caller(const struct sb_mcp_call *call)
{
    return &call->caller;
}

void sb_mcp_vouch(struct sb_mcp_call *call)
{
    if (call->link->session != NULL) {
        call->link->session->is_vouched = true;
    }
}

void sb_mcp_on_cancel(struct sb_mcp_call *call, void (*cancel)(void *ctx), void *ctx)
{
    call->cancel = cancel;
    call->cancel_ctx = ctx;
}

/* ---- the answer ---- */

static const char *const lists[] = {
    [SB_MCP_SHAPE_NONE] = NULL,
    [SB_MCP_SHAPE_CONTENT] = "content",
    [SB_MCP_SHAPE_MESSAGES] = "messages",
    [SB_MCP_SHAPE_CONTENTS] = "contents",
    [SB_MCP_SHAPE_RESOURCES] = "resources",
    [SB_MCP_SHAPE_VALUES] = "values",
    [SB_MCP_SHAPE_ASKS] = "inputRequests",
};

static void begin_answer(struct sb_out *out, struct sb_str id)
{
    sb_out_put(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    if (id.len > 0) {
        sb_out_write(out, id.ptr, id.len);
    } else {
        sb_out_put(out, "null");
    }
}

struct sb_json *sb_mcp_call_result(struct sb_mcp_call *call, enum sb_mcp_shape shape)
{
    if (call->has_begun) {
        assert(call->shape == shape);
        return &call->json;
    }
    call->has_begun = true;
    call->shape = shape;
    begin_answer(&call->out, call->message.id);
    sb_out_put(&call->out, ",\"result\":{");
    call->json.needs_comma = false;
    if (call->revision >= SB_MCP_2026_07_28) {
        sb_out_put(&call->out, shape == SB_MCP_SHAPE_ASKS ? "\"resultType\":\"input_required\""
                                                          : "\"resultType\":\"complete\"");
        call->json.needs_comma = true;
    }
    if (shape == SB_MCP_SHAPE_VALUES) {
        sb_json_open(&call->json, "completion", '{');
    }
    if (lists[shape] != NULL) {
        sb_json_open(&call->json, lists[shape], shape == SB_MCP_SHAPE_ASKS ? '{' : '[');
    }
    return &call->json;
}

void sb_mcp_call_end_list(struct sb_mcp_call *call)
{
    if (lists[call->shape] != NULL) {
        sb_json_close(&call->json, call->shape == SB_MCP_SHAPE_ASKS ? '}' : ']');
    }
    if (call->shape == SB_MCP_SHAPE_VALUES) {
        sb_json_close(&call->json, '}');
    }
}

void sb_mcp_call_put_raw(struct sb_json *json, const char *key, struct sb_str text)
{
    sb_json_raw(json, key, (struct sb_str){NULL, 0});
    while (text.len > 0) {
        size_t n = 0;
        while (n < text.len && text.ptr[n] != '\n' && text.ptr[n] != '\r') {
            n++;
        }
        sb_out_write(json->out, text.ptr, n);
        text = sb_str_skip(text, n + 1);
    }
}

static void end_members(struct sb_mcp_call *call)
{
    struct sb_json *json = &call->json;
    const struct sb_mcp_method *method = call->method;
    bool is_modern = call->revision >= SB_MCP_2026_07_28;
    if (call->structured.len > 0) {
        sb_mcp_call_put_raw(json, "structuredContent", sb_buf_str(&call->structured));
    }
    if (call->has_failed) {
        sb_json_bool(json, "isError", true);
    }
    if (is_modern && method->is_cacheable && call->shape != SB_MCP_SHAPE_ASKS) {
        bool is_shared = method->is_for_all;
        sb_json_u64(json, "ttlMs", is_shared ? call->mcp->definition->list_ttl_ms : 0);
        sb_json_cstr(json, "cacheScope", is_shared ? "public" : "private");
    }
    if (is_modern) {
        sb_json_open(json, "_meta", '{');
        sb_mcp_put_info(call->mcp, json, SB_MCP_META_SERVER);
        if (sb_list_is_linked(&call->in_listeners)) {
            sb_json_raw(json, SB_MCP_META_SUBSCRIPTION, call->message.id);
        }
        sb_json_close(json, '}');
    }
}

void sb_mcp_done(struct sb_mcp_call *call)
{
    (void)sb_mcp_call_result(call, call->has_begun ? call->shape : call->method->shape);
    if (lists[call->shape] != NULL) {
        sb_mcp_call_end_list(call);
    }
    end_members(call);
    sb_out_put(&call->out, "}}");
    if (call->out.broken != 0) {
        sb_mcp_error(call, SB_MCP_INTERNAL,
                     call->out.broken == ENOBUFS ? SB_STR("the result is too large")
                                                 : SB_STR("out of memory"),
                     (struct sb_str){NULL, 0});
        return;
    }
    finish(call, 200, sb_buf_str(&call->out.buf));
}

/* ---- errors ---- */

static void
put_error(struct sb_out *out, struct sb_str id, int code, struct sb_str message, struct sb_str data)
{
    struct sb_json json = {.out = out};
    begin_answer(out, id);
    json.needs_comma = true;
    sb_json_open(&json, "error", '{');
    sb_json_i64(&json, "code", code);
    sb_json_str(&json, "message", message);
    if (data.len > 0) {
        sb_mcp_call_put_raw(&json, "data", data);
    }
    sb_json_close(&json, '}');
    sb_out_put(out, "}");
}

/* Since 2026-07-28 some errors have a status of their own. */
static int status_of(const struct sb_mcp_call *call, int code)
{
    switch (code) {
    case SB_MCP_UNAUTHENTICATED:
        return 401;
    case SB_MCP_BUSY:
        return 429;
    case SB_MCP_NO_METHOD:
        return call->revision >= SB_MCP_2026_07_28 ? 404 : 200;
    case SB_MCP_HEADER_MISMATCH:
    case SB_MCP_MISSING_CAPABILITY:
        return 400;
    default:
        return 200;
    }
}

void sb_mcp_error(struct sb_mcp_call *call, int code, struct sb_str message, struct sb_str data)
{
    sb_out_done(&call->out);
    sb_out_init(&call->out, -1);
    put_error(&call->out, call->message.id, code, message, data);
    call->failure = "refused";
    finish(call, status_of(call, code), sb_buf_str(&call->out.buf));
}

void sb_mcp_not_found(struct sb_mcp_call *call, struct sb_str uri)
{
    struct sb_out data;
    sb_out_init(&data, -1);
    struct sb_json json = {.out = &data};
    sb_json_open(&json, NULL, '{');
    sb_json_str(&json, "uri", uri);
    sb_json_close(&json, '}');
    sb_mcp_error(call,
                 call->revision >= SB_MCP_2026_07_28 ? SB_MCP_INVALID_PARAMS : SB_MCP_NO_RESOURCE,
                 SB_STR("there is no such resource"), sb_buf_str(&data.buf));
    sb_out_done(&data);
}

void sb_mcp_unauthenticated(struct sb_mcp_call *call, struct sb_str message)
{
    sb_mcp_error(call, SB_MCP_UNAUTHENTICATED, message, (struct sb_str){NULL, 0});
}

void sb_mcp_refuse(struct sb_mcp_link *link,
                   struct sb_mcp_batch *batch,
                   struct sb_str id,
                   const struct sb_mcp_fault *fault)
{
    struct sb_out out;
    if (link->is_stdio && batch == NULL && id.len == 0) { /* the client may not look at it */
        SB_LOG_WARN("refused", "code=%d why=%.*s", fault->code, SB_STR_ARG(fault->message));
        if (link->is_full) {
            return;
        }
    }
    sb_out_init(&out, -1);
    put_error(&out, id, fault->code, fault->message, fault->data);
    if (batch != NULL) {
        sb_mcp_batch_expect(batch);
        sb_mcp_batch_take(batch, sb_buf_str(&out.buf), false);
    } else {
        link->ops->answer(link, fault->status, sb_buf_str(&out.buf));
    }
    sb_out_done(&out);
}

/* ---- batches ---- */

struct sb_mcp_batch {
    struct sb_mcp_link *link;
    size_t owed;
    struct sb_out out;
};

struct sb_mcp_batch *sb_mcp_batch_new(struct sb_mcp_link *link)
{
    struct sb_mcp_batch *batch = calloc(1, sizeof *batch);
    if (batch != NULL) {
        batch->link = link;
        sb_out_init(&batch->out, -1);
        batch->out.buf.max = SB_MCP_MAX_RESULT;
    }
    return batch;
}

void sb_mcp_batch_expect(struct sb_mcp_batch *batch)
{
    batch->owed++;
}

void sb_mcp_batch_take(struct sb_mcp_batch *batch, struct sb_str message, bool is_link_gone)
{
    struct sb_out *out = &batch->out;
    if (message.len > 0 && message.len < sb_buf_room(&out->buf) / 2) {
        sb_out_put(out, out->buf.len == 0 ? "[" : ",");
        sb_out_write(out, message.ptr, message.len);
    }
    if (--batch->owed > 0) {
        return;
    }
    if (out->buf.len > 0) {
        sb_out_put(out, "]");
    }
    if (!is_link_gone) {
        batch->link->ops->answer(batch->link, 200, sb_buf_str(&out->buf));
    }
    sb_out_done(out);
    free(batch);
}
