#pragma once
/** What is kept of a client between its messages, before 2026-07-28. */
#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/list.h"
#include "base/map.h"
#include "mcp-gateway/mcp/protocol.h"

struct cJSON;
struct sb_err;
struct sb_mcp;
struct sb_mcp_caller;
struct sb_mcp_link;

struct sb_mcp_session {
    struct sb_list node; /* in the server's, longest unused first; not of stdio */
    char id[SB_ID_SIZE]; /* "" of stdio */
    uint64_t owner;      /* hash of who began it */
    enum sb_mcp_revision revision;
    bool is_open;               /* initialize was answered */
    bool is_vouched;            /* see sb_mcp_vouch */
    enum sb_mcp_level level;    /* of log lines that go out */
    struct cJSON *capabilities; /* of the client; owned, may be NULL */
    struct sb_list calls;       /* sb_mcp_call.in_session */
    size_t n_calls;
    struct sb_mcp_link *stream; /* for messages that belong to no call; NULL: none is open */
    struct sb_map subscribed;   /* URIs */
    uint64_t asks;              /* requests of ours so far */
    uint64_t used_ms;           /* sb_clock_mono_ms */
};

void sb_mcp_session_init(struct sb_mcp_session *session);
/** Cancels its calls. */
void sb_mcp_session_done(struct sb_mcp_session *session);

/** Begins one for HTTP; when there are too many, the one that was not used for longest ends, those
 *  first whose caller nobody vouched for. Errors: SB_EXHAUSTED. */
int sb_mcp_session_begin(struct sb_mcp *mcp,
                         const struct sb_mcp_caller *caller,
                         struct sb_mcp_session **ret_session,
                         struct sb_err *err);
/** The session, when it is this caller's; else NULL. */
struct sb_mcp_session *
sb_mcp_session_find(struct sb_mcp *mcp, const char *id, const struct sb_mcp_caller *caller);
void sb_mcp_session_end(struct sb_mcp *mcp, struct sb_mcp_session *session);
/** Ends those that were not used for SB_MCP_SESSION_IDLE_S and have nothing open. */
void sb_mcp_session_expire(struct sb_mcp *mcp, uint64_t now_ms);

/** True when the client said so at initialize. */
bool sb_mcp_session_can(const struct sb_mcp_session *session, const char *capability);
