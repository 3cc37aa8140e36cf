#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aisbx/v1/context_service.rpc.h"
#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/out.h"
#include "base/say.h"
#include "cli/connect.h"
#include "cli/resolve.h"
#include "cli/signals.h"
#include "cli/spec.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/json/pbjson.h"

enum { MAX_CODE = 1 << 20, MAX_NAME = 64 };

struct code {
    const struct sb_args *args;
    struct sb_connect *connect;
    char context_id[SB_ID_SIZE];
    char own_sandbox[SB_ID_SIZE]; /* made for this; "": none */
    unsigned n_images;
    bool is_interactive;
    /* of the piece that runs */
    struct sb_rpc_stream *stream; /* NULL: over */
    struct sb_err status;
    uint64_t value_number;
    bool has_shown; /* that value */
    int exit_code;
};

/* ---- what comes ---- */

static void note(struct code *code, const struct sb_err *err)
{
    if (code->status.code == SB_OK) {
        code->status = *err;
    }
}

static void put(struct code *code, int fd, struct sb_str text)
{
    struct sb_err err = {0};
    if (sb_fd_write_full(fd, text.ptr, text.len, &err) < 0) {
        note(code, &err);
    }
}

static const char *ending_of(const char *mime)
{
    static const char *const endings[][2] = {
        {"image/png", "png"},
        {"image/jpeg", "jpg"},
        {"image/svg+xml", "svg"},
        {"text/html", "html"},
    };
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        if (strcmp(mime, endings[i][0]) == 0) {
            return endings[i][1];
        }
    }
    return NULL;
}

/* Never over a file that is there. */
static void save(struct code *code, const Aisbx__V1__RichResult *result, const char *ending)
{
    struct sb_err err = {0};
    char name[MAX_NAME];
    SB_CLEANUP(sb_closep)
    int dir = open(code->args->output_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    SB_CLEANUP(sb_closep) int fd = -1;
    do {
        (void)snprintf(name, sizeof name, "result-%u.%s", ++code->n_images, ending);
        fd = dir < 0 ? -1 : openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (fd < 0 && dir >= 0 && errno == EEXIST);
    if (fd < 0) {
        (void)sb_err_sys(&err, errno, "%s", code->args->output_dir);
        note(code, &err);
    } else if (sb_fd_write_full(fd, result->data.data, result->data.len, &err) < 0) {
        note(code, &err);
    } else {
        sb_say_note("%s: %s/%s", result->mime_type, code->args->output_dir, name);
    }
}

static void on_result(struct code *code, const Aisbx__V1__RichResult *result)
{
    const char *ending = ending_of(result->mime_type);
    bool is_plain = strcmp(result->mime_type, "text/plain") == 0;
    if (result->value_number != code->value_number) {
        code->value_number = result->value_number;
        code->has_shown = false;
    }
    if (ending != NULL && code->args->output_dir != NULL) {
        save(code, result, ending);
        code->has_shown = true;
    } else if (is_plain && !code->has_shown) {
        put(code, STDOUT_FILENO, sb_str_of(result->data.data, result->data.len));
        put(code, STDOUT_FILENO, SB_STR("\n"));
        code->has_shown = true;
    }
}

static void on_error(struct code *code, const Aisbx__V1__CodeError *error)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, -1);
    for (size_t i = 0; i < error->n_traceback; i++) {
        sb_out_put_safe(&out, sb_str_from(error->traceback[i]));
        sb_out_put(&out, "\n");
    }
    put(code, STDERR_FILENO, sb_buf_str(&out.buf));
}

static void on_ended(struct code *code, const Aisbx__V1__ExecuteCodeEnded *ended)
{
    const Aisbx__V1__Verdict *verdict = ended->verdict;
    if (verdict == NULL) {
        return;
    }
    bool is_exit = verdict->kind == AISBX__V1__VERDICT_KIND__VERDICT_KIND_EXITED;
    bool is_late = verdict->kind == AISBX__V1__VERDICT_KIND__VERDICT_KIND_TIMED_OUT;
    code->exit_code = is_exit ? verdict->exit_code : is_late ? SB_STATUS_TIMEOUT : 130;
    if (!is_exit) {
        sb_say_note("%s", verdict->message);
    }
}

static void print_event(struct code *code, const Aisbx__V1__ExecuteCodeResponse *event)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    struct sb_json json = {.out = &out};
    sb_out_init(&out, -1);
    sb_pbjson_message(&json, NULL, &event->base);
    sb_out_put(&out, "\n");
    put(code, STDOUT_FILENO, sb_buf_str(&out.buf));
}

