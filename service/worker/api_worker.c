#include "service/worker/api_worker.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "service/worker/api.h"
#include "service/worker/api_audit.h"
#include "service/worker/api_claim.h"
#include "service/worker/api_load.h"
#include "service/worker/api_metrics.h"
#include "service/worker/api_pb.h"
#include "service/worker/packages/api_packages.h"
#include "service/worker/policy/api_explain.h"
#include "service/worker/policy/api_profile.h"
#include "service/worker/policy/profiles.h"
#include "service/worker/probe.h"
#include "service/worker/spawner.h"
#include "service/worker/worker.h"

enum { MAX_YAML = 1 << 20 };

/* ---- GetInfo ---- */

/** Waits for a fresh probe. */
struct info {
    struct sb_probe_waiter waiter;
    struct sb_rpc_call *call;
    struct sb_worker *worker;
    bool is_here;
    bool has_tried; /* what is found out by trying belongs to it */
};

static bool fill_tried(const struct sb_probe *probe, Aisbx__V1__GetInfoResponse *msg)
{
    return sb_api_pb_text(&msg->snapshots, probe->snapshots) &&
           sb_api_pb_text(&msg->snapshots_detail,
                          probe->snapshots_why == NULL ? "" : probe->snapshots_why) &&
           sb_api_pb_drivers(probe, &msg->n_drivers, &msg->drivers) &&
           sb_api_pb_controls(probe, SB_DRIVER_UNSET, &msg->n_controls, &msg->controls);
}

static bool fill_info(const struct info *info, Aisbx__V1__GetInfoResponse *msg)
{
    const struct sb_worker *worker = info->worker;
    struct utsname uts;
    msg->draining = worker->is_draining;
    msg->embedded = worker->options.is_embedded;
    msg->pid = info->is_here ? getpid() : 0;
    return uname(&uts) == 0 && sb_api_pb_text(&msg->version, SB_VERSION) &&
           sb_api_pb_text(&msg->worker_id, worker->id) &&
           sb_api_pb_text(&msg->kernel, uts.release) &&
           sb_api_pb_text(&msg->default_profile, sb_profiles_default(worker->profiles)) &&
           sb_api_pb_text(&msg->mode,
                          sb_spawner_welcome(worker->spawner)->is_root ? "root" : "user") &&
           sb_api_pb_time(worker->start_ms, &msg->start_time) &&
           (!info->has_tried || fill_tried(worker->probe, msg));
}

static void answer_info(const struct info *info)
{
    struct sb_err err = {.code = SB_OK};
    Aisbx__V1__GetInfoResponse *msg = sb_api_pb_new(&aisbx__v1__get_info_response__descriptor);
    if (msg != NULL && !fill_info(info, msg)) {
        (void)sb_err_oom(&err);
    }
    sb_api_finish(info->call, msg, &err);
}

static void on_probed(struct sb_probe_waiter *waiter, const struct sb_err *err)
{
    const struct info *info = SB_LIST_ENTRY(waiter, struct info, waiter);
    if (err != NULL) {
        sb_rpc_call_fail(info->call, err);
    } else {
        answer_info(info);
    }
}

static void get_info(struct sb_rpc_call *call, const Aisbx__V1__GetInfoRequest *req, void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err;
    struct sb_caller caller;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    struct info now = {
        .call = call,
        .worker = worker,
        .is_here = caller.is_here,
        .has_tried = !req->without_controls,
    };
    if (req->without_controls || sb_probe_is_fresh(worker->probe)) {
        answer_info(&now);
        return;
    }
    struct info *info = malloc(sizeof *info);
    if (info == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return;
    }
    *info = now;
    info->waiter.ready = on_probed;
    if (sb_probe_refresh(worker->probe, &info->waiter, &err) < 0) {
        free(info);
        sb_rpc_call_fail(call, &err);
        return;
    }
    sb_rpc_call_set_user(call, info);
}

