#include "mcp-gateway/tools/fork.h"

#include "aisbx/v1/sandbox_service.pb-c.h"
#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/json.h"
#include "base/out.h"
#include "mcp-gateway/mcp/tool.h"
#include "mcp-gateway/tools/arg.h"
#include "mcp-gateway/tools/job.h"
#include "mcp-gateway/tools/report.h"

enum { MAX_NOTICES = 8 };

static const struct sb_job_ops plain = {.cancelled = NULL};

static void answer(struct sb_job *job, struct sb_out *text, struct sb_out *fields)
{
    sb_mcp_text(job->call, sb_buf_str(&text->buf));
    sb_mcp_structured(job->call, sb_buf_str(&fields->buf));
    sb_out_done(text);
    sb_out_done(fields);
    sb_job_finish(job);
}

/* ---- snapshot ---- */

static void kept(struct sb_job *job, const ProtobufCMessage *reply)
{
    const Aisbx__V1__Snapshot *snapshot =
        ((const Aisbx__V1__SnapshotSandboxResponse *)(const void *)reply)->snapshot;
    struct sb_out text;
    struct sb_out fields;
    struct sb_json json = {.out = &fields};
    sb_out_init(&text, -1);
    sb_out_init(&fields, -1);
    sb_out_printf(&text,
                  "snapshot %s of sandbox %s; sandbox_create with snapshot_id starts from it\n",
                  snapshot->snapshot_id, snapshot->sandbox_id);
    sb_json_open(&json, NULL, '{');
    sb_json_cstr(&json, "snapshot_id", snapshot->snapshot_id);
    sb_json_cstr(&json, "sandbox_id", snapshot->sandbox_id);
    sb_json_close(&json, '}');
    answer(job, &text, &fields);
}

void sb_tool_sandbox_snapshot(struct sb_mcp_call *call, const struct cJSON *arguments, void *user)
{
    Aisbx__V1__SnapshotSandboxRequest request = AISBX__V1__SNAPSHOT_SANDBOX_REQUEST__INIT;
    struct sb_job *job = sb_job_new(user, call, sizeof *job, &plain);
    if (job == NULL) {
        return;
    }
    request.request_id = sb_arg_field(arguments, "request_id");
    request.sandbox_id = sb_arg_field(arguments, "sandbox_id");
    request.title = sb_arg_field(arguments, "title");
    sb_job_ask(job, SB_SANDBOX_RPC(SNAPSHOT_SANDBOX), &request.base, kept);
}

/* ---- fork ---- */

static void forked(struct sb_job *job, const ProtobufCMessage *reply)
{
    const Aisbx__V1__ForkSandboxResponse *fork = (const void *)reply;
    struct sb_out text;
    struct sb_out fields;
    struct sb_json json = {.out = &fields};
    sb_out_init(&text, -1);
    sb_out_init(&fields, -1);
    sb_json_open(&json, NULL, '{');
    sb_json_open(&json, "sandboxes", '[');
    for (size_t i = 0; i < fork->n_sandboxes; i++) {
        sb_report_sandbox(&text, fork->sandboxes[i]);
        sb_out_put(&text, "\n");
        sb_json_open(&json, NULL, '{');
        sb_report_sandbox_fields(&json, fork->sandboxes[i]);
        sb_json_close(&json, '}');
    }
    sb_json_close(&json, ']');
    sb_json_close(&json, '}');
    for (size_t i = 0; i < fork->n_notices && i < MAX_NOTICES; i++) {
        sb_out_put(&text, "notice: ");
        sb_out_put_safe(&text, sb_str_from(fork->notices[i]));
        sb_out_put(&text, "\n");
    }
    answer(job, &text, &fields);
}

void sb_tool_sandbox_fork(struct sb_mcp_call *call, const struct cJSON *arguments, void *user)
{
    Aisbx__V1__ForkSandboxRequest request = AISBX__V1__FORK_SANDBOX_REQUEST__INIT;
    struct sb_job *job = sb_job_new(user, call, sizeof *job, &plain);
    if (job == NULL) {
        return;
    }
    request.request_id = sb_arg_field(arguments, "request_id");
    request.sandbox_id = sb_arg_field(arguments, "sandbox_id");
    request.count = (uint32_t)sb_arg_number(arguments, "count", 1);
    sb_job_ask(job, SB_SANDBOX_RPC(FORK_SANDBOX), &request.base, forked);
}
