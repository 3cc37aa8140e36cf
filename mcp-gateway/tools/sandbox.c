#include "mcp-gateway/tools/sandbox.h"

#include <inttypes.h>
#include <string.h>

#include "aisbx/v1/sandbox_service.pb-c.h"
#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/json.h"
#include "base/out.h"
#include "mcp-gateway/mcp/tool.h"
#include "mcp-gateway/tools/arg.h"
#include "mcp-gateway/tools/job.h"
#include "mcp-gateway/tools/report.h"
#include "mcp-gateway/tools/spec.h"
#include "proto/client/message.h"
#include "proto/json/pbjson.h"

enum { TTL_S = 3600, PAGE = 20, MAX_NOTICES = 8, MAX_PROGRAMS = 200, MAX_PROGRAM = 64 };

static const struct sb_job_ops plain = {.cancelled = NULL};

/* Ends the job with a text and structured fields. */
static void answer(struct sb_job *job, struct sb_out *text, struct sb_out *fields)
{
    sb_mcp_text(job->call, sb_buf_str(&text->buf));
    sb_mcp_structured(job->call, sb_buf_str(&fields->buf));
    sb_out_done(text);
    sb_out_done(fields);
    sb_job_finish(job);
}

/* ---- create ---- */

static void put_network(struct sb_out *text, const Aisbx__V1__Network *network)
{
    if (network == NULL || network->mode != AISBX__V1__NETWORK_MODE__NETWORK_MODE_LIMITED) {
        sb_out_put(text, "network: none\n");
        return;
    }
    sb_out_put(text, "network: only");
    for (size_t i = 0; i < network->n_allow && i < MAX_NOTICES; i++) {
        sb_out_put(text, i == 0 ? " " : ", ");
        sb_out_put_safe(text, sb_str_from(network->allow[i]));
    }
    sb_out_printf(text, "%s\n", network->n_allow > MAX_NOTICES ? " and more" : "");
}

static void created(struct sb_job *job, const ProtobufCMessage *reply)
{
    const Aisbx__V1__Sandbox *sandbox =
        ((const Aisbx__V1__CreateSandboxResponse *)(const void *)reply)->sandbox;
    struct sb_out text;
    struct sb_out fields;
    struct sb_json json = {.out = &fields};
    sb_out_init(&text, -1);
    sb_out_init(&fields, -1);
    sb_report_sandbox(&text, sandbox);
    sb_out_put(&text, ", work in /workspace\n");
    sb_report_packages(&text, sandbox);
    put_network(&text, sandbox->network);
    for (size_t i = 0; i < sandbox->n_notices && i < MAX_NOTICES; i++) {
        sb_out_put(&text, "notice: ");
        sb_out_put_safe(&text, sb_str_from(sandbox->notices[i]));
        sb_out_put(&text, "\n");
    }
    sb_json_open(&json, NULL, '{');
    sb_report_sandbox_fields(&json, sandbox);
    sb_report_packages_field(&json, sandbox);
    sb_json_close(&json, '}');
    answer(job, &text, &fields);
}

void sb_tool_sandbox_create(struct sb_mcp_call *call, const struct cJSON *arguments, void *user)
{
    struct sb_spec spec;
    Aisbx__V1__CreateSandboxRequest request = AISBX__V1__CREATE_SANDBOX_REQUEST__INIT;
    struct sb_job *job = sb_job_new(user, call, sizeof *job, &plain);
    if (job == NULL) {
        return;
    }
    sb_spec_read(&spec, arguments, SB_SPEC_PROFILE);
    spec.sandbox.ttl_ms = (uint64_t)sb_arg_number(arguments, "ttl_s", TTL_S) * 1000;
    request.request_id = sb_arg_field(arguments, "request_id");
    request.snapshot_id = sb_arg_field(arguments, "snapshot_id");
    request.sandbox = &spec.sandbox;
    sb_spec_tell(&spec, call);
    sb_job_ask(job, SB_SANDBOX_RPC(CREATE_SANDBOX), &request.base, created);
}

/* ---- list ---- */

static void put_labels(struct sb_out *text, const Aisbx__V1__Sandbox *sandbox)
{
    for (size_t i = 0; i < sandbox->n_labels; i++) {
        sb_out_put(text, i == 0 ? ", labels " : " ");
        sb_out_put_safe(text, sb_str_from(sandbox->labels[i]->key));
        sb_out_put(text, "=");
        sb_out_put_safe(text, sb_str_from(sandbox->labels[i]->value));
    }
}

struct listing {
    struct sb_job job;
    Aisbx__V1__ListSandboxesResponse *sandboxes;
};

static void free_listing(struct sb_job *job)
{
    sb_message_freep(&((struct listing *)job)->sandboxes);
}

static const struct sb_job_ops listing_ops = {.done = free_listing};

/* What runs there: its ids are what exec_output and exec_input take. */
static void put_programs(struct sb_out *text,
                         struct sb_json *json,
                         const Aisbx__V1__Sandbox *sandbox,
                         const Aisbx__V1__ListExecsResponse *execs)
{
    sb_json_open(json, "execs", '[');
    for (size_t i = 0; i < execs->n_execs; i++) {
        const Aisbx__V1__Exec *exec = execs->execs[i];
        if (strcmp(exec->sandbox_id, sandbox->sandbox_id) == 0) {
            sb_json_cstr(json, NULL, exec->exec_id);
            sb_out_printf(text, "  %s ", exec->exec_id);
            struct sb_str name = sb_str_from(exec->n_args == 0 ? "" : exec->args[0]);
            sb_out_put_safe(text, sb_str_head(name, MAX_PROGRAM));
            sb_out_put(text, "\n");
        }
    }
    sb_json_close(json, ']');
}

