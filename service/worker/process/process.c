#include "service/worker/process/process.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/map.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/api_follow.h"
#include "service/worker/api_gate.h"
#include "service/worker/api_pb.h"
#include "service/worker/exec.h"
#include "service/worker/limits.h"
#include "service/worker/process/execute.h"
#include "service/worker/process/program.h"
#include "service/worker/sandbox.h"
#include "service/worker/worker.h"

enum { INPUT_MARK = 64 << 10 }; /* bytes that may wait when WriteStdin is answered */

struct sb_processes {
    struct sb_map execs; /* number -> exec whose Start lives */
    int32_t last;
};

int sb_processes_new(struct sb_processes **ret_processes, struct sb_err *err)
{
    struct sb_processes *processes = calloc(1, sizeof *processes);
    if (processes == NULL) {
        return sb_err_oom(err);
    }
    sb_map_init(&processes->execs, SB_MAX_EXECS);
    *ret_processes = processes;
    return 0;
}

void sb_processes_free(struct sb_processes *processes)
{
    if (processes != NULL) {
        sb_map_done(&processes->execs);
        free(processes);
    }
}

struct key {
    char text[12];
    struct sb_str str;
};

static const struct sb_str *key_of(struct key *key, int32_t id)
{
    int n = snprintf(key->text, sizeof key->text, "%d", id);
    key->str = sb_str_of(key->text, (size_t)n);
    return &key->str;
}

/* The next number that nobody has. */
static int give_number(struct sb_processes *processes, struct sb_exec *exec, struct sb_err *err)
{
    struct key key;
    do {
        processes->last = processes->last == INT32_MAX ? 1 : processes->last + 1;
    } while (sb_map_get(&processes->execs, *key_of(&key, processes->last)) != NULL);
    if (sb_map_put(&processes->execs, key.str, exec, err) < 0) {
        return -1;
    }
    exec->process_id = processes->last;
    return 0;
}

static void forget(struct sb_processes *processes, const struct sb_exec *exec)
{
    struct key key;
    (void)sb_map_remove(&processes->execs, *key_of(&key, exec->process_id));
}

/** Identifies the caller and finds the program; otherwise the call is failed and NULL returned. */
static struct sb_exec *find(struct sb_rpc_call *call, struct sb_worker *worker, int32_t id)
{
    struct sb_err err;
    struct key key;
    struct sb_caller caller;
    if (!sb_api_identify(call, worker, &caller)) {
        return NULL;
    }
    struct sb_exec *exec = sb_map_get(&worker->processes->execs, *key_of(&key, id));
    if (exec == NULL || !sb_caller_sees(&caller, exec->sandbox->tenant)) {
        (void)sb_err_set(&err, SB_NOT_FOUND,
                         "no process %d: it is known from Start's first message until its last",
                         id);
        sb_rpc_call_fail(call, &err);
        return NULL;
    }
    sb_gate_note(caller.ticket, exec->sandbox, exec);
    return exec;
}

/* ---- Start ---- */

static bool send_init(struct sb_rpc_call *call, const struct sb_exec *exec)
{
    Process__V1__StartResponse msg = PROCESS__V1__START_RESPONSE__INIT;
    Process__V1__InitEvent init = PROCESS__V1__INIT_EVENT__INIT;
    init.process_id = exec->process_id;
    msg.event_case = PROCESS__V1__START_RESPONSE__EVENT_INIT;
    msg.init = &init;
    return process__v1__process_service__start__send(call, &msg);
}

/* A program whose output has a hole is not what the client thinks it reads. */
static bool
fail_lossy(struct sb_rpc_call *call, struct sb_exec *exec, const Aisbx__V1__ExecOutput *output)
{
    struct sb_err err;
    (void)sb_err_set(&err, SB_EXHAUSTED,
                     "%ju bytes of output were left out, as this stream was read more slowly than "
                     "they came and the limit of what is kept was met; the program was ended",
                     (uintmax_t)output->dropped_bytes);
    sb_rpc_call_fail(call, &err);
    sb_exec_kill(exec, SB_CAUSE_CANCELLED);
    return true;
}

