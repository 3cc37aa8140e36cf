#include "act.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <seccomp.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "proto/rpc/rpc.h"

extern char **environ;

enum { KIND = 1, ARGS = 2, PROFILE = 2, DIR_OR_LANGUAGE = 3, PROGRAM = 4, FILTER_CALLS = 335 };
enum { AFTER_STOP = 100 }; /* ms */

/* Each process opens it anew, and so at its beginning. Written before there are threads. */
static char filter_path[32];

int sb_act_make_filter(struct sb_err *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (filter == NULL) {
        return sb_err_oom(err);
    }
    for (int call = 0; call < FILTER_CALLS; call++) {
        (void)seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
    }
    int fd = memfd_create("filter", MFD_CLOEXEC);
    int failed = fd < 0 ? errno : -seccomp_export_bpf(filter, fd);
    seccomp_release(filter);
    if (failed != 0) {
        return sb_err_sys(err, failed, "filter for bubblewrap");
    }
    (void)snprintf(filter_path, sizeof filter_path, "/proc/self/fd/%d", fd);
    return 0;
}

/* ---- processes ---- */

static int start(char *const *args, int out_fd, pid_t *ret_pid, struct sb_err *err)
{
    posix_spawn_file_actions_t actions;
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed != 0) {
        return sb_err_sys(err, failed, "start %s", args[0]);
    }
    (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (out_fd >= 0) {
        (void)posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
    } else {
        (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    }
    (void)posix_spawn_file_actions_addopen(&actions, SB_ACT_FILTER_FD, filter_path, O_RDONLY, 0);
    failed = posix_spawnp(ret_pid, args[0], &actions, NULL, args, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    return failed == 0 ? 0 : sb_err_sys(err, failed, "start %s", args[0]);
}

static int reap(pid_t pid, struct sb_err *err)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return sb_err_sys(err, errno, "wait");
        }
    }
    return status == 0 ? 0 : sb_err_set(err, SB_INTERNAL, "wait status 0x%x", (unsigned)status);
}

static int run_process(const struct sb_act *act,
                       struct sb_rpc_channel *channel,
                       struct sb_act_took *ret_took,
                       struct sb_err *err)
{
    (void)channel;
    uint64_t began = sb_clock_mono_ns();
    pid_t pid = -1;
    if (start(act->words + ARGS, -1, &pid, err) < 0 || reap(pid, err) < 0) {
        return -1;
    }
    *ret_took = (struct sb_act_took){.whole_ns = sb_clock_mono_ns() - began};
    return 0;
}

static int run_cold(const struct sb_act *act,
                    struct sb_rpc_channel *channel,
                    struct sb_act_took *ret_took,
                    struct sb_err *err)
{
    char *stop[] = {(char[]){"aisbx"}, (char[]){"worker"}, (char[]){"stop"}, NULL};
    pid_t pid = -1;
    if (start(stop, -1, &pid, err) < 0) {
        return -1;
    }
    (void)reap(pid, err);            /* there may be none yet */
    (void)poll(NULL, 0, AFTER_STOP); /* the kernel clears away what its sandboxes had */
    return run_process(act, channel, ret_took, err);
}

static int run_talk(const struct sb_act *act,
                    struct sb_rpc_channel *channel,
                    struct sb_act_took *ret_took,
                    struct sb_err *err)
{
    (void)channel;
    uint64_t began = sb_clock_mono_ns();
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0) {
        return sb_err_sys(err, errno, "pipe");
    }
    SB_CLEANUP(sb_closep) int in = fds[0];
    pid_t pid = -1;
    int rc = start(act->words + ARGS, fds[1], &pid, err);
    (void)close(fds[1]);
    if (rc < 0) {
        return -1;
    }
    struct sb_act_took took = {0};
    char data[4096];
    ssize_t got = 0;
    while ((got = read(in, data, sizeof data)) > 0 || (got < 0 && errno == EINTR)) {
        took.first_ns = took.first_ns != 0 ? took.first_ns : sb_clock_mono_ns() - began;
    }
    if (reap(pid, err) < 0) {
        return -1;
    }
    took.whole_ns = sb_clock_mono_ns() - began;
    *ret_took = took;
    return 0;
}

static int run_wait(const struct sb_act *act,
                    struct sb_rpc_channel *channel,
                    struct sb_act_took *ret_took,
                    struct sb_err *err)
{
    (void)channel;
    (void)err;
    long ms = strtol(act->words[ARGS], NULL, 10);
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR) {
    }
    *ret_took = (struct sb_act_took){0};
    return 0;
}

