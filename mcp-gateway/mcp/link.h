#pragma once
/** Between a transport and the dispatcher. A link is where the messages of one exchange go: one
 *  POST, or the pair of pipes. */
#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "base/str.h"
#include "mcp-gateway/mcp/tool.h"

struct sb_mcp_head;
struct sb_mcp_link;
struct sb_mcp_session;

struct sb_mcp_link_ops {
    /** A message of ours that is no answer: a notification or a request. May be dropped when the
     *  client does not read. */
    void (*send)(struct sb_mcp_link *link, struct sb_str message);
    /** The answer to a request. @status  of HTTP.  @message  one line; empty: it was cancelled,
     * there is none. Borrowed. */
    void (*answer)(struct sb_mcp_link *link, int status, struct sb_str message);
};

struct sb_mcp_link {
    const struct sb_mcp_link_ops *ops;
    struct sb_list calls; /* of this link, not yet answered */
    size_t n_calls;
    struct sb_mcp_session *session; /* NULL: none. Of stdio: always there */
    bool is_stdio;
    bool is_new_session;         /* the session began with this link's request */
    bool is_full;                /* the client does not read: no new calls */
    bool is_mute;                /* the client sends nothing any more, so it cannot be asked */
    struct sb_mcp_caller caller; /* borrowed from the transport while the link is there */
};

void sb_mcp_link_init(struct sb_mcp_link *link, const struct sb_mcp_link_ops *ops);
/** The client is gone: cancels what is under way, without answers. */
void sb_mcp_link_drop(struct sb_mcp_link *link);

/** The client sends nothing any more: calls that wait for its answer to a question go on without,
 *  and none is asked from here on. The others go on. */
void sb_mcp_link_mute(struct sb_mcp_link *link);

/** Takes one message, or a batch. Answers come by the link, now or later; when none is owed (the
 *  message was no request) nothing is called.
 *  @session_id  of HTTP; NULL: absent. */
void sb_mcp_receive(struct sb_mcp *mcp,
                    struct sb_mcp_link *link,
                    const struct sb_mcp_head *head,
                    const char *session_id,
                    struct sb_str text);
