/* A sandbox is made: policy, filter, spawn, and what the driver gave against what was required. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "service/shared/frame.h"
#include "service/worker/audit.h"
#include "service/worker/auth/quota.h"
#include "service/worker/elsewhere.h"
#include "service/worker/exec.h"
#include "service/worker/metrics.h"
#include "service/worker/policy/plan.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/profiles.h"
#include "service/worker/policy/request.h"
#include "service/worker/pool/pool.h"
#include "service/worker/pool/shelf.h"
#include "service/worker/probe.h"
#include "service/worker/sandbox.h"
#include "service/worker/snapshot/snapshot.h"
#include "service/worker/spawner.h"
#include "service/worker/tombs.h"
#include "service/worker/watch.h"
#include "service/worker/worker.h"

/** aisbx.v1.Control numbers that a spawn itself decides. */
enum {
    CONTROL_CGROUP = 10,
    CONTROL_EGRESS = 12,
    CONTROL_DISTINCT_UID = 13,
    CONTROL_DISK_LIMIT = 15
};

#define NOT_COUNTED "refused system calls are refused all the same, but not counted"

static struct sb_str no_listener(const struct sb_policy *policy)
{
    return policy->driver == SB_DRIVER_BWRAP
               ? SB_STR("violations: bubblewrap hands no seccomp listener over: " NOT_COUNTED)
               : SB_STR("violations: the kernel gives no seccomp listener (it does not inside "
                        "another one's sandbox): " NOT_COUNTED);
}

static void on_init_writable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_sandbox *sandbox = ctx;
    SB_FOREACH (node, &sandbox->execs) {
        if (!sb_exec_send(SB_LIST_ENTRY(node, struct sb_exec, sandbox_link))) {
            sb_sandbox_want_write(sandbox);
            return;
        }
    }
}

void sb_sandbox_want_write(struct sb_sandbox *sandbox)
{
    if (sandbox->init_fd >= 0) {
        (void)event_add(&sandbox->init_event, NULL);
    }
}

static void run(struct sb_sandbox *sandbox)
{
    sb_sandbox_move(sandbox, SB_STATE_RUNNING);
    if (!sandbox->has_run) { /* else its time goes on */
        sb_sandbox_set_ttl(sandbox, sandbox->ttl_ms);
        sb_worker_metrics_started(sandbox, false);
        sb_spans_sandbox_made(sandbox, false);
    }
    sb_sandbox_set_idle(sandbox, sandbox->idle_ms);
    sb_watch_sandbox(sandbox->worker, sandbox->has_run ? SB_WATCH_CHANGED : SB_WATCH_CREATED,
                     sandbox);
    sandbox->has_run = true;
    SB_FOREACH (node, &sandbox->execs) {
        sb_exec_begin(SB_LIST_ENTRY(node, struct sb_exec, sandbox_link));
    }
    SB_LOG_INFO("sandbox started", "sandbox=%s profile=%s owner=%s tenant=%s init=%jd", sandbox->id,
                sandbox->policy->profile, sandbox->owner, sandbox->tenant,
                (intmax_t)sandbox->init_pid);
    sb_sandbox_tell(sandbox);
}

static bool requires(const struct sb_sandbox *sandbox, unsigned control)
{
    return (sandbox->policy->require >> control & 1) != 0;
}

/* A sandbox whose network cannot be filtered has none. */
static int connect_egress(struct sb_sandbox *sandbox, struct sb_err *err)
{
    struct sb_err why;
    char text[SB_ERR_TEXT_SIZE + 64];
    int listener = sb_handover_take(&sandbox->handover, SB_HANDOVER_EGRESS);
    if (sandbox->policy->network.mode != SB_NETWORK_LIMITED) {
        return 0;
    }
    if (listener < 0) {
        return sb_err_set(err, SB_INTERNAL, "no listening socket came out of the sandbox");
    }
    if (sb_egress_join(sandbox->worker->egress, sandbox, listener, &why) == 0) {
        return 0;
    }
    if (requires(sandbox, CONTROL_EGRESS)) {
        return sb_err_set(err, SB_PRECONDITION, "required control egress is not enforced: %s",
                          why.text);
    }
    (void)snprintf(text, sizeof text, "egress: no network at all, as it cannot be filtered: %s",
                   why.text);
    return sb_strings_add(&sandbox->degraded, sb_str_from(text), err);
}

