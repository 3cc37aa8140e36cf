#include "cli/security/learn.h"

/* Theory of operation. Two workers of our own, one after the other, each with a configuration of
 * one profile: the base as it comes out with all it inherits.
 *
 *   learning   the base, or with --open a list that allows all; the sandbox asks to learn, so its
 *              calls are noted as they pass; --runs times, and what they made is put together;
 *   proof      the base with the list that was learnt, which stands in a file as it will be used.
 *
 * The program's input goes to the first run alone: it cannot be read twice. */

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "aisbx/v1/sandbox_service.pb-c.h"
#include "aisbx/v1/worker_service.rpc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/out.h"
#include "base/say.h"
#include "cli/connect.h"
#include "cli/report.h"
#include "cli/security/private.h"
#include "cli/security/syscalls.h"
#include "cli/session.h"
#include "cli/spec.h"
#include "cli/status.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/client/setting.h"
#include "proto/json/pbjson.h"

/* Still refuses what every list refuses. */
static const char open_list[] = "{\"defaultAction\": \"SCMP_ACT_ALLOW\"}\n";

#define PROFILE "learning"
#define BASE    "base-of-it" /* as it is, to be asked about */

struct learning {
    struct sb_cli *cli;
    struct sb_private own;
    Aisbx__V1__GetProfileResponse *base; /* owned */
    struct sb_syscalls calls;
    struct sb_session_result last; /* of the learning run that ended last */
    struct sb_session_result proof;
    char list[PATH_MAX]; /* the file, absolute; "" for standard output */
    char kernel[65];
    int result_fd; /* where the list goes without a file; -1: to a file */
    bool is_proved;
};

static void done(struct learning *learning)
{
    sb_private_done(&learning->own);
    sb_syscalls_done(&learning->calls);
    sb_session_result_done(&learning->last);
    sb_session_result_done(&learning->proof);
    sb_closep(&learning->result_fd);
    if (learning->base != NULL) {
        aisbx__v1__get_profile_response__free_unpacked(learning->base, NULL);
    }
}

/* ---- before ---- */

/* From a worker that reads the user's own configuration. */
static int get_base(struct learning *learning, struct sb_err *err)
{
    const struct sb_args *args = &learning->cli->args;
    const char *named = sb_setting_get(SB_SETTING_DEFAULT_PROFILE);
    const char *profile = args->profile != NULL ? args->profile : named != NULL ? named : "";
    char name[256];
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    Aisbx__V1__GetProfileRequest request = AISBX__V1__GET_PROFILE_REQUEST__INIT;
    (void)snprintf(name, sizeof name, "%s", profile);
    request.profile = name;
    if (sb_connect_open(learning->cli, SB_CONNECT_FRESH, &connect, err) < 0) {
        return -1;
    }
    if (aisbx__v1__worker_service__get_profile__call(connect.channel, &request, &connect.options,
                                                     &learning->base, err) < 0) {
        sb_verb_hint(learning->cli, "aisbx profile list shows the names");
        return -1;
    }
    return learning->base->profile != NULL
               ? 0
               : sb_err_set(err, SB_INTERNAL, "the worker has no profile");
}

/* Where the list goes. Without a file it is all that standard output gets. */
static int find_output(struct learning *learning, struct sb_err *err)
{
    const char *output = learning->cli->args.output;
    SB_CLEANUP(sb_freep) char *cwd = NULL;
    learning->result_fd = -1;
    if (output == NULL) {
        if (learning->cli->args.json) {
            return sb_err_set(err, SB_INVALID, "--json needs --output FILE for the list");
        }
        learning->result_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        return learning->result_fd < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0
                   ? sb_err_sys(err, errno, "standard output")
                   : 0;
    }
    if (output[0] != '/' && (cwd = getcwd(NULL, 0)) == NULL) {
        return sb_err_sys(err, errno, "working directory");
    }
    int len = snprintf(learning->list, PATH_MAX - 8, "%s%s%s", cwd == NULL ? "" : cwd,
                       cwd == NULL ? "" : "/", output);
    return len < 0 || len >= PATH_MAX - 8 ? sb_err_set(err, SB_INVALID, "--output: too long") : 0;
}

/* ---- runs ---- */

