#include "rig.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "proto/rpc/rpc.h"

enum { READY_FD = 3, SOME_USER = 20077, KEEP_MAX = 64 << 20 };

/* ---- the worker ---- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    (void)remove(path);
    return 0;
}

static void remove_dir(const char *dir)
{
    (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static _Noreturn void become_worker(const struct rig *rig, int ready)
{
    char program[512];
    char log[96];
    (void)snprintf(program, sizeof program, "%s/aisbx-worker", getenv("AISBX_BIN"));
    (void)snprintf(log, sizeof log, "%s/log", rig->dir);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    (void)dup2(fd, 2);
    (void)dup2(ready, READY_FD);
    (void)close_range(READY_FD + 1, ~0U, 0);
    (void)setenv("AISBX_CONFIG_PATH", "", 1);
    (void)unsetenv("AISBX_CONFIG_PATH");
    (void)execl(program, "aisbx-worker", "--listen", rig->address, "--ready-fd", "3",
                "--drain-grace", "500", (char *)NULL);
    _exit(127);
}

int rig_setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    struct sb_err err;
    int ends[2];
    char line[512] = "";
    size_t len = 0;
    assert_non_null(rig);
    assert_non_null(getenv("AISBX_BIN"));
    strcpy(rig->dir, "/tmp/aisbx-test-worker-XXXXXX");
    assert_non_null(mkdtemp(rig->dir));
    (void)snprintf(rig->address, sizeof rig->address, "unix:%s/w.sock", rig->dir);
    assert_int_equal(sb_fd_pipe(ends, &err), 0);
    rig->pid = fork();
    assert_true(rig->pid >= 0);
    if (rig->pid == 0) {
        become_worker(rig, ends[1]);
    }
    close(ends[1]);
    assert_int_equal(sb_fd_read_full(ends[0], line, sizeof line - 1, &len, &err), 0);
    close(ends[0]);
    if (strcmp(line, "READY\n") != 0) {
        print_error("worker: %s (log: %s/log)\n", line, rig->dir);
        return -1;
    }
    rig->channel = rig_connect(rig);
    *state = rig;
    return 0;
}

int rig_wait(struct rig *rig)
{
    int status = -1;
    for (int i = 0; i < RIG_WAIT_MS / 10; i++) {
        if (waitpid(rig->pid, &status, WNOHANG) == rig->pid) {
            rig->pid = 0;
            return status;
        }
        (void)poll(NULL, 0, 10);
    }
    fail_msg("the worker did not end");
    return -1;
}

int rig_teardown(void **state)
{
    struct rig *rig = *state;
    int status = 0;
    sb_rpc_channel_free(rig->channel);
    if (rig->pid != 0) {
        (void)kill(rig->pid, SIGTERM);
        status = rig_wait(rig);
    }
    if (status != 0) { /* sanitizers speak up at the end */
        print_error("the worker ended with status %#x, its log is %s/log\n", status, rig->dir);
        free(rig);
        return -1;
    }
    remove_dir(rig->dir);
    free(rig);
    return 0;
}

/* ---- one for many ---- */

static void *common;

int rig_join(void **state)
{
    if (common == NULL && rig_setup(&common) < 0) {
        return -1;
    }
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    *rig = *(const struct rig *)common;
    rig->channel = rig_connect(rig);
    *state = rig;
    return 0;
}

int rig_leave(void **state)
{
    struct rig *rig = *state;
    sb_rpc_channel_free(rig->channel);
    free(rig);
    return 0;
}

int rig_part(void)
{
    return common == NULL ? 0 : rig_teardown(&common);
}

bool rig_become_user(void)
{
    return geteuid() == 0 && setgroups(0, NULL) == 0 &&
           setresgid(SOME_USER, SOME_USER, SOME_USER) == 0 &&
           setresuid(SOME_USER, SOME_USER, SOME_USER) == 0;
}

struct sb_rpc_channel *rig_connect(const struct rig *rig)
{
    struct sb_err err;
    struct sb_rpc_channel *channel = NULL;
    const struct sb_rpc_channel_options options = {0};
    if (sb_rpc_channel_open(rig->address, &options, &channel, &err) < 0) {
        fail_msg("connect: %s", err.text);
    }
    return channel;
}

/* ---- processes ---- */

static bool has_marker(const char *pid, const char *marker)
{
    char path[64];
    char text[4096];
    (void)snprintf(path, sizeof path, "/proc/%.20s/cmdline", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0) {
        close(fd);
    }
    return n > 0 && memmem(text, (size_t)n, marker, strlen(marker)) != NULL;
}

