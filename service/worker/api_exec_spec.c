#include "service/worker/api_exec_spec.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "service/shared/initproto.h"
#include "service/worker/exec.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/profile.h"
#include "service/worker/sandbox.h"

int sb_api_exec_terminal(const Aisbx__V1__ExecSpec *spec,
                         struct sb_exec_terminal *ret_terminal,
                         struct sb_err *err)
{
    const Aisbx__V1__Terminal *terminal = spec->terminal;
    if (terminal == NULL) {
        return 0;
    }
    if (spec->stdio == AISBX__V1__STDIO_MODE__STDIO_MODE_PASSED) {
        return sb_err_set(err, SB_INVALID,
                          "exec.terminal: the terminal is the sandbox's own, so no descriptors can "
                          "be PASSED; use SPOOLED");
    }
    return sb_exec_terminal_check(terminal->rows, terminal->columns, terminal->term,
                                  "exec.terminal", ret_terminal, err);
}

int sb_api_exec_limits(const Aisbx__V1__ExecSpec *spec,
                       struct sb_exec_limits *ret_limits,
                       struct sb_err *err)
{
    static const uint64_t max_cpu_ms = 86400000;
    static const uint64_t min_address_bytes = 1U << 20;
    const Aisbx__V1__ExecLimits *limits = spec->limits;
    if (limits == NULL) {
        return 0;
    }
    if (limits->process_cpu_ms > max_cpu_ms) {
        return sb_err_set(err, SB_INVALID, "exec.limits.process_cpu_ms: more than a day");
    }
    if (limits->process_address_bytes != 0 && limits->process_address_bytes < min_address_bytes) {
        return sb_err_set(err, SB_INVALID, "exec.limits.process_address_bytes: less than 1 MiB");
    }
    *ret_limits = (struct sb_exec_limits){
        .output_bytes = limits->output_bytes,
        .rlimits =
            {
                [SB_INIT_RLIMIT_CPU] = (limits->process_cpu_ms + 999) / 1000,
                [SB_INIT_RLIMIT_ADDRESS] = limits->process_address_bytes,
                [SB_INIT_RLIMIT_FILES] = limits->process_open_files,
                [SB_INIT_RLIMIT_FILE] = limits->file_bytes,
            },
    };
    return 0;
}

/* A sandbox has one id for its programs and no right to become another. */
int sb_api_exec_user(const Aisbx__V1__ExecSpec *spec,
                     const struct sb_sandbox *sandbox,
                     struct sb_err *err)
{
    const char *user = spec->user;
    bool is_host_id = sandbox->policy->driver == SB_DRIVER_CHROOT;
    char number[16];
    (void)snprintf(number, sizeof number, "%u", is_host_id ? sandbox->host_uid : SB_INIT_JOB_ID);
    if (user[0] == '\0' || strcmp(user, "sandbox") == 0 || strcmp(user, number) == 0) {
        return 0;
    }
    return sb_err_set(err, SB_INVALID,
                      "exec.user: programs of a sandbox run as its one user, \"sandbox\" (%s "
                      "inside), without any privilege; there is no %.40s to become. Leave it out",
                      number, user);
}
