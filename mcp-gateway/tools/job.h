#pragma once
/** Private to mcp-gateway/tools: one call of a tool, and the calls of the worker it needs. */
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/str.h"
#include "mcp-gateway/backend.h"

struct event_base;
struct sb_err;
struct sb_job;
struct sb_mcp_call;

#define SB_SANDBOX_RPC(name)                                                                       \
    (&aisbx__v1__sandbox_service__methods[AISBX__V1__SANDBOX_SERVICE__METHOD_##name])
#define SB_FILE_RPC(name)                                                                          \
    (&aisbx__v1__file_service__methods[AISBX__V1__FILE_SERVICE__METHOD_##name])
#define SB_WORKER_RPC(name)                                                                        \
    (&aisbx__v1__worker_service__methods[AISBX__V1__WORKER_SERVICE__METHOD_##name])

enum { SB_TOOLS_SHOWN = 256 };

struct sb_tools {
    struct event_base *base;
    struct sb_backend *backend;
    struct sb_list jobs;
    struct sb_hash_key key;
    uint64_t shown[SB_TOOLS_SHOWN]; /* a ring: images that a model has seen, by hash */
    unsigned next_shown;
};

/** What a kind of job does beside its steps; NULL: the default. */
struct sb_job_ops {
    /** The client cancelled: job->call is NULL from here on. Default: the call of the worker is
     *  cancelled and the job ends. */
    void (*cancelled)(struct sb_job *job);
    /** A call of the worker failed; @rpc  for its trailers, may be NULL. Default: the call is
     *  answered with that. */
    void (*failed)(struct sb_job *job, const struct sb_err *err, const struct sb_backend_call *rpc);
    /** Frees what the job holds, not the job. */
    void (*done)(struct sb_job *job);
};

/** The reply to a unary call; NULL after a stream. Goes on, or finishes the job. */
typedef void sb_job_step(struct sb_job *job, const ProtobufCMessage *reply);
/** A message of a stream. False: enough, the stream is cancelled and counts as ended well. */
typedef bool sb_job_piece(struct sb_job *job, const ProtobufCMessage *message);

struct sb_job {
    struct sb_list node;
    struct sb_tools *tools;
    const struct sb_job_ops *ops;
    struct sb_mcp_call *call; /* NULL: cancelled */
    struct sb_backend_call *rpc;
    sb_job_step *step;
    sb_job_piece *piece;
    ProtobufCMessage *reply;
    bool is_enough;
    struct sb_err no_key;            /* what the worker says of the key; a code of 0: nothing */
    struct sb_backend_caller caller; /* texts owned */
};

/** Begins a job as the first member of a zeroed block of @size bytes. NULL: memory is out, and the
 *  call is answered. */
void *sb_job_new(struct sb_tools *tools,
                 struct sb_mcp_call *call,
                 size_t size,
                 const struct sb_job_ops *ops);
/** A unary call; @step gets its reply. @request  borrowed. */
void sb_job_ask(struct sb_job *job,
                const struct sb_rpc_method *method,
                const ProtobufCMessage *request,
                sb_job_step *step);
/** A server stream; @step is called after its end. */
void sb_job_stream(struct sb_job *job,
                   const struct sb_rpc_method *method,
                   const ProtobufCMessage *request,
                   sb_job_piece *piece,
                   sb_job_step *step);
/** A client stream; send by job->rpc. False: it failed, and the job may be gone. */
bool sb_job_upload(struct sb_job *job, const struct sb_rpc_method *method, sb_job_step *step);

/** As if a call of the worker had failed so; the job may be gone. */
void sb_job_failed(struct sb_job *job, const struct sb_err *err);
/** Adds to the answer why the sandbox failed, and the next step. */
void sb_job_tell(struct sb_job *job, const struct sb_err *err, const struct sb_backend_call *rpc);
/** The same for a mistake in an argument: "timeout_s: ...". */
void sb_job_refuse(struct sb_job *job, const char *why);
/** Answers, unless the call was cancelled, and frees. */
void sb_job_finish(struct sb_job *job);
