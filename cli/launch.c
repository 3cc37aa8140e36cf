#include "cli/launch.h"

#include <signal.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"
#include "base/out.h"
#include "base/say.h"
#include "base/utf8.h"
#include "cli/connect.h"
#include "cli/report.h"
#include "cli/session.h"
#include "cli/status.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/json/pbjson.h"

static void on_started(const Aisbx__V1__ExecStarted *started, void *user)
{
    const struct sb_cli *cli = user;
    if (cli->args.verbose && started->sandbox != NULL) {
        sb_report_sandbox(started->sandbox);
    } else if (started->sandbox != NULL && isatty(STDERR_FILENO) != 0) {
        sb_report_packages(started->sandbox);
    }
}

static bool is_text(struct sb_str bytes)
{
    return sb_utf8_valid(bytes.ptr, bytes.len) && !sb_str_has_nul(bytes);
}

static void put_stream(struct sb_json *json,
                       const struct sb_session_result *result,
                       int i,
                       const char *const names[3])
{
    struct sb_str bytes = sb_buf_str(&result->captured[i]);
    sb_json_str(json, names[0], bytes);
    sb_json_bool(json, names[1], !is_text(bytes));
    sb_json_u64(json, names[2], result->dropped_bytes[i]);
}

int sb_launch_print_json(const struct sb_session_result *result, int status, struct sb_err *err)
{
    static const char *const names[2][3] = {
        {"stdout", "stdout_is_binary", "stdout_dropped_bytes"},
        {"stderr", "stderr_is_binary", "stderr_dropped_bytes"},
    };
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, STDOUT_FILENO);
    struct sb_json json = {.out = &out};
    sb_json_open(&json, NULL, '{');
    if (status >= 0) {
        sb_json_i64(&json, "exit_status", status);
    }
    put_stream(&json, result, 0, names[0]);
    put_stream(&json, result, 1, names[1]);
    const Aisbx__V1__Exec *exec = result->exec;
    if (exec != NULL && exec->verdict != NULL) {
        sb_pbjson_message(&json, "verdict", (const void *)exec->verdict);
        if (exec->verdict->usage != NULL) {
            sb_pbjson_message(&json, "usage", (const void *)exec->verdict->usage);
        }
    }
    if (exec != NULL) {
        sb_json_cstr(&json, "exec_id", exec->exec_id);
    }
    if (result->sandbox != NULL) {
        sb_pbjson_message(&json, "sandbox", (const void *)result->sandbox);
    }
    sb_json_close(&json, '}');
    sb_out_put(&out, "\n");
    return sb_out_flush(&out, err);
}

/* What is missing from our streams. A status of 0 must not go with it: whoever reads only that
 * would take a part for the whole. */
static void say_cut(const struct sb_session_result *result, int *status)
{
    static const char *const streams[] = {"standard output", "standard error"};
    char left_out[SB_NUM_TEXT_SIZE];
    bool is_cut = false;
    for (int i = 0; i < 2; i++) {
        if (result->dropped_bytes[i] > 0) {
            is_cut = true;
            sb_say_note("output limit reached: the last %s of %s were left out",
                        sb_num_format_bytes_short(left_out, result->dropped_bytes[i]), streams[i]);
        }
    }
    if (is_cut) {
        sb_say_hint("let it write to a file, or raise output: in the profile");
        *status = *status == 0 ? SB_STATUS_SANDBOX : *status;
    }
}

void sb_launch_say_end(const Aisbx__V1__Verdict *verdict, bool has_terminal)
{
    bool is_cut = verdict->kind == AISBX__V1__VERDICT_KIND__VERDICT_KIND_OUTPUT_TRUNCATED;
    if (!is_cut || !has_terminal) {
        sb_status_say(verdict);
    }
}

int sb_launch_run(struct sb_cli *cli,
                  struct sb_connect *connect,
                  Aisbx__V1__StartExecRequest *request,
                  bool *ret_was_started,
                  int *ret_status,
                  struct sb_err *err)
{
    const struct sb_session_options options = {
        .captures = cli->args.json,
        .no_stdin = cli->args.no_stdin,
        .started = on_started,
        .user = cli,
    };
    request->without_controls = !cli->args.verbose && !cli->args.json; /* who shows them */
    SB_CLEANUP(sb_session_result_done) struct sb_session_result result = {0};
    int rc = sb_session_run(connect, request, &options, &result, err);
    *ret_was_started = result.is_started;
    const Aisbx__V1__Verdict *verdict = result.exec == NULL ? NULL : result.exec->verdict;
    int status = result.signal != 0 ? 128 + result.signal : sb_status_of(verdict);
    *ret_status = status;
    if (verdict != NULL && cli->args.verbose) {
        sb_report_verdict(verdict);
    }
    if (rc < 0) {
        return result.signal == SIGPIPE ? 0 : -1;
    }
    bool has_terminal = request->exec->terminal != NULL;
    if (verdict != NULL && result.signal == 0) {
        sb_launch_say_end(verdict, has_terminal);
        if (!cli->args.json && !has_terminal) {
            say_cut(&result, ret_status);
        }
        if (status != 0 && !cli->args.verbose) {
            sb_report_denials(verdict);
        }
    }
    return cli->args.json ? sb_launch_print_json(&result, status, err) : 0;
}

int sb_launch_detached(struct sb_cli *cli,
                       struct sb_connect *connect,
                       Aisbx__V1__StartExecRequest *request,
                       const char *sandbox_id,
                       int *ret_status,
                       struct sb_err *err)
{
    SB_CLEANUP(sb_message_freep) Aisbx__V1__Exec *exec = NULL;
    if (sb_session_start(connect, request, &exec, err) < 0) {
        return -1;
    }
    if (exec->verdict != NULL &&
        exec->verdict->kind == AISBX__V1__VERDICT_KIND__VERDICT_KIND_START_FAILED) {
        sb_status_say(exec->verdict);
        *ret_status = sb_status_of(exec->verdict);
        if (!cli->args.json) {
            return 0;
        }
    }
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, STDOUT_FILENO);
    if (cli->args.json) {
        struct sb_json json = {.out = &out};
        sb_pbjson_message(&json, NULL, (const void *)exec);
        sb_out_put(&out, "\n");
    } else {
        sb_out_printf(&out, "%s\n", sandbox_id != NULL ? sandbox_id : exec->exec_id);
    }
    if (sb_out_flush(&out, err) < 0) {
        return sb_err_wrap(err, "%s was started", exec->exec_id);
    }
    return 0;
}