/* @seccomp  path of the list instead of the base's own; NULL: that */
static int write_config(const struct learning *learning, const char *seccomp, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, -1);
    sb_syscalls_put_profile(sb_str_from(learning->base->profile->yaml), PROFILE, seccomp, &out);
    SB_CLEANUP(sb_out_done) struct sb_out base;
    sb_out_init(&base, -1);
    sb_syscalls_put_profile(sb_str_from(learning->base->profile->yaml), BASE, NULL, &base);
    const char *line = strchr(sb_buf_cstr(&base.buf), '\n'); /* after "profiles:" */
    sb_out_put(&out, line == NULL ? "" : line + 1);
    if (out.broken != 0) {
        return sb_err_sys(err, out.broken, "config.yaml");
    }
    return sb_private_write(&learning->own, "config.yaml", sb_buf_str(&out.buf), NULL, err);
}

static int run_once(struct learning *learning,
                    bool learns,
                    bool has_input,
                    struct sb_session_result *result,
                    struct sb_err *err)
{
    struct sb_cli *cli = learning->cli;
    char profile[] = PROFILE;
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_spec_done) struct sb_spec spec = {.is_remote = false};
    Aisbx__V1__StartExecRequest request = AISBX__V1__START_EXEC_REQUEST__INIT;
    Aisbx__V1__ExecTarget target = AISBX__V1__EXEC_TARGET__INIT;
    if (sb_spec_sandbox(&spec, &cli->args, err) < 0 ||
        sb_spec_exec(&spec, &cli->args, cli->args.operands, err) < 0 ||
        sb_spec_bind_command(&spec, err) < 0) {
        return -1;
    }
    spec.sandbox.profile = profile;
    spec.sandbox.learn_syscalls = learns;
    target.sandbox_case = AISBX__V1__EXEC_TARGET__SANDBOX_NEW_SANDBOX;
    target.new_sandbox = &spec.sandbox;
    request.target = &target;
    request.exec = &spec.exec;
    const struct sb_session_options options = {.no_stdin = cli->args.no_stdin || !has_input};
    sb_session_result_done(result);
    *result = (struct sb_session_result){.signal = 0};
    if (sb_connect_open(cli, SB_CONNECT_START, &connect, err) < 0 ||
        sb_session_run(&connect, &request, &options, result, err) < 0) {
        return sb_err_wrap(err, "cannot run %s", cli->args.operands[0]);
    }
    return 0;
}

static const Aisbx__V1__Verdict *verdict_of(const struct sb_session_result *result)
{
    return result->exec == NULL ? NULL : result->exec->verdict;
}

/* Only of a program that ended by itself it is known what it needs. */
static int check_end(const struct learning *learning, struct sb_err *err)
{
    const Aisbx__V1__Verdict *verdict = verdict_of(&learning->last);
    if (learning->last.signal != 0 || verdict == NULL) {
        return sb_err_set(err, SB_CANCELLED, "stopped; nothing is learnt");
    }
    if (verdict->kind != AISBX__V1__VERDICT_KIND__VERDICT_KIND_EXITED &&
        verdict->kind != AISBX__V1__VERDICT_KIND__VERDICT_KIND_SIGNALED) {
        return sb_err_set(err, SB_PRECONDITION, "%s; nothing is learnt", verdict->message);
    }
    return 0;
}

/* What the base's own list says to what was learnt. */
static int ask_base(struct learning *learning, struct sb_connect *connect, struct sb_err *err)
{
    char base[] = BASE;
    Aisbx__V1__ExplainProfileRequest request = AISBX__V1__EXPLAIN_PROFILE_REQUEST__INIT;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ExplainProfileResponse *reply = NULL;
    SB_CLEANUP(sb_freep) char **names = calloc(learning->calls.n + 1, sizeof *names);
    if (names == NULL) {
        return sb_err_oom(err);
    }
    for (size_t i = 0; i < learning->calls.n; i++) {
        names[i] = learning->calls.items[i].name;
    }
    request.profile = base;
    request.syscalls = names;
    request.n_syscalls = learning->calls.n;
    if (aisbx__v1__worker_service__explain_profile__call(connect->channel, &request,
                                                         &connect->options, &reply, err) < 0) {
        return -1;
    }
    if (reply->n_syscalls != learning->calls.n) {
        return sb_err_set(err, SB_INTERNAL, "the worker left answers out");
    }
    sb_syscalls_compare(&learning->calls, reply->syscalls);
    return 0;
}

