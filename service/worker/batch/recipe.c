#include "service/worker/batch/recipe.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/worker/api_result.h"
#include "service/worker/policy/collections.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/request.h"
#include "service/worker/worker.h"

static const char workspace[] = "/workspace";
static const char elsewhere[] = "/tmp/run"; /* where the workspace cannot be written */

static bool has_program(const Aisbx__V1__ExecSpec *spec)
{
    return spec != NULL && spec->program_case != AISBX__V1__EXEC_SPEC__PROGRAM__NOT_SET;
}

static int check_exec(const Aisbx__V1__ExecSpec *spec, const char *field, struct sb_err *err)
{
    if (spec != NULL && (spec->terminal != NULL || spec->background || spec->open_stdin ||
                         spec->stdio == AISBX__V1__STDIO_MODE__STDIO_MODE_PASSED)) {
        return sb_err_set(err, SB_INVALID,
                          "%s: terminal, background, open_stdin and PASSED are not for a batch",
                          field);
    }
    return 0;
}

static int policy_of(struct sb_worker *worker,
                     const Aisbx__V1__RunBatchRequest *req,
                     struct sb_policy **ret_policy,
                     struct sb_err *err)
{
    SB_CLEANUP(sb_request_freep) struct sb_request *request = NULL;
    return sb_request_make(req->sandbox, "sandbox", &request, err) < 0
               ? -1
               : sb_policy_make(worker->profiles, request, ret_policy, err);
}

static int split(struct sb_recipe *recipe,
                 const Aisbx__V1__RunBatchRequest *req,
                 const struct sb_policy *policy,
                 struct sb_budget *budget,
                 struct sb_stage **stage,
                 struct sb_err *err)
{
    const Aisbx__V1__Script *script = req->run->script;
    enum sb_language language = SB_LANGUAGE_PYTHON;
    if (sb_language_from(sb_str_from(script->language), &language, err) < 0) {
        return sb_err_wrap(err, "run.script.language");
    }
    if (sb_script_check(language, policy, err) < 0) {
        return sb_err_wrap(err, "run");
    }
    *stage = *stage == NULL ? sb_stage_new(budget, 2 * SB_SCRIPT_MAX_SOURCE) : *stage;
    if (*stage == NULL) {
        return sb_err_oom(err);
    }
    if (sb_script_split(language, sb_str_from(script->source), script->args, script->n_args,
                        recipe->directory, *stage, &recipe->compile, &recipe->run, err) < 0) {
        return sb_err_wrap(err, "run");
    }
    if (recipe->compile.n_args > 0 && has_program(req->compile)) {
        return sb_err_set(err, SB_INVALID,
                          "compile: %s is compiled by itself; leave command and script out",
                          script->language);
    }
    return 0;
}

static int make(struct sb_worker *worker,
                const Aisbx__V1__RunBatchRequest *req,
                struct sb_stage **stage,
                struct sb_recipe *recipe,
                struct sb_err *err)
{
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = NULL;
    if (!has_program(req->run)) {
        return sb_err_set(err, SB_INVALID, "run.command: is missing");
    }
    if (check_exec(req->run, "run", err) < 0 || check_exec(req->compile, "compile", err) < 0 ||
        policy_of(worker, req, &policy, err) < 0) {
        return -1;
    }
    recipe->is_shared = sb_policy_shares_workspace(policy);
    recipe->directory =
        policy->filesystem == SB_FILESYSTEM_MINIMAL || sb_policy_workspace_read_only(policy)
            ? elsewhere
            : workspace;
    recipe->max_output = req->max_output_bytes == 0 ? SB_API_RESULT_OUTPUT : req->max_output_bytes;
    if (req->run->program_case == AISBX__V1__EXEC_SPEC__PROGRAM_SCRIPT &&
        split(recipe, req, policy, &worker->budget, stage, err) < 0) {
        return -1;
    }
    recipe->compiles = recipe->compile.n_args > 0 || has_program(req->compile);
    return 0;
}

int sb_recipe_make(struct sb_worker *worker,
                   Aisbx__V1__RunBatchRequest *req,
                   struct sb_stage **stage,
                   struct sb_recipe *ret_recipe,
                   struct sb_err *err)
{
    struct sb_recipe recipe = {.compiles = false};
    if (make(worker, req, stage, &recipe, err) < 0) {
        sb_recipe_done(&recipe);
        return -1;
    }
    *ret_recipe = recipe;
    return 0;
}

void sb_recipe_done(struct sb_recipe *recipe)
{
    sb_script_done(&recipe->compile);
    sb_script_done(&recipe->run);
}

static void
begin(Aisbx__V1__RunBatchRequest *req, const Aisbx__V1__ExecSpec *exec, struct sb_recipe_step *step)
{
    aisbx__v1__exec_target__init(&step->target);
    aisbx__v1__sandbox_spec__init(&step->sandbox);
    aisbx__v1__exec_spec__init(&step->exec);
    aisbx__v1__command__init(&step->command);
    step->args = NULL;
    if (req->sandbox != NULL) {
        step->sandbox = *req->sandbox;
    }
    if (exec != NULL) {
        step->exec = *exec;
    }
    step->target.sandbox_case = AISBX__V1__EXEC_TARGET__SANDBOX_NEW_SANDBOX;
    step->target.new_sandbox = &step->sandbox;
}

static void set_command(struct sb_recipe_step *step, char **args, size_t n_args)
{
    step->command.args = args;
    step->command.n_args = n_args;
    step->exec.program_case = AISBX__V1__EXEC_SPEC__PROGRAM_COMMAND;
    step->exec.command = &step->command;
}

int sb_recipe_compile(const struct sb_recipe *recipe,
                      Aisbx__V1__RunBatchRequest *req,
                      struct sb_recipe_step *ret_step,
                      struct sb_err *err)
{
    (void)err;
    begin(req, req->compile, ret_step);
    if (recipe->compile.n_args > 0) {
        set_command(ret_step, recipe->compile.args, recipe->compile.n_args);
    }
    return 0;
}

int sb_recipe_run(const struct sb_recipe *recipe,
                  Aisbx__V1__RunBatchRequest *req,
                  const Aisbx__V1__BatchCase *with,
                  struct sb_recipe_step *ret_step,
                  struct sb_err *err)
{
    const struct sb_script own = {
        .args = req->run->program_case == AISBX__V1__EXEC_SPEC__PROGRAM_COMMAND
                    ? req->run->command->args
                    : NULL,
        .n_args = req->run->program_case == AISBX__V1__EXEC_SPEC__PROGRAM_COMMAND
                      ? req->run->command->n_args
                      : 0,
    };
    const struct sb_script *run = recipe->run.n_args > 0 ? &recipe->run : &own;
    begin(req, req->run, ret_step);
    size_t n = run->n_args + with->n_args;
    ret_step->args = calloc(n + 1, sizeof *ret_step->args);
    if (ret_step->args == NULL) {
        return sb_err_oom(err);
    }
    for (size_t i = 0; i < n; i++) {
        ret_step->args[i] = i < run->n_args ? run->args[i] : with->args[i - run->n_args];
    }
    set_command(ret_step, ret_step->args, n);
    return 0;
}

void sb_recipe_step_done(struct sb_recipe_step *step)
{
    free(step->args);
    step->args = NULL;
}