size_t rig_count(const char *marker)
{
    size_t n = 0;
    DIR *dir = opendir("/proc");
    assert_non_null(dir);
    for (const struct dirent *entry = NULL; (entry = readdir(dir)) != NULL;) {
        n += isdigit((unsigned char)entry->d_name[0]) && has_marker(entry->d_name, marker);
    }
    closedir(dir);
    return n;
}

bool rig_wait_count(const char *marker, size_t n)
{
    for (int i = 0; i < RIG_WAIT_MS / 10; i++) {
        if (rig_count(marker) == n) {
            return true;
        }
        (void)poll(NULL, 0, 10);
    }
    return false;
}

const char *rig_marker(char out[24])
{
    static unsigned count;
    (void)snprintf(out, 24, "86%u%04u", (unsigned)getpid(), count++);
    return out;
}

uint64_t rig_rss(pid_t pid)
{
    char path[64];
    char text[128] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    (void)fclose(file);
    const char *resident = strchr(text, ' ');
    assert_non_null(resident);
    unsigned long pages = strtoul(resident, NULL, 10);
    return (uint64_t)pages * 4096;
}

/* ---- requests ---- */

static char *plain(const char *text)
{
    return rig_text(text == NULL ? "" : text);
}

void rig_request(struct rig_request *request, const struct rig_spec *spec)
{
    aisbx__v1__start_exec_request__init(&request->msg);
    aisbx__v1__exec_target__init(&request->target);
    aisbx__v1__sandbox_spec__init(&request->sandbox);
    aisbx__v1__limits__init(&request->limits);
    aisbx__v1__exec_spec__init(&request->exec);
    aisbx__v1__command__init(&request->command);
    request->msg.request_id = plain(spec->request_id);
    request->msg.target = &request->target;
    request->msg.exec = &request->exec;
    if (spec->sandbox_id != NULL) {
        request->target.sandbox_case = AISBX__V1__EXEC_TARGET__SANDBOX_SANDBOX_ID;
        request->target.sandbox_id = plain(spec->sandbox_id);
    } else {
        request->target.sandbox_case = AISBX__V1__EXEC_TARGET__SANDBOX_NEW_SANDBOX;
        request->target.new_sandbox = &request->sandbox;
        request->sandbox.profile = plain("minimal");
        request->sandbox.limits = &request->limits;
        request->limits.output_bytes = spec->output_bytes;
    }
    request->exec.program_case = AISBX__V1__EXEC_SPEC__PROGRAM_COMMAND;
    request->exec.command = &request->command;
    memcpy(&request->command.args, &(const void *){spec->args}, sizeof(void *));
    while (spec->args[request->command.n_args] != NULL) {
        request->command.n_args++;
    }
    request->exec.wall_ms = spec->wall_ms;
    request->exec.background = spec->is_background;
    request->exec.open_stdin = spec->has_stdin;
    request->exec.stdio = spec->is_passed ? AISBX__V1__STDIO_MODE__STDIO_MODE_PASSED
                                          : AISBX__V1__STDIO_MODE__STDIO_MODE_SPOOLED;
}

static void on_event(struct rig_stream *rig, const Aisbx__V1__ExecEvent *event)
{
    switch (event->event_case) {
    case AISBX__V1__EXEC_EVENT__EVENT_STARTED:
        rig->has_started = true;
        (void)snprintf(rig->exec_id, sizeof rig->exec_id, "%s", event->started->exec->exec_id);
        (void)snprintf(rig->sandbox_id, sizeof rig->sandbox_id, "%s",
                       event->started->sandbox->sandbox_id);
        rig->init_pid = event->started->sandbox->init_pid;
        break;
    case AISBX__V1__EXEC_EVENT__EVENT_OUTPUT: {
        const Aisbx__V1__ExecOutput *output = event->output;
        bool is_err = output->stream == AISBX__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDERR;
        rig->dropped += output->dropped_bytes;
        rig->out_bytes += is_err ? 0 : output->data.len;
        if (!rig->is_counting) {
            assert_int_equal(
                sb_buf_append(is_err ? &rig->err : &rig->out, output->data.data, output->data.len),
                0);
        }
        break;
    }
    case AISBX__V1__EXEC_EVENT__EVENT_ENDED: {
        size_t len = aisbx__v1__exec__get_packed_size(event->ended->exec);
        uint8_t *bytes = malloc(len + 1);
        assert_non_null(bytes);
        (void)aisbx__v1__exec__pack(event->ended->exec, bytes);
        rig->ended = aisbx__v1__exec__unpack(NULL, len, bytes);
        free(bytes);
        assert_non_null(rig->ended);
        break;
    }
    case AISBX__V1__EXEC_EVENT__EVENT_VIOLATION:
        assert_null(rig->ended);
        rig->n_violations++;
        break;
    case AISBX__V1__EXEC_EVENT__EVENT__NOT_SET:
    case _AISBX__V1__EXEC_EVENT__EVENT__CASE_IS_INT_SIZE:
    default:
        fail_msg("an event that nobody expects");
    }
}

