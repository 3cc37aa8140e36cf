#pragma once
/** Private to mcp-gateway/tools: files of a sandbox. */
#include <stdint.h>

#include "mcp-gateway/tools/job.h"

struct cJSON;

enum { SB_FILE_PATH_SIZE = 4096 };

struct sb_upload {
    const char *sandbox_id;
    const char *path;
    struct sb_str data;
    uint32_t mode; /* 0: as WriteFile says */
    bool is_append;
};

/** Absolute, as it is; else below /workspace. False: it is too long. */
bool sb_file_path(const char *path, char out[SB_FILE_PATH_SIZE]);
/** Writes a file with its missing folders; @step gets the WriteFileResponse. All borrowed until
 *  the return. */
void sb_file_upload(struct sb_job *job, const struct sb_upload *upload, sb_job_step *step);
/** "image/png" and so on by the first bytes; NULL: none that models can see. */
const char *sb_file_image_type(struct sb_str data);

void sb_tool_file_read(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
void sb_tool_file_write(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
void sb_tool_file_list(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
