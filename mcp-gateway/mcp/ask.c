/** Asking the client's user or model, in both ways: see tool.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <cjson/cJSON.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "mcp-gateway/mcp/call.h"
#include "mcp-gateway/mcp/link.h"
#include "mcp-gateway/mcp/method.h"
#include "mcp-gateway/mcp/seal.h"
#include "mcp-gateway/mcp/server.h"
#include "mcp-gateway/mcp/session.h"

enum { MAX_BOUND = 32 << 10 };

bool sb_mcp_is_modern(const struct sb_mcp_call *call)
{
    return call->revision >= SB_MCP_2026_07_28;
}

bool sb_mcp_can_ask(const struct sb_mcp_call *call, enum sb_mcp_ask_kind kind)
{
    const char *capability = sb_mcp_ask_capability(kind);
    if (!sb_mcp_is_modern(call)) {
        return call->link->session != NULL && !call->link->is_mute &&
               sb_mcp_session_can(call->link->session, capability);
    }
    const cJSON *all =
        cJSON_GetObjectItemCaseSensitive(call->message.meta, SB_MCP_META_CAPABILITIES);
    return cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(all, capability));
}

/* ---- since 2026-07-28 ---- */

void sb_mcp_ask(struct sb_mcp_call *call,
                const char *key,
                enum sb_mcp_ask_kind kind,
                struct sb_str params)
{
    if (!sb_mcp_can_ask(call, kind)) {
        call->missing = (int)kind;
        return;
    }
    struct sb_json *json = sb_mcp_call_result(call, SB_MCP_SHAPE_ASKS);
    sb_json_open(json, key, '{');
    sb_json_cstr(json, "method", sb_mcp_ask_method(kind));
    if (params.len > 0) {
        sb_mcp_call_put_raw(json, "params", params);
    }
    sb_json_close(json, '}');
}

static void refuse_missing(struct sb_mcp_call *call)
{
    struct sb_out data;
    sb_out_init(&data, -1);
    struct sb_json json = {.out = &data};
    const char *capability = sb_mcp_ask_capability((enum sb_mcp_ask_kind)call->missing);
    sb_json_open(&json, NULL, '{');
    sb_json_open(&json, "requiredCapabilities", '{');
    sb_json_open(&json, capability, '{');
    sb_json_close(&json, '}');
    sb_json_close(&json, '}');
    sb_json_close(&json, '}');
    sb_mcp_error(call, SB_MCP_MISSING_CAPABILITY,
                 SB_STR("this needs a capability that the client did not declare"),
                 sb_buf_str(&data.buf));
    sb_out_done(&data);
}

static struct sb_str key_of(struct sb_mcp *mcp)
{
    if (!mcp->has_seal_key) {
        mcp->has_seal_key =
            getrandom(mcp->seal_key, sizeof mcp->seal_key, 0) == (ssize_t)sizeof mcp->seal_key;
    }
    return sb_str_of(mcp->seal_key, mcp->has_seal_key ? sizeof mcp->seal_key : 0);
}

/* What a state is only good for: this caller, method, name and arguments. */
static int bound_to(const struct sb_mcp_call *call, struct sb_buf *buf)
{
    const cJSON *params = call->message.params;
    struct sb_str name = {NULL, 0};
    const cJSON *arguments = cJSON_GetObjectItemCaseSensitive(params, "arguments");
    SB_CLEANUP(sb_freep)
    char *printed = arguments == NULL ? NULL : cJSON_PrintUnformatted(arguments);
    if (call->method->named_by != NULL) {
        (void)sb_mcp_string(params, call->method->named_by, &name);
    }
    const char *parts[] = {call->caller.key, call->caller.identity, call->message.method, name.ptr,
                           printed};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct sb_str part = sb_str_from(parts[i]);
        if (sb_buf_printf(buf, "%zu:", part.len) < 0 || sb_buf_append_str(buf, part) < 0) {
            return -1;
        }
    }
    return 0;
}

static int put_state(struct sb_mcp_call *call, struct sb_str state, struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf bound = SB_BUF_INIT(MAX_BOUND);
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(MAX_BOUND);
    struct sb_str key = key_of(call->mcp);
    if (key.len == 0 || bound_to(call, &bound) < 0) {
        return sb_err_set(err, SB_EXHAUSTED, "the request is too large to ask back");
    }
    if (sb_seal_make(key, sb_buf_str(&bound), state, sb_clock_real_ms() + SB_MCP_STATE_S * 1000ULL,
                     &text, err) < 0) {
        return -1;
    }
    sb_mcp_call_end_list(call);
    call->shape = SB_MCP_SHAPE_NONE;
    sb_json_str(&call->json, "requestState", sb_buf_str(&text));
    return 0;
}