static void read_on(struct rig_stream *rig)
{
    if (!rig->is_slow) {
        sb_rpc_stream_read(rig->stream);
    }
}

static void
on_start_message(struct sb_rpc_stream *stream, const Aisbx__V1__StartExecResponse *msg, void *user)
{
    (void)stream;
    on_event(user, msg->event);
    read_on(user);
}

static void on_interact_message(struct sb_rpc_stream *stream,
                                const Aisbx__V1__InteractExecResponse *msg,
                                void *user)
{
    (void)stream;
    on_event(user, msg->event);
    read_on(user);
}

static void on_attach_message(struct sb_rpc_stream *stream,
                              const Aisbx__V1__AttachExecResponse *msg,
                              void *user)
{
    (void)stream;
    on_event(user, msg->event);
    read_on(user);
}

static void on_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    (void)stream;
    struct rig_stream *rig = user;
    rig->stream = NULL;
    rig->status = *err;
}

static const struct aisbx__v1__sandbox_service__start_exec__callbacks start_callbacks = {
    .message = on_start_message, .done = on_done};
static const struct aisbx__v1__sandbox_service__interact_exec__callbacks interact_callbacks = {
    .message = on_interact_message, .done = on_done};
static const struct aisbx__v1__sandbox_service__attach_exec__callbacks attach_callbacks = {
    .message = on_attach_message, .done = on_done};

static void stream_init(struct rig_stream *stream, struct sb_rpc_channel *channel)
{
    stream->channel = channel;
    sb_buf_init(&stream->out, KEEP_MAX);
    sb_buf_init(&stream->err, KEEP_MAX);
}

void rig_start(struct rig_stream *stream,
               struct sb_rpc_channel *channel,
               const struct rig_spec *spec,
               bool is_interactive,
               const int *fds)
{
    struct sb_err err;
    struct rig_request request;
    const struct sb_rpc_stream_options options = {.fds = fds, .n_fds = fds == NULL ? 0 : 3};
    stream_init(stream, channel);
    stream->is_interactive = is_interactive;
    rig_request(&request, spec);
    if (!is_interactive) {
        assert_int_equal(
            aisbx__v1__sandbox_service__start_exec__start(
                channel, &request.msg, &options, &start_callbacks, stream, &stream->stream, &err),
            0);
    } else {
        Aisbx__V1__InteractExecRequest first = AISBX__V1__INTERACT_EXEC_REQUEST__INIT;
        first.message_case = AISBX__V1__INTERACT_EXEC_REQUEST__MESSAGE_START;
        first.start = &request.msg;
        assert_int_equal(aisbx__v1__sandbox_service__interact_exec__start(
                             channel, &options, &interact_callbacks, stream, &stream->stream, &err),
                         0);
        (void)aisbx__v1__sandbox_service__interact_exec__write(stream->stream, &first);
    }
    sb_rpc_stream_read(stream->stream);
}

void rig_attach(struct rig_stream *stream,
                struct sb_rpc_channel *channel,
                const char *exec_id,
                uint64_t stdout_offset)
{
    struct sb_err err;
    Aisbx__V1__AttachExecRequest request = AISBX__V1__ATTACH_EXEC_REQUEST__INIT;
    request.exec_id = plain(exec_id);
    request.stdout_offset = stdout_offset;
    stream_init(stream, channel);
    assert_int_equal(aisbx__v1__sandbox_service__attach_exec__start(
                         channel, &request, NULL, &attach_callbacks, stream, &stream->stream, &err),
                     0);
    sb_rpc_stream_read(stream->stream);
}

void rig_stream_free(struct rig_stream *stream)
{
    if (stream->stream != NULL) {
        sb_rpc_stream_cancel(stream->stream);
        (void)rig_until_done(stream);
    }
    sb_buf_done(&stream->out);
    sb_buf_done(&stream->err);
    aisbx__v1__exec__free_unpacked(stream->ended, NULL);
}

static void turn_once(struct sb_rpc_channel *channel, int most_ms)
{
    struct pollfd pfd;
    int wait = sb_rpc_channel_prepare(channel, &pfd);
    (void)poll(&pfd, 1, wait < 0 || wait > most_ms ? most_ms : wait);
    sb_rpc_channel_process(channel);
}