static bool
send_output(struct sb_rpc_call *call, struct sb_exec *exec, const Aisbx__V1__ExecOutput *output)
{
    Process__V1__StartResponse msg = PROCESS__V1__START_RESPONSE__INIT;
    if (output->dropped_bytes > 0) {
        return fail_lossy(call, exec, output);
    }
    if (output->stream == AISBX__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDERR) {
        msg.event_case = PROCESS__V1__START_RESPONSE__EVENT_STDERR;
        msg.stderr = output->data;
    } else {
        msg.event_case = PROCESS__V1__START_RESPONSE__EVENT_STDOUT;
        msg.stdout = output->data;
    }
    return process__v1__process_service__start__send(call, &msg);
}

static bool send_exit(struct sb_rpc_call *call, const struct sb_exec *exec)
{
    struct sb_err err;
    Process__V1__StartResponse msg = PROCESS__V1__START_RESPONSE__INIT;
    Process__V1__ExitEvent event = PROCESS__V1__EXIT_EVENT__INIT;
    if (sb_program_ended(call, exec, &event.exit_code, &err) < 0) {
        sb_rpc_call_fail(call, &err);
        return true;
    }
    msg.event_case = PROCESS__V1__START_RESPONSE__EVENT_EXIT;
    msg.exit = &event;
    return process__v1__process_service__start__send(call, &msg);
}

/** The translation. A call that it has failed takes nothing more. */
static bool send_event(struct sb_rpc_call *call, Aisbx__V1__ExecEvent *event)
{
    struct sb_exec *exec = sb_follow_exec(sb_rpc_call_user(call));
    switch (event->event_case) {
    case AISBX__V1__EXEC_EVENT__EVENT_STARTED:
        return send_init(call, exec);
    case AISBX__V1__EXEC_EVENT__EVENT_OUTPUT:
        return send_output(call, exec, event->output);
    case AISBX__V1__EXEC_EVENT__EVENT_ENDED:
        return send_exit(call, exec);
    case AISBX__V1__EXEC_EVENT__EVENT_VIOLATION: /* process.v1 has no word for it */
    case AISBX__V1__EXEC_EVENT__EVENT__NOT_SET:
    case _AISBX__V1__EXEC_EVENT__EVENT__CASE_IS_INT_SIZE:
    default:
        return true;
    }
}

static void start(struct sb_rpc_call *call, const Process__V1__StartRequest *req, void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err;
    struct sb_caller caller;
    struct sb_exec *exec = NULL;
    struct sb_rate rate = {0};
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    const struct sb_program program = {
        .call = call,
        .caller = &caller,
        .config = req->config,
        .pty = req->pty,
        .has_stdin = true,
        .rate = &rate,
    };
    if (sb_program_start(worker, &program, &exec, &err) < 0) {
        sb_api_refuse(call, &rate, &err);
        return;
    }
    if (give_number(worker->processes, exec, &err) < 0) {
        sb_exec_kill(exec, SB_CAUSE_CANCELLED);
        sb_rpc_call_fail(call, &err);
        return;
    }
    const struct sb_follow_options options = {.send = send_event, .is_owner = true};
    if (sb_follow_start(call, exec, &options) == NULL) {
        forget(worker->processes, exec);
        sb_exec_kill(exec, SB_CAUSE_CANCELLED);
    }
}

static void start_drained(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    struct sb_follow *follow = sb_rpc_call_user(call);
    if (follow != NULL) {
        sb_follow_drained(follow);
    }
}

static void start_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_follow *follow = sb_rpc_call_user(call);
    if (follow == NULL) {
        return;
    }
    sb_rpc_call_set_user(call, NULL);
    forget(worker->processes, sb_follow_exec(follow));
    sb_follow_done(follow, cancelled);
}

/* ---- WriteStdin ---- */

struct input {
    struct sb_exec_observer observer;
    struct sb_rpc_call *call;
    bool is_over;
};

/** Answered when the program has taken most of it, so that a client that sends piece after piece
 *  goes as fast as the program reads. */
