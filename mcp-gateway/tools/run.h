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

enum { SB_TOOL_ID_SIZE = 72 }; /* what a client may take for an id, with the NUL */

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
    size_t image_bytes;
    struct sb_buf image;
};

/** Goes on after the files are there. */
void sb_run_start(struct sb_run *run);
/** Goes on when there is nothing more to show: answers, cleans up. */
void sb_run_finish(struct sb_run *run);

/* run_file.c */

/** Writes the files that the call brings, then sb_run_start. */
void sb_run_put_files(struct sb_run *run);
/** Adds the images that the program left, then sb_run_finish. */
void sb_run_show_images(struct sb_run *run);

struct cJSON;
void sb_tool_run_code(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
void sb_tool_shell(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