/* Whether it is known what this host gives of what the floor asks for. A worker finds out when
 * somebody wants to know: that takes longer than a start. */
static bool is_judged(const struct sb_sandbox *sandbox)
{
    return sandbox->policy->require == 0 || sb_probe_was_made(sandbox->worker->probe);
}

/* What the floor asks for, of this sandbox; once more, for when the first probe was still under
 * way. Nothing runs inside yet. */
static int
check_floor(const struct sb_sandbox *sandbox, const Spawn__V1__Spawned *spawned, struct sb_err *err)
{
    if (sb_probe_require(sandbox->worker->probe, sandbox->policy->driver, sandbox->policy->require,
                         err) < 0) {
        return -1;
    }
    const char *unbounded = sb_policy_unbounded(sandbox->policy);
    if (requires(sandbox, CONTROL_DISK_LIMIT) && unbounded != NULL) {
        return sb_err_set(
            err, SB_PRECONDITION,
            "required control disk is not enforced for this sandbox: %s is a writable "
            "directory of the host, without a quota; bind it read-only, or none",
            unbounded);
    }
    if (requires(sandbox, CONTROL_CGROUP) && spawned->lacks_io) {
        return sb_err_set(err, SB_PRECONDITION,
                          "required control cgroup is not enforced for this sandbox: its limits of "
                          "input and output need the controller io, or blkio, and a file system on "
                          "a disk; take limits.io_* out of the profile and the request");
    }
    if (requires(sandbox, CONTROL_DISTINCT_UID) && !spawned->distinct_uid) {
        return sb_err_set(
            err, SB_PRECONDITION,
            "required control uid is not enforced for this sandbox: it binds "
            "host directories or the worker has no id range; start the worker as root "
            "or give the user a range in /etc/subuid");
    }
    return 0;
}

