#include "service/worker/pool/warm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "service/shared/initproto.h"
#include "service/worker/exec.h"
#include "service/worker/exec_init.h"
#include "service/worker/exec_io.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/preload.h"

extern const char sb_script_warm_py[];
extern const char sb_script_warm_js[];

/* A program for one that waits is args[SOURCE], then those from first_arg on (script.c). */
enum { SOURCE = 2, LEAST_PIDS = 16, LEAST_TIMES = 4, MAX_ARGS = 4 };

#define MODULE_BYTES (512ULL << 10) /* of memory for each module that it imports, on an average */

static const struct row {
    const char *program; /* NULL: none waits */
    const char *option;
    const char *runner;
    const char *after; /* before names of modules; NULL: nothing */
    size_t first_arg;
    uint64_t bytes;
} rows[SB_LANGUAGES] = {
    [SB_LANGUAGE_PYTHON] = {"python3", "-c", sb_script_warm_py, NULL, 3, 12U << 20},
    [SB_LANGUAGE_NODE] = {"node", "-e", sb_script_warm_js, "--", 4, 48U << 20},
};

bool sb_warm_can(enum sb_language language)
{
    return rows[language].program != NULL;
}

/* ---- plans ---- */

/* Variables by which an interpreter runs something of the caller's before it has its program, or
 * looks for files that are put there later. A prefix, but for those with "=". */
static const char *const telling[] = {
    "PYTHON", "NODE_", "LD_", "GCONV_PATH=", "LOCPATH=", "GLIBC_", "OPENSSL_",
};
static const char *const harmless[] = {
    "PYTHONDONTWRITEBYTECODE=", "PYTHONHASHSEED=",     "PYTHONIOENCODING=",
    "PYTHONUNBUFFERED=",        "PYTHONUTF8=",         "NODE_ENV=",
    "NODE_NO_WARNINGS=",        "NODE_USE_ENV_PROXY=",
};
static const char *const systems[] = {"/usr/", "/bin", "/sbin"};
#define LIST(of) of, sizeof(of) / sizeof *(of)

static bool begins(struct sb_str text, const char *const *prefixes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(prefixes[i]);
        if (text.len >= len && memcmp(text.ptr, prefixes[i], len) == 0) {
            return true;
        }
    }
    return false;
}

/* Programs of the system only. */
static bool is_plain_path(struct sb_str dirs)
{
    struct sb_str dir;
    while (sb_str_next(&dirs, ':', &dir)) {
        if (!begins(dir, LIST(systems)) || memmem(dir.ptr, dir.len, "..", 2) != NULL) {
            return false;
        }
    }
    return true;
}

static bool is_plain(char *const *env, size_t n_env)
{
    for (size_t i = 0; i < n_env; i++) {
        struct sb_str text = sb_str_from(env[i]);
        bool is_path = strncmp(env[i], "PATH=", 5) == 0;
        if ((begins(text, LIST(telling)) && !begins(text, LIST(harmless))) ||
            (is_path && !is_plain_path(sb_str_from(env[i] + 5)))) {
            return false;
        }
    }
    return true;
}

/* It takes room beside another program that comes first. */
static bool
has_room(const struct sb_limits *limits, const struct sb_warm_want *want, uint64_t bytes)
{
    bool has_pids = limits->pids == 0 || limits->pids >= LEAST_PIDS;
    return want->is_only ||
           (has_pids && (limits->mem_bytes == 0 || limits->mem_bytes / LEAST_TIMES >= bytes));
}