static void
on_event(struct sb_rpc_stream *stream, const Aisbx__V1__ExecuteCodeResponse *event, void *user)
{
    struct code *code = user;
    int kind = (int)event->event_case;
    if (code->args->json) {
        print_event(code, event);
    } else if (kind == AISBX__V1__EXECUTE_CODE_RESPONSE__EVENT_OUTPUT) {
        bool is_stderr = event->output->stream == AISBX__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDERR;
        put(code, is_stderr ? STDERR_FILENO : STDOUT_FILENO,
            sb_str_of(event->output->data.data, event->output->data.len));
    } else if (kind == AISBX__V1__EXECUTE_CODE_RESPONSE__EVENT_RESULT) {
        on_result(code, event->result);
    } else if (kind == AISBX__V1__EXECUTE_CODE_RESPONSE__EVENT_ERROR) {
        on_error(code, event->error);
    }
    if (kind == AISBX__V1__EXECUTE_CODE_RESPONSE__EVENT_ENDED) {
        on_ended(code, event->ended);
    }
    sb_rpc_stream_read(stream);
}

static void on_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    struct code *code = user;
    (void)stream;
    code->stream = NULL;
    if (err->code != SB_OK) {
        note(code, err);
    }
}

/* ---- one piece ---- */

static void interrupted(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    (void)stream;
    (void)err;
    (void)user;
}

static void interrupt(struct code *code)
{
    static const struct aisbx__v1__context_service__interrupt_context__callbacks callbacks = {
        .done = interrupted};
    struct sb_err err;
    struct sb_rpc_stream *stream = NULL;
    Aisbx__V1__InterruptContextRequest request = AISBX__V1__INTERRUPT_CONTEXT_REQUEST__INIT;
    request.context_id = code->context_id;
    (void)aisbx__v1__context_service__interrupt_context__start(
        code->connect->channel, &request, &code->connect->options, &callbacks, NULL, &stream, &err);
}

static int run(struct code *code, const char *text, struct sb_err *err)
{
    static const struct aisbx__v1__context_service__execute_code__callbacks callbacks = {
        .message = on_event, .done = on_done};
    Aisbx__V1__ExecuteCodeRequest request = AISBX__V1__EXECUTE_CODE_REQUEST__INIT;
    SB_CLEANUP(sb_signals_done) struct sb_signals signals = SB_SIGNALS_NONE;
    request.context_id = code->context_id;
    request.code = (char *)(uintptr_t)text; /* only read */
    request.wall_ms = code->args->timeout_ms;
    code->status = (struct sb_err){.code = SB_OK};
    code->value_number = 0;
    code->exit_code = SB_STATUS_FAILED;
    if (sb_signals_catch(&signals, err) < 0 ||
        aisbx__v1__context_service__execute_code__start(code->connect->channel, &request,
                                                        &code->connect->options, &callbacks, code,
                                                        &code->stream, err) < 0) {
        return -1;
    }
    sb_rpc_stream_read(code->stream);
    while (code->stream != NULL) {
        struct pollfd fds[2] = {{.fd = -1}, {.fd = signals.fd, .events = POLLIN}};
        int wait_ms = sb_rpc_channel_prepare(code->connect->channel, &fds[0]);
        (void)poll(fds, 2, wait_ms);
        sb_rpc_channel_process(code->connect->channel);
        if (fds[1].revents != 0 && sb_signals_take(&signals) != 0) {
            interrupt(code);
        }
    }
    if (code->status.code != SB_OK) {
        *err = code->status;
        return -1;
    }
    return 0;
}

/* ---- where ---- */

static int make_sandbox(struct sb_cli *cli, struct code *code, struct sb_err *err)
{
    SB_CLEANUP(sb_spec_done) struct sb_spec spec = {.is_remote = sb_connect_is_remote(cli)};
    SB_CLEANUP(sb_message_freep) Aisbx__V1__CreateSandboxResponse *reply = NULL;
    Aisbx__V1__CreateSandboxRequest request = AISBX__V1__CREATE_SANDBOX_REQUEST__INIT;
    if (sb_spec_sandbox(&spec, &cli->args, err) < 0) {
        return -1;
    }
    request.sandbox = &spec.sandbox;
    if (aisbx__v1__sandbox_service__create_sandbox__call(
            code->connect->channel, &request, &code->connect->options, &reply, err) < 0) {
        return sb_err_wrap(err, "cannot make a sandbox");
    }
    (void)snprintf(code->own_sandbox, sizeof code->own_sandbox, "%s",
                   reply->sandbox == NULL ? "" : reply->sandbox->sandbox_id);
    return 0;
}

static void destroy_sandbox(struct code *code)
{
    struct sb_err err;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__DestroySandboxResponse *reply = NULL;
    Aisbx__V1__DestroySandboxRequest request = AISBX__V1__DESTROY_SANDBOX_REQUEST__INIT;
    request.sandbox_id = code->own_sandbox;
    if (code->own_sandbox[0] != '\0' &&
        aisbx__v1__sandbox_service__destroy_sandbox__call(
            code->connect->channel, &request, &code->connect->options, &reply, &err) < 0) {
        sb_say_note("sandbox %s is left: %s", code->own_sandbox, err.text);
    }
}

