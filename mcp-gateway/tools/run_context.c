/* Code in an interpreter that keeps its state. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aisbx/v1/context_service.rpc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/out.h"
#include "mcp-gateway/mcp/tool.h"
#include "mcp-gateway/tools/arg.h"
#include "mcp-gateway/tools/file.h"
#include "mcp-gateway/tools/run.h"
#include "proto/client/message.h"

#define CONTEXT_RPC(name)                                                                          \
    (&aisbx__v1__context_service__methods[AISBX__V1__CONTEXT_SERVICE__METHOD_##name])

enum {
    MAX_VALUES = 8000,   /* bytes of values and of a traceback in one result */
    MAX_IMAGE = 1 << 20, /* as much as the worker takes of one value */
};

bool sb_run_wants_context(const struct sb_run *run)
{
    static const char *const languages[] = {"python", "node", "bash"};
    const char *language = sb_arg_text(run->arguments, "language");
    if (run->is_own || language == NULL || sb_arg_text(run->arguments, "stdin") != NULL ||
        sb_arg_text(run->arguments, "cwd") != NULL || sb_arg_has(run->arguments, "args")) {
        return false;
    }
    for (size_t i = 0; i < sizeof languages / sizeof *languages; i++) {
        if (strcmp(language, languages[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- what comes ---- */

static void put_value(struct sb_run *run, struct sb_str text)
{
    size_t room = run->values.len < MAX_VALUES ? MAX_VALUES - run->values.len : 0;
    if (text.len > room) {
        text = sb_str_head(text, room);
        while (text.len > 0 && (text.ptr[text.len - 1] & 0xC0) == 0x80) { /* whole characters */
            text.len--;
        }
        text.len -= text.len > 0 ? 1 : 0;
        run->cut |= 4;
    }
    (void)sb_buf_append_str(&run->values, text);
    (void)sb_buf_append_byte(&run->values, '\n');
}

static void tell_not_shown(struct sb_run *run, const char *mime_type, size_t size)
{
    char line[160];
    int n = snprintf(line, sizeof line,
                     "<%.60s of %zu bytes is not shown: at most %d images of a call are, each with "
                     "at most 1 MiB>",
                     mime_type, size, SB_RUN_MAX_KEPT);
    put_value(run, sb_str_of(line, (size_t)n));
}

static void keep_image(struct sb_run *run, const Aisbx__V1__RichResult *result)
{
    if (run->n_kept == SB_RUN_MAX_KEPT) {
        tell_not_shown(run, result->mime_type, result->data.len);
        return;
    }
    struct sb_run_image *image = &run->kept[run->n_kept];
    sb_buf_init(&image->data, MAX_IMAGE);
    image->mime_type = strcmp(result->mime_type, "image/png") == 0 ? "image/png" : "image/jpeg";
    if (sb_buf_append(&image->data, result->data.data, result->data.len) == 0) {
        run->n_kept++;
    } else {
        tell_not_shown(run, result->mime_type, result->data.len);
    }
}

/* Of the forms of one value a model gets the image, or the plain text, or else the first there is.
 */
static void take_result(struct sb_run *run, const Aisbx__V1__RichResult *result)
{
    bool is_image =
        strcmp(result->mime_type, "image/png") == 0 || strcmp(result->mime_type, "image/jpeg") == 0;
    bool is_plain = strcmp(result->mime_type, "text/plain") == 0;
    struct sb_str data = sb_str_of(result->data.data, result->data.len);
    if (result->value_number != run->value_number) {
        sb_run_end_value(run);
        run->value_number = result->value_number;
    }
    if (is_image) {
        keep_image(run, result);
        run->has_shown = true;
    } else if (is_plain) {
        if (!run->has_shown) {
            put_value(run, data);
        }
        run->has_shown = true;
    } else if (run->other.len == 0) {
        (void)sb_buf_append_str(&run->other, sb_str_head(data, MAX_VALUES));
    }
}

void sb_run_end_value(struct sb_run *run)
{
    if (!run->has_shown && run->other.len > 0) {
        put_value(run, sb_buf_str(&run->other));
    }
    sb_buf_clear(&run->other);
    run->has_shown = false;
}

static void take_error(struct sb_run *run, const Aisbx__V1__CodeError *error)
{
    sb_run_end_value(run);
    for (size_t i = 0; i < error->n_traceback; i++) {
        put_value(run, sb_str_from(error->traceback[i]));
    }
    run->is_error = true;
}

static void take_output(struct sb_run *run, const Aisbx__V1__ExecOutput *output)
{
    int i = output->stream == AISBX__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDERR;
    if (run->clips[i].total == 0 && run->from[i] == 0) {
        run->from[i] = output->offset - output->dropped_bytes;
    }
    sb_clip_add(&run->clips[i], output->offset - run->from[i],
                sb_str_of(output->data.data, output->data.len));
}

/* As if it had been an exec of its own: what reports read is there. */
static void take_ended(struct sb_run *run, const Aisbx__V1__ExecuteCodeEnded *ended)
{
    struct sb_err err;
    Aisbx__V1__Exec exec = AISBX__V1__EXEC__INIT;
    exec.exec_id = run->exec_id;
    exec.verdict = ended->verdict;
    exec.start_time = ended->start_time;
    run->exec = (Aisbx__V1__Exec *)sb_message_copy(&exec.base, &err);
    run->has_ended = true;
}

static bool on_code(struct sb_job *job, const ProtobufCMessage *message)
{
    struct sb_run *run = (struct sb_run *)job;
    const Aisbx__V1__ExecuteCodeResponse *event = (const void *)message;
    switch ((int)event->event_case) {
    case AISBX__V1__EXECUTE_CODE_RESPONSE__EVENT_OUTPUT:
        take_output(run, event->output);
        break;
    case AISBX__V1__EXECUTE_CODE_RESPONSE__EVENT_RESULT:
        take_result(run, event->result);
        break;
    case AISBX__V1__EXECUTE_CODE_RESPONSE__EVENT_ERROR:
        take_error(run, event->error);
        break;
    case AISBX__V1__EXECUTE_CODE_RESPONSE__EVENT_ENDED:
        take_ended(run, event->ended);
        break;
    default: /* the exec has violations, too */
        break;
    }
    return true;
}

/* ---- on the way ---- */

static void execute(struct sb_run *run)
{
    Aisbx__V1__ExecuteCodeRequest request = AISBX__V1__EXECUTE_CODE_REQUEST__INIT;
    request.context_id = run->context_id;
    request.code = sb_arg_field(run->arguments, "code");
    request.wall_ms = sb_arg_seconds(run->arguments, "timeout_s");
    sb_run_watch(run);
    sb_job_stream(&run->job, CONTEXT_RPC(EXECUTE_CODE), &request.base, on_code, sb_run_on_ended);
}

static void take_context(struct sb_run *run, const Aisbx__V1__Context *context)
{
    if (context != NULL) {
        (void)snprintf(run->context_id, sizeof run->context_id, "%s", context->context_id);
        (void)snprintf(run->exec_id, sizeof run->exec_id, "%s", context->exec_id);
    }
}

static void restarted(struct sb_job *job, const ProtobufCMessage *reply)
{
    struct sb_run *run = (struct sb_run *)job;
    take_context(run, ((const Aisbx__V1__RestartContextResponse *)(const void *)reply)->context);
    execute(run);
}

static void restart(struct sb_run *run)
{
    Aisbx__V1__RestartContextRequest request = AISBX__V1__RESTART_CONTEXT_REQUEST__INIT;
    request.context_id = run->context_id;
    sb_job_ask(&run->job, CONTEXT_RPC(RESTART_CONTEXT), &request.base, restarted);
}

static void created(struct sb_job *job, const ProtobufCMessage *reply)
{
    struct sb_run *run = (struct sb_run *)job;
    const Aisbx__V1__Context *context =
        ((const Aisbx__V1__CreateContextResponse *)(const void *)reply)->context;
    take_context(run, context);
    bool is_used = context != NULL && context->execution_count > 0;
    bool is_dead =
        context != NULL && context->state == AISBX__V1__CONTEXT_STATE__CONTEXT_STATE_DEAD;
    if (is_dead || (is_used && sb_arg_flag(run->arguments, "fresh"))) {
        restart(run);
    } else {
        execute(run);
    }
}

void sb_run_in_context(struct sb_run *run)
{
    char request_id[64];
    Aisbx__V1__CreateContextRequest request = AISBX__V1__CREATE_CONTEXT_REQUEST__INIT;
    const char *context_id = sb_arg_text(run->arguments, "context_id");
    run->is_context = true;
    sb_buf_init(&run->values, MAX_VALUES + 256);
    sb_buf_init(&run->other, MAX_VALUES);
    if (context_id != NULL) {
        (void)snprintf(run->context_id, sizeof run->context_id, "%s", context_id);
        if (sb_arg_flag(run->arguments, "fresh")) {
            restart(run);
        } else {
            execute(run);
        }
        return;
    }
    /* One for each language of a sandbox: the worker answers the same request with the same one. */
    (void)snprintf(
        request_id, sizeof request_id, "mcp.%s.%.24s", sb_arg_text(run->arguments, "language"),
        run->sandbox_id + (strlen(run->sandbox_id) > 27 ? strlen(run->sandbox_id) - 24 : 0));
    request.request_id = request_id;
    request.sandbox_id = run->sandbox_id;
    request.language = sb_arg_field(run->arguments, "language");
    sb_job_ask(&run->job, CONTEXT_RPC(CREATE_CONTEXT), &request.base, created);
}

static void show_kept(struct sb_run *run);

static void kept(struct sb_job *job, const ProtobufCMessage *reply)
{
    struct sb_run *run = (struct sb_run *)job;
    const struct sb_run_image *image = &run->kept[run->next_kept];
    (void)reply;
    run->next_kept++;
    if (job->call != NULL) {
        run->n_linked++;
        sb_file_link(job, run->sandbox_id, run->kept_path, image->mime_type, image->data.len);
    }
    show_kept(run);
}

/* What is too large to be shown becomes a file, and a link to it. */
static void keep_as_file(struct sb_run *run)
{
    const struct sb_run_image *image = &run->kept[run->next_kept];
    (void)snprintf(run->kept_path, sizeof run->kept_path, "/tmp/aisbx-values/%" PRIu64 "-%u.%s",
                   sb_clock_real_ms(), run->next_kept,
                   strcmp(image->mime_type, "image/png") == 0 ? "png" : "jpg");
    const struct sb_upload upload = {
        .sandbox_id = run->sandbox_id, .path = run->kept_path, .data = sb_buf_str(&image->data)};
    sb_file_upload(&run->job, &upload, kept);
}

static void show_kept(struct sb_run *run)
{
    for (; run->job.call != NULL && run->next_kept < run->n_kept; run->next_kept++) {
        const struct sb_run_image *image = &run->kept[run->next_kept];
        if (image->data.len > SB_FILE_SHOWN_BYTES) {
            keep_as_file(run);
            return;
        }
        sb_mcp_image(run->job.call, image->mime_type, sb_buf_str(&image->data));
        run->n_images++;
    }
    run->kept_path[0] = '\0';
    if (run->job.call == NULL) {
        sb_run_finish(run);
    } else {
        sb_run_show_images(run);
    }
}

bool sb_run_value_failed(struct sb_run *run)
{
    struct sb_out out;
    if (run->kept_path[0] == '\0' || run->next_kept >= run->n_kept) {
        return false;
    }
    sb_out_init(&out, -1);
    sb_out_printf(&out, "<%s of %zu bytes is not shown: there is no room for it in /tmp>\n",
                  run->kept[run->next_kept].mime_type, run->kept[run->next_kept].data.len);
    sb_mcp_text(run->job.call, sb_buf_str(&out.buf));
    sb_out_done(&out);
    run->next_kept++;
    run->kept_path[0] = '\0';
    show_kept(run);
    return true;
}

void sb_run_show_values(struct sb_run *run)
{
    sb_run_end_value(run);
    if (run->values.len > 0) {
        sb_mcp_text(run->job.call, sb_buf_str(&run->values));
    }
    if (run->is_error) {
        sb_mcp_fail(run->job.call);
    }
    show_kept(run);
}

void sb_run_context_done(struct sb_run *run)
{
    for (unsigned i = 0; i < run->n_kept; i++) {
        sb_buf_done(&run->kept[i].data);
    }
    sb_buf_done(&run->values);
    sb_buf_done(&run->other);
}