static int run_spin(const struct sb_act *act,
                    struct sb_rpc_channel *channel,
                    struct sb_act_took *ret_took,
                    struct sb_err *err)
{
    (void)channel;
    (void)err;
    uint64_t until_ms = sb_clock_mono_ms() + strtoul(act->words[ARGS], NULL, 10);
    while (sb_clock_mono_ms() < until_ms) {
    }
    *ret_took = (struct sb_act_took){0};
    return 0;
}

/* ---- calls ---- */

/** A request and all it points to. */
struct job {
    Aisbx__V1__Mount mount;
    Aisbx__V1__Mount *mounts[1];
    Aisbx__V1__SandboxSpec sandbox;
    Aisbx__V1__ExecTarget target;
    Aisbx__V1__Command command;
    Aisbx__V1__Script script;
    Aisbx__V1__ExecSpec exec;
};

static void job_init(struct job *job, const struct sb_act *act, bool is_script)
{
    aisbx__v1__mount__init(&job->mount);
    aisbx__v1__sandbox_spec__init(&job->sandbox);
    aisbx__v1__exec_target__init(&job->target);
    aisbx__v1__command__init(&job->command);
    aisbx__v1__script__init(&job->script);
    aisbx__v1__exec_spec__init(&job->exec);
    job->sandbox.profile = act->words[PROFILE];
    job->target.sandbox_case = AISBX__V1__EXEC_TARGET__SANDBOX_NEW_SANDBOX;
    job->target.new_sandbox = &job->sandbox;
    if (is_script) {
        job->script.language = act->words[DIR_OR_LANGUAGE];
        job->script.source = act->words[PROGRAM];
        job->exec.program_case = AISBX__V1__EXEC_SPEC__PROGRAM_SCRIPT;
        job->exec.script = &job->script;
        return;
    }
    static char at[] = SB_ACT_MOUNT;
    if (strcmp(act->words[DIR_OR_LANGUAGE], "-") != 0) {
        job->mount.source = act->words[DIR_OR_LANGUAGE];
        job->mount.target = at;
        job->mount.mode = AISBX__V1__MOUNT_MODE__MOUNT_MODE_RO;
        job->mounts[0] = &job->mount;
        job->sandbox.mounts = job->mounts;
        job->sandbox.n_mounts = 1;
    }
    job->command.args = act->words + PROGRAM;
    job->command.n_args = act->n_words - PROGRAM;
    job->exec.program_case = AISBX__V1__EXEC_SPEC__PROGRAM_COMMAND;
    job->exec.command = &job->command;
}

static int judge(const Aisbx__V1__Verdict *verdict, struct sb_err *err)
{
    bool is_well = verdict != NULL &&
                   verdict->kind == AISBX__V1__VERDICT_KIND__VERDICT_KIND_EXITED &&
                   verdict->exit_code == 0;
    return is_well ? 0
                   : sb_err_set(err, SB_INTERNAL, "%s",
                                verdict == NULL ? "no verdict" : verdict->message);
}

static int run_run(const struct sb_act *act,
                   struct sb_rpc_channel *channel,
                   struct sb_act_took *ret_took,
                   struct sb_err *err)
{
    struct job job;
    job_init(&job, act, false);
    Aisbx__V1__RunRequest request = AISBX__V1__RUN_REQUEST__INIT;
    request.target = &job.target;
    request.exec = &job.exec;
    Aisbx__V1__RunResponse *reply = NULL;
    uint64_t began = sb_clock_mono_ns();
    if (aisbx__v1__sandbox_service__run__call(channel, &request, NULL, &reply, err) < 0) {
        return -1;
    }
    *ret_took = (struct sb_act_took){.whole_ns = sb_clock_mono_ns() - began};
    int rc = judge(reply->exec->verdict, err);
    protobuf_c_message_free_unpacked(&reply->base, NULL);
    return rc;
}

struct follower {
    uint64_t first_ns; /* monotonic */
    bool is_judged;
    bool is_done;
    struct sb_err err;
    int rc;
};

static void
on_message(struct sb_rpc_stream *stream, const Aisbx__V1__StartExecResponse *msg, void *user)
{
    struct follower *follower = user;
    const Aisbx__V1__ExecEvent *event = msg->event;
    if (event->event_case == AISBX__V1__EXEC_EVENT__EVENT_OUTPUT && follower->first_ns == 0) {
        follower->first_ns = sb_clock_mono_ns();
    } else if (event->event_case == AISBX__V1__EXEC_EVENT__EVENT_ENDED) {
        follower->is_judged = true;
        follower->rc = judge(event->ended->exec->verdict, &follower->err);
    }
    sb_rpc_stream_read(stream);
}

