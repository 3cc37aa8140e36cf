#include "service/worker/events.h"

#include "base/json.h"
#include "base/out.h"
#include "service/worker/denials.h"
#include "service/worker/exec.h"
#include "service/worker/packages/cache.h"
#include "service/worker/policy/policy.h"
#include "service/worker/sandbox.h"
#include "service/worker/trail/trail.h"
#include "service/worker/worker.h"

/** By enum sb_reason. */
static const char *const reasons[SB_REASON_END_] = {
    "",          "requested",   "ttl",       "idle", "exec_ended", "start_failed",
    "init_died", "worker_lost", "cancelled",
};

/** By enum sb_verdict_kind. */
static const char *const verdicts[] = {
    "",          "exited",           "signaled",      "timed_out", "oom_killed",  "pids_exhausted",
    "disk_full", "output_truncated", "policy_killed", "cancelled", "worker_lost", "start_failed",
};
#define N_VERDICTS (sizeof verdicts / sizeof *verdicts)

static void begin(struct sb_json *json, struct sb_out *out)
{
    sb_out_init(out, -1);
    *json = (struct sb_json){.out = out};
    sb_json_open(json, NULL, '{');
}

static void end(struct sb_json *json,
                const struct sb_sandbox *sandbox,
                const struct sb_exec *exec,
                const char *action,
                const char *outcome)
{
    sb_json_close(json, '}');
    const struct sb_trail_record record = {
        .actor = sb_str_from(sandbox->owner),
        .tenant = sb_str_from(sandbox->tenant),
        .action = sb_str_from(action),
        .outcome = sb_str_from(outcome),
        .sandbox_id = sb_str_from(sandbox->id),
        .exec_id = sb_str_from(exec == NULL ? "" : exec->id),
        .policy_hash = sb_str_from(sandbox->policy->hash),
        .detail = sb_buf_str(&json->out->buf),
    };
    if (json->out->broken == 0) {
        sb_trail_event(sandbox->worker->trail, &record);
    }
    sb_out_done(json->out);
}

void sb_event_worker(struct sb_worker *worker, const char *action)
{
    struct sb_out out;
    struct sb_json json;
    if (worker->trail == NULL) {
        return;
    }
    begin(&json, &out);
    sb_json_cstr(&json, "worker_id", worker->id);
    sb_json_cstr(&json, "version", SB_VERSION);
    sb_json_close(&json, '}');
    const struct sb_trail_record record = {
        .actor = SB_STR("worker"),
        .action = sb_str_from(action),
        .outcome = SB_STR("ended"),
        .detail = sb_buf_str(&out.buf),
    };
    sb_trail_event(worker->trail, &record);
    sb_out_done(&out);
}

void sb_event_key(struct sb_worker *worker,
                  const char *action,
                  const struct sb_key *key,
                  const char *actor)
{
    struct sb_out out;
    struct sb_json json;
    if (worker->trail == NULL) {
        return;
    }
    begin(&json, &out);
    sb_json_cstr(&json, "key_id", key->id);
    sb_json_cstr(&json, "role", sb_role_names[key->role]);
    sb_json_cstr(&json, "title", key->title);
    sb_json_close(&json, '}');
    const struct sb_trail_record record = {
        .actor = sb_str_from(actor),
        .tenant = sb_str_from(key->tenant),
        .action = sb_str_from(action),
        .outcome = SB_STR("ended"),
        .detail = sb_buf_str(&out.buf),
    };
    sb_trail_event(worker->trail, &record);
    sb_out_done(&out);
}

void sb_event_sandbox_forked(const struct sb_sandbox *sandbox)
{
    struct sb_out out;
    struct sb_json json;
    if (sandbox->worker->trail == NULL || sandbox->policy == NULL) {
        return;
    }
    begin(&json, &out);
    sb_json_cstr(&json, "forked_from", sandbox->forked_from);
    sb_json_cstr(&json, "profile", sandbox->policy->profile);
    end(&json, sandbox, NULL, "sandbox.forked", "ended");
}

void sb_event_sandbox_ended(const struct sb_sandbox *sandbox)
{
    struct sb_out out;
    struct sb_json json;
    if (sandbox->worker->trail == NULL || sandbox->policy == NULL) {
        return;
    }
    begin(&json, &out);
    sb_json_cstr(&json, "reason", sandbox->reason < SB_REASON_END_ ? reasons[sandbox->reason] : "");
    sb_json_cstr(&json, "message", sandbox->destroy_message);
    sb_json_cstr(&json, "profile", sandbox->policy->profile);
    end(&json, sandbox, NULL, "sandbox.end", sandbox->start_err.code == SB_OK ? "ended" : "failed");
}