void sb_mcp_ask_done(struct sb_mcp_call *call, struct sb_str state)
{
    struct sb_err err;
    if (call->missing >= 0) {
        refuse_missing(call);
        return;
    }
    (void)sb_mcp_call_result(call, SB_MCP_SHAPE_ASKS);
    if (state.len > 0 && put_state(call, state, &err) < 0) {
        sb_mcp_error(call, SB_MCP_INTERNAL, sb_str_from(err.text), (struct sb_str){NULL, 0});
        return;
    }
    sb_mcp_done(call);
}

const struct cJSON *sb_mcp_answer(const struct sb_mcp_call *call, const char *key)
{
    const cJSON *all = cJSON_GetObjectItemCaseSensitive(call->message.params, "inputResponses");
    return cJSON_IsObject(all) ? cJSON_GetObjectItemCaseSensitive(all, key) : NULL;
}

const struct cJSON *sb_mcp_accepted(const struct sb_mcp_call *call, const char *key)
{
    struct sb_str action;
    const cJSON *answer = sb_mcp_answer(call, key);
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(answer, "content");
    return sb_mcp_string(answer, "action", &action) && sb_str_eq(action, SB_STR("accept")) &&
                   cJSON_IsObject(content)
               ? content
               : NULL;
}

bool sb_mcp_ask_open_state(struct sb_mcp_call *call)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf bound = SB_BUF_INIT(MAX_BOUND);
    struct sb_str text;
    struct sb_str key = key_of(call->mcp);
    if (cJSON_GetObjectItemCaseSensitive(call->message.params, "requestState") == NULL) {
        return true;
    }
    return key.len > 0 && sb_mcp_string(call->message.params, "requestState", &text) &&
           bound_to(call, &bound) == 0 &&
           sb_seal_open(key, sb_buf_str(&bound), text, sb_clock_real_ms(), &call->state_buf,
                        &call->state);
}

struct sb_str sb_mcp_state(const struct sb_mcp_call *call)
{
    return call->state;
}

/* ---- before ---- */

void sb_mcp_legacy_request(struct sb_mcp_call *call,
                           enum sb_mcp_ask_kind kind,
                           struct sb_str params,
                           void (*done)(struct sb_mcp_call *call,
                                        const struct cJSON *result,
                                        struct sb_str message,
                                        void *ctx),
                           void *ctx)
{
    struct sb_mcp_session *session = call->link->session;
    if (session == NULL || !sb_mcp_can_ask(call, kind)) {
        done(call, NULL,
             call->link->is_mute ? SB_STR("the client has ended its side")
                                 : SB_STR("the client did not declare that it can be asked so"),
             ctx);
        return;
    }
    struct sb_out out;
    struct sb_json json = {.out = &out};
    call->ask_id = ++session->asks;
    call->ask_done = done;
    call->ask_ctx = ctx;
    sb_out_init(&out, -1);
    sb_json_open(&json, NULL, '{');
    sb_json_cstr(&json, "jsonrpc", "2.0");
    sb_json_u64(&json, "id", call->ask_id);
    sb_json_cstr(&json, "method", sb_mcp_ask_method(kind));
    if (params.len > 0) {
        sb_mcp_call_put_raw(&json, "params", params);
    }
    sb_json_close(&json, '}');
    if (out.broken == 0) {
        call->link->ops->send(call->link, sb_buf_str(&out.buf));
    }
    sb_out_done(&out);
}

void sb_mcp_ask_answered(struct sb_mcp_call *call, const struct sb_mcp_message *response)
{
    struct sb_str message = SB_STR("the client refused");
    if (response->error != NULL) {
        (void)sb_mcp_string(response->error, "message", &message);
    }
    call->ask_id = 0;
    call->ask_done(call, cJSON_IsObject(response->result) ? response->result : NULL, message,
                   call->ask_ctx);
}

static struct sb_mcp_call *that_asked(const struct sb_mcp_link *link)
{
    SB_FOREACH (node, &link->calls) {
        struct sb_mcp_call *call = SB_LIST_ENTRY(node, struct sb_mcp_call, in_link);
        if (call->ask_id != 0) {
            return call;
        }
    }
    return NULL;
}

void sb_mcp_link_mute(struct sb_mcp_link *link)
{
    struct sb_mcp_call *call = NULL;
    link->is_mute = true;
    while ((call = that_asked(link)) != NULL) {
        call->ask_id = 0;
        call->ask_done(call, NULL, SB_STR("the client has ended its side"), call->ask_ctx);
    }
}
