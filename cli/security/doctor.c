#include "cli/security/doctor.h"

/* Theory of operation. The worker tells which controls stand, as its spawner tried them just now:
 * that is what sandboxes have. Where one does not stand, and where there is no worker at all, the
 * host's own settings tell why; they are looked at only when the worker is on this machine. */

#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aisbx/v1/worker_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/out.h"
#include "base/str.h"
#include "cli/connect.h"
#include "cli/security/finding.h"
#include "cli/security/host.h"
#include "cli/security/host_try.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/client/sibling.h"
#include "proto/json/control.h"
#include "proto/json/pbjson.h"

/* Without one of the others there is no sandbox at all. */
static const Aisbx__V1__Control optional[] = {
    AISBX__V1__CONTROL__CONTROL_CGROUP,
    AISBX__V1__CONTROL__CONTROL_LANDLOCK,
    AISBX__V1__CONTROL__CONTROL_EGRESS,
    AISBX__V1__CONTROL__CONTROL_DISTINCT_UID,
};

static bool is_optional(Aisbx__V1__Control control)
{
    bool found = false;
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++) {
        found = found || optional[i] == control;
    }
    return found;
}

static enum sb_finding_level level_of(const Aisbx__V1__ControlStatus *status)
{
    if (status->state == AISBX__V1__CONTROL_STATE__CONTROL_STATE_ENFORCED) {
        return SB_FINDING_PASS;
    }
    return status->state == AISBX__V1__CONTROL_STATE__CONTROL_STATE_DEGRADED ||
                   is_optional(status->control)
               ? SB_FINDING_WARN
               : SB_FINDING_FAIL;
}

/* No wall rests on it. */
static void add_snapshots(const Aisbx__V1__GetInfoResponse *info, struct sb_findings *findings)
{
    static const char name[] = "snapshots";
    if (strcmp(info->snapshots, "overlay") == 0) {
        sb_finding_add(findings, name, SB_FINDING_PASS, "",
                       "overlay: forks share what they do not change");
    } else if (strcmp(info->snapshots, "copy") == 0) {
        sb_finding_add(findings, name, SB_FINDING_NOTE,
                       "Linux 6.6 or newer with overlay, for forks that share",
                       "copy: each fork has a copy of its own; %s", info->snapshots_detail);
    } else if (info->snapshots[0] != '\0') { /* a worker of before does not tell */
        sb_finding_add(findings, name, SB_FINDING_WARN, "Linux 5.12 or newer",
                       "none: they are refused; %s", info->snapshots_detail);
    }
}

void sb_doctor_controls(const Aisbx__V1__GetInfoResponse *info, struct sb_findings *findings)
{
    for (size_t i = 0; i < info->n_controls; i++) {
        const Aisbx__V1__ControlStatus *status = info->controls[i];
        sb_finding_add(findings, sb_control_name(status->control), level_of(status), status->fix,
                       "%s", status->detail);
    }
    add_snapshots(info, findings);
}

int sb_doctor_status(const struct sb_findings *findings)
{
    switch (sb_finding_worst(findings)) {
    case SB_FINDING_FAIL:
        return SB_DOCTOR_UNABLE;
    case SB_FINDING_WARN:
        return SB_DOCTOR_DEGRADED;
    case SB_FINDING_NOTE:
    case SB_FINDING_PASS:
        break;
    }
    return 0;
}

/* A worker that cannot be asked is the first thing found, and no failure of ours. */
static void
ask_worker(struct sb_cli *cli, Aisbx__V1__GetInfoResponse **ret_info, struct sb_findings *findings)
{
    Aisbx__V1__GetInfoRequest request = AISBX__V1__GET_INFO_REQUEST__INIT;
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    struct sb_err err;
    if (sb_connect_open(cli, SB_CONNECT_START, &connect, &err) < 0 ||
        aisbx__v1__worker_service__get_info__call(connect.channel, &request, &connect.options,
                                                  ret_info, &err) < 0) {
        sb_finding_add(findings, "worker", SB_FINDING_FAIL, cli->hint, "%s", err.text);
        return;
    }
    sb_finding_add(findings, "worker", SB_FINDING_PASS, "", "version %s, %s mode",
                   (*ret_info)->version, (*ret_info)->mode);
    sb_doctor_controls(*ret_info, findings);
}

static bool is_enforced(const Aisbx__V1__GetInfoResponse *info, Aisbx__V1__Control control)
{
    for (size_t i = 0; i < info->n_controls; i++) {
        if (info->controls[i]->control == control) {
            return info->controls[i]->state == AISBX__V1__CONTROL_STATE__CONTROL_STATE_ENFORCED;
        }
    }
    return false;
}