static void on_taken(struct sb_exec_observer *observer, struct sb_exec *exec)
{
    struct input *input = SB_LIST_ENTRY(observer, struct input, observer);
    struct sb_err err = {.code = SB_OK};
    if (!input->is_over && (sb_exec_has_ended(exec) || sb_exec_waiting_input(exec) < INPUT_MARK)) {
        input->is_over = true;
        sb_api_finish(input->call, sb_api_pb_new(&process__v1__write_stdin_response__descriptor),
                      &err);
    }
}

static int
write_input(struct sb_exec *exec, const Process__V1__WriteStdinRequest *req, struct sb_err *err)
{
    switch (req->payload_case) {
    case PROCESS__V1__WRITE_STDIN_REQUEST__PAYLOAD_INPUT:
        return sb_exec_write(exec, req->input.data, req->input.len, err);
    case PROCESS__V1__WRITE_STDIN_REQUEST__PAYLOAD_EOF:
        sb_exec_write_eof(exec);
        return 0;
    case PROCESS__V1__WRITE_STDIN_REQUEST__PAYLOAD__NOT_SET:
    case _PROCESS__V1__WRITE_STDIN_REQUEST__PAYLOAD__CASE_IS_INT_SIZE:
    default:
        return sb_err_set(err, SB_INVALID, "payload: is missing (input or eof)");
    }
}

static void
write_stdin(struct sb_rpc_call *call, const Process__V1__WriteStdinRequest *req, void *svc)
{
    struct sb_err err;
    struct sb_exec *exec = find(call, svc, req->process_id);
    struct input *input = exec == NULL ? NULL : calloc(1, sizeof *input);
    if (exec == NULL) {
        return;
    }
    if (input == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return;
    }
    if (write_input(exec, req, &err) < 0) {
        free(input);
        sb_rpc_call_fail(call, &err);
        return;
    }
    input->observer.changed = on_taken;
    input->call = call;
    sb_exec_observe(exec, &input->observer);
    sb_rpc_call_set_user(call, input);
    on_taken(&input->observer, exec);
}

static void write_stdin_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    struct input *input = sb_rpc_call_user(call);
    if (input != NULL) {
        sb_rpc_call_set_user(call, NULL);
        sb_exec_unobserve(&input->observer);
        free(input);
    }
}

/* ---- SendSignal, ResizeTTY ---- */

static bool is_signal(Process__V1__Signal signal)
{
    return signal == PROCESS__V1__SIGNAL__SIGNAL_SIGINT ||
           signal == PROCESS__V1__SIGNAL__SIGNAL_SIGKILL ||
           signal == PROCESS__V1__SIGNAL__SIGNAL_SIGTERM;
}

static void
send_signal(struct sb_rpc_call *call, const Process__V1__SendSignalRequest *req, void *svc)
{
    struct sb_err err = {.code = SB_OK};
    struct sb_exec *exec = find(call, svc, req->process_id);
    if (exec == NULL) {
        return;
    }
    if (!is_signal(req->signal)) {
        (void)sb_err_set(&err, SB_INVALID, "signal: %d is none of 2 (INT), 9 (KILL), 15 (TERM)",
                         (int)req->signal);
    } else if (!sb_exec_has_ended(exec)) { /* too late is nobody's fault */
        (void)sb_exec_signal(exec, (int)req->signal, true, &err);
    }
    sb_api_finish(call, sb_api_pb_new(&process__v1__send_signal_response__descriptor), &err);
}

static void
resize_tty(struct sb_rpc_call *call, const Process__V1__ResizeTTYRequest *req, void *svc)
{
    struct sb_err err = {.code = SB_OK};
    struct sb_exec *exec = find(call, svc, req->process_id);
    if (exec != NULL) {
        (void)sb_exec_terminal_resize(exec, req->rows, req->cols, &err);
        sb_api_finish(call, sb_api_pb_new(&process__v1__resize_ttyresponse__descriptor), &err);
    }
}

const struct process__v1__process_service__server sb_process_service = {
    .start = {.start = start, .drained = start_drained, .done = start_done},
    .execute = {.start = sb_execute_start, .done = sb_execute_done},
    .write_stdin = {.start = write_stdin, .done = write_stdin_done},
    .send_signal = {.start = send_signal},
    .resize_tty = {.start = resize_tty},
};
