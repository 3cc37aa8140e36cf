#include "cli/session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "cli/connect.h"
#include "cli/session_inside.h"
#include "proto/client/message.h"

enum { CANCEL_WAIT_MS = 10000 };

/* ---- what comes from the worker ---- */

static void fail(struct session *s, const struct sb_err *why)
{
    if (s->status.code == SB_OK) {
        s->status = *why;
    }
    s->is_over = true;
}

static void on_started(struct session *s, const Aisbx__V1__ExecStarted *started)
{
    struct sb_err err = {0};
    s->result->is_started = true;
    s->result->sandbox = (void *)sb_message_copy((const void *)started->sandbox, &err);
    if (s->exec_id == NULL && started->exec != NULL) {
        s->exec_id = sb_str_dup(sb_str_from(started->exec->exec_id));
    }
    if (!s->has_terminal && !s->is_look && s->result->sandbox != NULL &&
        s->result->sandbox->limits != NULL && s->result->sandbox->limits->output_bytes != 0) {
        uint64_t limit = s->result->sandbox->limits->output_bytes;
        sb_streams_limit(&s->streams, limit);
        s->left[0] = limit;
        s->left[1] = limit;
    }
    if (s->options->started != NULL) {
        s->options->started(started, s->options->user);
    }
    if (s->is_background) {
        s->result->exec = (void *)sb_message_copy((const void *)started->exec, &err);
        s->is_over = true;
    }
    if (err.code != SB_OK) {
        fail(s, &err);
    }
}

static void capture(struct session *s, int i, const void *data, size_t len)
{
    struct sb_buf *to = &s->result->captured[i];
    size_t room = sb_buf_room(to);
    size_t take = len < room ? len : room;
    if (sb_buf_append(to, data, take) < 0) {
        take = 0;
    }
    s->result->dropped_bytes[i] += len - take;
}

static void on_output(struct session *s, const Aisbx__V1__ExecOutput *output)
{
    struct sb_err err = {0};
    bool is_stderr = output->stream == AISBX__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDERR;
    s->result->offsets[is_stderr] = output->offset + output->data.len;
    if (s->options->ignores[is_stderr]) {
        return;
    }
    uint64_t *left = &s->left[is_stderr];
    size_t len = output->data.len < *left ? output->data.len : (size_t)*left;
    *left -= len;
    s->result->dropped_bytes[is_stderr] += output->dropped_bytes + (output->data.len - len);
    if (s->options->captures) {
        capture(s, is_stderr, output->data.data, len);
        return;
    }
    int fd = is_stderr ? STDERR_FILENO : STDOUT_FILENO;
    if (sb_fd_write_full(fd, output->data.data, len, &err) < 0) {
        if (err.sys == EPIPE) { /* as the program would have met it */
            s->result->signal = SIGPIPE;
        }
        (void)sb_err_wrap(&err, "write output");
        fail(s, &err);
    }
}

static void on_ended(struct session *s, const Aisbx__V1__ExecEnded *ended)
{
    struct sb_err err = {0};
    s->result->exec = (void *)sb_message_copy((const void *)ended->exec, &err);
    s->is_over = true;
    if (err.code != SB_OK) {
        fail(s, &err);
    }
}

static void on_event(struct session *s, const Aisbx__V1__ExecEvent *event)
{
    if (event == NULL || s->is_over) {
        return;
    }
    /* Violations are passed over: the verdict has them again. */
    if (event->event_case == AISBX__V1__EXEC_EVENT__EVENT_STARTED) {
        on_started(s, event->started);
    } else if (event->event_case == AISBX__V1__EXEC_EVENT__EVENT_OUTPUT) {
        on_output(s, event->output);
    } else if (event->event_case == AISBX__V1__EXEC_EVENT__EVENT_ENDED) {
        on_ended(s, event->ended);
    }
    if (!s->is_over) {
        sb_rpc_stream_read(s->stream);
    }
}

static void
on_start_exec(struct sb_rpc_stream *stream, const Aisbx__V1__StartExecResponse *msg, void *user)
{
    (void)stream;
    on_event(user, msg->event);
}

static void on_interact_exec(struct sb_rpc_stream *stream,
                             const Aisbx__V1__InteractExecResponse *msg,
                             void *user)
{
    (void)stream;
    on_event(user, msg->event);
}

static void
on_attach_exec(struct sb_rpc_stream *stream, const Aisbx__V1__AttachExecResponse *msg, void *user)
{
    (void)stream;
    on_event(user, msg->event);
}