static bool has_started(const struct rig_stream *stream, const char *text)
{
    (void)text;
    return stream->has_started;
}

static bool has_output(const struct rig_stream *stream, const char *text)
{
    return strstr(sb_buf_cstr(&stream->out), text) != NULL;
}

static bool is_done(const struct rig_stream *stream, const char *text)
{
    (void)text;
    return stream->stream == NULL;
}

static bool until(struct rig_stream *stream,
                  bool (*condition)(const struct rig_stream *, const char *),
                  const char *text)
{
    uint64_t deadline = sb_clock_mono_ms() + RIG_WAIT_MS;
    while (!condition(stream, text)) {
        if (stream->stream == NULL || sb_clock_mono_ms() > deadline) {
            return false;
        }
        turn_once(stream->channel, 100);
    }
    return true;
}

bool rig_until_started(struct rig_stream *stream)
{
    return until(stream, has_started, NULL);
}

bool rig_until_output(struct rig_stream *stream, const char *text)
{
    return until(stream, has_output, text);
}

bool rig_until_done(struct rig_stream *stream)
{
    return until(stream, is_done, NULL) || stream->stream == NULL;
}

void rig_turn(struct sb_rpc_channel *channel, unsigned ms)
{
    uint64_t deadline = sb_clock_mono_ms() + ms;
    while (sb_clock_mono_ms() < deadline) {
        turn_once(channel, sb_clock_left_ms(deadline));
    }
}

/* ---- unary ---- */

void rig_create(struct sb_rpc_channel *channel, char out[40], uint64_t ttl_ms, uint64_t idle_ms)
{
    struct sb_err err;
    Aisbx__V1__CreateSandboxRequest request = AISBX__V1__CREATE_SANDBOX_REQUEST__INIT;
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    Aisbx__V1__CreateSandboxResponse *reply = NULL;
    spec.profile = plain("minimal");
    spec.ttl_ms = ttl_ms;
    spec.idle_ms = idle_ms;
    request.sandbox = &spec;
    if (aisbx__v1__sandbox_service__create_sandbox__call(channel, &request, NULL, &reply, &err) <
        0) {
        fail_msg("CreateSandbox: %s", err.text);
    }
    (void)snprintf(out, 40, "%s", reply->sandbox->sandbox_id);
    aisbx__v1__create_sandbox_response__free_unpacked(reply, NULL);
}

Aisbx__V1__GetSandboxResponse *rig_get(struct sb_rpc_channel *channel, const char *sandbox_id)
{
    struct sb_err err;
    Aisbx__V1__GetSandboxRequest request = AISBX__V1__GET_SANDBOX_REQUEST__INIT;
    Aisbx__V1__GetSandboxResponse *reply = NULL;
    request.sandbox_id = plain(sandbox_id);
    if (aisbx__v1__sandbox_service__get_sandbox__call(channel, &request, NULL, &reply, &err) < 0) {
        fail_msg("GetSandbox: %s", err.text);
    }
    return reply;
}

int rig_until_destroyed(struct sb_rpc_channel *channel, const char *sandbox_id)
{
    uint64_t deadline = sb_clock_mono_ms() + RIG_WAIT_MS;
    while (sb_clock_mono_ms() < deadline) {
        Aisbx__V1__GetSandboxResponse *reply = rig_get(channel, sandbox_id);
        bool is_gone = reply->sandbox->state == AISBX__V1__SANDBOX_STATE__SANDBOX_STATE_DESTROYED;
        int reason = (int)reply->sandbox->destroy_reason;
        aisbx__v1__get_sandbox_response__free_unpacked(reply, NULL);
        if (is_gone) {
            return reason;
        }
        (void)poll(NULL, 0, 10);
    }
    return 0;
}

Aisbx__V1__RunResponse *
rig_run(struct sb_rpc_channel *channel, const struct rig_spec *spec, const char *input)
{
    struct sb_err err;
    struct rig_request parts;
    Aisbx__V1__RunRequest request = AISBX__V1__RUN_REQUEST__INIT;
    Aisbx__V1__RunResponse *reply = NULL;
    rig_request(&parts, spec);
    request.request_id = plain(spec->request_id);
    request.target = &parts.target;
    request.exec = &parts.exec;
    request.stdin.data = (uint8_t *)plain(input);
    request.stdin.len = input == NULL ? 0 : strlen(input);
    if (aisbx__v1__sandbox_service__run__call(channel, &request, NULL, &reply, &err) < 0) {
        fail_msg("Run: %s", err.text);
    }
    return reply;
}