/* @info  NULL: no worker could be asked */
static int look_at_host(const Aisbx__V1__GetInfoResponse *info,
                        struct sb_findings *findings,
                        struct sb_err *err)
{
    SB_CLEANUP(sb_closep) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    const struct passwd *user = getpwuid(geteuid());
    bool is_root = info != NULL ? strcmp(info->mode, "root") == 0 : geteuid() == 0;
    if (root < 0) {
        return sb_err_set(err, SB_INTERNAL, "cannot open /");
    }
    char spawner[PATH_MAX];
    char found[PATH_MAX];
    char profile[PATH_MAX];
    char source[PATH_MAX];
    bool has_spawner = sb_sibling_find("aisbx-spawner", found) && realpath(found, spawner) != NULL;
    bool has_profile = sb_sibling_find_file("apparmor/aisbx-spawner",
                                            "deploy/apparmor/aisbx-spawner", profile, source);
    const struct sb_host host = {
        .spawner = has_spawner ? spawner : NULL,
        .apparmor = has_profile ? profile : NULL,
        .root_fd = root,
        .uid = is_root ? 0 : geteuid(),
        .user = user == NULL ? NULL : user->pw_name,
        .userns = info == NULL ? SB_HOST_USERNS_UNKNOWN
                  : is_enforced(info, AISBX__V1__CONTROL__CONTROL_USER_NAMESPACE)
                      ? SB_HOST_USERNS_WORKS
                      : SB_HOST_USERNS_REFUSED,
    };
    sb_host_read(&host, findings);
    sb_host_try(&host, findings);
    return 0;
}

/* ---- the report ---- */

static const char *result_of(int status)
{
    return status == 0 ? "full" : status == SB_DOCTOR_DEGRADED ? "degraded" : "unable";
}

static void put_text(struct sb_out *out, const struct sb_findings *findings)
{
    static const char *const titles[] = {"CHECK", "RESULT", "DETAIL"};
    static const char *const words[] = {
        "Sandboxes run here with every wall up.",
        "Sandboxes run here, and some walls are weaker than they could be.",
        "Sandboxes cannot run here.",
    };
    struct sb_table table;
    bool has_fix = false;
    sb_table_init(&table, titles, sizeof titles / sizeof titles[0]);
    for (size_t i = 0; i < findings->n; i++) {
        sb_table_cell(&table, findings->items[i].name);
        sb_table_cell(&table, sb_finding_word(findings->items[i].level));
        sb_table_cell(&table, findings->items[i].detail);
    }
    sb_table_print(&table, out);
    sb_table_done(&table);
    for (size_t i = 0; i < findings->n; i++) {
        const struct sb_finding *finding = &findings->items[i];
        if (finding->level != SB_FINDING_PASS && finding->fix[0] != '\0') {
            sb_out_printf(out, "%s  %s (%s): ", has_fix ? "" : "\nTo fix:\n", finding->name,
                          sb_finding_word(finding->level));
            sb_out_put_safe(out, sb_str_from(finding->fix));
            sb_out_put(out, "\n");
            has_fix = true;
        }
    }
    int status = sb_doctor_status(findings);
    sb_out_printf(out, "\n%s\n", words[status == 0 ? 0 : status - SB_DOCTOR_DEGRADED + 1]);
}

static void put_json(struct sb_out *out,
                     const struct sb_findings *findings,
                     const Aisbx__V1__GetInfoResponse *info)
{
    struct sb_json json = {.out = out};
    int status = sb_doctor_status(findings);
    sb_json_open(&json, NULL, '{');
    sb_json_cstr(&json, "result", result_of(status));
    sb_json_i64(&json, "exit_status", status);
    sb_json_open(&json, "findings", '[');
    for (size_t i = 0; i < findings->n; i++) {
        const struct sb_finding *finding = &findings->items[i];
        sb_json_open(&json, NULL, '{');
        sb_json_cstr(&json, "check", finding->name);
        sb_json_cstr(&json, "result", sb_finding_word(finding->level));
        sb_json_cstr(&json, "detail", finding->detail);
        sb_json_cstr(&json, "fix", finding->fix);
        sb_json_close(&json, '}');
    }
    sb_json_close(&json, ']');
    if (info != NULL) {
        sb_pbjson_message(&json, "worker", &info->base);
    }
    sb_json_close(&json, '}');
    sb_out_put(out, "\n");
}

int sb_doctor_run(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_message_freep) Aisbx__V1__GetInfoResponse *info = NULL;
    struct sb_findings findings = {0};
    ask_worker(cli, &info, &findings);
    if (sb_connect_is_remote(cli)) {
        sb_finding_add(&findings, "host", SB_FINDING_NOTE, "run aisbx-security doctor there",
                       "not looked at: the worker may be on another machine");
    } else if (look_at_host(info, &findings, err) < 0) {
        return -1;
    }
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, STDOUT_FILENO);
    if (cli->args.json) {
        put_json(&out, &findings, info);
    } else {
        put_text(&out, &findings);
    }
    *ret_status = sb_doctor_status(&findings);
    return sb_out_flush(&out, err);
}