static void on_drained(struct sb_rpc_stream *stream, void *user)
{
    struct session *s = user;
    (void)stream;
    s->is_choked = false;
}

static void on_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    struct session *s = user;
    (void)stream;
    s->stream = NULL;
    if (!s->is_over) {
        struct sb_err early = *err;
        if (early.code == SB_OK && s->is_look) {
            s->is_over = true;
            return;
        }
        if (early.code == SB_OK) {
            (void)sb_err_set(&early, SB_INTERNAL, "the worker ended the call without a verdict");
        }
        fail(s, &early);
    }
}

/* ---- starting ---- */

static int start_passed(struct session *s, Aisbx__V1__StartExecRequest *request, struct sb_err *err)
{
    static const struct aisbx__v1__sandbox_service__start_exec__callbacks callbacks = {
        .message = on_start_exec,
        .done = on_done,
    };
    struct sb_rpc_stream_options options = s->connect->options;
    if (sb_streams_plan(&s->streams, s->options->no_stdin, err) < 0) {
        return -1;
    }
    request->exec->stdio = AISBX__V1__STDIO_MODE__STDIO_MODE_PASSED;
    options.fds = s->streams.passed;
    options.n_fds = 3;
    return aisbx__v1__sandbox_service__start_exec__start(s->connect->channel, request, &options,
                                                         &callbacks, s, &s->stream, err);
}

static int
start_streamed(struct session *s, Aisbx__V1__StartExecRequest *request, struct sb_err *err)
{
    static const struct aisbx__v1__sandbox_service__interact_exec__callbacks callbacks = {
        .message = on_interact_exec,
        .drained = on_drained,
        .done = on_done,
    };
    Aisbx__V1__InteractExecRequest first = AISBX__V1__INTERACT_EXEC_REQUEST__INIT;
    request->exec->stdio = AISBX__V1__STDIO_MODE__STDIO_MODE_SPOOLED;
    if (aisbx__v1__sandbox_service__interact_exec__start(s->connect->channel, &s->connect->options,
                                                         &callbacks, s, &s->stream, err) < 0) {
        return -1;
    }
    first.message_case = AISBX__V1__INTERACT_EXEC_REQUEST__MESSAGE_START;
    first.start = request;
    s->is_choked = !aisbx__v1__sandbox_service__interact_exec__write(s->stream, &first);
    s->sends_stdin = !s->options->no_stdin;
    if (!s->sends_stdin) {
        sb_rpc_stream_half_close(s->stream);
    }
    return 0;
}

static int
start_background(struct session *s, Aisbx__V1__StartExecRequest *request, struct sb_err *err)
{
    static const struct aisbx__v1__sandbox_service__start_exec__callbacks callbacks = {
        .message = on_start_exec,
        .done = on_done,
    };
    request->exec->background = 1;
    request->exec->stdio = AISBX__V1__STDIO_MODE__STDIO_MODE_SPOOLED;
    return aisbx__v1__sandbox_service__start_exec__start(
        s->connect->channel, request, &s->connect->options, &callbacks, s, &s->stream, err);
}

/* ---- the loop ---- */

static void on_cancelled(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    struct session *s = user;
    (void)stream;
    if (err->code != SB_OK && s->stream != NULL) {
        sb_rpc_stream_cancel(s->stream); /* the worker does not wait then */
    }
}

/* A signal came: asks for the end of the whole tree. The verdict then ends the loop. */
static void cancel(struct session *s, int signal)
{
    static const struct aisbx__v1__sandbox_service__cancel_exec__callbacks callbacks = {
        .done = on_cancelled,
    };
    Aisbx__V1__CancelExecRequest request = AISBX__V1__CANCEL_EXEC_REQUEST__INIT;
    struct sb_err err;
    sb_tty_leave(&s->tty); /* the next signal takes its default action */
    s->result->signal = signal;
    if (s->is_look) { /* the program goes on */
        s->is_over = true;
        return;
    }
    s->give_up_ms = sb_clock_mono_ms() + CANCEL_WAIT_MS;
    request.exec_id = s->exec_id;
    if (s->stream != NULL &&
        (s->exec_id == NULL ||
         aisbx__v1__sandbox_service__cancel_exec__start(
             s->connect->channel, &request, &s->connect->options, &callbacks, s, NULL, &err) < 0)) {
        sb_rpc_stream_cancel(s->stream);
    }
}

