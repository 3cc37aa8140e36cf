/** From bytes to a handler: see link.h. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "mcp-gateway/mcp/call.h"
#include "mcp-gateway/mcp/era.h"
#include "mcp-gateway/mcp/header.h"
#include "mcp-gateway/mcp/link.h"
#include "mcp-gateway/mcp/message.h"
#include "mcp-gateway/mcp/method.h"
#include "mcp-gateway/mcp/raw.h"
#include "mcp-gateway/mcp/server.h"
#include "mcp-gateway/mcp/session.h"

static const struct sb_str nothing = {NULL, 0};

/* One message on its way. */
struct arrival {
    struct sb_mcp *mcp;
    struct sb_mcp_link *link;
    struct sb_mcp_batch *batch; /* NULL: it came alone */
    const struct sb_mcp_head *head;
    const char *session_id;
    struct sb_mcp_message message; /* its json is ours until a call takes it */
};

void sb_mcp_link_init(struct sb_mcp_link *link, const struct sb_mcp_link_ops *ops)
{
    *link = (struct sb_mcp_link){.ops = ops};
    sb_list_init(&link->calls);
}

void sb_mcp_link_drop(struct sb_mcp_link *link)
{
    while (!sb_list_is_empty(&link->calls)) {
        sb_mcp_call_drop(SB_LIST_ENTRY(link->calls.next, struct sb_mcp_call, in_link));
    }
    if (link->session != NULL && link->session->stream == link) {
        link->session->stream = NULL;
    }
}

static void refuse(const struct arrival *a, int status, int code, const char *why)
{
    sb_mcp_refuse(a->link, a->batch, a->message.id,
                  &(struct sb_mcp_fault){status, code, sb_str_from(why), nothing});
}

static void refuse_verdict(const struct arrival *a, const struct sb_mcp_verdict *verdict)
{
    struct sb_str requested = nothing;
    struct sb_out data;
    sb_out_init(&data, -1);
    if (verdict->names_versions) {
        struct sb_json json = {.out = &data};
        (void)sb_mcp_string(a->message.meta, SB_MCP_META_VERSION, &requested);
        sb_json_open(&json, NULL, '{');
        sb_json_open(&json, "supported", '[');
        sb_json_cstr(&json, NULL, sb_mcp_revision_name(SB_MCP_2026_07_28));
        sb_json_close(&json, ']');
        sb_json_str(&json, "requested", requested);
        sb_json_close(&json, '}');
    }
    sb_mcp_refuse(a->link, a->batch, a->message.id,
                  &(struct sb_mcp_fault){verdict->status, verdict->code,
                                         sb_str_from(verdict->why.text), sb_buf_str(&data.buf)});
    sb_out_done(&data);
}

/* ---- what needs no answer ---- */

static struct sb_mcp_call *find_call(const struct sb_mcp_session *session, struct sb_str id)
{
    SB_FOREACH (node, &session->calls) {
        struct sb_mcp_call *call = SB_LIST_ENTRY(node, struct sb_mcp_call, in_session);
        if (sb_str_eq(call->message.id, id)) {
            return call;
        }
    }
    return NULL;
}

static struct sb_mcp_call *find_ask(const struct sb_mcp_session *session, struct sb_str id)
{
    SB_FOREACH (node, &session->calls) {
        char text[24];
        struct sb_mcp_call *call = SB_LIST_ENTRY(node, struct sb_mcp_call, in_session);
        int n = snprintf(text, sizeof text, "%ju", (uintmax_t)call->ask_id);
        if (call->ask_id != 0 && sb_str_eq(id, sb_str_of(text, (size_t)n))) {
            return call;
        }
    }
    return NULL;
}

/* Ids are compared as written, so the text of the notification is needed. */
static void take_notification(const struct arrival *a, struct sb_str text)
{
    const struct sb_mcp_session *session = a->link->session;
    if (session == NULL || strcmp(a->message.method, "notifications/cancelled") != 0) {
        return;
    }
    struct sb_str params = sb_raw_member(text, SB_STR("params"));
    struct sb_mcp_call *call = find_call(session, sb_raw_member(params, SB_STR("requestId")));
    if (call != NULL && strcmp(call->method->name, "initialize") != 0) {
        sb_mcp_call_cancel(call);
    }
}

static void take_response(const struct arrival *a)
{
    if (a->link->session != NULL) {
        struct sb_mcp_call *call = find_ask(a->link->session, a->message.id);
        if (call != NULL) {
            sb_mcp_ask_answered(call, &a->message);
        }
    }
}

/* ---- requests ---- */

