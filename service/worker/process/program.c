#include "service/worker/process/program.h"

#include <errno.h>
#include <string.h>

#include "aisbx/v1/verdict.pb-c.h"
#include "base/beneath.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/api_gate.h"
#include "service/worker/exec.h"
#include "service/worker/policy/collections.h"
#include "service/worker/policy/request.h"
#include "service/worker/process/home.h"
#include "service/worker/sandbox.h"

enum { MAX_ARGS = 4096, PATH_SIZE = 4096 };

static int
take_env(const Process__V1__ProcessConfig *config, struct sb_pairs *ret_env, struct sb_err *err)
{
    size_t total = 0;
    for (size_t i = 0; i < config->n_env_vars; i++) {
        struct sb_str name = sb_str_from(config->env_vars[i]->key);
        struct sb_str value = sb_str_from(config->env_vars[i]->value);
        if (sb_request_check_env(name, value, "config.env_vars", &total, err) < 0 ||
            sb_pairs_set(ret_env, name, value, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int choose(struct sb_worker *worker,
                  const struct sb_program *program,
                  struct sb_sandbox **ret_sandbox,
                  struct sb_err *err)
{
    const char *id = sb_rpc_call_metadata(program->call, "x-aisbx-sandbox", NULL);
    if (id == NULL) {
        return sb_home_open(worker, program->caller, program->rate, ret_sandbox, err);
    }
    if (sb_api_find_sandbox(worker, program->caller, id, ret_sandbox, err) < 0) {
        return -1;
    }
    return (*ret_sandbox)->is_only
               ? sb_err_set(err, SB_PRECONDITION, "sandbox %s was made for one exec only", id)
               : 0;
}

static int check(const struct sb_program *program, struct sb_err *err)
{
    const Process__V1__ProcessConfig *config = program->config;
    if (config == NULL || config->n_command == 0) {
        return sb_err_set(err, SB_INVALID, "config.command: is missing");
    }
    if (config->n_command > MAX_ARGS) {
        return sb_err_set(err, SB_INVALID, "config.command: more than %d", MAX_ARGS);
    }
    return 0;
}

int sb_program_start(struct sb_worker *worker,
                     const struct sb_program *program,
                     struct sb_exec **ret_exec,
                     struct sb_err *err)
{
    const Process__V1__ProcessConfig *config = program->config;
    SB_CLEANUP(sb_pairs_done) struct sb_pairs env = {NULL, 0};
    struct sb_exec_terminal terminal = {.is_wanted = false};
    struct sb_sandbox *sandbox = NULL;
    char cwd[PATH_SIZE];
    if (check(program, err) < 0 || take_env(config, &env, err) < 0 ||
        (program->pty != NULL && sb_exec_terminal_check(program->pty->rows, program->pty->cols,
                                                        NULL, "pty", &terminal, err) < 0)) {
        return -1;
    }
    if (sb_beneath(SB_HOME_ROOT, sb_str_from(config->cwd), cwd, sizeof cwd, err) < 0) {
        return sb_err_wrap(err, "config.cwd");
    }
    if (choose(worker, program, &sandbox, err) < 0) {
        return -1;
    }
    const struct sb_lineage lineage = sb_gate_lineage(program->caller->ticket);
    const struct sb_exec_options options = {
        .args = config->command,
        .n_args = config->n_command,
        .env = &env,
        .cwd = cwd,
        .has_stdin = program->has_stdin,
        .terminal = program->pty == NULL ? NULL : &terminal,
        .lineage = &lineage,
    };
    if (sb_exec_new(sandbox, &options, false, ret_exec, err) < 0) {
        return -1;
    }
    sb_gate_note(program->caller->ticket, sandbox, *ret_exec);
    return 0;
}

static int tell_not_started(const struct sb_exec *exec, struct sb_err *err)
{
    int sys = exec->facts.fail_errno;
    bool is_missing = sys == ENOENT || sys == ENOTDIR;
    bool is_denied = sys == EACCES || sys == EPERM || sys == ENOEXEC;
    return sb_err_set(err,
                      is_missing  ? SB_NOT_FOUND
                      : is_denied ? SB_DENIED
                                  : SB_INTERNAL,
                      "%s%s%s", exec->verdict.message,
                      exec->verdict.next_step[0] == '\0' ? "" : "; ", exec->verdict.next_step);
}

/* Of VERDICT_KIND_EXITED the last word, as people and scripts read it. */
static void tell_verdict(struct sb_rpc_call *call, const struct sb_verdict *verdict)
{
    static const char prefix[] = "VERDICT_KIND_";
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(
        &aisbx__v1__verdict_kind__descriptor, (int)verdict->kind);
    if (value != NULL && strncmp(value->name, prefix, sizeof prefix - 1) == 0) {
        const char *name = value->name + sizeof prefix - 1;
        sb_rpc_call_trailer(call, "x-aisbx-verdict", name, strlen(name));
    }
}

int sb_program_ended(struct sb_rpc_call *call,
                     const struct sb_exec *exec,
                     int32_t *ret_exit_code,
                     struct sb_err *err)
{
    const struct sb_verdict *verdict = &exec->verdict;
    if (exec->start_err.code != SB_OK) {
        *err = exec->start_err;
        return -1;
    }
    if (verdict->kind == SB_VERDICT_START_FAILED) {
        return tell_not_started(exec, err);
    }
    tell_verdict(call, verdict);
    bool has_status =
        verdict->kind == SB_VERDICT_EXITED || verdict->kind == SB_VERDICT_OUTPUT_TRUNCATED ||
        ((verdict->kind == SB_VERDICT_PIDS_EXHAUSTED || verdict->kind == SB_VERDICT_DISK_FULL) &&
         verdict->signal == 0);
    *ret_exit_code = has_status ? verdict->exit_code : -1;
    return 0;
}
