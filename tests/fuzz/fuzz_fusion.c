/** A body of POST /run_code. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "mcp-gateway/fusion/job.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sb_fusion_job job;
    struct sb_err err;
    const char *field = NULL;
    memset(&job, 0, sizeof job);
    if (sb_fusion_ask(&job, sb_str_of((const char *)data, size), &field, &err) == 0) {
        (void)aisbx__v1__run_batch_request__get_packed_size(&job.message);
    }
    cJSON_Delete(job.json);
    sb_buf_done(&job.files.data);
    return 0;
}
