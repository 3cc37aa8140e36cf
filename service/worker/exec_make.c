/* An exec is made from what the caller wants and what its sandbox permits, and freed. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mutate.h"
#include "base/num.h"
#include "service/worker/exec.h"
#include "service/worker/exec_init.h"
#include "service/worker/exec_io.h"
#include "service/worker/exec_stage.h"
#include "service/worker/limits.h"
#include "service/worker/policy/policy.h"
#include "service/worker/sandbox.h"
#include "service/worker/stage/stage.h"
#include "service/worker/worker.h"

static int copy_args(struct sb_exec *exec, const struct sb_exec_options *options)
{
    size_t bytes = (options->n_args + 1) * sizeof(char *);
    for (size_t i = 0; i < options->n_args; i++) {
        bytes += strlen(options->args[i]) + 1;
    }
    exec->args = malloc(bytes);
    if (exec->args == NULL) {
        return -1;
    }
    char *text = (char *)(exec->args + options->n_args + 1);
    for (size_t i = 0; i < options->n_args; i++) {
        size_t len = strlen(options->args[i]) + 1;
        exec->args[i] = memcpy(text, options->args[i], len);
        text += len;
    }
    exec->args[options->n_args] = NULL;
    exec->n_args = options->n_args;
    return 0;
}

static int check(const struct sb_exec_options *options, struct sb_err *err)
{
    if (options->n_args == 0 || options->args[0][0] == '\0') {
        return sb_err_set(err, SB_INVALID, "exec.command.args: must name a program");
    }
    if (options->cwd != NULL && options->cwd[0] != '/') {
        return sb_err_set(err, SB_INVALID, "exec.cwd: must be an absolute path inside the sandbox");
    }
    return 0;
}

static int fill_wall(struct sb_exec *exec, uint64_t wanted_ms, struct sb_err *err)
{
    uint64_t limit_ms = exec->sandbox->policy->limits.wall_ms;
    if (limit_ms != 0 && wanted_ms > limit_ms) {
        char wanted[SB_NUM_TEXT_SIZE];
        char limit[SB_NUM_TEXT_SIZE];
        return sb_err_set(err, SB_INVALID,
                          "exec.wall_ms: %s is more than the %s that the sandbox's limits.wall_ms "
                          "gives",
                          sb_num_format_millis(wanted, wanted_ms),
                          sb_num_format_millis(limit, limit_ms));
    }
    exec->wall_ms = sb_mutated("wall") ? 0 : wanted_ms == 0 ? limit_ms : wanted_ms;
    return 0;
}

/** A limit of the exec that the sandbox has as well. */
static int lower(const struct sb_exec *exec, const char *name, uint64_t value, struct sb_err *err)
{
    const struct sb_limits_row *row = sb_limits_table;
    while (strcmp(row->proto_name, name) != 0) {
        row++;
    }
    uint64_t limit = sb_limits_get(&exec->sandbox->policy->limits, row);
    if (value == 0 || (value >= row->field.min && (limit == 0 || value <= limit))) {
        return 0;
    }
    return sb_err_set(err, SB_INVALID,
                      "exec.limits: %" PRIu64 " is %s %" PRIu64 ", the %s of limits.%s", value,
                      value < row->field.min ? "less than" : "more than",
                      value < row->field.min ? row->field.min : limit,
                      value < row->field.min ? "least" : "sandbox's own value", name);
}

static int
fill_limits(struct sb_exec *exec, const struct sb_exec_limits *limits, struct sb_err *err)
{
    if (limits == NULL) {
        return 0;
    }
    if (lower(exec, "output_bytes", limits->output_bytes, err) < 0 ||
        lower(exec, "open_files", limits->rlimits[SB_INIT_RLIMIT_FILES], err) < 0 ||
        lower(exec, "file_bytes", limits->rlimits[SB_INIT_RLIMIT_FILE], err) < 0) {
        return -1;
    }
    exec->limits = *limits;
    if (limits->output_bytes != 0) {
        exec->facts.output_limit = limits->output_bytes;
        for (int i = 0; i < 2; i++) {
            sb_spool_init(&exec->out[i].spool, exec->worker->state_dir, limits->output_bytes);
        }
    }
    exec->facts.has_own_files_limit = limits->rlimits[SB_INIT_RLIMIT_FILES] != 0;
    if (exec->facts.has_own_files_limit) {
        exec->facts.files_limit = limits->rlimits[SB_INIT_RLIMIT_FILES];
    }
    return 0;
}

