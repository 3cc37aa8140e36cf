#include "mcp-gateway/tools/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "aisbx/v1/file_service.pb-c.h"
#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/out.h"
#include "mcp-gateway/mcp/tool.h"
#include "mcp-gateway/tools/arg.h"
#include "mcp-gateway/tools/report.h"
#include "mcp-gateway/tools/spec.h"
#include "proto/client/message.h"

enum {
    IDLE_MS = 60000, /* of a sandbox of a run, should we not be there to destroy it */
    TICK_MS = 1000,
    MAX_CODE = 1 << 20, /* bytes */
    MAX_STDIN = 1 << 20,
};

/* ---- the end ---- */

static void cleaned_up(struct sb_job *job, const ProtobufCMessage *reply)
{
    (void)reply;
    sb_job_finish(job);
}

/* Nothing is left of a call that is answered, or cancelled: the sandbox that was made for it, or
 * the program. */
static void clean_up(struct sb_run *run)
{
    if (run->is_own && run->sandbox_id[0] != '\0') {
        Aisbx__V1__DestroySandboxRequest request = AISBX__V1__DESTROY_SANDBOX_REQUEST__INIT;
        char id[SB_TOOL_ID_SIZE];
        memcpy(id, run->sandbox_id, sizeof id);
        request.sandbox_id = id;
        run->sandbox_id[0] = '\0';
        sb_job_ask(&run->job, SB_SANDBOX_RPC(DESTROY_SANDBOX), &request.base, cleaned_up);
    } else if (run->exec_id[0] != '\0' && !run->has_ended && !run->is_background &&
               !run->is_context) { /* of a context the call's end stops what runs */
        Aisbx__V1__CancelExecRequest request = AISBX__V1__CANCEL_EXEC_REQUEST__INIT;
        request.exec_id = run->exec_id;
        run->has_ended = true;
        sb_job_ask(&run->job, SB_SANDBOX_RPC(CANCEL_EXEC), &request.base, cleaned_up);
    } else {
        sb_job_finish(&run->job);
    }
}

static void
on_failed(struct sb_job *job, const struct sb_err *err, const struct sb_backend_call *rpc)
{
    struct sb_run *run = (struct sb_run *)job;
    bool is_clean = job->step == cleaned_up; /* it is gone already, or will be by its idle limit */
    if (is_clean) {
        sb_job_finish(job);
        return;
    }
    if (job->call != NULL && sb_run_value_failed(run)) {
        return;
    }
    if (run->exec != NULL && run->has_ended) { /* only images could not be had */
        sb_run_finish(run);
        return;
    }
    sb_job_tell(job, err, rpc);
    clean_up(run);
}

static void put_structured(struct sb_run *run)
{
    struct sb_out out;
    struct sb_json json = {.out = &out};
    sb_out_init(&out, -1);
    sb_json_open(&json, NULL, '{');
    sb_report_verdict_fields(&json, run->exec);
    sb_json_cstr(&json, "exec_id", run->exec_id);
    if (run->is_context) {
        sb_json_cstr(&json, "sandbox_id", run->sandbox_id);
        sb_json_cstr(&json, "context_id", run->context_id);
    }
    if (!run->is_own && run->sandbox != NULL) {
        sb_report_sandbox_fields(&json, run->sandbox);
    } else if (run->sandbox != NULL) {
        sb_report_packages_field(&json, run->sandbox);
    }
    if (!run->is_background) {
        sb_json_bool(&json, "is_truncated", run->cut != 0);
        sb_json_u64(&json, "images", run->n_images);
    }
    sb_json_close(&json, '}');
    sb_mcp_structured(run->job.call, sb_buf_str(&out.buf));
    sb_out_done(&out);
}

void sb_run_finish(struct sb_run *run)
{
    if (run->job.call != NULL && run->exec != NULL) {
        put_structured(run);
    }
    clean_up(run);
}

static void put_text(struct sb_run *run)
{
    struct sb_out out;
    sb_out_init(&out, -1);
    sb_report_verdict(&out, run->exec);
    run->cut = sb_report_output(&out, run->clips, run->exec_id);
    if (!run->is_own && run->sandbox != NULL) {
        sb_report_sandbox(&out, run->sandbox);
        sb_out_put(&out, "\n");
    } else if (run->sandbox != NULL) {
        sb_report_packages(&out, run->sandbox);
    }
    sb_mcp_text(run->job.call, sb_buf_str(&out.buf));
    sb_out_done(&out);
    for (int i = 0; i < 2; i++) {
        if ((run->cut & 1U << i) != 0) {
            sb_report_link(run->job.call, run->exec_id, i);
        }
    }
}

