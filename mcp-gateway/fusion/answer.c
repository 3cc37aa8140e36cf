#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/out.h"
#include "mcp-gateway/fusion/job.h"

enum what { FINISHED, LATE, BROKEN };

static const char *const words[] = {"Finished", "TimeLimitExceeded", "Error"};

/* Signals show as Python's subprocess has them: negative. */
static enum what judge(const Aisbx__V1__Verdict *verdict, int *ret_code)
{
    *ret_code = verdict == NULL ? 0 : verdict->signal != 0 ? -verdict->signal : verdict->exit_code;
    switch (verdict == NULL ? AISBX__V1__VERDICT_KIND__VERDICT_KIND_UNSPECIFIED : verdict->kind) {
    case AISBX__V1__VERDICT_KIND__VERDICT_KIND_TIMED_OUT:
        return LATE;
    case AISBX__V1__VERDICT_KIND__VERDICT_KIND_EXITED:
    case AISBX__V1__VERDICT_KIND__VERDICT_KIND_SIGNALED:
    case AISBX__V1__VERDICT_KIND__VERDICT_KIND_PIDS_EXHAUSTED:
    case AISBX__V1__VERDICT_KIND__VERDICT_KIND_DISK_FULL:
    case AISBX__V1__VERDICT_KIND__VERDICT_KIND_OUTPUT_TRUNCATED:
    case AISBX__V1__VERDICT_KIND__VERDICT_KIND_START_FAILED:
        return FINISHED;
    case AISBX__V1__VERDICT_KIND__VERDICT_KIND_OOM_KILLED:
    case AISBX__V1__VERDICT_KIND__VERDICT_KIND_POLICY_KILLED:
        *ret_code = *ret_code == 0 ? -SIGKILL : *ret_code;
        return FINISHED;
    case AISBX__V1__VERDICT_KIND__VERDICT_KIND_UNSPECIFIED:
    case AISBX__V1__VERDICT_KIND__VERDICT_KIND_CANCELLED:
    case AISBX__V1__VERDICT_KIND__VERDICT_KIND_WORKER_LOST:
    case _AISBX__V1__VERDICT_KIND_IS_INT_SIZE:
    default:
        return BROKEN;
    }
}

/* Head and tail; that something lies between is told by the message. */
static void put_text(struct sb_json *json,
                     const char *key,
                     const ProtobufCBinaryData *head,
                     const ProtobufCBinaryData *tail)
{
    struct sb_buf text;
    sb_buf_init(&text, head->len + tail->len + 1);
    (void)sb_buf_append(&text, head->data, head->len);
    (void)sb_buf_append(&text, tail->data, tail->len);
    sb_json_str(json, key, sb_buf_str(&text));
    sb_buf_done(&text);
}

static const Aisbx__V1__Verdict *verdict_of(const Aisbx__V1__RunBatchResponse *step)
{
    return step == NULL || step->result == NULL || step->result->exec == NULL
               ? NULL
               : step->result->exec->verdict;
}

static void put_step(struct sb_json *json, const char *key, const Aisbx__V1__RunBatchResponse *step)
{
    const Aisbx__V1__Verdict *verdict = verdict_of(step);
    int code = 0;
    if (step == NULL || step->result == NULL) {
        sb_json_null(json, key);
        return;
    }
    enum what what = judge(verdict, &code);
    sb_json_open(json, key, '{');
    sb_json_cstr(json, "status", words[what]);
    sb_json_double(
        json, "execution_time",
        verdict == NULL || verdict->usage == NULL ? 0 : (double)verdict->usage->wall_ms / 1000);
    if (what == FINISHED) {
        sb_json_i64(json, "return_code", code);
    } else {
        sb_json_null(json, "return_code");
    }
    put_text(json, "stdout", &step->result->stdout, &step->result->stdout_tail);
    put_text(json, "stderr", &step->result->stderr, &step->result->stderr_tail);
    sb_json_close(json, '}');
}

static void put_files(struct sb_json *json, const Aisbx__V1__RunBatchResponse *ran)
{
    sb_json_open(json, "files", '{');
    for (size_t i = 0; ran != NULL && ran->result != NULL && i < ran->result->n_files; i++) {
        const Aisbx__V1__InlineFile *file = ran->result->files[i];
        sb_json_key(json, sb_str_from(file->path));
        sb_json_base64(json, NULL, sb_str_of((const char *)file->data.data, file->data.len));
    }
    sb_json_close(json, '}');
}

/* What a person should know of it: nothing, mostly. */
static const char *message_of(const struct sb_fusion_job *job)
{
    const Aisbx__V1__RunBatchResponse *last = job->ran != NULL ? job->ran : job->compiled;
    const Aisbx__V1__Verdict *verdict = verdict_of(last);
    int code = 0;
    if (verdict == NULL) {
        return "the worker told nothing";
    }
    bool is_plain = verdict->kind == AISBX__V1__VERDICT_KIND__VERDICT_KIND_EXITED;
    if (is_plain && last->result->n_file_errors > 0) {
        return last->result->file_errors[0];
    }
    if (is_plain &&
        (last->result->stdout_omitted_bytes > 0 || last->result->stderr_omitted_bytes > 0)) {
        return "output of more than 1 MiB: its middle is left out";
    }
    return is_plain || judge(verdict, &code) == LATE ? "" : verdict->message;
}

static const char *status_of(const struct sb_fusion_job *job)
{
    const Aisbx__V1__RunBatchResponse *const steps[] = {job->compiled, job->ran};
    bool is_good = job->ran != NULL;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        int code = 0;
        enum what what = steps[i] == NULL ? FINISHED : judge(verdict_of(steps[i]), &code);
        if (what == BROKEN) {
            return "SandboxError";
        }
        is_good = is_good && what == FINISHED && code == 0;
    }
    return is_good ? "Success" : "Failed";
}

int sb_fusion_answer(const struct sb_fusion_job *job,
                     const struct sb_err *err,
                     struct sb_buf *ret_json)
{
    struct sb_out out;
    struct sb_json json = {.out = &out};
    const char *pod = getenv("MY_POD_NAME"); /* NOLINT(concurrency-mt-unsafe): one thread */
    bool has_failed = err->code != SB_OK || (job->ran == NULL && job->compiled == NULL);
    sb_out_init(&out, -1);
    sb_json_open(&json, NULL, '{');
    sb_json_cstr(&json, "status", has_failed ? "SandboxError" : status_of(job));
    sb_json_cstr(&json, "message", err->code != SB_OK ? err->text : message_of(job));
    put_step(&json, "compile_result", has_failed ? NULL : job->compiled);
    put_step(&json, "run_result", has_failed ? NULL : job->ran);
    if (pod != NULL) {
        sb_json_cstr(&json, "executor_pod_name", pod);
    } else {
        sb_json_null(&json, "executor_pod_name");
    }
    put_files(&json, has_failed ? NULL : job->ran);
    sb_json_close(&json, '}');
    int rc = sb_buf_append_str(ret_json, sb_buf_str(&out.buf));
    sb_out_done(&out);
    return rc;
}