static int learn(struct learning *learning, struct sb_err *err)
{
    const struct sb_args *args = &learning->cli->args;
    char path[PATH_MAX];
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    if (args->open &&
        sb_private_write(&learning->own, "open.json", sb_str_from(open_list), path, err) < 0) {
        return -1;
    }
    if (write_config(learning, args->open ? path : NULL, err) < 0 ||
        sb_private_connect(&learning->own, learning->cli, &connect, err) < 0) {
        return -1;
    }
    uint64_t runs = args->runs == 0 ? 1 : args->runs;
    for (uint64_t i = 0; i < runs; i++) {
        if (run_once(learning, true, i == 0, &learning->last, err) < 0 ||
            check_end(learning, err) < 0 ||
            sb_syscalls_add(&learning->calls, verdict_of(&learning->last), err) < 0) {
            return -1;
        }
    }
    if (sb_syscalls_made(&learning->calls) == 0) {
        return sb_err_set(err, SB_PRECONDITION, "no system call was seen; nothing is learnt");
    }
    return ask_base(learning, &connect, err);
}

/* ---- what is written ---- */

static struct sb_syscalls_source source_of(const struct learning *learning)
{
    const struct sb_args *args = &learning->cli->args;
    const char *slash = strrchr(args->operands[0], '/');
    return (struct sb_syscalls_source){
        .program = sb_str_from(slash == NULL ? args->operands[0] : slash + 1),
        .runs = args->runs == 0 ? 1 : args->runs,
        .profile = learning->base->profile->name,
        .kernel = learning->kernel,
    };
}

static int write_file(const char *path, const struct sb_out *out, struct sb_err *err)
{
    SB_CLEANUP(sb_closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (out->broken != 0) {
        return sb_err_sys(err, out->broken, "%s", path);
    }
    if (fd < 0) {
        return sb_err_sys(err, errno, "%s", path);
    }
    return sb_fd_write_full(fd, sb_buf_cstr(&out->buf), out->buf.len, err) < 0
               ? sb_err_wrap(err, "%s", path)
               : 0;
}

/* The profile stands beside the list: learnt.json, learnt.yaml. */
static void profile_path(const struct learning *learning, char path[PATH_MAX])
{
    struct sb_str base = sb_str_from(learning->list);
    if (sb_str_ends_with(base, SB_STR(".json"))) {
        base.len -= strlen(".json");
    }
    (void)snprintf(path, PATH_MAX, "%.*s.yaml", SB_STR_ARG(base));
}

static int
write_result(const struct learning *learning, const struct sb_out *json, struct sb_err *err)
{
    char path[PATH_MAX];
    const struct sb_syscalls_source source = source_of(learning);
    if (learning->result_fd >= 0) {
        return sb_fd_write_full(learning->result_fd, sb_buf_cstr(&json->buf), json->buf.len, err);
    }
    SB_CLEANUP(sb_out_done) struct sb_out yaml;
    sb_out_init(&yaml, -1);
    sb_syscalls_put_yaml(&source, learning->list, &yaml);
    profile_path(learning, path);
    return write_file(learning->list, json, err) < 0 ? -1 : write_file(path, &yaml, err);
}

/* ---- proof ---- */

static bool ended_alike(const Aisbx__V1__Verdict *a, const Aisbx__V1__Verdict *b)
{
    return a != NULL && b != NULL && a->kind == b->kind && a->exit_code == b->exit_code &&
           a->signal == b->signal;
}

/* Writes the list where the user wants it only after the worker could read it. */
static int prove(struct learning *learning, struct sb_err *err)
{
    char path[PATH_MAX];
    const struct sb_syscalls_source source = source_of(learning);
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_out_done) struct sb_out json;
    sb_out_init(&json, -1);
    sb_syscalls_put_json(&learning->calls, &source, &json);
    if (json.broken != 0) {
        return sb_err_sys(err, json.broken, "list");
    }
    if (sb_private_write(&learning->own, "learnt.json", sb_buf_str(&json.buf), path, err) < 0 ||
        write_config(learning, path, err) < 0 ||
        sb_private_connect(&learning->own, learning->cli, &connect, err) < 0 ||
        write_result(learning, &json, err) < 0 ||
        run_once(learning, false, false, &learning->proof, err) < 0) {
        return -1;
    }
    learning->is_proved = ended_alike(verdict_of(&learning->last), verdict_of(&learning->proof));
    return 0;
}

/* ---- telling ---- */