/* ---- while it runs ---- */

static void stop_timer(struct sb_run *run)
{
    if (run->timer != NULL) {
        event_free(run->timer);
        run->timer = NULL;
    }
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_run *run = ctx;
    char line[256];
    sb_clip_last_line(&run->clips[0], line, sizeof line);
    if (line[0] == '\0') {
        sb_clip_last_line(&run->clips[1], line, sizeof line);
    }
    sb_mcp_progress(run->job.call, (double)((sb_clock_mono_ms() - run->started_ms) / 1000), 0,
                    sb_str_from(line[0] == '\0' ? "running" : line));
}

void sb_run_watch(struct sb_run *run)
{
    run->started_ms = sb_clock_mono_ms();
    const struct timeval tick = {TICK_MS / 1000, TICK_MS % 1000 * 1000L};
    if (!sb_mcp_wants_progress(run->job.call)) {
        return;
    }
    run->timer = event_new(run->job.tools->base, -1, EV_PERSIST, on_tick, run);
    if (run->timer != NULL) {
        (void)event_add(run->timer, &tick);
    }
}

static void keep_exec(struct sb_run *run, const Aisbx__V1__Exec *exec)
{
    struct sb_err err;
    sb_message_freep(&run->exec);
    run->exec = (Aisbx__V1__Exec *)sb_message_copy(&exec->base, &err);
    (void)snprintf(run->exec_id, sizeof run->exec_id, "%s", exec->exec_id);
}

static void input_sent(struct sb_backend_call *rpc, const struct sb_err *err, void *user)
{
    (void)rpc;
    (void)err;
    (void)user; /* what the program did not read is nobody's mistake */
}

static void send_input(struct sb_run *run)
{
    static const struct sb_backend_callbacks callbacks = {.done = input_sent};
    struct sb_err err;
    const char *text = sb_arg_text(run->arguments, "stdin");
    Aisbx__V1__SendExecInputRequest request = AISBX__V1__SEND_EXEC_INPUT_REQUEST__INIT;
    if (text == NULL) {
        return;
    }
    request.exec_id = run->exec_id;
    request.data = (ProtobufCBinaryData){strlen(text), sb_lend(text)};
    request.eof = 1;
    const struct sb_backend_request to_worker = {.caller = &run->job.caller,
                                                 .method = SB_SANDBOX_RPC(SEND_EXEC_INPUT),
                                                 .message = &request.base};
    (void)sb_backend_start(run->job.tools->backend, &to_worker, &callbacks, NULL, NULL, &err);
}

static void take_started(struct sb_run *run, const Aisbx__V1__ExecStarted *started)
{
    struct sb_err err;
    if (started->exec != NULL) {
        keep_exec(run, started->exec);
    }
    if (started->sandbox != NULL) {
        sb_message_freep(&run->sandbox);
        run->sandbox = (Aisbx__V1__Sandbox *)sb_message_copy(&started->sandbox->base, &err);
    }
    if (!run->is_background && run->job.call != NULL) {
        sb_run_watch(run);
        send_input(run);
    }
}

static bool on_event(struct sb_job *job, const ProtobufCMessage *message)
{
    struct sb_run *run = (struct sb_run *)job;
    const Aisbx__V1__ExecEvent *event = ((const Aisbx__V1__StartExecResponse *)message)->event;
    if (event == NULL) {
        return true;
    }
    switch (event->event_case) {
    case AISBX__V1__EXEC_EVENT__EVENT_STARTED:
        take_started(run, event->started);
        return !run->is_background;
    case AISBX__V1__EXEC_EVENT__EVENT_OUTPUT:
        sb_clip_add(
            &run->clips[event->output->stream == AISBX__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDERR],
            event->output->offset, sb_str_of(event->output->data.data, event->output->data.len));
        return true;
    case AISBX__V1__EXEC_EVENT__EVENT_ENDED:
        if (event->ended->exec != NULL) {
            keep_exec(run, event->ended->exec);
            run->has_ended = true;
        }
        return true;
    case AISBX__V1__EXEC_EVENT__EVENT_VIOLATION: /* the verdict has them too */
    case AISBX__V1__EXEC_EVENT__EVENT__NOT_SET:
    case _AISBX__V1__EXEC_EVENT__EVENT__CASE_IS_INT_SIZE:
    default:
        return true;
    }
}

