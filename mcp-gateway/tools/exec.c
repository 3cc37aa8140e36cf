/* Programs that run in the background, or have ended: what they wrote, and input for them. */
#include "mcp-gateway/tools/exec.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "aisbx/v1/sandbox_service.pb-c.h"
#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/err.h"
#include "base/json.h"
#include "base/out.h"
#include "mcp-gateway/mcp/tool.h"
#include "mcp-gateway/tools/arg.h"
#include "mcp-gateway/tools/job.h"
#include "mcp-gateway/tools/report.h"
#include "proto/client/message.h"

struct output {
    struct sb_job job;
    const struct cJSON *arguments;
    Aisbx__V1__ReadExecOutputResponse *range;
    Aisbx__V1__GetExecResponse *exec;
};

/* ---- output ---- */

static void free_output(struct sb_job *job)
{
    struct output *output = (struct output *)job;
    sb_message_freep(&output->range);
    sb_message_freep(&output->exec);
}

static const struct sb_job_ops output_ops = {.done = free_output};

static void put_range(const struct output *output, struct sb_out *text)
{
    const Aisbx__V1__ReadExecOutputResponse *range = output->range;
    struct sb_str data = sb_str_of(range->data.data, range->data.len);
    const char *stream = sb_arg_text(output->arguments, "stream");
    sb_out_printf(text, "--- %s, bytes %" PRIu64 " to %" PRIu64 " of %" PRIu64 "\n",
                  stream == NULL ? "stdout" : stream, range->offset, range->offset + data.len,
                  range->total_bytes);
    if (!sb_text_is_text(data)) {
        sb_out_printf(text, "binary, %zu bytes, not shown; aisbx://exec/%s/%s has them\n", data.len,
                      sb_arg_text(output->arguments, "exec_id"),
                      stream == NULL ? "stdout" : stream);
        return;
    }
    sb_out_write(text, data.ptr, data.len);
    if (data.len > 0 && data.ptr[data.len - 1] != '\n') {
        sb_out_put(text, "\n");
    }
    if (!range->end_of_stream) {
        sb_out_printf(text, "(more may follow: call again with offset %" PRIu64 ")\n",
                      range->offset + data.len);
    }
}

static void put_sandbox(struct sb_out *text, const Aisbx__V1__Sandbox *sandbox)
{
    if (sandbox->state != AISBX__V1__SANDBOX_STATE__SANDBOX_STATE_DESTROYED) {
        sb_report_sandbox(text, sandbox);
        sb_out_put(text, "\n");
    }
}

static void answer_output(struct output *output, const Aisbx__V1__Sandbox *sandbox)
{
    const Aisbx__V1__Exec *exec = output->exec->exec;
    const Aisbx__V1__ReadExecOutputResponse *range = output->range;
    struct sb_out text;
    struct sb_out fields;
    struct sb_json json = {.out = &fields};
    sb_out_init(&text, -1);
    sb_out_init(&fields, -1);
    sb_report_verdict(&text, exec);
    put_range(output, &text);
    sb_json_open(&json, NULL, '{');
    sb_report_verdict_fields(&json, exec);
    sb_json_cstr(&json, "exec_id", exec->exec_id);
    sb_json_u64(&json, "offset", range->offset);
    sb_json_u64(&json, "next_offset", range->offset + range->data.len);
    sb_json_u64(&json, "total_bytes", range->total_bytes);
    sb_json_bool(&json, "is_end", range->end_of_stream != 0);
    if (sandbox != NULL) {
        put_sandbox(&text, sandbox);
        sb_report_sandbox_fields(&json, sandbox);
    }
    sb_json_close(&json, '}');
    sb_mcp_text(output->job.call, sb_buf_str(&text.buf));
    sb_mcp_structured(output->job.call, sb_buf_str(&fields.buf));
    sb_out_done(&text);
    sb_out_done(&fields);
    sb_job_finish(&output->job);
}

static void got_sandbox(struct sb_job *job, const ProtobufCMessage *reply)
{
    answer_output((struct output *)job,
                  ((const Aisbx__V1__GetSandboxResponse *)(const void *)reply)->sandbox);
}

static void got_exec(struct sb_job *job, const ProtobufCMessage *reply)
{
    struct output *output = (struct output *)job;
    struct sb_err err;
    Aisbx__V1__GetSandboxRequest request = AISBX__V1__GET_SANDBOX_REQUEST__INIT;
    output->exec = (Aisbx__V1__GetExecResponse *)sb_message_copy(reply, &err);
    if (output->exec == NULL || output->exec->exec == NULL) {
        (void)sb_err_set(&err, SB_INTERNAL, "the worker's answer has no exec");
        sb_job_failed(job, &err);
        return;
    }
    request.sandbox_id = output->exec->exec->sandbox_id;
    sb_job_ask(job, SB_SANDBOX_RPC(GET_SANDBOX), &request.base, got_sandbox);
}