static void get_info_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    struct info *info = sb_rpc_call_user(call);
    if (info != NULL) {
        sb_rpc_call_set_user(call, NULL);
        sb_probe_leave(&info->waiter);
        free(info);
    }
}

/* ---- SetDraining ---- */

static void
set_draining(struct sb_rpc_call *call, const Aisbx__V1__SetDrainingRequest *req, void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err = {.code = SB_OK};
    struct sb_caller caller;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    if (req->worker_id[0] != '\0' && strcmp(req->worker_id, worker->id) != 0) {
        (void)sb_err_set(&err, SB_NOT_FOUND, "worker_id: this is worker %s", worker->id);
        sb_rpc_call_fail(call, &err);
        return;
    }
    worker->is_draining = req->draining || worker->is_stopping;
    sb_worker_tell_health(worker);
    SB_LOG_INFO("draining changed", "draining=%d by=%s", (int)req->draining, caller.actor);
    Aisbx__V1__SetDrainingResponse *msg =
        sb_api_pb_new(&aisbx__v1__set_draining_response__descriptor);
    if (msg != NULL) {
        msg->active_sandboxes = (uint32_t)worker->registry.n_live;
    }
    sb_api_finish(call, msg, &err);
}

/* ---- profiles ---- */

static int fill_profiles(const struct sb_worker *worker,
                         const Aisbx__V1__ListProfilesRequest *req,
                         Aisbx__V1__ListProfilesResponse *msg,
                         struct sb_err *err)
{
    static const uint64_t question = 1; /* the same for everybody */
    uint64_t cursor = 0;
    size_t n = sb_profiles_count(worker->profiles);
    size_t size = sb_page_size(req->page_size);
    if (sb_page_cursor(&worker->page_key, sb_str_from(req->page_token), question, &cursor, err) <
        0) {
        return -1;
    }
    msg->profiles = calloc(size, sizeof(Aisbx__V1__Profile *));
    if (msg->profiles == NULL) {
        return sb_err_oom(err);
    }
    size_t at = cursor == UINT64_MAX ? 0 : (size_t)cursor; /* the number of those shown */
    for (; at < n && msg->n_profiles < size; at++) {
        Aisbx__V1__Profile *profile =
            sb_api_profile_make(worker->profiles, sb_profiles_at(worker->profiles, at));
        if (profile == NULL) {
            return sb_err_oom(err);
        }
        msg->profiles[msg->n_profiles++] = profile;
    }
    if (at < n) {
        char token[SB_PAGE_TOKEN_SIZE];
        sb_page_token(&worker->page_key, at, question, token);
        return sb_api_pb_text(&msg->next_page_token, token) ? 0 : sb_err_oom(err);
    }
    return 0;
}

static void
list_profiles(struct sb_rpc_call *call, const Aisbx__V1__ListProfilesRequest *req, void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err = {.code = SB_OK};
    struct sb_caller caller;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    Aisbx__V1__ListProfilesResponse *msg =
        sb_api_pb_new(&aisbx__v1__list_profiles_response__descriptor);
    if (msg != NULL) {
        (void)fill_profiles(worker, req, msg, &err);
    }
    sb_api_finish(call, msg, &err);
}

static void
get_profile(struct sb_rpc_call *call, const Aisbx__V1__GetProfileRequest *req, void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err = {.code = SB_OK};
    struct sb_caller caller;
    const struct sb_profile *profile = NULL;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    if (sb_profiles_get(worker->profiles, sb_str_from(req->profile), &profile, &err) < 0) {
        sb_rpc_call_fail(call, &err);
        return;
    }
    Aisbx__V1__GetProfileResponse *msg =
        sb_api_pb_new(&aisbx__v1__get_profile_response__descriptor);
    if (msg != NULL && (msg->profile = sb_api_profile_make(worker->profiles, profile)) == NULL) {
        (void)sb_err_oom(&err);
    }
    sb_api_finish(call, msg, &err);
}