/* In a sandbox that lasts, one for each language: the same request finds it again. */
static int find_context(struct sb_cli *cli, struct code *code, struct sb_err *err)
{
    char sandbox[SB_ID_SIZE];
    char request_id[64] = "";
    SB_CLEANUP(sb_message_freep) Aisbx__V1__CreateContextResponse *reply = NULL;
    Aisbx__V1__CreateContextRequest request = AISBX__V1__CREATE_CONTEXT_REQUEST__INIT;
    const char *language = cli->args.language == NULL ? "python" : cli->args.language;
    if (cli->args.context != NULL) {
        (void)snprintf(code->context_id, sizeof code->context_id, "%s", cli->args.context);
        return 0;
    }
    if (cli->args.sandbox != NULL) {
        if (sb_resolve_sandbox(code->connect, cli->args.sandbox, sandbox, err) < 0) {
            return -1;
        }
        (void)snprintf(request_id, sizeof request_id, "cli.%s.%s", language, sandbox + 3);
    } else if (make_sandbox(cli, code, err) < 0) {
        return -1;
    } else {
        memcpy(sandbox, code->own_sandbox, sizeof sandbox);
    }
    request.request_id = request_id;
    request.sandbox_id = sandbox;
    request.language = (char *)(uintptr_t)language;
    if (aisbx__v1__context_service__create_context__call(
            code->connect->channel, &request, &code->connect->options, &reply, err) < 0) {
        return sb_err_wrap(err, "cannot start %s", language);
    }
    (void)snprintf(code->context_id, sizeof code->context_id, "%s",
                   reply->context == NULL ? "" : reply->context->context_id);
    return 0;
}

/* ---- from where ---- */

static int read_all(int fd, struct sb_buf *text, struct sb_err *err)
{
    char chunk[1 << 14];
    ssize_t n = 0;
    while ((n = read(fd, chunk, sizeof chunk)) != 0) {
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 || sb_buf_append(text, chunk, (size_t)n) < 0) {
            return sb_err_sys(err, errno, "read code");
        }
    }
    return memchr(sb_buf_cstr(text), '\0', text->len) == NULL
               ? 0
               : sb_err_set(err, SB_INVALID, "the code has a NUL in it");
}

static int run_file(struct code *code, const char *path, struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(MAX_CODE);
    SB_CLEANUP(sb_closep) int file = -1;
    if (path != NULL && strcmp(path, "-") != 0) {
        file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0) {
            return sb_err_sys(err, errno, "%s", path);
        }
    }
    return read_all(file < 0 ? STDIN_FILENO : file, &text, err) < 0
               ? -1
               : run(code, sb_buf_cstr(&text), err);
}

/* A line is a piece, unless it opens a block (its end, or blanks in front, say so): an empty line
 * ends that. */
static bool goes_on(const char *line, bool is_within)
{
    size_t len = strlen(line);
    while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == ' ')) {
        len--;
    }
    if (len == 0) {
        return false;
    }
    return is_within || strchr(":{([\\", line[len - 1]) != NULL;
}

static int converse(struct code *code, struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(MAX_CODE);
    char *line = NULL;
    size_t cap = 0;
    int rc = 0;
    for (;;) {
        put(code, STDERR_FILENO, text.len == 0 ? SB_STR(">>> ") : SB_STR("... "));
        if (getline(&line, &cap, stdin) < 0) {
            break;
        }
        bool is_more = goes_on(line, text.len > 0);
        if (sb_buf_append(&text, line, strlen(line)) < 0) {
            rc = sb_err_sys(err, errno, "code");
            break;
        }
        if (!is_more) {
            rc = run(code, sb_buf_cstr(&text), err);
            sb_buf_clear(&text);
        }
        if (rc < 0 && err->code != SB_PRECONDITION) {
            break;
        }
        if (rc < 0) {
            sb_say_note("%s", err->text);
            rc = 0;
        }
    }
    free(line);
    put(code, STDERR_FILENO, SB_STR("\n"));
    code->exit_code = 0;
    return rc;
}

int sb_verb_code(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    struct code code = {.args = &cli->args, .connect = &connect};
    const char *path = cli->args.n_operands > 0 ? cli->args.operands[0] : NULL;
    int rc = 0;
    if (cli->args.code != NULL && path != NULL) {
        return sb_verb_misused(cli,
                               sb_err_set(err, SB_INVALID, "--code and FILE exclude each other"));
    }
    if (sb_connect_open(cli, SB_CONNECT_START, &connect, err) < 0) {
        return -1;
    }
    if (find_context(cli, &code, err) < 0) {
        rc = -1;
    } else if (cli->args.code != NULL) {
        rc = run(&code, cli->args.code, err);
    } else if (path == NULL && isatty(STDIN_FILENO)) {
        rc = converse(&code, err);
    } else {
        rc = run_file(&code, path, err);
    }
    destroy_sandbox(&code);
    *ret_status = code.exit_code;
    return rc;
}