/* The modules of the profile that are of that language. */
static int choose_modules(const struct sb_strings *preload,
                          enum sb_language language,
                          struct sb_strings *ret_modules,
                          struct sb_err *err)
{
    for (size_t i = 0; i < preload->n; i++) {
        const char *name = preload->items[i];
        if (sb_preload_is_node(name) == (language == SB_LANGUAGE_NODE) &&
            sb_strings_add(ret_modules, sb_str_from(name), err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int pack(const struct row *row,
                struct sb_exec *exec,
                char **env,
                size_t n_env,
                struct sb_warm_plan *plan,
                struct sb_err *err)
{
    const struct sb_strings *modules = &plan->modules;
    const char *words[MAX_ARGS + SB_PRELOAD_MAX] = {row->program, row->option, row->runner};
    char *args[sizeof words / sizeof *words];
    size_t n = 3;
    if (row->after != NULL && modules->n > 0) {
        words[n++] = row->after;
    }
    for (size_t i = 0; i < modules->n; i++) {
        words[n++] = modules->items[i];
    }
    memcpy(args, words, sizeof words);
    exec->args = args;
    exec->n_args = n;
    return sb_exec_init_pack(exec, env, n_env, &plan->packet, &plan->len, err);
}

int sb_warm_plan_make(const struct sb_policy *policy,
                      const struct sb_warm_want *want,
                      struct sb_warm_plan *ret_plan,
                      struct sb_err *err)
{
    const struct row *row = &rows[want->language];
    size_t n_env = 0;
    SB_CLEANUP(sb_freep) char **env = sb_policy_environ(policy, want->env, NULL, &n_env);
    SB_CLEANUP(sb_freep)
    char *cwd = sb_str_dup(sb_str_from(want->cwd == NULL ? sb_policy_cwd(policy) : want->cwd));
    SB_CLEANUP(sb_warm_plan_done) struct sb_warm_plan plan = SB_WARM_NO_PLAN;
    if (env == NULL || cwd == NULL) {
        return sb_err_oom(err);
    }
    if (choose_modules(&policy->preload, want->language, &plan.modules, err) < 0) {
        return -1;
    }
    uint64_t bytes = row->bytes + plan.modules.n * MODULE_BYTES;
    /* Where its directories are the caller's own they may be others by the time it comes. */
    if (policy->mounts.n > 0 || policy->learns || !has_room(&policy->limits, want, bytes) ||
        !is_plain(env, n_env)) {
        *ret_plan = SB_WARM_NO_PLAN;
        return 0;
    }
    struct sb_exec exec = {.cwd = cwd, .is_only = want->is_only};
    plan.has_stdin = want->has_stdin;
    plan.bytes = bytes;
    if (pack(row, &exec, env, n_env, &plan, err) < 0) {
        return -1;
    }
    *ret_plan = plan;
    plan = SB_WARM_NO_PLAN;
    return 0;
}

int sb_warm_plan_copy(const struct sb_warm_plan *from,
                      struct sb_warm_plan *ret_plan,
                      struct sb_err *err)
{
    SB_CLEANUP(sb_warm_plan_done) struct sb_warm_plan plan = *from;
    plan.packet = NULL;
    plan.modules = (struct sb_strings){.n = 0};
    if (sb_strings_copy(&plan.modules, &from->modules, err) < 0) {
        return -1;
    }
    if (from->packet != NULL) {
        plan.packet = malloc(from->len);
        if (plan.packet == NULL) {
            return sb_err_oom(err);
        }
        memcpy(plan.packet, from->packet, from->len);
    }
    *ret_plan = plan;
    plan = SB_WARM_NO_PLAN;
    return 0;
}

bool sb_warm_plan_eq(const struct sb_warm_plan *a, const struct sb_warm_plan *b)
{
    if (a->packet == NULL || b->packet == NULL) {
        return a->packet == b->packet;
    }
    return a->has_stdin == b->has_stdin && a->len == b->len &&
           memcmp(a->packet, b->packet, a->len) == 0;
}

void sb_warm_plan_done(struct sb_warm_plan *plan)
{
    free(plan->packet);
    plan->packet = NULL;
    sb_strings_done(&plan->modules);
}

/* ---- one that waits ---- */

/* The ends of init, and of the program. */
struct theirs {
    int fds[SB_INIT_MAX_FDS];
};

static void close_theirs(struct theirs *theirs)
{
    sb_fd_close_all(theirs->fds, SB_INIT_MAX_FDS);
}

static int open_pair(int type, int *ret_ours, int *ret_theirs, struct sb_err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) < 0) {
        return sb_err_sys(err, errno, "socketpair");
    }
    *ret_ours = pair[0];
    *ret_theirs = pair[1];
    return 0;
}

static int open_streams(
    struct sb_warm *warm, struct theirs *theirs, bool has_stdin, int null_fd, struct sb_err *err)
{
    for (int i = 0; i < 2; i++) {
        if (sb_exec_io_pipe(&warm->out_fds[i], &theirs->fds[i + 1], true, err) < 0) {
            return -1;
        }
    }
    if (has_stdin) {
        return sb_exec_io_pipe(&warm->in_fd, &theirs->fds[0], false, err);
    }
    theirs->fds[0] = fcntl(null_fd, F_DUPFD_CLOEXEC, 3);
    return theirs->fds[0] >= 0 ? 0 : sb_err_sys(err, errno, "/dev/null");
}

int sb_warm_start(const struct sb_warm_plan *plan,
                  int init_fd,
                  int null_fd,
                  struct sb_warm *ret_warm,
                  struct sb_err *err)
{
    SB_CLEANUP(sb_warm_done) struct sb_warm warm = SB_WARM_NONE;
    SB_CLEANUP(close_theirs) struct theirs theirs = {{-1, -1, -1, -1, -1}};
    struct sb_init_exec head;
    SB_CLEANUP(sb_freep) char *packet = malloc(plan->len);
    if (packet == NULL) {
        return sb_err_oom(err);
    }
    memcpy(packet, plan->packet, plan->len);
    memcpy(&head, packet, sizeof head);
    head.flags |= SB_INIT_CHANNEL;
    memcpy(packet, &head, sizeof head);
    if (open_streams(&warm, &theirs, plan->has_stdin, null_fd, err) < 0 ||
        open_pair(SOCK_SEQPACKET, &warm.sock, &theirs.fds[3], err) < 0 ||
        open_pair(SOCK_STREAM, &warm.channel, &theirs.fds[4], err) < 0 ||
        sb_fd_nonblock(warm.channel, err) < 0 ||
        sb_fd_send(init_fd, packet, plan->len, theirs.fds, SB_INIT_MAX_FDS, err) < 0) {
        return -1;
    }
    *ret_warm = warm;
    warm = SB_WARM_NONE;
    return 0;
}

int sb_warm_look(struct sb_warm *warm)
{
    uint8_t said[SB_PRELOAD_MAX + 1];
    struct sb_init_started started;
    ssize_t n = recv(warm->channel, said, sizeof said, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return 0;
    }
    if (n <= 0 || warm->pid != 0) {
        return -1;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (said[i] == 'r' && i == n - 1) {
            break;
        }
        if (said[i] < SB_WARM_SKIPPED || said[i] - SB_WARM_SKIPPED >= SB_PRELOAD_MAX) {
            return -1;
        }
        warm->skipped |= 1U << (said[i] - SB_WARM_SKIPPED);
    }
    if (said[n - 1] != 'r') {
        return 0;
    }
    /* It was started before it could say so. */
    n = recv(warm->sock, &started, sizeof started, MSG_DONTWAIT);
    if (n != (ssize_t)sizeof started || started.type != SB_INIT_STARTED) {
        return -1;
    }
    warm->pid = started.pid;
    return 1;
}

int sb_warm_run(struct sb_warm *warm,
                enum sb_language language,
                const struct sb_warm_program *program,
                struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(2 * SB_WARM_MAX_PROGRAM);
    const char *first[] = {program->traceparent, program->tracestate, program->args[SOURCE]};
    int failed = 0;
    for (size_t i = 0; i < sizeof first / sizeof *first && failed == 0; i++) {
        failed = sb_buf_append(&text, first[i], strlen(first[i]) + 1);
    }
    for (size_t i = rows[language].first_arg; i < program->n_args && failed == 0; i++) {
        failed = sb_buf_append(&text, program->args[i], strlen(program->args[i]) + 1);
    }
    if (failed != 0) {
        return sb_err_oom(err);
    }
    struct sb_str bytes = sb_buf_str(&text);
    ssize_t n = send(warm->channel, bytes.ptr, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    sb_fd_close_all(&warm->channel, 1);
    return n == (ssize_t)bytes.len
               ? 0
               : sb_err_set(err, SB_UNAVAILABLE, "the interpreter that waited has ended");
}

void sb_warm_done(struct sb_warm *warm)
{
    sb_fd_close_all(&warm->sock, 1);
    sb_fd_close_all(&warm->channel, 1);
    sb_fd_close_all(&warm->in_fd, 1);
    sb_fd_close_all(warm->out_fds, 2);
}
