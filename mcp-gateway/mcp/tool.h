#pragma once
/** What an MCP server offers, and how it answers: the same for both transports and for every
 *  revision of the protocol.
 *
 *  Theory of operation. A server is a const table of tools, resources and prompts. A handler is
 *  called on the event loop with a call; it answers then or later, by adding content and ending
 *  the call exactly once:
 *
 *      static void run(struct sb_mcp_call *call, const struct cJSON *arguments, void *user)
 *      {
 *          sb_mcp_text(call, SB_STR("hello"));
 *          sb_mcp_done(call);
 *      }
 *
 *  sb_mcp_done, sb_mcp_error, sb_mcp_not_found, sb_mcp_unauthenticated and sb_mcp_ask_done end it;
 *  the call is freed then. A call whose client cancelled it, or went away, ends without the
 *  handler: it is told by what it gave to sb_mcp_on_cancel, and must not touch the call again.
 *
 *  Arguments were checked against the tool's schema as far as mcp-gateway/mcp/schema.h goes, so a
 *  handler need not look at types again. Everything here is for the thread of the loop. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/trace.h"

struct cJSON;
struct event_base;
struct sb_err;
struct sb_mcp;
struct sb_mcp_call;

/** Result codes of JSON-RPC and of MCP that handlers may need. */
enum sb_mcp_code {
    SB_MCP_PARSE_ERROR = -32700,
    SB_MCP_INVALID_REQUEST = -32600,
    SB_MCP_NO_METHOD = -32601,
    SB_MCP_INVALID_PARAMS = -32602,
    SB_MCP_INTERNAL = -32603,
    SB_MCP_NO_SESSION = -32000,   /* before 2026-07-28: over HTTP, the session header is missing */
    SB_MCP_DEAD_SESSION = -32001, /* before 2026-07-28 */
    SB_MCP_NO_RESOURCE = -32002,  /* before 2026-07-28; since then SB_MCP_INVALID_PARAMS */
    SB_MCP_HEADER_MISMATCH = -32020,
    SB_MCP_MISSING_CAPABILITY = -32021,
    SB_MCP_UNSUPPORTED_VERSION = -32022,
    SB_MCP_UNAUTHENTICATED = -31001, /* ours */
    SB_MCP_BUSY = -31002,            /* ours: too many calls under way */
};

/* ---- what a server offers; all text is borrowed and must outlive the server ---- */

struct sb_mcp_tool {
    const char *name; /* 1..64 characters of A-Z a-z 0-9 _ - */
    const char *title;
    const char *description;
    const char *input_schema;  /* JSON text, an object schema; sent as it is */
    const char *output_schema; /* the same; NULL: none */
    const char *annotations;   /* JSON text of an object; NULL: none */
    /** @arguments  an object, never NULL; borrowed until the call ends. */
    void (*run)(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
};

struct sb_mcp_resource {
    const char *uri; /* of a template: RFC 6570 */
    const char *name;
    const char *title; /* NULL: none, as the following */
    const char *description;
    const char *mime_type;
};

struct sb_mcp_prompt {
    const char *name;
    const char *title;
    const char *description;
    const char *arguments; /* JSON text of the list of arguments; NULL: none */
    /** Answers with sb_mcp_message. @arguments  an object of strings, never NULL. */
    void (*get)(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
};

struct sb_mcp_definition {
    const char *name;
    const char *title;
    const char *version;
    const char *instructions; /* for the model; NULL: none */

    const struct sb_mcp_tool *tools;
    size_t n_tools;

    const struct sb_mcp_resource *resources; /* those that are always there */
    size_t n_resources;
    const struct sb_mcp_resource *templates;
    size_t n_templates;
    /** Adds what is there now by sb_mcp_add_resource, ends with sb_mcp_listed. It is called when
     *  those above are listed. @cursor  what it gave to sb_mcp_listed last, empty at first; a
     *  client may forge it. NULL: there are no others. */
    void (*list_resources)(struct sb_mcp_call *call, struct sb_str cursor, void *user);
    /** Answers with sb_mcp_contents_text or _blob and sb_mcp_done, or sb_mcp_not_found.
     *  NULL: there are no resources at all. */
    void (*read_resource)(struct sb_mcp_call *call, struct sb_str uri, void *user);
    bool has_subscriptions; /* sb_mcp_resource_updated is called */