static void put_background(struct sb_run *run)
{
    struct sb_out out;
    sb_out_init(&out, -1);
    sb_out_printf(&out,
                  "running in the background: exec %s\nread what it writes with exec_output, write "
                  "to it or stop it with exec_input\n",
                  run->exec_id);
    if (run->sandbox != NULL) {
        sb_report_sandbox(&out, run->sandbox);
        sb_out_put(&out, "\n");
    }
    sb_mcp_text(run->job.call, sb_buf_str(&out.buf));
    sb_out_done(&out);
}

void sb_run_on_ended(struct sb_job *job, const ProtobufCMessage *reply)
{
    struct sb_run *run = (struct sb_run *)job;
    struct sb_err err;
    (void)reply;
    stop_timer(run);
    if (job->call == NULL) {
        clean_up(run);
    } else if (run->exec == NULL || (!run->has_ended && !run->is_background)) {
        (void)sb_err_set(&err, SB_UNAVAILABLE, "the worker did not tell how the program ended");
        sb_job_tell(job, &err, NULL);
        clean_up(run);
    } else if (run->is_background) {
        put_background(run);
        sb_run_finish(run);
    } else {
        put_text(run);
        if (run->is_context) {
            sb_run_show_values(run);
        } else {
            sb_run_show_images(run);
        }
    }
}

void sb_run_start(struct sb_run *run)
{
    Aisbx__V1__Command command = AISBX__V1__COMMAND__INIT;
    Aisbx__V1__Script script = AISBX__V1__SCRIPT__INIT;
    Aisbx__V1__ExecSpec exec = AISBX__V1__EXEC_SPEC__INIT;
    Aisbx__V1__ExecTarget target = AISBX__V1__EXEC_TARGET__INIT;
    Aisbx__V1__StartExecRequest request = AISBX__V1__START_EXEC_REQUEST__INIT;
    if (run->keeps_state) {
        sb_run_in_context(run);
        return;
    }
    if (run->program.language != NULL) {
        script.language = sb_lend(run->program.language);
        script.source = sb_lend(run->program.source);
        script.n_args = run->program.n_args;
        script.args = run->program.args;
        exec.program_case = AISBX__V1__EXEC_SPEC__PROGRAM_SCRIPT;
        exec.script = &script;
    } else {
        command.n_args = run->program.n_args;
        command.args = run->program.args;
        exec.program_case = AISBX__V1__EXEC_SPEC__PROGRAM_COMMAND;
        exec.command = &command;
    }
    exec.cwd = sb_arg_field(run->arguments, "cwd");
    exec.wall_ms = sb_arg_seconds(run->arguments, "timeout_s");
    exec.background = run->is_background;
    exec.open_stdin = run->is_background || sb_arg_text(run->arguments, "stdin") != NULL;
    target.sandbox_case = AISBX__V1__EXEC_TARGET__SANDBOX_SANDBOX_ID;
    target.sandbox_id = run->sandbox_id;
    request.target = &target;
    request.exec = &exec;
    if (!run->is_own) {
        request.request_id = sb_arg_field(run->arguments, "request_id");
    }
    sb_job_stream(&run->job, SB_SANDBOX_RPC(START_EXEC), &request.base, on_event, sb_run_on_ended);
}

/* ---- the beginning ---- */

static void created(struct sb_job *job, const ProtobufCMessage *reply)
{
    struct sb_run *run = (struct sb_run *)job;
    const Aisbx__V1__CreateSandboxResponse *response = (const void *)reply;
    if (response->sandbox != NULL) {
        (void)snprintf(run->sandbox_id, sizeof run->sandbox_id, "%s",
                       response->sandbox->sandbox_id);
    }
    if (job->call == NULL) { /* cancelled meanwhile */
        clean_up(run);
        return;
    }
    sb_run_put_files(run);
}

