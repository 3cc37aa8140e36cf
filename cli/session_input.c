/* What we read and the size of our terminal, on their way to the program. */
#include <errno.h>
#include <unistd.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/err.h"
#include "cli/connect.h"
#include "cli/session_inside.h"

enum { STDIN_CHUNK_BYTES = 32 << 10 };

/* ---- along with the call that started it ---- */

static void write_stdin(struct session *s, const char *data, size_t len)
{
    Aisbx__V1__InteractExecRequest msg = AISBX__V1__INTERACT_EXEC_REQUEST__INIT;
    msg.message_case = AISBX__V1__INTERACT_EXEC_REQUEST__MESSAGE_STDIN;
    msg.stdin = (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)data};
    s->is_choked = !aisbx__v1__sandbox_service__interact_exec__write(s->stream, &msg);
}

static void write_resize(struct session *s, Aisbx__V1__Terminal *size)
{
    Aisbx__V1__InteractExecRequest msg = AISBX__V1__INTERACT_EXEC_REQUEST__INIT;
    msg.message_case = AISBX__V1__INTERACT_EXEC_REQUEST__MESSAGE_RESIZE;
    msg.resize = size;
    (void)aisbx__v1__sandbox_service__interact_exec__write(s->stream, &msg);
}

/* ---- by calls of their own: one at a time, so that bytes keep their order ---- */

static void on_sent(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    struct session *s = user;
    (void)stream;
    s->is_choked = false;
    if (err->code != SB_OK) { /* it takes no input, or has ended: its output goes on to the end */
        s->sends_stdin = false;
    }
}

static void on_resized(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    (void)stream;
    (void)err;
    (void)user;
}

static void call_send(struct session *s, const char *data, size_t len, bool is_eof)
{
    static const struct aisbx__v1__sandbox_service__send_exec_input__callbacks callbacks = {
        .done = on_sent,
    };
    Aisbx__V1__SendExecInputRequest request = AISBX__V1__SEND_EXEC_INPUT_REQUEST__INIT;
    struct sb_err err;
    request.exec_id = s->exec_id;
    request.data = (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)data};
    request.eof = is_eof;
    s->is_choked = true;
    if (aisbx__v1__sandbox_service__send_exec_input__start(
            s->connect->channel, &request, &s->connect->options, &callbacks, s, NULL, &err) < 0) {
        s->sends_stdin = false;
    }
}

static void call_resize(struct session *s, Aisbx__V1__Terminal *size)
{
    static const struct aisbx__v1__sandbox_service__resize_exec__callbacks callbacks = {
        .done = on_resized,
    };
    Aisbx__V1__ResizeExecRequest request = AISBX__V1__RESIZE_EXEC_REQUEST__INIT;
    struct sb_err err;
    request.exec_id = s->exec_id;
    request.terminal = size;
    (void)aisbx__v1__sandbox_service__resize_exec__start(
        s->connect->channel, &request, &s->connect->options, &callbacks, s, NULL, &err);
}

/* ---- both ---- */

static void send_typed(struct session *s, const char *data, size_t len)
{
    char out[STDIN_CHUNK_BYTES + 1];
    size_t n = 0;
    bool is_way_out = sb_typed_take(&s->typed, data, len, out, &n);
    if (n > 0) {
        call_send(s, out, n, false);
    }
    if (is_way_out) {
        s->result->is_detached = true;
        s->is_over = true;
    }
}

void sb_session_input_send(struct session *s)
{
    char chunk[STDIN_CHUNK_BYTES];
    ssize_t n = read(STDIN_FILENO, chunk, sizeof chunk);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        return;
    }
    if (n > 0 && !s->is_look) {
        write_stdin(s, chunk, (size_t)n);
    } else if (n > 0 && s->tty.fd >= 0) {
        send_typed(s, chunk, (size_t)n);
    } else if (n > 0) {
        call_send(s, chunk, (size_t)n, false);
    } else {
        s->sends_stdin = false;
        if (s->is_look) {
            call_send(s, "", 0, true);
        } else {
            sb_rpc_stream_half_close(s->stream);
        }
    }
}

void sb_session_input_resize(struct session *s)
{
    Aisbx__V1__Terminal size = AISBX__V1__TERMINAL__INIT;
    bool has_changed = sb_tty_take_resize(&s->tty);
    size.rows = s->tty.rows;
    size.columns = s->tty.columns;
    if (s->is_look && (has_changed || s->stream == NULL)) {
        call_resize(s, &size);
    } else if (!s->is_look && has_changed && s->stream != NULL) {
        write_resize(s, &size);
    }
}