static void start_call(struct arrival *a, enum sb_mcp_revision revision)
{
    struct sb_mcp_link *link = a->link;
    enum sb_mcp_era era = revision >= SB_MCP_2026_07_28 ? SB_MCP_MODERN : SB_MCP_LEGACY;
    size_t n = link->session != NULL ? link->session->n_calls : link->n_calls;
    if (n >= SB_MCP_MAX_LINK_CALLS || sb_mcp_calls(a->mcp) >= SB_MCP_MAX_CALLS ||
        a->mcp->is_closing || link->is_full) {
        refuse(a, a->mcp->is_closing ? 503 : 429, SB_MCP_BUSY,
               a->mcp->is_closing ? "the server is going away" : "too many calls are under way");
        return;
    }
    const struct sb_mcp_method *method =
        sb_mcp_method_find(a->mcp->definition, a->message.method, era);
    struct sb_mcp_call *call = sb_mcp_call_new(a->mcp, link, a->batch, &a->message, revision);
    a->message.json = NULL;
    if (call == NULL) {
        a->message.id = nothing; /* its text may be gone */
        refuse(a, 503, SB_MCP_INTERNAL, "out of memory");
        return;
    }
    call->method = method;
    if (method == NULL) {
        sb_mcp_error(call, SB_MCP_NO_METHOD, SB_STR("method not found"), nothing);
        return;
    }
    method->run(call, a->head);
}

/* Mcp-Name is looked at once the method is known. */
static bool name_agrees(const struct arrival *a)
{
    struct sb_err err;
    struct sb_str expected = nothing;
    const struct sb_mcp_method *method =
        sb_mcp_method_find(a->mcp->definition, a->message.method, SB_MCP_MODERN);
    if (!a->head->is_http || method == NULL || method->named_by == NULL) {
        return true;
    }
    (void)sb_mcp_string(a->message.params, method->named_by, &expected);
    if (sb_mcp_header_check_name(a->head, method->named_by, expected, &err) < 0) {
        refuse(a, 400, SB_MCP_HEADER_MISMATCH, err.text);
        return false;
    }
    return true;
}

/* False: it was refused. */
static bool join_session(struct arrival *a)
{
    struct sb_err err;
    bool begins = a->message.kind == SB_MCP_REQUEST && strcmp(a->message.method, "initialize") == 0;
    if (a->link->session != NULL) {
        return true;
    }
    if (begins) {
        if (sb_mcp_session_begin(a->mcp, &a->link->caller, &a->link->session, &err) < 0) {
            refuse(a, 503, SB_MCP_INTERNAL, err.text);
            return false;
        }
        sb_mcp_tick(a->mcp);
        return true;
    }
    if (a->session_id == NULL) {
        refuse(a, 400, SB_MCP_NO_SESSION, "Bad Request: a session id is required");
        return false;
    }
    a->link->session = sb_mcp_session_find(a->mcp, a->session_id, &a->link->caller);
    if (a->link->session == NULL) {
        refuse(a, 404, SB_MCP_DEAD_SESSION, "Session not found");
        return false;
    }
    return true;
}

static bool is_known_version(const struct arrival *a)
{
    enum sb_mcp_revision revision = SB_MCP_2024_11_05;
    struct sb_str version = sb_mcp_header_value(a->head->protocol_version);
    return version.ptr == NULL || sb_mcp_revision_from(version, &revision);
}

static void take_legacy(struct arrival *a, struct sb_str text)
{
    if (a->head->is_http && !is_known_version(a)) {
        refuse(a, 400, SB_MCP_NO_SESSION, "Bad Request: unsupported MCP-Protocol-Version");
        return;
    }
    if (!join_session(a)) {
        return;
    }
    if (a->message.kind == SB_MCP_NOTIFICATION) {
        take_notification(a, text);
        return;
    }
    start_call(a, a->link->session->revision);
    struct sb_mcp_session *session = a->link->session;
    if (session != NULL && !session->is_open && session->id[0] != '\0') {
        a->link->session = NULL; /* initialize was refused */
        sb_mcp_session_end(a->mcp, session);
    }
}

static void take_modern(struct arrival *a, struct sb_str text)
{
    if (a->message.kind == SB_MCP_NOTIFICATION) {
        take_notification(a, text);
    } else if (name_agrees(a)) {
        start_call(a, SB_MCP_2026_07_28);
    }
}

static void take_foreign_response(struct arrival *a)
{
    if (a->head->is_http && sb_mcp_era_head_is_modern(a->head)) {
        a->message.id = nothing;
        refuse(a, 400, SB_MCP_INVALID_REQUEST, "nobody waits for a response here");
    } else if (join_session(a)) {
        take_response(a);
    }
}

/* Of what is no message: it claims to be an answer to a request of ours. */
static bool is_like_response(const cJSON *json)
{
    return cJSON_GetObjectItemCaseSensitive(json, "method") == NULL &&
           (cJSON_GetObjectItemCaseSensitive(json, "result") != NULL ||
            cJSON_GetObjectItemCaseSensitive(json, "error") != NULL);
}