static void got_range(struct sb_job *job, const ProtobufCMessage *reply)
{
    struct output *output = (struct output *)job;
    struct sb_err err;
    Aisbx__V1__GetExecRequest request = AISBX__V1__GET_EXEC_REQUEST__INIT;
    output->range = (Aisbx__V1__ReadExecOutputResponse *)sb_message_copy(reply, &err);
    if (output->range == NULL) {
        sb_job_failed(job, &err);
        return;
    }
    request.exec_id = sb_arg_field(output->arguments, "exec_id");
    sb_job_ask(job, SB_SANDBOX_RPC(GET_EXEC), &request.base, got_exec);
}

void sb_tool_exec_output(struct sb_mcp_call *call, const struct cJSON *arguments, void *user)
{
    const char *stream = sb_arg_text(arguments, "stream");
    Aisbx__V1__ReadExecOutputRequest request = AISBX__V1__READ_EXEC_OUTPUT_REQUEST__INIT;
    struct output *output = sb_job_new(user, call, sizeof *output, &output_ops);
    if (output == NULL) {
        return;
    }
    output->arguments = arguments;
    request.exec_id = sb_arg_field(arguments, "exec_id");
    request.stream = stream != NULL && strcmp(stream, "stderr") == 0
                         ? AISBX__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDERR
                         : AISBX__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDOUT;
    request.offset = sb_arg_number(arguments, "offset", 0);
    request.max_bytes = (uint32_t)sb_arg_number(arguments, "max_bytes", SB_REPORT_CHARS);
    request.wait_ms = sb_arg_seconds(arguments, "wait_s");
    sb_job_ask(&output->job, SB_SANDBOX_RPC(READ_EXEC_OUTPUT), &request.base, got_range);
}

/* ---- input ---- */

static const struct {
    const char *name;
    int number;
} signals[] = {
    {"INT", SIGINT},   {"TERM", SIGTERM}, {"HUP", SIGHUP},   {"QUIT", SIGQUIT},
    {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"STOP", SIGSTOP}, {"CONT", SIGCONT},
};

static const struct sb_job_ops plain = {.cancelled = NULL};

static void done(struct sb_job *job, const char *what)
{
    struct sb_out fields;
    struct sb_json json = {.out = &fields};
    sb_out_init(&fields, -1);
    sb_json_open(&json, NULL, '{');
    sb_json_cstr(&json, "done", what);
    sb_json_close(&json, '}');
    sb_mcp_text(job->call, sb_str_from(what));
    sb_mcp_structured(job->call, sb_buf_str(&fields.buf));
    sb_out_done(&fields);
    sb_job_finish(job);
}

static void sent(struct sb_job *job, const ProtobufCMessage *reply)
{
    (void)reply;
    done(job, "input sent; exec_output shows what the program makes of it");
}

static void signalled(struct sb_job *job, const ProtobufCMessage *reply)
{
    (void)reply;
    done(job, "signal sent; exec_output shows whether the program has ended");
}

static void killed(struct sb_job *job, const ProtobufCMessage *reply)
{
    (void)reply;
    done(job, "killed with all its processes; nothing of it is left");
}

static void send_signal(struct sb_job *job, const char *exec_id, const char *name)
{
    Aisbx__V1__CancelExecRequest cancel = AISBX__V1__CANCEL_EXEC_REQUEST__INIT;
    Aisbx__V1__SignalExecRequest request = AISBX__V1__SIGNAL_EXEC_REQUEST__INIT;
    if (strcmp(name, "KILL") == 0) {
        cancel.exec_id = sb_lend(exec_id);
        sb_job_ask(job, SB_SANDBOX_RPC(CANCEL_EXEC), &cancel.base, killed);
        return;
    }
    request.exec_id = sb_lend(exec_id);
    request.tree = 1;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        if (strcmp(signals[i].name, name) == 0) {
            request.signal = signals[i].number;
        }
    }
    sb_job_ask(job, SB_SANDBOX_RPC(SIGNAL_EXEC), &request.base, signalled);
}

void sb_tool_exec_input(struct sb_mcp_call *call, const struct cJSON *arguments, void *user)
{
    const char *exec_id = sb_arg_text(arguments, "exec_id");
    const char *data = sb_arg_text(arguments, "data");
    const char *name = sb_arg_text(arguments, "signal");
    bool is_eof = sb_arg_flag(arguments, "eof");
    Aisbx__V1__SendExecInputRequest request = AISBX__V1__SEND_EXEC_INPUT_REQUEST__INIT;
    struct sb_job *job = sb_job_new(user, call, sizeof *job, &plain);
    if (job == NULL) {
        return;
    }
    if ((name != NULL) == (data != NULL || is_eof)) {
        sb_job_refuse(job, "signal: give either that, or data and eof");
        return;
    }
    if (name != NULL) {
        send_signal(job, exec_id, name);
        return;
    }
    request.exec_id = sb_lend(exec_id);
    request.eof = is_eof;
    if (data != NULL) {
        request.data = (ProtobufCBinaryData){strlen(data), sb_lend(data)};
    }
    sb_job_ask(job, SB_SANDBOX_RPC(SEND_EXEC_INPUT), &request.base, sent);
}