static void tell_wider(const struct learning *learning)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, -1);
    for (size_t i = 0; i < learning->calls.n; i++) {
        if (learning->calls.items[i].is_wider) {
            sb_out_printf(&out, "%s%s", out.buf.len == 0 ? "" : ", ",
                          learning->calls.items[i].name);
        }
    }
    if (out.buf.len > 0) {
        sb_say_note("more than profile %s allows: %s", learning->base->profile->name,
                    sb_buf_cstr(&out.buf));
    }
}

static void tell(const struct learning *learning)
{
    const struct sb_syscalls_source source = source_of(learning);
    const Aisbx__V1__Verdict *before = verdict_of(&learning->last);
    const Aisbx__V1__Verdict *after = verdict_of(&learning->proof);
    size_t made = sb_syscalls_made(&learning->calls);
    char path[PATH_MAX];
    sb_say_note("%zu system calls learnt of %.*s in %" PRIu64 " run%s under profile %s; %zu more "
                "that every sandbox needs",
                made, SB_STR_ARG(source.program), source.runs, source.runs == 1 ? "" : "s",
                source.profile, learning->calls.n - made);
    if (learning->list[0] != '\0') {
        profile_path(learning, path);
        sb_say_note("written: %s, and a profile that uses it: %s", learning->list, path);
    }
    tell_wider(learning);
    if (after != NULL) {
        sb_report_denials(after);
    }
    if (learning->is_proved) {
        sb_say_note("proved: under that list alone it ended as before: %s", before->message);
        return;
    }
    sb_say_note("NOT proved: before it %s; under that list alone: %s", before->message,
                after == NULL ? "stopped" : after->message);
    sb_say_hint("a program that does not do the same every time needs --runs N, and the same input "
                "and files each time");
}

static int tell_json(const struct learning *learning, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, STDOUT_FILENO);
    struct sb_json json = {.out = &out};
    const Aisbx__V1__Verdict *before = verdict_of(&learning->last);
    const Aisbx__V1__Verdict *after = verdict_of(&learning->proof);
    sb_json_open(&json, NULL, '{');
    sb_json_bool(&json, "proved", learning->is_proved);
    sb_json_cstr(&json, "profile", learning->base->profile->name);
    sb_json_cstr(&json, "list", learning->list);
    sb_json_open(&json, "calls", '[');
    for (size_t i = 0; i < learning->calls.n; i++) {
        sb_json_open(&json, NULL, '{');
        sb_json_cstr(&json, "name", learning->calls.items[i].name);
        sb_json_u64(&json, "count", learning->calls.items[i].count);
        sb_json_close(&json, '}');
    }
    sb_json_close(&json, ']');
    sb_json_open(&json, "wider_than_profile", '[');
    for (size_t i = 0; i < learning->calls.n; i++) {
        if (learning->calls.items[i].is_wider) {
            sb_json_cstr(&json, NULL, learning->calls.items[i].name);
        }
    }
    sb_json_close(&json, ']');
    if (before != NULL) {
        sb_pbjson_message(&json, "learning", &before->base);
    }
    if (after != NULL) {
        sb_pbjson_message(&json, "proof", &after->base);
    }
    sb_json_close(&json, '}');
    sb_out_put(&out, "\n");
    return sb_out_flush(&out, err);
}

int sb_learn_run(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    struct utsname uts;
    SB_CLEANUP(done) struct learning learning = {.cli = cli, .result_fd = -1};
    if (sb_connect_address(cli) != NULL) {
        sb_verb_hint(cli, "leave out --address and AISBX_ADDRESS");
        return sb_verb_misused(
            cli,
            sb_err_set(err, SB_INVALID, "learning starts workers of its own, on this machine"));
    }
    if (cli->args.detach) {
        return sb_verb_misused(
            cli,
            sb_err_set(err, SB_INVALID, "--detach: what is learnt is known when the program ends"));
    }
    (void)snprintf(learning.kernel, sizeof learning.kernel, "%s",
                   uname(&uts) == 0 ? uts.release : "");
    if (get_base(&learning, err) < 0 || sb_verb_misused(cli, find_output(&learning, err)) < 0 ||
        sb_private_make(&learning.own, err) < 0 || learn(&learning, err) < 0 ||
        prove(&learning, err) < 0) {
        return -1;
    }
    *ret_status = learning.is_proved ? 0 : SB_LEARN_UNPROVED;
    if (cli->args.json) {
        return tell_json(&learning, err);
    }
    tell(&learning);
    return 0;
}