/* Who answers what is no request may be answered for ever; over HTTP it is the status that says
 * so. */
static bool is_owed_nothing(const struct arrival *a, const cJSON *json)
{
    bool is_note =
        a->message.method != NULL && cJSON_GetObjectItemCaseSensitive(json, "id") == NULL;
    return a->link->is_stdio && (is_note || is_like_response(json));
}

static void take_invalid(struct arrival *a, const cJSON *json)
{
    static const char why[] = "not a message of JSON-RPC 2.0 as MCP has them";
    if (is_like_response(json)) {
        a->message.id = nothing;
    }
    if (is_owed_nothing(a, json)) {
        SB_LOG_WARN("refused", "why=%s", why);
    } else {
        refuse(a, 400, SB_MCP_INVALID_REQUEST, why);
    }
}

/* Takes json over. */
static void take_one(struct arrival *a, cJSON *json, struct sb_str text)
{
    struct sb_mcp_verdict verdict;
    sb_mcp_message_read(json, text, &a->message);
    if (a->message.kind == SB_MCP_INVALID) {
        take_invalid(a, json);
    } else if (a->message.kind == SB_MCP_RESPONSE) {
        take_foreign_response(a);
    } else {
        sb_mcp_era_judge(a->head, &a->message, &verdict);
        if (verdict.status != 0 && a->message.kind == SB_MCP_NOTIFICATION) {
            a->message.id = nothing;
        }
        if (verdict.status != 0 && is_owed_nothing(a, json)) {
            SB_LOG_WARN("refused", "why=%s", verdict.why.text);
        } else if (verdict.status != 0) {
            refuse_verdict(a, &verdict);
        } else if (verdict.is_modern) {
            take_modern(a, text);
        } else {
            take_legacy(a, text);
        }
    }
    cJSON_Delete(a->message.json);
    a->message.json = NULL;
}

/* ---- batches, of 2025-03-26 alone ---- */

static bool claims_modern(const cJSON *json)
{
    const cJSON *params = cJSON_GetObjectItemCaseSensitive(json, "params");
    const cJSON *meta = cJSON_GetObjectItemCaseSensitive(params, "_meta");
    return cJSON_GetObjectItemCaseSensitive(meta, SB_MCP_META_VERSION) != NULL;
}

static bool may_batch(struct arrival *a, const cJSON *array)
{
    const cJSON *json = NULL;
    int n = cJSON_GetArraySize(array);
    if (n == 0 || n > SB_MCP_MAX_BATCH ||
        (a->head->is_http && sb_mcp_era_head_is_modern(a->head))) {
        refuse(a, 400, SB_MCP_INVALID_REQUEST, "no batches here, or none of this size");
        return false;
    }
    cJSON_ArrayForEach(json, array)
    {
        if (claims_modern(json)) {
            refuse(a, 400, SB_MCP_INVALID_REQUEST, "no batches in this revision");
            return false;
        }
    }
    if (!join_session(a)) {
        return false;
    }
    if (a->link->session->revision != SB_MCP_2025_03_26) {
        refuse(a, 400, SB_MCP_INVALID_REQUEST, "no batches in this revision");
        return false;
    }
    return true;
}

static void take_batch(struct arrival *a, cJSON *array, struct sb_str text)
{
    struct sb_str element;
    struct sb_str rest = sb_raw_elements(text);
    if (!may_batch(a, array)) {
        return;
    }
    struct sb_mcp_batch *batch = sb_mcp_batch_new(a->link);
    if (batch == NULL) {
        refuse(a, 503, SB_MCP_INTERNAL, "out of memory");
        return;
    }
    sb_mcp_batch_expect(batch); /* so that it stays until all are taken */
    a->batch = batch;
    while (sb_raw_next(&rest, &element)) {
        take_one(a, cJSON_DetachItemFromArray(array, 0), element);
    }
    sb_mcp_batch_take(batch, nothing, false);
}

void sb_mcp_receive(struct sb_mcp *mcp,
                    struct sb_mcp_link *link,
                    const struct sb_mcp_head *head,
                    const char *session_id,
                    struct sb_str text)
{
    struct sb_err err;
    cJSON *json = NULL;
    struct arrival a = {.mcp = mcp, .link = link, .head = head, .session_id = session_id};
    if (sb_mcp_message_parse(text, &json, &err) < 0) {
        (void)sb_err_wrap(&err, "not a JSON-RPC message");
        refuse(&a, 400, SB_MCP_PARSE_ERROR, err.text);
    } else if (cJSON_IsArray(json)) {
        take_batch(&a, json, text);
        cJSON_Delete(json);
    } else {
        take_one(&a, json, text);
    }
}
