#include "cli/security/lint.h"

/* Theory of operation. A worker checks the text; then one of our own reads the very file, with the
 * seccomp lists that it names, and explains each of its profiles, which the rules look at. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aisbx/v1/worker_service.rpc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/out.h"
#include "cli/connect.h"
#include "cli/security/finding.h"
#include "cli/security/private.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/client/setting.h"

enum { MAX_CONFIG_BYTES = 1 << 20 };

/* The file that aisbx would read: FILE, $AISBX_CONFIG_PATH, or the usual places. */
static int find_file(const struct sb_cli *cli, char out[PATH_MAX], struct sb_err *err)
{
    const char *named =
        cli->args.n_operands > 0 ? cli->args.operands[0] : sb_setting_get(SB_SETTING_CONFIG_PATH);
    const char *xdg = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    char path[PATH_MAX] = "/etc/aisbx/config.yaml";
    struct stat st;
    if (named != NULL) {
        (void)snprintf(path, sizeof path, "%s", named);
    } else if (xdg != NULL && xdg[0] == '/') {
        (void)snprintf(path, sizeof path, "%s/aisbx/config.yaml", xdg);
    } else if (home != NULL && home[0] == '/') {
        (void)snprintf(path, sizeof path, "%s/.config/aisbx/config.yaml", home);
    }
    if (named == NULL && stat(path, &st) < 0) {
        (void)snprintf(path, sizeof path, "/etc/aisbx/config.yaml");
    }
    return realpath(path, out) == NULL ? sb_err_sys(err, errno, "%s", path) : 0;
}

/* Adds what makes the file invalid. */
static int check_text(struct sb_cli *cli,
                      struct sb_private *own,
                      char *path,
                      struct sb_findings *findings,
                      struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(MAX_CONFIG_BYTES);
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ValidateConfigResponse *reply = NULL;
    Aisbx__V1__ValidateConfigRequest request = AISBX__V1__VALIDATE_CONFIG_REQUEST__INIT;
    if (sb_fd_read_file(AT_FDCWD, path, MAX_CONFIG_BYTES, &text, err) < 0) {
        return sb_err_wrap(err, "cannot read %s", path);
    }
    SB_CLEANUP(sb_freep) char *yaml = sb_str_dup(sb_buf_str(&text));
    if (yaml == NULL) {
        return sb_err_oom(err);
    }
    request.yaml = yaml;
    request.file_name = path;
    if (sb_private_write(own, "config.yaml", SB_STR(""), NULL, err) < 0 ||
        sb_private_connect(own, cli, &connect, err) < 0 ||
        aisbx__v1__worker_service__validate_config__call(connect.channel, &request,
                                                         &connect.options, &reply, err) < 0) {
        return sb_err_wrap(err, "cannot check %s", path);
    }
    sb_connect_done(&connect);
    sb_private_end(own);
    for (size_t i = 0; i < reply->n_problems; i++) {
        const Aisbx__V1__ConfigProblem *problem = reply->problems[i];
        sb_finding_add(findings, "configuration", SB_FINDING_FAIL, "", "%s:%u:%u: %s", path,
                       problem->line, problem->column, problem->message);
    }
    return 0;
}

/* Whoever writes it decides what every sandbox may. */
static void check_file(const char *path, struct sb_findings *findings)
{
    struct stat st;
    if (stat(path, &st) == 0 && (st.st_mode & 022) != 0) {
        sb_finding_add(findings, "file others write", SB_FINDING_FAIL, "chmod go-w FILE",
                       "%s can be changed by others than its owner", path);
    }
}

static int explain(const struct sb_connect *connect,
                   char *name,
                   struct sb_findings *findings,
                   struct sb_err *err)
{
    char names[16][32];
    char *calls[16];
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ExplainProfileResponse *reply = NULL;
    Aisbx__V1__ExplainProfileRequest request = AISBX__V1__EXPLAIN_PROFILE_REQUEST__INIT;
    request.profile = name;
    request.syscalls = calls;
    for (size_t i = 0; sb_lint_syscalls[i] != NULL && i < 16; i++) {
        (void)snprintf(names[i], sizeof names[i], "%s", sb_lint_syscalls[i]);
        calls[request.n_syscalls++] = names[i];
    }
    if (aisbx__v1__worker_service__explain_profile__call(connect->channel, &request,
                                                         &connect->options, &reply, err) < 0) {
        return sb_err_wrap(err, "cannot explain %s", name);
    }
    sb_lint_profile(reply, findings);
    return 0;
}