static int pack(struct sb_exec *exec, const struct sb_exec_options *options, struct sb_err *err)
{
    size_t n_env = 0;
    SB_CLEANUP(sb_pairs_done) struct sb_pairs ours = {NULL, 0};
    if ((exec->terminal.is_wanted &&
         sb_pairs_set(&ours, SB_STR("TERM"), sb_str_from(exec->terminal.name), err) < 0) ||
        (options->lineage != NULL &&
         sb_spans_exec_env(exec, options->lineage, options->env, &ours, err) < 0)) {
        return -1;
    }
    SB_CLEANUP(sb_freep)
    char **env = sb_policy_environ(exec->sandbox->policy, options->env, &ours, &n_env);
    const char *cwd = options->cwd == NULL ? sb_policy_cwd(exec->sandbox->policy) : options->cwd;
    exec->cwd = sb_str_dup(sb_str_from(cwd));
    if (env == NULL || exec->cwd == NULL || copy_args(exec, options) < 0) {
        return sb_err_oom(err);
    }
    exec->facts.program = exec->args[0];
    exec->facts.cwd = exec->cwd;
    if (sb_mutated("env.job")) {
        for (n_env = 0; environ[n_env] != NULL; n_env++) {
        }
        return sb_exec_init_pack(exec, environ, n_env, &exec->packet, &exec->packet_len, err);
    }
    return sb_exec_init_pack(exec, env, n_env, &exec->packet, &exec->packet_len, err);
}

static void free_parts(struct sb_exec *exec)
{
    sb_exec_io_close(exec);
    sb_exec_init_close(exec);
    sb_fd_close_all(exec->stdio, 3);
    sb_exec_stage_done(exec);
    sb_fd_close_all(&exec->channel, 1);
    sb_spool_done(&exec->out[0].spool);
    sb_spool_done(&exec->out[1].spool);
    free(exec->packet);
    free(exec->spans.state);
    free(exec->args);
    free(exec->cwd);
    sb_denials_done(&exec->denials);
    if (exec->sandbox != NULL) {
        sb_sandbox_unref(exec->sandbox);
    }
    free(exec);
}

void sb_exec_free(struct sb_exec *exec)
{
    if (exec == NULL) {
        return;
    }
    assert(sb_list_is_empty(&exec->observers));
    sb_list_remove(&exec->sandbox_link);
    (void)event_del(&exec->wall_timer);
    (void)event_del(&exec->grace_timer);
    (void)event_del(&exec->kill_timer);
    free_parts(exec);
}

static void init(struct sb_exec *exec, struct sb_sandbox *sandbox)
{
    struct sb_worker *worker = sandbox->worker;
    exec->worker = worker;
    exec->sandbox = sandbox;
    sandbox->refs++;
    exec->sock = -1;
    exec->in.fd = -1;
    exec->channel = -1;
    sb_buf_init(&exec->in.waiting, SB_MAX_STDIN_BYTES);
    for (int i = 0; i < 3; i++) {
        exec->stdio[i] = -1;
    }
    for (int i = 0; i < 2; i++) {
        exec->out[i].exec = exec;
        exec->out[i].fd = -1;
        sb_spool_init(&exec->out[i].spool, worker->state_dir,
                      sb_mutated("output.worker") ? 1ULL << 40
                                                  : sandbox->policy->limits.output_bytes);
    }
    exec->facts.kill_list = sb_policy_kill_list(sandbox->policy);
    exec->facts.output_limit = sandbox->policy->limits.output_bytes;
    exec->facts.memory_limit = sandbox->policy->limits.mem_bytes;
    exec->facts.pids_limit = sandbox->policy->limits.pids;
    exec->facts.disk_limit = sandbox->policy->limits.disk_bytes;
    exec->facts.inodes_limit = sandbox->policy->limits.inodes;
    exec->facts.files_limit = sandbox->policy->limits.open_files;
    sb_list_init(&exec->observers);
    sb_exec_timers_init(exec);
}

