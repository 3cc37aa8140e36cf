#pragma once
/** Private to mcp-gateway/fusion: one request, the call it becomes, and what came of it. */
#include <stdint.h>

#include "aisbx/v1/sandbox_service.pb-c.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "base/str.h"

struct cJSON;
struct sb_backend_call;
struct sb_fusion;
struct sb_http_request;

enum { SB_JOB_MAX_FILES = 64 };

struct sb_job_files {
    Aisbx__V1__InlineFile items[SB_JOB_MAX_FILES];
    Aisbx__V1__InlineFile *list[SB_JOB_MAX_FILES];
    size_t offsets[SB_JOB_MAX_FILES]; /* in data */
    struct sb_buf data;
};

struct sb_fusion_job {
    struct sb_list node; /* of those that run, or that wait */
    struct sb_fusion *fusion;
    struct sb_http_request *request; /* NULL: answered, or gone */
    struct sb_backend_call *call;    /* NULL: it waits */
    uint64_t who;                    /* whose it is: callers do not wait for each other */
    struct cJSON *json;              /* owned; texts of the message lie in it */
    /* the message, and its parts */
    Aisbx__V1__RunBatchRequest message;
    Aisbx__V1__SandboxSpec sandbox;
    Aisbx__V1__Network network;
    Aisbx__V1__Limits limits;
    Aisbx__V1__ExecSpec compile;
    Aisbx__V1__ExecSpec run;
    Aisbx__V1__Script script;
    Aisbx__V1__BatchCase with;
    Aisbx__V1__BatchCase *cases[1];
    struct sb_job_files files;
    char *fetch[SB_JOB_MAX_FILES];
    /* what came; owned */
    Aisbx__V1__RunBatchResponse *compiled;
    Aisbx__V1__RunBatchResponse *ran;
};

/** Fills the message from a body. @ret_field  what is wrong, "language"; static.
 *  Errors: SB_INVALID: not such a request; SB_UNIMPLEMENTED: a language that is not here;
 *  SB_EXHAUSTED. */
int sb_fusion_ask(struct sb_fusion_job *job,
                  struct sb_str body,
                  const char **ret_field,
                  struct sb_err *err);

/** The answer to a job whose results have come. @err  not SB_OK: there are none. */
int sb_fusion_answer(const struct sb_fusion_job *job,
                     const struct sb_err *err,
                     struct sb_buf *ret_json);
