#pragma once
/** Private to mcp-gateway/tools: files of a sandbox. */
#include <stdint.h>

#include "mcp-gateway/tools/job.h"

struct cJSON;
struct sb_out;

enum {
    SB_FILE_PATH_SIZE = 4096,
    SB_FILE_SHOWN_BYTES = 100 << 10, /* of an image: more is more than a model looks at */
};

struct sb_upload {
    const char *sandbox_id;
    const char *path;
    struct sb_str data;
    uint32_t mode; /* 0: as WriteFile says */
    bool is_append;
};

/** Absolute, as it is; else below /workspace. False: it is too long. */
bool sb_file_path(const char *path, char out[SB_FILE_PATH_SIZE]);
/** The argument "path", else /workspace. False: the job is over. */
bool sb_file_read_path(struct sb_job *job,
                       const struct cJSON *arguments,
                       char out[SB_FILE_PATH_SIZE]);
/** Answers with both, takes them, and ends the job. */
void sb_file_end(struct sb_job *job, struct sb_out *text, struct sb_out *fields);
/** Writes a file with its missing folders; @step gets the WriteFileResponse. All borrowed until
 *  the return. */
void sb_file_upload(struct sb_job *job, const struct sb_upload *upload, sb_job_step *step);
/** Adds a link to a file, which resources/read serves to 4 MiB. @mime_type  NULL: not known. */
void sb_file_link(struct sb_job *job,
                  const char *sandbox_id,
                  const char *path,
                  const char *mime_type,
                  uint64_t size_bytes);
/** "image/png" and so on by the first bytes; NULL: none that models can see. */
const char *sb_file_image_type(struct sb_str data);

void sb_tool_file_read(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
void sb_tool_file_write(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
void sb_tool_file_edit(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
void sb_tool_file_search(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
void sb_tool_file_list(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