static void write_limits(const struct sb_exec *exec)
{
    struct sb_out out;
    struct sb_json json;
    begin(&json, &out);
    sb_json_open(&json, "met", '[');
    for (size_t i = 0; i < exec->verdict.n_met; i++) {
        sb_json_cstr(&json, NULL, exec->verdict.met[i].name);
    }
    sb_json_close(&json, ']');
    end(&json, exec->sandbox, exec, "limit", "denied");
}

void sb_event_exec_ended(const struct sb_exec *exec)
{
    struct sb_out out;
    struct sb_json json;
    const struct sb_verdict *verdict = &exec->verdict;
    if (exec->worker->trail == NULL || exec->sandbox->policy == NULL) {
        return;
    }
    if (verdict->n_met > 0) {
        write_limits(exec);
    }
    begin(&json, &out);
    sb_json_cstr(&json, "verdict",
                 (size_t)verdict->kind < N_VERDICTS ? verdicts[verdict->kind] : "");
    sb_json_i64(&json, "exit_code", verdict->exit_code);
    if (verdict->signal != 0) {
        sb_json_i64(&json, "signal", verdict->signal);
    }
    sb_json_u64(&json, "wall_ms", exec->facts.wall_ms);
    if (exec->start_err.code != SB_OK) {
        sb_json_cstr(&json, "why", exec->start_err.text);
    }
    end(&json, exec->sandbox, exec, "exec.end", exec->start_err.code == SB_OK ? "ended" : "failed");
}

void sb_event_denied(const struct sb_sandbox *sandbox, const struct sb_denial *denial)
{
    /** By enum sb_denial_kind. */
    static const char *const actions[] = {"violation", "network.connect", "limit"};
    struct sb_out out;
    struct sb_json json;
    char text[SB_DENIAL_TEXT_SIZE];
    if (sandbox->worker->trail == NULL || sandbox->policy == NULL) {
        return;
    }
    begin(&json, &out);
    sb_json_str(&json, "what", sb_str_head(sb_str_from(denial->name), 512));
    sb_json_cstr(&json, "why", sb_denials_describe(denial, text));
    if (denial->rule != NULL) {
        sb_json_str(&json, "rule", sb_str_head(sb_str_from(denial->rule), 512));
    }
    end(&json, sandbox, NULL, actions[denial->kind], "denied");
}

void sb_event_connected(const struct sb_sandbox *sandbox, const struct sb_event_connection *what)
{
    struct sb_out out;
    struct sb_json json;
    if (sandbox->worker->trail == NULL || sandbox->policy == NULL) {
        return;
    }
    begin(&json, &out);
    sb_json_cstr(&json, "to", what->host);
    sb_json_u64(&json, "port", what->port);
    sb_json_cstr(&json, "address", what->address);
    sb_json_u64(&json, "out_bytes", what->out_bytes);
    sb_json_u64(&json, "in_bytes", what->in_bytes);
    if (what->n_more > 0) {
        sb_json_u64(&json, "more_before", what->n_more);
    }
    end(&json, sandbox, NULL, "network.connect", "ended");
}

void sb_event_packages(const struct sb_sandbox *sandbox,
                       const struct sb_package_entry *entry,
                       const char *why)
{
    struct sb_out out;
    struct sb_json json;
    if (sandbox->worker->trail == NULL || sandbox->policy == NULL) {
        return;
    }
    begin(&json, &out);
    if (entry == NULL) {
        sb_json_cstr(&json, "why", why);
    } else {
        sb_json_cstr(&json, "manager", sb_manager_names[entry->manager]);
        sb_json_open(&json, "installed", '[');
        for (size_t i = 0; i < entry->installed.n && i < 64; i++) {
            sb_json_cstr(&json, NULL, entry->installed.items[i]);
        }
        sb_json_close(&json, ']');
        sb_json_u64(&json, "bytes", entry->bytes);
        sb_json_u64(&json, "wall_ms", entry->took_ms);
    }
    end(&json, sandbox, NULL, "packages.install", entry == NULL ? "failed" : "ended");
}