enum { CHANNEL, SIGNALS, INPUT, TTY, STREAMS };

struct poll_set {
    struct pollfd fds[STREAMS + SB_STREAMS_POLL_MAX];
    size_t n_streams;
    int timeout_ms;
};

static void prepare(struct session *s, struct poll_set *set)
{
    set->timeout_ms = sb_rpc_channel_prepare(s->connect->channel, &set->fds[CHANNEL]);
    set->fds[SIGNALS] = (struct pollfd){.fd = s->signals.fd, .events = POLLIN};
    set->fds[INPUT] = (struct pollfd){.fd = -1};
    set->fds[TTY] = (struct pollfd){.fd = s->tty.fd, .events = POLLIN};
    if (s->sends_stdin && !s->is_choked && s->result->is_started && s->stream != NULL) {
        bool may_read = sb_streams_may_read(STDIN_FILENO);
        set->fds[INPUT] = (struct pollfd){.fd = may_read ? STDIN_FILENO : -1, .events = POLLIN};
        if (!may_read && (set->timeout_ms < 0 || set->timeout_ms > SB_STREAMS_RECHECK_MS)) {
            set->timeout_ms = SB_STREAMS_RECHECK_MS;
        }
    }
    set->n_streams = sb_streams_prepare(&s->streams, &set->fds[STREAMS], &set->timeout_ms);
    if (s->give_up_ms != 0) {
        int left = sb_clock_left_ms(s->give_up_ms);
        set->timeout_ms = set->timeout_ms < 0 || set->timeout_ms > left ? left : set->timeout_ms;
    }
}

static void step(struct session *s)
{
    struct poll_set set;
    prepare(s, &set);
    if (poll(set.fds, STREAMS + set.n_streams, set.timeout_ms) < 0) {
        if (errno == EINTR) {
            return;
        }
        struct sb_err err;
        (void)sb_err_sys(&err, errno, "poll");
        fail(s, &err);
        return;
    }
    sb_streams_step(&s->streams, &set.fds[STREAMS], set.n_streams);
    sb_rpc_channel_process(s->connect->channel);
    if (set.fds[TTY].revents != 0 && !s->is_over) {
        sb_session_input_resize(s);
    }
    if (set.fds[INPUT].revents != 0 && !s->is_over && s->stream != NULL) {
        sb_session_input_send(s);
    }
    if (set.fds[SIGNALS].revents != 0) {
        int signal = sb_signals_take(&s->signals);
        if (signal != 0) {
            cancel(s, signal);
        }
    }
    if (s->give_up_ms != 0 && sb_clock_mono_ms() >= s->give_up_ms) {
        s->is_over = true;
    }
}

/* The worker, or the way to it, is gone for good: that is how the exec ended, as far as anyone can
 * tell, and what it wrote until then still counts. */
static bool was_lost(const struct session *s)
{
    return s->status.code == SB_UNAVAILABLE && s->result->is_started && s->result->exec == NULL &&
           !s->is_background && !s->is_look;
}

static int tell_lost(struct session *s, struct sb_err *err)
{
    char message[] = "the connection to the worker was lost while it ran";
    char next_step[] = "run it again; the worker's log may say more";
    char none[] = "";
    Aisbx__V1__Verdict verdict = AISBX__V1__VERDICT__INIT;
    Aisbx__V1__Exec exec = AISBX__V1__EXEC__INIT;
    verdict.kind = AISBX__V1__VERDICT_KIND__VERDICT_KIND_WORKER_LOST;
    verdict.message = message;
    verdict.next_step = next_step;
    exec.exec_id = s->exec_id == NULL ? none : s->exec_id;
    exec.verdict = &verdict;
    s->result->exec = (void *)sb_message_copy((const void *)&exec, err);
    return s->result->exec == NULL ? -1 : 0;
}

static int run(struct session *s, struct sb_err *err)
{
    sb_rpc_stream_read(s->stream);
    while (!s->is_over) {
        step(s);
        if (s->result->is_started && !s->streams.is_released) {
            sb_streams_release(&s->streams);
        }
    }
    sb_streams_drain(&s->streams, s->result->signal == 0, s->signals.fd);
    for (int i = 0; i < 2; i++) {
        s->result->dropped_bytes[i] += s->streams.pumps[i + 1].dropped;
    }
    if (was_lost(s)) {
        return tell_lost(s, err) < 0 ? -1 : sb_streams_check(&s->streams, err);
    }
    if (s->status.code != SB_OK && s->result->signal == 0) {
        *err = s->status;
        return -1;
    }
    return sb_streams_check(&s->streams, err);
}

