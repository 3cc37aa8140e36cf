#include "mcp-gateway/mcp/session.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/clock.h"
#include "base/err.h"
#include "mcp-gateway/mcp/call.h"
#include "mcp-gateway/mcp/link.h"
#include "mcp-gateway/mcp/server.h"

enum { MAX_SUBSCRIBED = 256 };

void sb_mcp_session_init(struct sb_mcp_session *session)
{
    *session = (struct sb_mcp_session){
        .revision = SB_MCP_2025_11_25, .level = SB_MCP_INFO, .used_ms = sb_clock_mono_ms()};
    sb_list_init(&session->calls);
    sb_map_init(&session->subscribed, MAX_SUBSCRIBED);
}

void sb_mcp_session_done(struct sb_mcp_session *session)
{
    while (!sb_list_is_empty(&session->calls)) {
        sb_mcp_call_cancel(SB_LIST_ENTRY(session->calls.next, struct sb_mcp_call, in_session));
    }
    if (session->stream != NULL && session->stream->session == session) {
        session->stream->session = NULL;
        session->stream->ops->answer(session->stream, 200, (struct sb_str){NULL, 0});
    }
    sb_map_done(&session->subscribed);
    cJSON_Delete(session->capabilities);
}

static uint64_t owner_of(const struct sb_mcp *mcp, const struct sb_mcp_caller *caller)
{
    const char *key = caller->key == NULL ? "" : caller->key;
    const char *identity = caller->identity == NULL ? "" : caller->identity;
    uint64_t hashes[2] = {sb_hash_sip13(mcp->hash_key, key, strlen(key)),
                          sb_hash_sip13(mcp->hash_key, identity, strlen(identity))};
    return sb_hash_sip13(mcp->hash_key, hashes, sizeof hashes);
}

/* Anybody may begin a session, with a key that is none, too. */
static struct sb_mcp_session *to_give_way(const struct sb_mcp *mcp)
{
    SB_FOREACH (node, &mcp->session_list) {
        struct sb_mcp_session *session = SB_LIST_ENTRY(node, struct sb_mcp_session, node);
        if (!session->is_vouched) {
            return session;
        }
    }
    return SB_LIST_ENTRY(mcp->session_list.next, struct sb_mcp_session, node);
}

int sb_mcp_session_begin(struct sb_mcp *mcp,
                         const struct sb_mcp_caller *caller,
                         struct sb_mcp_session **ret_session,
                         struct sb_err *err)
{
    if (sb_map_count(&mcp->sessions) >= SB_MCP_MAX_SESSIONS) {
        sb_mcp_session_end(mcp, to_give_way(mcp));
    }
    struct sb_mcp_session *session = malloc(sizeof *session);
    if (session == NULL) {
        return sb_err_oom(err);
    }
    sb_mcp_session_init(session);
    session->owner = owner_of(mcp, caller);
    if (sb_id_make(session->id, "mcp_", err) < 0 ||
        sb_map_put(&mcp->sessions, sb_str_from(session->id), session, err) < 0) {
        free(session);
        return -1;
    }
    sb_list_append(&mcp->session_list, &session->node);
    *ret_session = session;
    return 0;
}

struct sb_mcp_session *
sb_mcp_session_find(struct sb_mcp *mcp, const char *id, const struct sb_mcp_caller *caller)
{
    struct sb_mcp_session *session = sb_map_get(&mcp->sessions, sb_str_from(id));
    if (session == NULL || session->owner != owner_of(mcp, caller)) {
        return NULL;
    }
    session->used_ms = sb_clock_mono_ms();
    sb_list_remove(&session->node);
    sb_list_append(&mcp->session_list, &session->node);
    return session;
}

void sb_mcp_session_end(struct sb_mcp *mcp, struct sb_mcp_session *session)
{
    (void)sb_map_remove(&mcp->sessions, sb_str_from(session->id));
    sb_list_remove(&session->node);
    sb_mcp_session_done(session);
    free(session);
}

void sb_mcp_session_expire(struct sb_mcp *mcp, uint64_t now_ms)
{
    SB_FOREACH (node, &mcp->session_list) {
        struct sb_mcp_session *session = SB_LIST_ENTRY(node, struct sb_mcp_session, node);
        if (now_ms - session->used_ms < SB_MCP_SESSION_IDLE_S * 1000ULL) {
            return;
        }
        if (session->stream == NULL && sb_list_is_empty(&session->calls)) {
            sb_mcp_session_end(mcp, session);
        }
    }
}

bool sb_mcp_session_can(const struct sb_mcp_session *session, const char *capability)
{
    return cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(session->capabilities, capability));
}
