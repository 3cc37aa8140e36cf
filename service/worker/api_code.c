/* ExecuteCode. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/api_context.h"
#include "service/worker/api_gate.h"
#include "service/worker/api_pb.h"
#include "service/worker/context/answer.h"
#include "service/worker/context/context.h"
#include "service/worker/exec.h"
#include "service/worker/sandbox.h"
#include "service/worker/worker.h"

static bool send_event(const struct sb_piece *piece, Aisbx__V1__ExecuteCodeResponse *event)
{
    return aisbx__v1__context_service__execute_code__send(piece->ctx, event);
}

static bool send_output(
    struct sb_piece *piece, int stream, uint64_t offset, struct sb_str data, uint64_t dropped)
{
    Aisbx__V1__ExecOutput output = AISBX__V1__EXEC_OUTPUT__INIT;
    Aisbx__V1__ExecuteCodeResponse event = AISBX__V1__EXECUTE_CODE_RESPONSE__INIT;
    output.stream = (Aisbx__V1__OutputStream)(AISBX__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDOUT +
                                              (unsigned)stream);
    output.offset = offset;
    output.dropped_bytes = dropped;
    output.data.data = (uint8_t *)(uintptr_t)data.ptr; /* only read */
    output.data.len = data.len;
    event.event_case = AISBX__V1__EXECUTE_CODE_RESPONSE__EVENT_OUTPUT;
    event.output = &output;
    return send_event(piece, &event);
}

/** The bytes as a C string on the heap; NULL: out of memory. */
static char *text_of(struct sb_str text)
{
    return sb_str_dup(text);
}

static bool send_result(const struct sb_piece *piece, const struct sb_answer *answer)
{
    Aisbx__V1__RichResult result = AISBX__V1__RICH_RESULT__INIT;
    Aisbx__V1__ExecuteCodeResponse event = AISBX__V1__EXECUTE_CODE_RESPONSE__INIT;
    char *mime = text_of(answer->mime);
    if (mime == NULL) {
        return true; /* as good as not shown */
    }
    result.mime_type = mime;
    result.data.data = (uint8_t *)(uintptr_t)answer->data.ptr; /* only read */
    result.data.len = answer->data.len;
    result.is_main = answer->is_main;
    result.value_number = piece->n_values;
    event.event_case = AISBX__V1__EXECUTE_CODE_RESPONSE__EVENT_RESULT;
    event.result = &result;
    bool takes_more = send_event(piece, &event);
    free(mime);
    return takes_more;
}

static bool fill_error(Aisbx__V1__CodeError *msg, const struct sb_answer *answer)
{
    msg->name = text_of(answer->name);
    msg->value = text_of(answer->value);
    msg->traceback = calloc(answer->n_lines + 1, sizeof *msg->traceback);
    if (msg->name == NULL || msg->value == NULL || msg->traceback == NULL) {
        return false;
    }
    for (; msg->n_traceback < answer->n_lines; msg->n_traceback++) {
        msg->traceback[msg->n_traceback] = text_of(answer->lines[msg->n_traceback]);
        if (msg->traceback[msg->n_traceback] == NULL) {
            return false;
        }
    }
    return true;
}

static bool send_error(const struct sb_piece *piece, const struct sb_answer *answer)
{
    Aisbx__V1__ExecuteCodeResponse event = AISBX__V1__EXECUTE_CODE_RESPONSE__INIT;
    Aisbx__V1__CodeError *error = sb_api_pb_new(&aisbx__v1__code_error__descriptor);
    bool takes_more = true;
    if (error == NULL) {
        return true;
    }
    if (fill_error(error, answer)) {
        event.event_case = AISBX__V1__EXECUTE_CODE_RESPONSE__EVENT_ERROR;
        event.error = error;
        takes_more = send_event(piece, &event);
    }
    aisbx__v1__code_error__free_unpacked(error, NULL);
    return takes_more;
}

static bool send_answer(struct sb_piece *piece, const struct sb_answer *answer)
{
    return answer->kind == SB_ANSWER_RESULT ? send_result(piece, answer)
                                            : send_error(piece, answer);
}

/** Those that no piece before was told of. */
static void send_violations(struct sb_piece *piece)
{
    const struct sb_exec *exec = piece->context->exec;
    for (size_t i = piece->n_denials; i < exec->denials.n; i++) {
        Aisbx__V1__ExecuteCodeResponse event = AISBX__V1__EXECUTE_CODE_RESPONSE__INIT;
        event.event_case = AISBX__V1__EXECUTE_CODE_RESPONSE__EVENT_VIOLATION;
        event.violation = sb_api_pb_violation(exec->sandbox->policy, &exec->denials.items[i]);
        if (event.violation != NULL) {
            (void)send_event(piece, &event);
            aisbx__v1__violation__free_unpacked(event.violation, NULL);
        }
    }
}