static void on_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    (void)stream;
    struct follower *follower = user;
    follower->is_done = true;
    if (err->code != SB_OK) {
        follower->err = *err;
        follower->rc = -1;
    } else if (!follower->is_judged) {
        follower->rc = sb_err_set(&follower->err, SB_INTERNAL, "the stream ended early");
    }
}

static int follow(const struct sb_act *act,
                  struct sb_rpc_channel *channel,
                  bool is_script,
                  struct sb_act_took *ret_took,
                  struct sb_err *err)
{
    static const struct aisbx__v1__sandbox_service__start_exec__callbacks callbacks = {
        .message = on_message, .done = on_done};
    struct job job;
    job_init(&job, act, is_script);
    Aisbx__V1__StartExecRequest request = AISBX__V1__START_EXEC_REQUEST__INIT;
    request.target = &job.target;
    request.exec = &job.exec;
    struct follower follower = {0};
    struct sb_rpc_stream *stream = NULL;
    uint64_t began = sb_clock_mono_ns();
    if (aisbx__v1__sandbox_service__start_exec__start(channel, &request, NULL, &callbacks,
                                                      &follower, &stream, err) < 0) {
        return -1;
    }
    sb_rpc_stream_read(stream);
    while (!follower.is_done) {
        sb_rpc_channel_wait(channel);
    }
    if (follower.rc < 0) {
        *err = follower.err;
        return -1;
    }
    ret_took->whole_ns = sb_clock_mono_ns() - began;
    ret_took->first_ns = follower.first_ns == 0 ? 0 : follower.first_ns - began;
    return 0;
}

static int run_stream(const struct sb_act *act,
                      struct sb_rpc_channel *channel,
                      struct sb_act_took *ret_took,
                      struct sb_err *err)
{
    return follow(act, channel, false, ret_took, err);
}

static int run_script(const struct sb_act *act,
                      struct sb_rpc_channel *channel,
                      struct sb_act_took *ret_took,
                      struct sb_err *err)
{
    return follow(act, channel, true, ret_took, err);
}

/* ---- lines ---- */

static const struct {
    const char *name;
    size_t min_words;
    int (*run)(const struct sb_act *,
               struct sb_rpc_channel *,
               struct sb_act_took *,
               struct sb_err *);
} kinds[] = {
    {"process", ARGS + 1, run_process},  {"talk", ARGS + 1, run_talk},
    {"cold", ARGS + 1, run_cold},        {"run", PROGRAM + 1, run_run},
    {"stream", PROGRAM + 1, run_stream}, {"script", PROGRAM + 1, run_script},
    {"wait", ARGS + 1, run_wait},        {"spin", ARGS + 1, run_spin},
};

/* Takes over line. */
static int parse(char *line, struct sb_act *ret_act, struct sb_err *err)
{
    *ret_act = (struct sb_act){.line = line, .words = calloc(SB_ACT_MAX_WORDS, sizeof(char *))};
    if (ret_act->words == NULL) {
        return sb_err_oom(err);
    }
    line[strcspn(line, "\n")] = '\0';
    for (char *word = NULL; (word = strsep(&line, "\t")) != NULL;) {
        if (ret_act->n_words + 1 == SB_ACT_MAX_WORDS) {
            return sb_err_set(err, SB_INVALID, "%s: too many words", ret_act->words[0]);
        }
        ret_act->words[ret_act->n_words++] = word;
    }
    for (size_t i = 0; ret_act->n_words > KIND && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, ret_act->words[KIND]) == 0 &&
            ret_act->n_words >= kinds[i].min_words) {
            ret_act->run = kinds[i].run;
            return 0;
        }
    }
    return sb_err_set(err, SB_INVALID, "%s: no such act", ret_act->words[0]);
}

int sb_act_read(FILE *in, struct sb_act *acts, size_t *ret_n, struct sb_err *err)
{
    size_t n = 0;
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, in) > 0) {
        if (n == SB_ACT_MAX) {
            free(line);
            return sb_err_set(err, SB_INVALID, "more than %d acts", SB_ACT_MAX);
        }
        char *taken = line;
        line = NULL;
        size = 0;
        if (parse(taken, &acts[n++], err) < 0) {
            return -1;
        }
    }
    free(line);
    *ret_n = n;
    return 0;
}

void sb_act_done(struct sb_act *act)
{
    free(act->words);
    free(act->line);
    *act = (struct sb_act){.line = NULL};
}

int sb_act_do(const struct sb_act *act,
              struct sb_rpc_channel *channel,
              struct sb_act_took *ret_took,
              struct sb_err *err)
{
    return act->run(act, channel, ret_took, err) < 0 ? sb_err_wrap(err, "%s", sb_act_name(act)) : 0;
}