static void put_row(struct sb_out *text,
                    struct sb_json *json,
                    const Aisbx__V1__Sandbox *sandbox,
                    const Aisbx__V1__ListExecsResponse *execs)
{
    char scratch[64];
    sb_report_sandbox(text, sandbox);
    sb_out_printf(
        text, ", %s, %u running",
        sb_pbjson_enum(&aisbx__v1__sandbox_state__descriptor, (int)sandbox->state, scratch),
        sandbox->active_execs);
    put_labels(text, sandbox);
    sb_out_put(text, "\n");
    sb_json_open(json, NULL, '{');
    sb_report_sandbox_fields(json, sandbox);
    put_programs(text, json, sandbox, execs);
    sb_json_close(json, '}');
}

/* A list that is not whole must not pass for one. */
static void
put_missing(struct sb_out *text, struct sb_json *json, const Aisbx__V1__ListSandboxesResponse *list)
{
    if (list->n_missing_workers == 0) {
        return;
    }
    sb_out_printf(text, "not in this list: sandboxes of %zu workers that do not answer\n",
                  list->n_missing_workers);
    sb_json_open(json, "missing_workers", '[');
    for (size_t i = 0; i < list->n_missing_workers; i++) {
        sb_json_cstr(json, NULL, list->missing_workers[i]);
    }
    sb_json_close(json, ']');
}

static void listed_execs(struct sb_job *job, const ProtobufCMessage *reply)
{
    const Aisbx__V1__ListSandboxesResponse *list = ((struct listing *)job)->sandboxes;
    const Aisbx__V1__ListExecsResponse *execs = (const void *)reply;
    struct sb_out text;
    struct sb_out fields;
    struct sb_json json = {.out = &fields};
    sb_out_init(&text, -1);
    sb_out_init(&fields, -1);
    sb_json_open(&json, NULL, '{');
    sb_json_open(&json, "sandboxes", '[');
    for (size_t i = 0; i < list->n_sandboxes; i++) {
        put_row(&text, &json, list->sandboxes[i], execs);
    }
    sb_json_close(&json, ']');
    if (list->n_sandboxes == 0) {
        sb_out_put(&text, "no sandboxes\n");
    }
    if (list->next_page_token[0] != '\0') {
        sb_out_printf(&text, "there are more: call again with cursor %s\n", list->next_page_token);
        sb_json_cstr(&json, "next_cursor", list->next_page_token);
    }
    put_missing(&text, &json, list);
    sb_json_close(&json, '}');
    answer(job, &text, &fields);
}

static void listed(struct sb_job *job, const ProtobufCMessage *reply)
{
    struct listing *listing = (struct listing *)job;
    struct sb_err err;
    Aisbx__V1__ListExecsRequest request = AISBX__V1__LIST_EXECS_REQUEST__INIT;
    listing->sandboxes = (Aisbx__V1__ListSandboxesResponse *)sb_message_copy(reply, &err);
    if (listing->sandboxes == NULL) {
        sb_job_failed(job, &err);
        return;
    }
    request.running_only = 1;
    request.page_size = MAX_PROGRAMS;
    sb_job_ask(job, SB_SANDBOX_RPC(LIST_EXECS), &request.base, listed_execs);
}

void sb_tool_sandbox_list(struct sb_mcp_call *call, const struct cJSON *arguments, void *user)
{
    Aisbx__V1__ListSandboxesRequest request = AISBX__V1__LIST_SANDBOXES_REQUEST__INIT;
    struct listing *listing = sb_job_new(user, call, sizeof *listing, &listing_ops);
    if (listing == NULL) {
        return;
    }
    request.page_size = (uint32_t)sb_arg_number(arguments, "limit", PAGE);
    request.page_token = sb_arg_field(arguments, "cursor");
    sb_job_ask(&listing->job, SB_SANDBOX_RPC(LIST_SANDBOXES), &request.base, listed);
}

/* ---- destroy ---- */

static void destroyed(struct sb_job *job, const ProtobufCMessage *reply)
{
    const Aisbx__V1__Sandbox *sandbox =
        ((const Aisbx__V1__DestroySandboxResponse *)(const void *)reply)->sandbox;
    struct sb_out text;
    struct sb_out fields;
    struct sb_json json = {.out = &fields};
    sb_out_init(&text, -1);
    sb_out_init(&fields, -1);
    sb_out_printf(&text, "sandbox %s is destroyed; its files are gone\n", sandbox->sandbox_id);
    sb_json_open(&json, NULL, '{');
    sb_json_cstr(&json, "sandbox_id", sandbox->sandbox_id);
    sb_json_cstr(&json, "state", "destroyed");
    sb_json_close(&json, '}');
    answer(job, &text, &fields);
}

void sb_tool_sandbox_destroy(struct sb_mcp_call *call, const struct cJSON *arguments, void *user)
{
    Aisbx__V1__DestroySandboxRequest request = AISBX__V1__DESTROY_SANDBOX_REQUEST__INIT;
    struct sb_job *job = sb_job_new(user, call, sizeof *job, &plain);
    if (job == NULL) {
        return;
    }
    request.sandbox_id = sb_arg_field(arguments, "sandbox_id");
    sb_job_ask(job, SB_SANDBOX_RPC(DESTROY_SANDBOX), &request.base, destroyed);
}
