#include "mcp-gateway/tools/snapshot.h"

#include "aisbx/v1/sandbox_service.pb-c.h"
#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/json.h"
#include "base/num.h"
#include "base/out.h"
#include "mcp-gateway/mcp/tool.h"
#include "mcp-gateway/tools/arg.h"
#include "mcp-gateway/tools/job.h"
#include "mcp-gateway/tools/report.h"

static const struct sb_job_ops plain = {.cancelled = NULL};

/* A text and structured fields in the making. */
struct result {
    struct sb_out text;
    struct sb_out fields;
    struct sb_json json;
};

static void begin(struct result *result)
{
    sb_out_init(&result->text, -1);
    sb_out_init(&result->fields, -1);
    result->json = (struct sb_json){.out = &result->fields};
    sb_json_open(&result->json, NULL, '{');
}

static void finish(struct sb_job *job, struct result *result)
{
    sb_json_close(&result->json, '}');
    sb_mcp_text(job->call, sb_buf_str(&result->text.buf));
    sb_mcp_structured(job->call, sb_buf_str(&result->fields.buf));
    sb_out_done(&result->text);
    sb_out_done(&result->fields);
    sb_job_finish(job);
}

/* ---- snapshot ---- */

static void taken(struct sb_job *job, const ProtobufCMessage *reply)
{
    const Aisbx__V1__Snapshot *snapshot =
        ((const Aisbx__V1__SnapshotSandboxResponse *)(const void *)reply)->snapshot;
    struct result result;
    char size[SB_NUM_TEXT_SIZE];
    begin(&result);
    sb_out_printf(&result.text, "snapshot %s of %s keeps", snapshot->snapshot_id,
                  snapshot->sandbox_id);
    sb_json_cstr(&result.json, "snapshot_id", snapshot->snapshot_id);
    sb_json_cstr(&result.json, "sandbox_id", snapshot->sandbox_id);
    sb_json_open(&result.json, "paths", '[');
    for (size_t i = 0; i < snapshot->n_paths; i++) {
        sb_out_printf(&result.text, "%s %s", i == 0 ? "" : " and", snapshot->paths[i]);
        sb_json_cstr(&result.json, NULL, snapshot->paths[i]);
    }
    sb_json_close(&result.json, ']');
    sb_out_printf(&result.text, " (%s copied); programs are not part of it\n",
                  sb_num_format_bytes(size, snapshot->copied_bytes));
    finish(job, &result);
}

void sb_tool_sandbox_snapshot(struct sb_mcp_call *call, const struct cJSON *arguments, void *user)
{
    Aisbx__V1__SnapshotSandboxRequest request = AISBX__V1__SNAPSHOT_SANDBOX_REQUEST__INIT;
    struct sb_job *job = sb_job_new(user, call, sizeof *job, &plain);
    if (job == NULL) {
        return;
    }
    request.sandbox_id = sb_arg_field(arguments, "sandbox_id");
    request.title = sb_arg_field(arguments, "title");
    sb_job_ask(job, SB_SANDBOX_RPC(SNAPSHOT_SANDBOX), &request.base, taken);
}

/* ---- fork ---- */

static void forked(struct sb_job *job, const ProtobufCMessage *reply)
{
    const Aisbx__V1__ForkSandboxResponse *forks = (const void *)reply;
    struct result result;
    begin(&result);
    sb_out_printf(&result.text, "%zu new sandbox%s, each with the files as they are now:\n",
                  forks->n_sandboxes, forks->n_sandboxes == 1 ? "" : "es");
    sb_json_open(&result.json, "sandbox_ids", '[');
    for (size_t i = 0; i < forks->n_sandboxes; i++) {
        sb_out_printf(&result.text, "%s\n", forks->sandboxes[i]->sandbox_id);
        sb_json_cstr(&result.json, NULL, forks->sandboxes[i]->sandbox_id);
    }
    sb_json_close(&result.json, ']');
    for (size_t i = 0; i < forks->n_notices; i++) {
        sb_out_put(&result.text, "notice: ");
        sb_out_put_safe(&result.text, sb_str_from(forks->notices[i]));
        sb_out_put(&result.text, "\n");
    }
    finish(job, &result);
}

void sb_tool_sandbox_fork(struct sb_mcp_call *call, const struct cJSON *arguments, void *user)
{
    Aisbx__V1__ForkSandboxRequest request = AISBX__V1__FORK_SANDBOX_REQUEST__INIT;
    struct sb_job *job = sb_job_new(user, call, sizeof *job, &plain);
    if (job == NULL) {
        return;
    }
    request.sandbox_id = sb_arg_field(arguments, "sandbox_id");
    request.count = (uint32_t)sb_arg_number(arguments, "count", 1);
    request.request_id = sb_arg_field(arguments, "request_id");
    sb_job_ask(job, SB_SANDBOX_RPC(FORK_SANDBOX), &request.base, forked);
}

/* ---- rollback ---- */

static void went_back(struct sb_job *job, const ProtobufCMessage *reply)
{
    const Aisbx__V1__Sandbox *sandbox =
        ((const Aisbx__V1__RollbackSandboxResponse *)(const void *)reply)->sandbox;
    struct result result;
    begin(&result);
    sb_report_sandbox(&result.text, sandbox);
    sb_out_printf(&result.text, "\nits files are those of snapshot %s; what ran there was killed\n",
                  sandbox->snapshot_id);
    sb_report_sandbox_fields(&result.json, sandbox);
    finish(job, &result);
}

void sb_tool_sandbox_rollback(struct sb_mcp_call *call, const struct cJSON *arguments, void *user)
{
    Aisbx__V1__RollbackSandboxRequest request = AISBX__V1__ROLLBACK_SANDBOX_REQUEST__INIT;
    struct sb_job *job = sb_job_new(user, call, sizeof *job, &plain);
    if (job == NULL) {
        return;
    }
    request.sandbox_id = sb_arg_field(arguments, "sandbox_id");
    request.snapshot_id = sb_arg_field(arguments, "snapshot_id");
    sb_job_ask(job, SB_SANDBOX_RPC(ROLLBACK_SANDBOX), &request.base, went_back);
}
