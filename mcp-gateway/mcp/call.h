#pragma once
/** A request under way: the other side of tool.h. */
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/list.h"
#include "base/out.h"
#include "mcp-gateway/mcp/message.h"
#include "mcp-gateway/mcp/protocol.h"
#include "mcp-gateway/mcp/tool.h"
#include "proto/trace/trace.h"

struct sb_mcp_batch;
struct sb_mcp_link;
struct sb_mcp_method;

/** What the result is made of; each is one list within it. */
enum sb_mcp_shape {
    SB_MCP_SHAPE_NONE, /* members only */
    SB_MCP_SHAPE_CONTENT,
    SB_MCP_SHAPE_MESSAGES,
    SB_MCP_SHAPE_CONTENTS,
    SB_MCP_SHAPE_RESOURCES,
    SB_MCP_SHAPE_VALUES,
    SB_MCP_SHAPE_ASKS,
};

struct sb_mcp_call {
    struct sb_list in_link;
    struct sb_list in_session;
    struct sb_list in_listeners;
    struct sb_mcp *mcp;
    struct sb_mcp_link *link;
    struct sb_mcp_batch *batch; /* NULL: it came alone */
    const struct sb_mcp_method *method;
    struct sb_mcp_message message; /* its json is owned */
    char *copied;                  /* id and progress token */
    enum sb_mcp_revision revision;
    struct sb_mcp_caller caller;
    struct sb_span span;
    const struct sb_mcp_tool *tool; /* that it is a call of; NULL: none */
    const char *failure;            /* why it has failed, for its span; static; NULL: it has not */

    void (*cancel)(void *ctx);
    void *cancel_ctx;
    double progress; /* told last */
    int level;       /* of log lines; -1: none */

    struct sb_out out;   /* the answer; empty until it begins */
    struct sb_json json; /* writes to it */
    enum sb_mcp_shape shape;
    bool has_begun;
    bool has_failed;
    const char *role; /* of the message that the next content is of */
    struct sb_buf structured;
    int missing;         /* enum sb_mcp_ask_kind that the client cannot be asked; -1: none */
    struct sb_str state; /* what was sealed; in state_buf */
    struct sb_buf state_buf;

    /* The request of ours it waits for, before 2026-07-28. */
    uint64_t ask_id; /* 0: none */
    void (*ask_done)(struct sb_mcp_call *call,
                     const struct cJSON *result,
                     struct sb_str message,
                     void *ctx);
    void *ask_ctx;

    /* subscriptions/listen */
    unsigned lists;           /* enum sb_mcp_list, those it wants to know of */
    const struct cJSON *uris; /* within the message */
};

/** @json  owned by the call, also on failure.  @message  of it. */
struct sb_mcp_call *sb_mcp_call_new(struct sb_mcp *mcp,
                                    struct sb_mcp_link *link,
                                    struct sb_mcp_batch *batch,
                                    const struct sb_mcp_message *message,
                                    enum sb_mcp_revision revision);
/** Tells the handler, answers nothing, frees. */
void sb_mcp_call_cancel(struct sb_mcp_call *call);
/** The same, when the link is gone. */
void sb_mcp_call_drop(struct sb_mcp_call *call);

/** Begins the result, if it has not begun, and returns what writes its members. */
struct sb_json *sb_mcp_call_result(struct sb_mcp_call *call, enum sb_mcp_shape shape);
/** Ends the list of the shape. */
void sb_mcp_call_end_list(struct sb_mcp_call *call);
/** Text without line ends, as messages are one line. */
void sb_mcp_call_put_raw(struct sb_json *json, const char *key, struct sb_str text);

/** Begins {"jsonrpc","method","params":{ of a message that is no answer. */
void sb_mcp_note_begin(struct sb_out *out, struct sb_json *json, const char *method);
/** Ends it and sends it by the link. */
void sb_mcp_note_end(struct sb_out *out, struct sb_json *json, struct sb_mcp_link *link);

/** Why something became no call. */
struct sb_mcp_fault {
    int status; /* of HTTP */
    int code;
    struct sb_str message;
    struct sb_str data; /* JSON text, or empty */
};
/** Answers it. @batch  NULL: it came alone.  @id  as written; empty: null. */
void sb_mcp_refuse(struct sb_mcp_link *link,
                   struct sb_mcp_batch *batch,
                   struct sb_str id,
                   const struct sb_mcp_fault *fault);

/** A batch collects its answers. */
struct sb_mcp_batch *sb_mcp_batch_new(struct sb_mcp_link *link);
/** One more answer is owed. */
void sb_mcp_batch_expect(struct sb_mcp_batch *batch);
/** Takes the answer that is owed; empty: it was cancelled. The last one frees the batch. */
void sb_mcp_batch_take(struct sb_mcp_batch *batch, struct sb_str message, bool is_link_gone);

/** What the client answered to a request of ours. */
void sb_mcp_ask_answered(struct sb_mcp_call *call, const struct sb_mcp_message *response);
/** Reads requestState of the request; false: it is not ours. */
bool sb_mcp_ask_open_state(struct sb_mcp_call *call);
