#pragma once
/** Private to mcp-gateway/sandboxd: one request, and the calls it becomes. */
#include <protobuf-c/protobuf-c.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "base/list.h"
#include "mcp-gateway/backend.h"
#include "mcp-gateway/http/server.h"
#include "mcp-gateway/sandboxd/sandboxd.h"

enum { SB_OP_PATH_SIZE = 4096 };

/** Where clients think they are. */
#define SB_OP_ROOT "/workspace"

struct sb_sandboxd {
    struct sb_sandboxd_options options;
    struct sb_list ops;
    uint64_t start_ms; /* monotonic */
};

struct sb_op {
    struct sb_list node;
    struct sb_sandboxd *sandboxd;
    struct sb_http_request *request; /* NULL: answered, or gone */
    struct sb_backend_call *call;    /* NULL: none under way */
    char sandbox_id[SB_ID_SIZE];
    char path[SB_OP_PATH_SIZE]; /* absolute inside */
    /* of the call under way */
    void (*on_message)(struct sb_op *op, const ProtobufCMessage *message);
    void (*on_done)(struct sb_op *op, const struct sb_err *err);
    void (*then)(struct sb_op *op); /* when the sandbox is known */
    /* PUT, DELETE */
    uint32_t mode;
    bool is_recursive;
    struct sb_inflow *inflow;  /* owned; NULL: nothing is written yet */
    struct sb_multipart *form; /* owned; NULL: the body is the file */
    /* GET */
    bool is_begun; /* the answer has a head */
    uint64_t size;
    bool is_directory;
    struct sb_listing *listing; /* owned */
};

/** Starts a call of the operation's caller; what ends it goes to on_done. A stream's first message
 *  is asked for. @message  NULL: a client stream. When it cannot be started the request has been
 *  answered. */
void sb_op_ask(struct sb_op *op,
               const struct sb_rpc_method *method,
               const ProtobufCMessage *message,
               void (*on_message)(struct sb_op *op, const ProtobufCMessage *message),
               void (*on_done)(struct sb_op *op, const struct sb_err *err));

/** Answers, each once. */
void sb_op_reply_empty(struct sb_op *op, int status);
void sb_op_reply_json(struct sb_op *op, int status, struct sb_str json);
void sb_op_refuse(struct sb_op *op, int status, const char *code, const char *text);
/** With what a call failed with, or what is wrong with the request. */
void sb_op_fail(struct sb_op *op, const struct sb_err *err);

/** The same, of a request that is no operation. */
void sb_sandboxd_refuse(struct sb_http_request *request,
                        int status,
                        const char *code,
                        const char *text);

/* file.c, list.c: what is done when the sandbox is known */
void sb_op_get(struct sb_op *op);
void sb_op_put(struct sb_op *op);
void sb_op_delete(struct sb_op *op);
/** All of the directory op->path as JSON. */
void sb_op_list(struct sb_op *op);
/** Removes what is in op->path and leaves itself. */
void sb_op_clear(struct sb_op *op);
void sb_listing_free(struct sb_listing *listing);
