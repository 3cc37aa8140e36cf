#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mutate.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/api_exec_spec.h"
#include "service/worker/api_gate.h"
#include "service/worker/exec.h"
#include "service/worker/policy/collections.h"
#include "service/worker/policy/request.h"
#include "service/worker/sandbox.h"
#include "service/worker/script.h"
#include "service/worker/stage/stage.h"
#include "service/worker/worker.h"

enum { PASSED = 3, MAX_ARGS = 4096 };

static int check_spec(const Aisbx__V1__ExecSpec *spec, struct sb_err *err)
{
    if (spec == NULL || spec->program_case == AISBX__V1__EXEC_SPEC__PROGRAM__NOT_SET) {
        return sb_err_set(err, SB_INVALID, "exec.command: is missing");
    }
    if (spec->program_case == AISBX__V1__EXEC_SPEC__PROGRAM_COMMAND &&
        spec->command->n_args > MAX_ARGS) {
        return sb_err_set(err, SB_INVALID, "exec.command.args: more than %d", MAX_ARGS);
    }
    return 0;
}

static int take_env(const Aisbx__V1__ExecSpec *spec, struct sb_pairs *ret_env, struct sb_err *err)
{
    size_t total = 0;
    for (size_t i = 0; i < spec->n_env; i++) {
        struct sb_str name = sb_str_from(spec->env[i]->key);
        struct sb_str value = sb_str_from(spec->env[i]->value);
        if (sb_request_check_env(name, value, "exec.env", &total, err) < 0 ||
            sb_pairs_set(ret_env, name, value, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/** What a program gets it can reopen by /proc/self/fd: only what has no more behind it passes. */
static int check_passed(int fd, int i, struct sb_err *err)
{
    static const char *const names[PASSED] = {"stdin", "stdout", "stderr"};
    struct stat st;
    if (fstat(fd, &st) < 0) {
        return sb_err_sys(err, errno, "passed %s", names[i]);
    }
    bool is_null = S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
    if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || is_null || sb_mutated("stdio.kind")) {
        return 0;
    }
    return sb_err_set(err, SB_INVALID,
                      "passed %s: must be a pipe, a socket or /dev/null, for the program could "
                      "reopen anything else",
                      names[i]);
}

static int take_passed(struct sb_rpc_call *call, int fds[PASSED], struct sb_err *err)
{
    for (int i = 0; i < PASSED; i++) {
        fds[i] = sb_rpc_call_take_fd(call, (unsigned)i);
        if (fds[i] < 0) {
            return sb_err_set(err, SB_INVALID,
                              "exec.stdio: PASSED needs three descriptors with the call, over the "
                              "worker's local socket; use SPOOLED elsewhere");
        }
        if (check_passed(fds[i], i, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* What is run: the arguments of a command, or what a script becomes. */
struct program {
    const enum sb_language *language; /* NULL: a command */
    enum sb_language of;
    struct sb_script script;
    struct sb_stage *stage; /* a reference; NULL: no files */
    char *const *args;
    size_t n_args;
};

static bool has_limits(const struct sb_exec_limits *limits)
{
    static const struct sb_exec_limits none = {.output_bytes = 0};
    return memcmp(limits->rlimits, none.rlimits, sizeof none.rlimits) != 0;
}

/* Whether what will run first in a new sandbox can wait there for its source. */
static bool can_be_awaited(const struct sb_exec_options *options, const struct program *program)
{
    size_t bytes = 0;
    for (size_t i = 0; i < options->n_args; i++) {
        bytes += strlen(options->args[i]) + 1;
    }
    bool is_plain = options->terminal == NULL && options->stage == NULL &&
                    options->passed == NULL && !has_limits(options->limits);
    return program->language != NULL && sb_warm_can(*program->language) && is_plain &&
           bytes <= SB_WARM_MAX_PROGRAM;
}

static int make_sandbox(struct sb_worker *worker,
                        const struct sb_api_start *start,
                        const struct sb_warm_want *first,
                        struct sb_sandbox **ret_sandbox,
                        struct sb_err *err)
{
    SB_CLEANUP(sb_request_freep) struct sb_request *request = NULL;
    if (sb_request_make(start->target->new_sandbox, "target.new_sandbox", &request, err) < 0) {
        return -1;
    }
    const struct sb_lineage lineage = sb_gate_lineage(start->caller->ticket);
    const struct sb_sandbox_options options = {
        .owner = start->caller->actor,
        .tenant = start->caller->tenant,
        .rate = start->rate,
        .request = request,
        .is_only = !start->keeps_sandbox,
        .is_admin = sb_caller_is_admin(start->caller),
        .peer_fd = start->caller->peer_fd,
        .first = first,
        .lineage = &lineage,
    };
    return sb_sandbox_new(worker, &options, ret_sandbox, err);
}

static int get_sandbox(struct sb_worker *worker,
                       const struct sb_api_start *start,
                       const struct sb_warm_want *first,
                       struct sb_sandbox **ret_sandbox,
                       struct sb_err *err)
{
    if (start->target == NULL) {
        return sb_err_set(err, SB_INVALID, "target: is missing (sandbox_id or new_sandbox)");
    }
    switch (start->target->sandbox_case) {
    case AISBX__V1__EXEC_TARGET__SANDBOX_SANDBOX_ID:
        return sb_api_find_sandbox(worker, start->caller, start->target->sandbox_id, ret_sandbox,
                                   err);
    case AISBX__V1__EXEC_TARGET__SANDBOX_NEW_SANDBOX:
        return make_sandbox(worker, start, first, ret_sandbox, err);
    case AISBX__V1__EXEC_TARGET__SANDBOX__NOT_SET:
    case _AISBX__V1__EXEC_TARGET__SANDBOX__CASE_IS_INT_SIZE:
    default:
        return sb_err_set(err, SB_INVALID, "target: is empty (sandbox_id or new_sandbox)");
    }
}

static void program_done(struct program *program)
{
    sb_script_done(&program->script);
    sb_stage_unref(program->stage);
}

static int make_program(struct sb_worker *worker,
                        const Aisbx__V1__ExecSpec *spec,
                        struct sb_stage *stage,
                        struct program *program,
                        struct sb_err *err)
{
    char token[SB_ID_SIZE];
    program->stage = stage == NULL ? NULL : sb_stage_ref(stage);
    if (spec->program_case == AISBX__V1__EXEC_SPEC__PROGRAM_COMMAND) {
        program->args = spec->command->args;
        program->n_args = spec->command->n_args;
        return 0;
    }
    const Aisbx__V1__Script *script = spec->script;
    if (sb_language_from(sb_str_from(script->language), &program->of, err) < 0) {
        return sb_err_wrap(err, "exec.script.language");
    }
    if (sb_id_make(token, "ex_", err) < 0 ||
        sb_script_make(program->of, sb_str_from(script->source), script->args, script->n_args,
                       token, &worker->budget, &program->stage, &program->script, err) < 0) {
        return sb_err_wrap(err, "exec");
    }
    program->language = &program->of;
    program->args = program->script.args;
    program->n_args = program->script.n_args;
    return 0;
}

/* Whether what waits in a sandbox that exists is what such an exec would start. */
static bool waits_for(const struct sb_sandbox *sandbox, const struct sb_warm_want *want)
{
    struct sb_err ignored;
    SB_CLEANUP(sb_warm_plan_done) struct sb_warm_plan plan = SB_WARM_NO_PLAN;
    return sandbox->warm_plan.packet != NULL &&
           sb_warm_plan_make(sandbox->policy, want, &plan, &ignored) == 0 &&
           sb_warm_plan_eq(&plan, &sandbox->warm_plan);
}

static int start_in(struct sb_worker *worker,
                    const struct sb_api_start *start,
                    const struct sb_exec_options *options,
                    const struct program *program,
                    struct sb_exec **ret_exec,
                    struct sb_err *err)
{
    struct sb_sandbox *sandbox = NULL;
    const struct sb_warm_want first = {
        .language = program->of,
        .env = options->env,
        .cwd = options->cwd,
        .has_stdin = options->has_stdin,
        .is_only = !start->keeps_sandbox,
    };
    if (get_sandbox(worker, start, options->waiting != NULL ? &first : NULL, &sandbox, err) < 0) {
        return -1;
    }
    assert(sandbox != NULL);
    bool is_new = start->target->sandbox_case == AISBX__V1__EXEC_TARGET__SANDBOX_NEW_SANDBOX;
    bool is_fit =
        program->language == NULL || sb_script_check(*program->language, sandbox->policy, err) == 0;
    if (!is_fit && is_new) {
        sb_sandbox_destroy(sandbox, SB_REASON_CANCELLED, err->text);
    }
    if (!is_fit) {
        return sb_err_wrap(err, "exec");
    }
    if (!is_new && sandbox->is_only) {
        return sb_err_set(err, SB_PRECONDITION,
                          "sandbox %s was made for one exec only; create one first", sandbox->id);
    }
    struct sb_exec_options own = *options;
    struct sb_warm_want want = first;
    want.is_only = false;
    if (!is_new && own.waiting != NULL && !waits_for(sandbox, &want)) {
        own.waiting = NULL;
    }
    if (sb_api_exec_user(start->spec, sandbox, err) < 0 ||
        sb_exec_new(sandbox, &own, is_new && !start->keeps_sandbox, ret_exec, err) < 0) {
        if (is_new) {
            sb_sandbox_destroy(sandbox, SB_REASON_CANCELLED, err->text);
        }
        return -1;
    }
    return 0;
}

int sb_api_start_exec(struct sb_worker *worker,
                      const struct sb_api_start *start,
                      struct sb_exec **ret_exec,
                      struct sb_err *err)
{
    const Aisbx__V1__ExecSpec *spec = start->spec;
    SB_CLEANUP(sb_pairs_done) struct sb_pairs env = {NULL, 0};
    SB_CLEANUP(program_done) struct program program = {.language = NULL};
    struct sb_exec_terminal terminal = {.is_wanted = false};
    struct sb_exec_limits limits = {.output_bytes = 0};
    int passed[PASSED] = {-1, -1, -1};
    if (check_spec(spec, err) < 0 || take_env(spec, &env, err) < 0 ||
        sb_api_exec_terminal(spec, &terminal, err) < 0 ||
        sb_api_exec_limits(spec, &limits, err) < 0 ||
        make_program(worker, spec, start->stage, &program, err) < 0) {
        return -1;
    }
    bool is_passed = spec->stdio == AISBX__V1__STDIO_MODE__STDIO_MODE_PASSED;
    if (is_passed && take_passed(start->call, passed, err) < 0) {
        sb_fd_close_all(passed, PASSED);
        return -1;
    }
    const struct sb_lineage lineage = sb_gate_lineage(start->caller->ticket);
    struct sb_exec_options options = {
        .args = program.args,
        .n_args = program.n_args,
        .env = &env,
        .cwd = spec->cwd[0] == '\0' ? NULL : spec->cwd,
        .wall_ms = spec->wall_ms,
        .is_background = spec->background,
        .has_stdin = !is_passed && (start->has_stdin || spec->open_stdin),
        .limits = &limits,
        .terminal = terminal.is_wanted ? &terminal : NULL,
        .stage = program.stage,
        .passed = is_passed ? passed : NULL,
        .lineage = &lineage,
    };
    options.waiting = can_be_awaited(&options, &program) ? program.language : NULL;
    if (start_in(worker, start, &options, &program, ret_exec, err) < 0) {
        sb_fd_close_all(passed, PASSED);
        return -1;
    }
    sb_gate_note(start->caller->ticket, (*ret_exec)->sandbox, *ret_exec);
    if ((*ret_exec)->is_background) {
        sb_gate_goes_on(start->caller->ticket);
    }
    return 0;
}