static void session_done(struct session *s)
{
    sb_tty_leave(&s->tty);
    sb_connect_done(s->connect); /* callbacks that are due run now, while s is there */
    sb_streams_done(&s->streams);
    sb_signals_done(&s->signals);
    free(s->exec_id);
}

static void session_init(struct session *s,
                         struct sb_connect *connect,
                         const struct sb_session_options *options,
                         struct sb_session_result *result)
{
    *s = (struct session){.connect = connect,
                          .options = options,
                          .result = result,
                          .signals = SB_SIGNALS_NONE,
                          .tty = SB_TTY_NONE,
                          .typed = SB_TYPED_INIT,
                          .left = {UINT64_MAX, UINT64_MAX}};
    sb_streams_init(&s->streams);
    *result = (struct sb_session_result){
        .captured = {SB_BUF_INIT(SB_SESSION_CAPTURE_MAX), SB_BUF_INIT(SB_SESSION_CAPTURE_MAX)}};
}

/* From before the program starts: what is typed early is echoed once, and by its terminal. */
static int enter_tty(struct session *s, struct sb_err *err)
{
    bool is_typed = s->has_terminal && !s->options->captures && !s->options->no_stdin;
    return is_typed && isatty(STDIN_FILENO) == 1 ? sb_tty_enter(&s->tty, err) : 0;
}

int sb_session_run(struct sb_connect *connect,
                   Aisbx__V1__StartExecRequest *request,
                   const struct sb_session_options *options,
                   struct sb_session_result *ret,
                   struct sb_err *err)
{
    SB_CLEANUP(session_done) struct session s;
    session_init(&s, connect, options, ret);
    s.has_terminal = request->exec->terminal != NULL;
    bool passes = connect->is_local && !options->captures && !s.has_terminal;
    if (sb_signals_catch(&s.signals, err) < 0 || enter_tty(&s, err) < 0 ||
        (passes ? start_passed : start_streamed)(&s, request, err) < 0) {
        return -1;
    }
    return run(&s, err);
}

void sb_session_result_done(struct sb_session_result *result)
{
    sb_message_freep(&result->sandbox);
    sb_message_freep(&result->exec);
    sb_buf_done(&result->captured[0]);
    sb_buf_done(&result->captured[1]);
    result->sandbox = NULL;
    result->exec = NULL;
}

int sb_session_start(struct sb_connect *connect,
                     Aisbx__V1__StartExecRequest *request,
                     Aisbx__V1__Exec **ret_exec,
                     struct sb_err *err)
{
    static const struct sb_session_options plain = {.no_stdin = true};
    struct sb_session_result result;
    SB_CLEANUP(session_done) struct session s;
    session_init(&s, connect, &plain, &result);
    s.is_background = true;
    int rc = start_background(&s, request, err) < 0 ? -1 : run(&s, err);
    if (rc == 0) {
        *ret_exec = SB_STEAL_PTR(result.exec);
    }
    sb_session_result_done(&result);
    return rc;
}

int sb_session_attach(struct sb_connect *connect,
                      const Aisbx__V1__AttachExecRequest *request,
                      const struct sb_session_options *options,
                      struct sb_session_result *ret,
                      struct sb_err *err)
{
    static const struct aisbx__v1__sandbox_service__attach_exec__callbacks callbacks = {
        .message = on_attach_exec,
        .done = on_done,
    };
    SB_CLEANUP(session_done) struct session s;
    session_init(&s, connect, options, ret);
    s.is_look = true;
    s.has_terminal = options->has_terminal;
    s.sends_stdin = !options->no_stdin;
    s.exec_id = sb_str_dup(sb_str_from(request->exec_id));
    ret->offsets[0] = request->stdout_offset;
    ret->offsets[1] = request->stderr_offset;
    if (s.exec_id == NULL) {
        return sb_err_oom(err);
    }
    if (enter_tty(&s, err) < 0 || (s.tty.fd >= 0 && sb_signals_catch(&s.signals, err) < 0)) {
        return -1;
    }
    if (s.tty.fd >= 0) {
        sb_session_input_resize(&s);
    }
    if (aisbx__v1__sandbox_service__attach_exec__start(connect->channel, request, &connect->options,
                                                       &callbacks, &s, &s.stream, err) < 0) {
        return -1;
    }
    return run(&s, err);
}