    const struct sb_mcp_prompt *prompts;
    size_t n_prompts;

    /** Suggests values by sb_mcp_suggest. @reference  the prompt's name or the template's URI.
     *  NULL: not offered. */
    void (*complete)(struct sb_mcp_call *call,
                     struct sb_str reference,
                     struct sb_str argument,
                     struct sb_str value,
                     void *user);

    bool lists_change; /* sb_mcp_list_changed is called */
    bool has_logging;  /* sb_mcp_log is called, and clients before 2026-07-28 may set the level */
    uint64_t list_ttl_ms;     /* how long clients may keep lists; resources are never kept */
    void *user;               /* for the handlers */
    struct sb_tracer *tracer; /* of requests; NULL: nobody is told of spans */
};

/* ---- the call ---- */

/** Who calls, as the transport knows it. NULL where there is none. */
struct sb_mcp_caller {
    const char *key;        /* API key, from X-API-Key or Authorization: Bearer */
    const char *identity;   /* of the client's certificate */
    const char *peer;       /* "127.0.0.1:4711" */
    struct sb_trace trace;  /* of the request's _meta, else its header; zero: none */
    const char *tracestate; /* checked; from the same place */
    bool is_remote;         /* somebody on the network: without key and identity nobody */
};

/** Borrowed until the call ends. */
const struct sb_mcp_caller *sb_mcp_caller(const struct sb_mcp_call *call);

/** The worker took the credential of who called. Before that nobody here knows whether it is one:
 *  when there are too many sessions, those without go first. */
void sb_mcp_vouch(struct sb_mcp_call *call);

/** @cancel  called at most once, after which the call is gone; never after the call was ended.
 *  NULL takes it back. */
void sb_mcp_on_cancel(struct sb_mcp_call *call, void (*cancel)(void *ctx), void *ctx);

/** Tells how far it is, when the client asked for it. Values that do not rise are dropped.
 *  @total  0: unknown.  @message  may be empty. */
void sb_mcp_progress(struct sb_mcp_call *call,
                     double progress,
                     double total,
                     struct sb_str message);
bool sb_mcp_wants_progress(const struct sb_mcp_call *call);

enum sb_mcp_level {
    SB_MCP_DEBUG,
    SB_MCP_INFO,
    SB_MCP_NOTICE,
    SB_MCP_WARNING,
    SB_MCP_ERROR,
    SB_MCP_CRITICAL,
    SB_MCP_ALERT,
    SB_MCP_EMERGENCY,
    SB_MCP_LEVELS,
};
/** A line of log for the client, when it asked for that level. */
void sb_mcp_log(struct sb_mcp_call *call, enum sb_mcp_level level, struct sb_str text);

/* ---- content of a tool's result, in that order ---- */

void sb_mcp_text(struct sb_mcp_call *call, struct sb_str text);
/** @data  the bytes; they are sent as base64. */
void sb_mcp_image(struct sb_mcp_call *call, const char *mime_type, struct sb_str data);
void sb_mcp_audio(struct sb_mcp_call *call, const char *mime_type, struct sb_str data);
/** Where more can be read. Clients before 2025-06-18 get it as a line of text. */
void sb_mcp_link(struct sb_mcp_call *call, const struct sb_mcp_resource *resource);
/** A whole small resource within the result. */
void sb_mcp_embed(struct sb_mcp_call *call,
                  const char *uri,
                  const char *mime_type,
                  struct sb_str text);
/** @json  text of one JSON value, checked by nobody. At most once. */
void sb_mcp_structured(struct sb_mcp_call *call, struct sb_str json);
/** Makes the result one of failure (isError), which the model sees and can react to. */
void sb_mcp_fail(struct sb_mcp_call *call);

/* ---- content of other results ---- */

/** A message of a prompt. @role  "user" or "assistant"; the next content goes into it. */
void sb_mcp_message(struct sb_mcp_call *call, const char *role);
void sb_mcp_contents_text(struct sb_mcp_call *call,
                          struct sb_str uri,
                          const char *mime_type,
                          struct sb_str text);
void sb_mcp_contents_blob(struct sb_mcp_call *call,
                          struct sb_str uri,
                          const char *mime_type,
                          struct sb_str data);
void sb_mcp_add_resource(struct sb_mcp_call *call, const struct sb_mcp_resource *resource);
void sb_mcp_suggest(struct sb_mcp_call *call, struct sb_str value);

/* ---- ends of a call ---- */

void sb_mcp_done(struct sb_mcp_call *call);
/** Of list_resources. @cursor  empty: that was all; at most 256 bytes. */
void sb_mcp_listed(struct sb_mcp_call *call, struct sb_str cursor);
/** The request itself was wrong, or could not be served at all; the model may not see it.
 *  @data  JSON text, or empty. */
void sb_mcp_error(struct sb_mcp_call *call, int code, struct sb_str message, struct sb_str data);
void sb_mcp_not_found(struct sb_mcp_call *call, struct sb_str uri);
/** Over HTTP: 401 with WWW-Authenticate, unless the answer has begun. */
void sb_mcp_unauthenticated(struct sb_mcp_call *call, struct sb_str message);

/* ---- asking the client's user or model ---- */

enum sb_mcp_ask_kind {
    SB_MCP_ASK_ELICITATION, /* "elicitation/create" */
    SB_MCP_ASK_SAMPLING,    /* "sampling/createMessage" */
    SB_MCP_ASK_ROOTS,       /* "roots/list" */
};
/** True when the client said it can be asked so. */
bool sb_mcp_can_ask(const struct sb_mcp_call *call, enum sb_mcp_ask_kind kind);

/** Since 2026-07-28 a call ends with its questions, and comes again with the answers:
 *  sb_mcp_ask for each, then sb_mcp_ask_done. @params  JSON text of an object, or empty. */
void sb_mcp_ask(struct sb_mcp_call *call,
                const char *key,
                enum sb_mcp_ask_kind kind,
                struct sb_str params);
/** Ends the call; an error of the protocol when it cannot be asked so. @state  comes back with the
 *  answers, see sb_mcp_state; empty: none. At most 1 KiB. */
void sb_mcp_ask_done(struct sb_mcp_call *call, struct sb_str state);
/** What was answered to sb_mcp_ask; NULL: nothing. The client's word: check it. */
const struct cJSON *sb_mcp_answer(const struct sb_mcp_call *call, const char *key);
/** Content of an elicitation that the user accepted, an object; NULL otherwise. */
const struct cJSON *sb_mcp_accepted(const struct sb_mcp_call *call, const char *key);
/** What was given to sb_mcp_ask_done; it is sealed, so it is ours, for this caller and this tool,
 *  and at most ten minutes old (what is not was refused). Empty: none came. */
struct sb_str sb_mcp_state(const struct sb_mcp_call *call);

/** Before 2026-07-28 the client is asked while the call waits.
 *  @done  @result is NULL when the client refused or cannot. Not called when the call is
 *  cancelled. */
void sb_mcp_legacy_request(struct sb_mcp_call *call,
                           enum sb_mcp_ask_kind kind,
                           struct sb_str params,
                           void (*done)(struct sb_mcp_call *call,
                                        const struct cJSON *result,
                                        struct sb_str message,
                                        void *ctx),
                           void *ctx);
/** True for revisions that know sb_mcp_ask, false for those with sb_mcp_legacy_request. */
bool sb_mcp_is_modern(const struct sb_mcp_call *call);

/* ---- the server ---- */

/** @definition  borrowed.  @base  for timers; borrowed. Allocates little and does nothing else.
 *  Errors: SB_EXHAUSTED. */
int sb_mcp_new(const struct sb_mcp_definition *definition,
               struct event_base *base,
               struct sb_mcp **ret_mcp,
               struct sb_err *err);
/** After the transports. */
void sb_mcp_free(struct sb_mcp *mcp);
/** Ends listening clients in order, cancels all calls. The answers are written by the loop. */
void sb_mcp_close(struct sb_mcp *mcp);

enum sb_mcp_list {
    SB_MCP_TOOLS = 1,
    SB_MCP_PROMPTS = 2,
    SB_MCP_RESOURCES = 4,
};
/** Tells those who listen. */
void sb_mcp_list_changed(struct sb_mcp *mcp, enum sb_mcp_list list);
void sb_mcp_resource_updated(struct sb_mcp *mcp, struct sb_str uri);

/** Calls under way, for metrics. */
size_t sb_mcp_calls(const struct sb_mcp *mcp);