static int take_spawned(struct sb_sandbox *sandbox,
                        const Spawn__V1__Spawned *spawned,
                        struct sb_frame *frame,
                        struct sb_err *err)
{
    sandbox->init_pid = spawned->init_pid;
    sandbox->host_uid = spawned->host_uid;
    sb_audit_join(sandbox->worker->audit);
    sandbox->has_distinct_uid = spawned->distinct_uid;
    sandbox->has_group = spawned->has_group;
    sandbox->lacks_io = spawned->lacks_io;
    sandbox->init_fd = sb_frame_take_fd(frame, 0);
    if (sandbox->init_fd < 0) {
        return sb_err_set(err, SB_INTERNAL, "the spawner sent no control socket");
    }
    int flags = fcntl(sandbox->init_fd, F_GETFL);
    if (flags < 0 || fcntl(sandbox->init_fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        return sb_err_sys(err, errno, "control socket");
    }
    (void)event_assign(&sandbox->init_event, sandbox->worker->base, sandbox->init_fd, EV_WRITE,
                       on_init_writable, sandbox);
    if (sb_handover_read(&sandbox->handover, sandbox->init_fd, err) < 0) {
        return -1;
    }
    sb_notify_start(sandbox, sb_handover_take(&sandbox->handover, SB_HANDOVER_NOTIFY));
    if (sandbox->notify.fd < 0 && sandbox->policy->learns) {
        return sb_err_set(err, SB_PRECONDITION,
                          "learn_syscalls: the driver %s gives no seccomp listener",
                          sb_driver_names[sandbox->policy->driver]);
    }
    if (sandbox->notify.fd < 0 &&
        sb_strings_add(&sandbox->degraded, no_listener(sandbox->policy), err) < 0) {
        return -1;
    }
    if (connect_egress(sandbox, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < spawned->n_degraded; i++) {
        if (sb_strings_add(&sandbox->degraded, sb_str_from(spawned->degraded[i]), err) < 0) {
            return -1;
        }
    }
    return check_floor(sandbox, spawned, err);
}

/* @parked  it was made before; NULL: for this. */
static void on_given(void *ctx,
                     const Spawn__V1__Reply *reply,
                     struct sb_frame *frame,
                     struct sb_parked *parked,
                     const struct sb_err *failure)
{
    struct sb_sandbox *sandbox = ctx;
    struct sb_err err;
    if (reply == NULL) {
        sb_sandbox_fail(sandbox, failure);
        return;
    }
    if (parked != NULL) {
        sandbox->warm = parked->warm;
        parked->warm = SB_WARM_NONE;
        sandbox->handover = parked->handover;
        sb_handover_init(&parked->handover);
    }
    /* First of all, so that its Gone finds it whatever is wrong with it. */
    sandbox->slot = reply->spawned->slot;
    if (sb_registry_add_slot(&sandbox->worker->registry, sandbox, &err) < 0) {
        sb_spawner_kill(sandbox->worker->spawner, sandbox->slot);
        sb_sandbox_fail(sandbox, &err);
        return;
    }
    int rc = take_spawned(sandbox, reply->spawned, frame, &err);
    if (rc < 0 && sandbox->state == SB_STATE_STARTING) {
        sandbox->start_err = err;
        sb_sandbox_set_reason(sandbox, SB_REASON_START_FAILED, err.text);
        sb_sandbox_move(sandbox, SB_STATE_STOPPING);
    }
    if (sandbox->state == SB_STATE_STOPPING) {
        sb_spawner_kill(sandbox->worker->spawner, sandbox->slot);
        return;
    }
    run(sandbox);
}

static void on_spawned(void *ctx,
                       const Spawn__V1__Reply *reply,
                       struct sb_frame *frame,
                       const struct sb_err *failure)
{
    on_given(ctx, reply, frame, NULL, failure);
}

static int spawn(struct sb_sandbox *sandbox, uint64_t filter_id, struct sb_err *err)
{
    Spawn__V1__Plan *plan = NULL;
    if (sandbox->base != NULL && sandbox->base->layer_id == 0) {
        return sb_err_set(err, SB_NOT_FOUND, "snapshot %s was deleted meanwhile",
                          sandbox->base->id);
    }
    int fds[SB_SPAWNER_MAX_FDS];
    size_t n_fds = 0;
    if (sb_plan_make(sandbox->policy, sandbox->id, filter_id, &plan, err) < 0) {
        return -1;
    }
    if (sandbox->peer_fd >= 0) {
        fds[n_fds++] = SB_STEAL_FD(sandbox->peer_fd);
    }
    if (sb_packages_bind(sandbox, plan, fds, &n_fds, err) < 0) {
        sb_fd_close_all(fds, n_fds);
        spawn__v1__plan__free_unpacked(plan, NULL);
        return -1;
    }
    plan->layer_id = sandbox->base == NULL ? 0 : sandbox->base->layer_id;
    if (plan->egress_port != 0) {
        sb_egress_want(sandbox->worker->egress);
    }
    struct sb_worker *worker = sandbox->worker;
    if (worker->pool == NULL || !is_judged(sandbox)) { /* one that waits would be there too soon */
        return sb_spawner_spawn(worker->spawner, plan, fds, n_fds, on_spawned, sandbox, err);
    }
    struct sb_pool_request request = {
        .plan = plan,
        .tenant = sandbox->tenant,
        .warm = &sandbox->warm_plan,
        .fds = fds,
        .n_fds = n_fds,
        .on_reply = on_given,
        .ctx = sandbox,
    };
    return sb_pool_spawn(worker->pool, &request, err);
}

static void on_filter(void *ctx,
                      const Spawn__V1__Reply *reply,
                      struct sb_frame *frame,
                      const struct sb_err *failure)
{
    (void)frame;
    struct sb_sandbox *sandbox = ctx;
    struct sb_err err;
    if (reply == NULL) {
        sb_sandbox_fail(sandbox, failure);
        return;
    }
    if (sandbox->state != SB_STATE_STARTING) {
        (void)sb_err_set(&err, SB_CANCELLED, "destroyed before it was started");
        sb_sandbox_fail(sandbox, &err);
        return;
    }
    if (spawn(sandbox, reply->filter_loaded->filter_id, &err) < 0) {
        sb_sandbox_fail(sandbox, &err);
    }
}

static int load_or_spawn(struct sb_sandbox *sandbox, struct sb_err *err)
{
    struct sb_spawner *spawner = sandbox->worker->spawner;
    struct sb_filter *filter = sandbox->policy->filter;
    uint64_t filter_id = 0;
    return sb_spawner_knows_filter(spawner, filter, &filter_id)
               ? spawn(sandbox, filter_id, err)
               : sb_spawner_load_filter(spawner, filter, on_filter, sandbox, err);
}

void sb_sandbox_respawn(struct sb_sandbox *sandbox)
{
    struct sb_err err;
    if (load_or_spawn(sandbox, &err) < 0) {
        sb_sandbox_fail(sandbox, &err);
    }
}

void sb_sandbox_packed(struct sb_sandbox *sandbox)
{
    struct sb_err err;
    if (sandbox->state != SB_STATE_STARTING) {
        (void)sb_err_set(&err, SB_CANCELLED, "destroyed before it was started");
        sb_sandbox_fail(sandbox, &err);
    } else if (load_or_spawn(sandbox, &err) < 0) {
        sb_sandbox_fail(sandbox, &err);
    }
}

/* Once its packages are there. */
static int begin(struct sb_sandbox *sandbox, struct sb_err *err)
{
    int packed = sb_packages_want(sandbox, err);
    return packed > 0 ? load_or_spawn(sandbox, err) : packed;
}

int sb_sandbox_begin(struct sb_sandbox *sandbox, struct sb_snapshot *base, struct sb_err *err)
{
    int done = 0;
    sandbox->is_waiting = false;
    if (sandbox->state != SB_STATE_STARTING) {
        done = sb_err_set(err, SB_CANCELLED, "destroyed before it was started");
    } else {
        sandbox->base = sb_snapshot_ref(base);
        done = begin(sandbox, err);
    }
    if (done < 0) {
        sb_sandbox_fail(sandbox, err);
    }
    return done;
}

static int check_worker(struct sb_worker *worker, struct sb_err *err)
{
    if (worker->is_draining) {
        return sb_elsewhere(
            err, sb_err_set(err, SB_UNAVAILABLE, "this worker is draining; use another"));
    }
    if (sb_spawner_is_lost(worker->spawner)) {
        return sb_elsewhere(
            err, sb_err_set(err, SB_UNAVAILABLE, "this worker's spawner died; start it again"));
    }
    return 0;
}

/* As far as it is known before the spawner is asked. */
static int check_policy(const struct sb_sandbox *sandbox, bool is_admin, struct sb_err *err)
{
    const struct sb_policy *policy = sandbox->policy;
    struct sb_probe *probe = sandbox->worker->probe;
    if (policy->has_weaker_driver && !is_admin) {
        return sb_err_set(
            err, SB_DENIED,
            "driver %s is weaker than that of profile \"%s\": only an admin (root, who "
            "started the worker, a key with role admin) may take it",
            sb_driver_names[policy->driver], policy->profile);
    }
    if (is_judged(sandbox)) {
        return sb_probe_require(probe, policy->driver, policy->require, err);
    }
    return sb_probe_want(probe, err); /* then check_floor finds it made */
}

static int check_quota(struct sb_worker *worker,
                       const struct sb_sandbox *sandbox,
                       struct sb_rate *rate,
                       struct sb_err *err)
{
    struct sb_rate unused;
    if (sandbox->is_internal) { /* the one it is for counts */
        return 0;
    }
    if (sb_quota_check(&worker->registry, sb_profiles_auth(worker->profiles), sandbox->tenant,
                       &sandbox->policy->limits, rate == NULL ? &unused : rate, err) < 0) {
        worker->auth.counts[SB_AUTH_QUOTA]++;
        return -1;
    }
    return 0;
}

static int
fill(struct sb_sandbox *sandbox, const struct sb_sandbox_options *options, struct sb_err *err)
{
    struct sb_worker *worker = sandbox->worker;
    (void)snprintf(sandbox->tenant, sizeof sandbox->tenant, "%s", options->tenant);
    if (sb_id_make_kin(sandbox->id, "sb_", worker->id, err) < 0 ||
        sb_policy_make(worker->profiles, options->request, &sandbox->policy, err) < 0 ||
        check_policy(sandbox, options->is_admin, err) < 0 ||
        check_quota(worker, sandbox, options->rate, err) < 0 ||
        sb_pairs_merge(&sandbox->labels, &options->request->labels, err) < 0) {
        return -1;
    }
    sandbox->owner = sb_str_dup(sb_str_from(options->owner));
    if (sandbox->owner == NULL) {
        return sb_err_oom(err);
    }
    sandbox->spec_len = options->request->spec_len;
    sandbox->spec = malloc(sandbox->spec_len + 1);
    if (sandbox->spec == NULL) {
        return sb_err_oom(err);
    }
    memcpy(sandbox->spec, options->request->spec, sandbox->spec_len);
    sandbox->base = options->base == NULL ? NULL : sb_snapshot_ref(options->base);
    sandbox->is_waiting = options->waits;
    sandbox->ttl_ms = sandbox->policy->ttl_ms;
    sandbox->idle_ms = sandbox->policy->idle_ms;
    sandbox->create_ms = sb_clock_real_ms();
    if (options->first != NULL &&
        sb_warm_plan_make(sandbox->policy, options->first, &sandbox->warm_plan, err) < 0) {
        return -1;
    }
    if (sandbox->policy->mounts.n == 0) {
        return 0;
    }
    if (options->peer_fd < 0) {
        return sb_err_set(
            err, SB_DENIED,
            "mounts: only callers on the worker's unix socket can bind directories of "
            "its host; upload the files instead");
    }
    sandbox->peer_fd = fcntl(options->peer_fd, F_DUPFD_CLOEXEC, 3);
    return sandbox->peer_fd >= 0 ? 0 : sb_err_sys(err, errno, "keep the caller's connection");
}

struct sb_sandbox *sb_sandbox_blank(struct sb_worker *worker, struct sb_err *err)
{
    struct sb_sandbox *sandbox = calloc(1, sizeof *sandbox);
    if (sandbox == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    sandbox->worker = worker;
    sandbox->refs = 1;
    sandbox->state = SB_STATE_STARTING;
    sandbox->peer_fd = -1;
    sandbox->init_fd = -1;
    sandbox->warm = SB_WARM_NONE;
    sb_handover_init(&sandbox->handover);
    sb_notify_init(&sandbox->notify);
    sb_egress_line_init(&sandbox->line);
    sb_list_init(&sandbox->execs);
    sb_list_init(&sandbox->observers);
    sb_list_init(&sandbox->ports);
    sb_sandbox_timers_init(sandbox);
    sb_packages_init(sandbox);
    return sandbox;
}

int sb_sandbox_new(struct sb_worker *worker,
                   const struct sb_sandbox_options *options,
                   struct sb_sandbox **ret_sandbox,
                   struct sb_err *err)
{
    if (check_worker(worker, err) < 0) {
        return -1;
    }
    sb_registry_sweep(&worker->registry, sb_clock_real_ms());
    struct sb_sandbox *sandbox = sb_sandbox_blank(worker, err);
    if (sandbox == NULL) {
        return -1;
    }
    sandbox->is_only = options->is_only;
    sandbox->is_home = options->is_home;
    sandbox->is_internal = options->is_internal;
    if (fill(sandbox, options, err) < 0 ||
        sb_registry_add_sandbox(&worker->registry, sandbox, err) < 0) {
        sb_sandbox_unref(sandbox);
        return -1;
    }
    if (options->lineage != NULL && sb_trace_is(&options->lineage->trace)) {
        sb_span_begin(worker->tracer, &options->lineage->trace, false, &sandbox->span);
    }
    sb_tomb_write(sandbox);
    if (!sandbox->is_waiting && begin(sandbox, err) < 0) {
        sb_sandbox_fail(sandbox, err);
        return -1;
    }
    *ret_sandbox = sandbox;
    return 0;
}