static void create(struct sb_run *run)
{
    struct sb_spec spec;
    Aisbx__V1__CreateSandboxRequest request = AISBX__V1__CREATE_SANDBOX_REQUEST__INIT;
    sb_spec_read(&spec, run->arguments, run->program.profile);
    spec.sandbox.idle_ms = IDLE_MS;
    request.sandbox = &spec.sandbox;
    bool is_plain = !run->is_background && sb_arg_text(run->arguments, "stdin") == NULL &&
                    sb_arg_text(run->arguments, "cwd") == NULL;
    if (run->program.language != NULL && is_plain) { /* an interpreter may wait for it */
        request.first_language = sb_lend(run->program.language);
    }
    run->is_own = true;
    sb_spec_tell(&spec, run->job.call);
    sb_job_ask(&run->job, SB_SANDBOX_RPC(CREATE_SANDBOX), &request.base, created);
}

static void on_cancelled(struct sb_job *job)
{
    struct sb_run *run = (struct sb_run *)job;
    stop_timer(run);
    /* A sandbox that is being made is waited for, to be destroyed. */
    if (job->rpc != NULL && job->step != created && job->step != cleaned_up) {
        sb_backend_cancel(job->rpc);
    }
}

static void on_free(struct sb_job *job)
{
    struct sb_run *run = (struct sb_run *)job;
    stop_timer(run);
    sb_message_freep(&run->exec);
    sb_message_freep(&run->sandbox);
    sb_message_freep(&run->found);
    sb_buf_done(&run->image);
    sb_run_context_done(run);
}

static const struct sb_job_ops ops = {
    .cancelled = on_cancelled,
    .failed = on_failed,
    .done = on_free,
};

static struct sb_run *
new_run(struct sb_mcp_call *call, const struct cJSON *arguments, struct sb_tools *tools)
{
    struct sb_run *run = sb_job_new(tools, call, sizeof *run, &ops);
    if (run != NULL) {
        run->arguments = arguments;
    }
    return run;
}

static void begin(struct sb_run *run)
{
    const char *input = sb_arg_text(run->arguments, "stdin");
    if (input != NULL && strlen(input) > MAX_STDIN) { /* the schema counts characters */
        sb_job_refuse(&run->job, "stdin: is longer than 1 MiB; put it into a file with files or "
                                 "file_write");
        return;
    }
    const char *sandbox_id = sb_arg_text(run->arguments, "sandbox_id");
    if (sandbox_id == NULL) {
        create(run);
        return;
    }
    if (cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(run->arguments, "packages")) > 0) {
        sb_job_refuse(&run->job, "packages: are of new sandboxes; name them in sandbox_create, or "
                                 "install into /workspace with shell: pip install --target");
        return;
    }
    (void)snprintf(run->sandbox_id, sizeof run->sandbox_id, "%s", sandbox_id);
    sb_run_put_files(run);
}

void sb_tool_run_code(struct sb_mcp_call *call, const struct cJSON *arguments, void *user)
{
    struct sb_run *run = new_run(call, arguments, user);
    const char *code = sb_arg_text(arguments, "code");
    if (run == NULL) {
        return;
    }
    bool is_lasting = sb_arg_text(arguments, "sandbox_id") != NULL;
    run->keeps_state = is_lasting && sb_run_wants_context(run);
    if (strlen(code) > MAX_CODE) {
        sb_job_refuse(&run->job, "code: is longer than 1 MiB; put it into a file with file_write "
                                 "and run that with shell");
        return;
    }
    sb_program_of_code(sb_arg_text(arguments, "language"), code,
                       cJSON_GetObjectItemCaseSensitive(arguments, "args"), &run->program);
    begin(run);
}

void sb_tool_shell(struct sb_mcp_call *call, const struct cJSON *arguments, void *user)
{
    struct sb_run *run = new_run(call, arguments, user);
    if (run == NULL) {
        return;
    }
    run->is_background = sb_arg_flag(arguments, "background");
    if (run->is_background && sb_arg_text(arguments, "sandbox_id") == NULL) {
        sb_job_refuse(&run->job, "background: needs sandbox_id, as the program must outlive this "
                                 "call; make a sandbox with sandbox_create");
        return;
    }
    sb_program_of_shell(sb_arg_text(arguments, "command"), &run->program);
    begin(run);
}