static void
explain_profile(struct sb_rpc_call *call, const Aisbx__V1__ExplainProfileRequest *req, void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err = {.code = SB_OK};
    struct sb_caller caller;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    Aisbx__V1__ExplainProfileResponse *msg =
        sb_api_pb_new(&aisbx__v1__explain_profile_response__descriptor);
    if (msg != NULL) {
        (void)sb_api_explain(worker->profiles, req, msg, &err);
    }
    sb_api_finish(call, msg, &err);
}

/* ---- ValidateConfig ---- */

static bool add_problems(const struct sb_problems *problems, Aisbx__V1__ValidateConfigResponse *msg)
{
    msg->problems = calloc(problems->n + 1, sizeof(Aisbx__V1__ConfigProblem *));
    for (size_t i = 0; msg->problems != NULL && i < problems->n; i++) {
        Aisbx__V1__ConfigProblem *problem = sb_api_profile_problem(&problems->items[i]);
        if (problem == NULL) {
            return false;
        }
        msg->problems[msg->n_problems++] = problem;
    }
    return msg->problems != NULL;
}

static bool add_configured(const struct sb_profiles *profiles,
                           Aisbx__V1__ValidateConfigResponse *msg)
{
    size_t n = sb_profiles_count(profiles);
    msg->profiles = calloc(n + 1, sizeof(Aisbx__V1__Profile *));
    for (size_t i = 0; msg->profiles != NULL && i < n; i++) {
        const struct sb_profile *profile = sb_profiles_at(profiles, i);
        if (!sb_profiles_is_configured(profile)) {
            continue;
        }
        Aisbx__V1__Profile *item = sb_api_profile_make(profiles, profile);
        if (item == NULL) {
            return false;
        }
        msg->profiles[msg->n_profiles++] = item;
    }
    return msg->profiles != NULL;
}

static int validate(const Aisbx__V1__ValidateConfigRequest *req,
                    Aisbx__V1__ValidateConfigResponse *msg,
                    struct sb_err *err)
{
    SB_CLEANUP(sb_profiles_freep) struct sb_profiles *profiles = NULL;
    struct sb_problems problems = {.n = 0};
    if (sb_str_from(req->yaml).len > MAX_YAML) {
        return sb_err_set(err, SB_INVALID, "yaml: more than %d bytes", MAX_YAML);
    }
    const char *name = req->file_name[0] == '\0' ? "config.yaml" : req->file_name;
    bool is_good = sb_profiles_check(sb_str_from(req->yaml), name, &problems, &profiles, err) == 0;
    if (!is_good && err->code != SB_INVALID) {
        return -1;
    }
    err->code = SB_OK;
    return (is_good ? add_configured(profiles, msg) : add_problems(&problems, msg))
               ? 0
               : sb_err_oom(err);
}

static void
validate_config(struct sb_rpc_call *call, const Aisbx__V1__ValidateConfigRequest *req, void *svc)
{
    struct sb_err err = {.code = SB_OK};
    struct sb_caller caller;
    if (!sb_api_identify(call, svc, &caller)) {
        return;
    }
    Aisbx__V1__ValidateConfigResponse *msg =
        sb_api_pb_new(&aisbx__v1__validate_config_response__descriptor);
    if (msg != NULL) {
        (void)validate(req, msg, &err);
    }
    sb_api_finish(call, msg, &err);
}

/* Rows that are not here answer UNIMPLEMENTED. */
const struct aisbx__v1__worker_service__server sb_api_worker_service = {
    .get_info = {get_info, get_info_done},
    .watch_load = {sb_api_load_start, sb_api_load_drained, sb_api_load_done},
    .claim_request = {sb_api_claim_request, NULL},
    .set_draining = {set_draining, NULL},
    .list_profiles = {list_profiles, NULL},
    .get_profile = {get_profile, NULL},
    .explain_profile = {explain_profile, NULL},
    .validate_config = {validate_config, NULL},
    .list_packages = {sb_api_packages_list, NULL},
    .delete_packages = {sb_api_packages_delete, NULL},
    .get_metrics = {sb_api_metrics_get, sb_api_metrics_done},
    .list_audit_records = {sb_api_audit_list, NULL},
};
