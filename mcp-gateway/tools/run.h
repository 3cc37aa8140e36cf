#pragma once
/** Private to mcp-gateway/tools: a program in a sandbox, to its end or in the background. */
#include <event2/event.h>

#include "aisbx/v1/file_service.pb-c.h"
#include "aisbx/v1/sandbox_service.pb-c.h"
#include "base/buf.h"
#include "mcp-gateway/tools/clip.h"
#include "mcp-gateway/tools/job.h"
#include "mcp-gateway/tools/program.h"

struct cJSON;

enum {
    SB_TOOL_ID_SIZE = 72,   /* what a client may take for an id, with the NUL */
    SB_RUN_MAX_KEPT = 4,    /* images among the values of code */
    SB_RUN_MAX_LINKED = 16, /* larger images in one result */
};

struct sb_run_image {
    const char *mime_type; /* static */
    struct sb_buf data;
};

struct sb_run {
    struct sb_job job; /* first */
    const struct cJSON *arguments;
    struct sb_program program;
    bool is_own; /* the sandbox was made for this, and goes with it */
    bool is_background;
    bool has_ended; /* the program */
    char sandbox_id[SB_TOOL_ID_SIZE];
    char exec_id[SB_TOOL_ID_SIZE];
    Aisbx__V1__Exec *exec;       /* owned; with its verdict when it has ended */
    Aisbx__V1__Sandbox *sandbox; /* owned, NULL: not yet */
    struct sb_clip clips[2];
    unsigned cut; /* streams that are not shown whole */
    struct event *timer;
    uint64_t started_ms;
    /* files to put there, images to bring back */
    size_t n_put;
    Aisbx__V1__ListFilesResponse *found;
    size_t next_found;
    unsigned n_images;
    unsigned n_linked;
    size_t image_bytes;
    struct sb_buf image;
    /* in a context */
    bool keeps_state; /* wanted */
    bool is_context;
    bool is_error; /* of the code */
    char context_id[SB_TOOL_ID_SIZE];
    uint64_t from[2];      /* offsets of the streams where this code began */
    struct sb_buf values;  /* texts of values and errors */
    struct sb_buf other;   /* of the value that comes, a form that is not plain text */
    uint64_t value_number; /* of that value */
    bool has_shown;        /* it */
    struct sb_run_image kept[SB_RUN_MAX_KEPT];
    unsigned n_kept;
    unsigned next_kept;
    char kept_path[64]; /* of the one that is being written */
};

/** Goes on after the files are there. */
void sb_run_start(struct sb_run *run);
/** Goes on when there is nothing more to show: answers, cleans up. */
void sb_run_finish(struct sb_run *run);

/** Tells progress from now on. */
void sb_run_watch(struct sb_run *run);
/** The stream of its events is over: answers. */
void sb_run_on_ended(struct sb_job *job, const ProtobufCMessage *reply);

/* run_context.c */

/** Code of a sandbox that lasts, in a language with interpreters, and nothing of a program. */
bool sb_run_wants_context(const struct sb_run *run);
void sb_run_in_context(struct sb_run *run);
/** No form of the value follows. */
void sb_run_end_value(struct sb_run *run);
/** Adds what the code showed to the answer, then sb_run_show_images. */
void sb_run_show_values(struct sb_run *run);
/** The call of the worker that failed was about a value: goes on without it. False: it was not. */
bool sb_run_value_failed(struct sb_run *run);
/** Frees what of it is in run. */
void sb_run_context_done(struct sb_run *run);

/* run_file.c */

/** Writes the files that the call brings, then sb_run_start. */
void sb_run_put_files(struct sb_run *run);
/** Adds the images that the program left, then sb_run_finish. */
void sb_run_show_images(struct sb_run *run);

struct cJSON;
void sb_tool_run_code(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
void sb_tool_shell(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