static bool fill_usage(const struct sb_piece *piece, Aisbx__V1__Verdict *msg)
{
    const struct sb_context *context = piece->context;
    msg->usage = sb_api_pb_new(&aisbx__v1__usage__descriptor);
    if (msg->usage == NULL) {
        return false;
    }
    msg->usage->wall_ms = sb_clock_mono_ms() - piece->start_mono_ms;
    msg->usage->stdout_bytes = context->offsets[0] - piece->start_bytes[0];
    msg->usage->stderr_bytes = context->offsets[1] - piece->start_bytes[1];
    return true;
}

static Aisbx__V1__Verdict *verdict_of(const struct sb_piece *piece)
{
    static const char next[] = "the interpreter is gone, and its variables: restart the context";
    struct sb_verdict verdict;
    Aisbx__V1__Verdict *msg = NULL;
    bool is_full = false;
    if (piece->is_orphan) {
        msg = sb_api_pb_verdict(piece->context->exec);
        is_full = msg != NULL && (msg->next_step != NULL && msg->next_step[0] != '\0'
                                      ? true
                                      : sb_api_pb_text(&msg->next_step, next));
    } else {
        sb_piece_verdict(piece, &verdict);
        msg = sb_api_pb_new(&aisbx__v1__verdict__descriptor);
        if (msg != NULL) {
            msg->kind = (Aisbx__V1__VerdictKind)verdict.kind;
            msg->exit_code = verdict.exit_code;
            is_full = sb_api_pb_text(&msg->message, verdict.message) &&
                      sb_api_pb_text(&msg->next_step, verdict.next_step) && fill_usage(piece, msg);
        }
    }
    if (!is_full) {
        aisbx__v1__verdict__free_unpacked(msg, NULL);
        return NULL;
    }
    return msg;
}

static void on_ended(struct sb_piece *piece)
{
    struct sb_err err;
    struct sb_rpc_call *call = piece->ctx;
    Aisbx__V1__ExecuteCodeResponse event = AISBX__V1__EXECUTE_CODE_RESPONSE__INIT;
    Aisbx__V1__ExecuteCodeEnded ended = AISBX__V1__EXECUTE_CODE_ENDED__INIT;
    send_violations(piece);
    event.event_case = AISBX__V1__EXECUTE_CODE_RESPONSE__EVENT_ENDED;
    event.ended = &ended;
    ended.execution_count = piece->number;
    ended.verdict = verdict_of(piece);
    if (ended.verdict == NULL || !sb_api_pb_time(piece->start_real_ms, &ended.start_time)) {
        aisbx__v1__verdict__free_unpacked(ended.verdict, NULL);
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return;
    }
    (void)send_event(piece, &event);
    aisbx__v1__verdict__free_unpacked(ended.verdict, NULL);
    google__protobuf__timestamp__free_unpacked(ended.start_time, NULL);
    sb_rpc_call_reply(call, NULL);
}

static void on_failed(struct sb_piece *piece, const struct sb_err *err)
{
    sb_rpc_call_fail(piece->ctx, err);
}

void sb_api_code_start(struct sb_rpc_call *call,
                       const Aisbx__V1__ExecuteCodeRequest *req,
                       void *svc)
{
    static const struct sb_piece_reader reader = {
        .output = send_output,
        .answer = send_answer,
        .ended = on_ended,
        .failed = on_failed,
    };
    struct sb_worker *worker = svc;
    struct sb_err err;
    struct sb_caller caller;
    struct sb_context *context = NULL;
    struct sb_piece *piece = NULL;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    if (sb_api_find_context(worker, &caller, req->context_id, &context, &err) < 0 ||
        sb_piece_new(context, sb_str_from(req->code), req->wall_ms, &reader, call, &piece, &err) <
            0) {
        sb_rpc_call_fail(call, &err);
        return;
    }
    sb_gate_note(caller.ticket, context->sandbox, context->exec);
    sb_rpc_call_set_user(call, piece);
    sb_piece_go_on(piece);
}

void sb_api_code_drained(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    struct sb_piece *piece = sb_rpc_call_user(call);
    if (piece != NULL) {
        sb_piece_go_on(piece);
    }
}

void sb_api_code_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    struct sb_piece *piece = sb_rpc_call_user(call);
    if (piece != NULL) {
        sb_rpc_call_set_user(call, NULL);
        sb_piece_leave(piece);
    }
}