static int fill(struct sb_exec *exec, const struct sb_exec_options *options, struct sb_err *err)
{
    exec->is_background = options->is_background;
    exec->is_passed = options->passed != NULL;
    exec->is_awaited = options->waiting != NULL;
    exec->language = exec->is_awaited ? *options->waiting : SB_LANGUAGE_PYTHON;
    exec->stage = options->stage == NULL ? NULL : sb_stage_ref(options->stage);
    exec->in.is_eof = !options->has_stdin;
    if (options->terminal != NULL) {
        exec->terminal = *options->terminal;
        exec->in.is_eof = false;
    }
    if (options->channel != NULL) {
        exec->is_context = true;
        exec->channel = *options->channel;
    }
    sb_spans_exec_begin(exec, options->lineage);
    if (fill_wall(exec, options->wall_ms, err) < 0 || fill_limits(exec, options->limits, err) < 0 ||
        sb_id_make_kin(exec->id, "ex_", exec->worker->id, err) < 0 ||
        pack(exec, options, err) < 0) {
        return -1;
    }
    exec->wall_ms = exec->is_context ? 0 : exec->wall_ms;
    exec->facts.wall_limit_ms = exec->wall_ms;
    if (options->passed == NULL) {
        return sb_exec_io_open(exec, options->has_stdin, err);
    }
    memcpy(exec->stdio, options->passed, sizeof exec->stdio);
    return 0;
}

/* It and those that run. What an ended one left behind is taken for nobody's. */
static void meet(struct sb_exec *exec)
{
    SB_FOREACH (node, &exec->sandbox->execs) {
        struct sb_exec *other = SB_LIST_ENTRY(node, struct sb_exec, sandbox_link);
        if (other->state != SB_EXEC_ENDED) {
            other->facts.has_company = true;
            exec->facts.has_company = true;
        }
    }
}

int sb_exec_new(struct sb_sandbox *sandbox,
                const struct sb_exec_options *options,
                bool is_only,
                struct sb_exec **ret_exec,
                struct sb_err *err)
{
    if (sandbox->state > SB_STATE_PAUSED) {
        return sb_err_set(err, SB_PRECONDITION, "sandbox %s is %s", sandbox->id,
                          sb_state_name(sandbox->state));
    }
    if (sandbox->is_rolling) {
        return sb_err_set(err, SB_UNAVAILABLE,
                          "sandbox %s is being taken back to a snapshot; try again", sandbox->id);
    }
    if (check(options, err) < 0) {
        return -1;
    }
    sb_registry_sweep(&sandbox->worker->registry, sb_clock_real_ms());
    struct sb_exec *exec = calloc(1, sizeof *exec);
    if (exec == NULL) {
        return sb_err_oom(err);
    }
    init(exec, sandbox);
    exec->is_only = is_only;
    if (fill(exec, options, err) < 0 ||
        sb_registry_add_exec(&sandbox->worker->registry, exec, err) < 0) {
        if (options->passed != NULL) {
            memset(exec->stdio, 0xff, sizeof exec->stdio); /* still the caller's */
        }
        exec->channel = -1;
        free_parts(exec);
        return -1;
    }
    meet(exec);
    sb_list_append(&sandbox->execs, &exec->sandbox_link);
    sandbox->worker->registry.n_active_execs++;
    if (!exec->is_context) {
        sb_sandbox_exec_joined(sandbox);
    }
    *ret_exec = exec;
    if (sandbox->state == SB_STATE_RUNNING) {
        sb_exec_begin(exec);
    }
    return 0;
}