/* The profiles of the file; a worker that cannot use it says why. */
static int check_profiles(struct sb_cli *cli,
                          const struct sb_private *own,
                          const char *path,
                          struct sb_findings *findings,
                          struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ListProfilesResponse *reply = NULL;
    Aisbx__V1__ListProfilesRequest request = AISBX__V1__LIST_PROFILES_REQUEST__INIT;
    request.page_size = 1000;
    if (setenv(sb_setting_table[SB_SETTING_CONFIG_PATH].name, path, 1) < 0) {
        return sb_err_oom(err);
    }
    if (sb_private_connect(own, cli, &connect, err) < 0) {
        sb_finding_add(findings, "configuration", SB_FINDING_FAIL, "", "%s", err->text);
        return 0;
    }
    if (aisbx__v1__worker_service__list_profiles__call(connect.channel, &request, &connect.options,
                                                       &reply, err) < 0) {
        return sb_err_wrap(err, "cannot list profiles");
    }
    for (size_t i = 0; i < reply->n_profiles; i++) {
        const Aisbx__V1__Profile *profile = reply->profiles[i];
        if (strcmp(profile->origin, "built-in") != 0 &&
            explain(&connect, profile->name, findings, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- the report ---- */

static int status_of(const struct sb_findings *findings)
{
    enum sb_finding_level worst = sb_finding_worst(findings);
    return worst == SB_FINDING_FAIL ? SB_LINT_WRONG : worst == SB_FINDING_WARN ? SB_LINT_WEAK : 0;
}

static void put_text(struct sb_out *out, const char *path, const struct sb_findings *findings)
{
    for (size_t i = 0; i < findings->n; i++) {
        const struct sb_finding *finding = &findings->items[i];
        sb_out_printf(out, "%s: %s: ", sb_finding_word(finding->level), finding->name);
        sb_out_put_safe(out, sb_str_from(finding->detail));
        sb_out_put(out, finding->fix[0] == '\0' ? "\n" : "\n  better: ");
        if (finding->fix[0] != '\0') {
            sb_out_put_safe(out, sb_str_from(finding->fix));
            sb_out_put(out, "\n");
        }
    }
    if (findings->n_more > 0) {
        sb_out_printf(out, "and %zu more, none of them worse\n", findings->n_more);
    }
    if (findings->n == 0) {
        sb_out_printf(out, "%s: nothing to say\n", path);
    }
}

static void put_json(struct sb_out *out, const char *path, const struct sb_findings *findings)
{
    struct sb_json json = {.out = out};
    sb_json_open(&json, NULL, '{');
    sb_json_cstr(&json, "file", path);
    sb_json_i64(&json, "exit_status", status_of(findings));
    sb_json_open(&json, "findings", '[');
    for (size_t i = 0; i < findings->n; i++) {
        const struct sb_finding *finding = &findings->items[i];
        sb_json_open(&json, NULL, '{');
        sb_json_cstr(&json, "rule", finding->name);
        sb_json_cstr(&json, "result", sb_finding_word(finding->level));
        sb_json_cstr(&json, "detail", finding->detail);
        sb_json_cstr(&json, "better", finding->fix);
        sb_json_close(&json, '}');
    }
    sb_json_close(&json, ']');
    sb_json_i64(&json, "left_out", (int64_t)findings->n_more);
    sb_json_close(&json, '}');
    sb_out_put(out, "\n");
}

int sb_lint_run(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    char path[PATH_MAX];
    struct sb_findings findings = {0};
    SB_CLEANUP(sb_private_done) struct sb_private own = {.dir = ""};
    if (sb_connect_address(cli) != NULL) {
        sb_verb_hint(cli, "leave out --address and AISBX_ADDRESS");
        return sb_verb_misused(
            cli, sb_err_set(err, SB_INVALID, "files are checked by a worker on this machine"));
    }
    if (find_file(cli, path, err) < 0 || sb_private_make(&own, err) < 0 ||
        check_text(cli, &own, path, &findings, err) < 0 ||
        (findings.n == 0 && check_profiles(cli, &own, path, &findings, err) < 0)) {
        return -1;
    }
    check_file(path, &findings);
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, STDOUT_FILENO);
    if (cli->args.json) {
        put_json(&out, path, &findings);
    } else {
        put_text(&out, path, &findings);
    }
    *ret_status = status_of(&findings);
    return sb_out_flush(&out, err);
}
