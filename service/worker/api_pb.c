#include "service/worker/api_pb.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "service/shared/floor.h"
#include "service/worker/exec.h"
#include "service/worker/packages/cache.h"
#include "service/worker/policy/api_profile.h"
#include "service/worker/policy/policy.h"
#include "service/worker/probe.h"
#include "service/worker/sandbox.h"
#include "service/worker/snapshot/snapshot.h"
#include "service/worker/worker.h"

void *sb_api_pb_new(const ProtobufCMessageDescriptor *desc)
{
    ProtobufCMessage *msg = calloc(1, desc->sizeof_message);
    if (msg != NULL) {
        protobuf_c_message_init(desc, msg);
    }
    return msg;
}

bool sb_api_pb_text(char **field, const char *text)
{
    if (text == NULL || text[0] == '\0') {
        return true;
    }
    char *copy = sb_str_dup(sb_str_from(text));
    if (copy != NULL) {
        *field = copy;
    }
    return copy != NULL;
}

bool sb_api_pb_time(uint64_t real_ms, Google__Protobuf__Timestamp **field)
{
    if (real_ms == 0) {
        return true;
    }
    *field = sb_api_pb_new(&google__protobuf__timestamp__descriptor);
    if (*field == NULL) {
        return false;
    }
    (*field)->seconds = (int64_t)(real_ms / 1000);
    (*field)->nanos = (int32_t)(real_ms % 1000 * 1000000);
    return true;
}

static Aisbx__V1__ControlStatus *control_new(unsigned number, const struct sb_control *from)
{
    Aisbx__V1__ControlStatus *status = sb_api_pb_new(&aisbx__v1__control_status__descriptor);
    if (status == NULL) {
        return NULL;
    }
    status->control = (Aisbx__V1__Control)number;
    status->state = (Aisbx__V1__ControlState)from->state;
    if (!sb_api_pb_text(&status->detail, from->detail) ||
        !sb_api_pb_text(&status->fix, from->fix)) {
        aisbx__v1__control_status__free_unpacked(status, NULL);
        return NULL;
    }
    return status;
}

/** @controls  by number; NULL or UNKNOWN are left out */
static bool add_controls(const struct sb_control *const controls[SB_PROBE_CONTROLS],
                         size_t *ret_n,
                         Aisbx__V1__ControlStatus ***ret_controls)
{
    *ret_n = 0;
    *ret_controls = calloc(SB_PROBE_CONTROLS, sizeof(Aisbx__V1__ControlStatus *));
    if (*ret_controls == NULL) {
        return false;
    }
    for (unsigned i = 1; i < SB_PROBE_CONTROLS; i++) {
        if (controls[i]->state == SB_CONTROL_UNKNOWN) {
            continue;
        }
        Aisbx__V1__ControlStatus *status = control_new(i, controls[i]);
        if (status == NULL) {
            return false;
        }
        (*ret_controls)[(*ret_n)++] = status;
    }
    return true;
}

bool sb_api_pb_controls(const struct sb_probe *probe,
                        enum sb_driver driver,
                        size_t *ret_n,
                        Aisbx__V1__ControlStatus ***ret_controls)
{
    const struct sb_control *controls[SB_PROBE_CONTROLS];
    for (unsigned i = 0; i < SB_PROBE_CONTROLS; i++) {
        controls[i] = sb_probe_control(probe, driver, i);
    }
    return add_controls(controls, ret_n, ret_controls);
}

static Aisbx__V1__DriverStatus *
driver_new(const char *name, const char *detail, const struct sb_probe_driver *from)
{
    const struct sb_control *controls[SB_PROBE_CONTROLS];
    Aisbx__V1__DriverStatus *status = sb_api_pb_new(&aisbx__v1__driver_status__descriptor);
    if (status == NULL) {
        return NULL;
    }
    for (unsigned i = 0; i < SB_PROBE_CONTROLS; i++) {
        controls[i] = &from->controls[i];
    }
    status->available = from->is_available;
    if (!sb_api_pb_text(&status->driver, name) || !sb_api_pb_text(&status->detail, detail) ||
        !add_controls(controls, &status->n_controls, &status->controls)) {
        aisbx__v1__driver_status__free_unpacked(status, NULL);
        return NULL;
    }
    return status;
}

bool sb_api_pb_drivers(const struct sb_probe *probe,
                       size_t *ret_n,
                       Aisbx__V1__DriverStatus ***ret_drivers)
{
    *ret_n = 0;
    *ret_drivers = calloc(SB_DRIVER_END_, sizeof(Aisbx__V1__DriverStatus *));
    for (unsigned i = SB_DRIVER_NATIVE; *ret_drivers != NULL && i < SB_DRIVER_END_; i++) {
        const struct sb_probe_driver *from = &probe->drivers[i];
        const char *detail = from->detail;
        if (i == SB_DRIVER_LIMA) {
            detail = "of clients: aisbx run --driver lima starts a worker in a virtual machine";
        } else if (detail == NULL) {
            detail = "not a driver of this worker";
        }
        Aisbx__V1__DriverStatus *status = driver_new(sb_driver_names[i], detail, from);
        if (status == NULL) {
            return false;
        }
        (*ret_drivers)[(*ret_n)++] = status;
    }
    return *ret_drivers != NULL;
}

static bool
set_status(Aisbx__V1__ControlStatus *status, Aisbx__V1__ControlState state, const char *detail)
{
    char *copy = sb_str_dup(sb_str_from(detail));
    if (copy == NULL) {
        return false;
    }
    if (status->detail != protobuf_c_empty_string) {
        free(status->detail);
    }
    status->detail = copy;
    status->state = state;
    return true;
}

static bool adjust_uid(const struct sb_sandbox *sandbox, Aisbx__V1__ControlStatus *status)
{
    if (sandbox->has_distinct_uid) {
        status->state = AISBX__V1__CONTROL_STATE__CONTROL_STATE_ENFORCED;
        return true;
    }
    return status->state != AISBX__V1__CONTROL_STATE__CONTROL_STATE_ENFORCED ||
           set_status(status, AISBX__V1__CONTROL_STATE__CONTROL_STATE_ABSENT,
                      "this sandbox shares the caller's id, for its host directories");
}

static bool adjust_cgroup(const struct sb_sandbox *sandbox, Aisbx__V1__ControlStatus *status)
{
    return !sandbox->lacks_io ||
           status->state != AISBX__V1__CONTROL_STATE__CONTROL_STATE_ENFORCED ||
           set_status(status, AISBX__V1__CONTROL_STATE__CONTROL_STATE_DEGRADED,
                      "memory, processors and processes are limited; input and output are not, or "
                      "not everywhere");
}

static bool adjust_disk(const struct sb_sandbox *sandbox, Aisbx__V1__ControlStatus *status)
{
    return sb_policy_unbounded(sandbox->policy) == NULL ||
           status->state != AISBX__V1__CONTROL_STATE__CONTROL_STATE_ENFORCED ||
           set_status(status, AISBX__V1__CONTROL_STATE__CONTROL_STATE_DEGRADED,
                      "what is the sandbox's own is bounded; the host's directories that it may "
                      "write to have no quota, only the limit of one file");
}

/* Its network was to be filtered, and cannot be. */
static bool is_cut_off(const struct sb_sandbox *sandbox)
{
    bool is_alive = sandbox->state == SB_STATE_RUNNING || sandbox->state == SB_STATE_PAUSED;
    return is_alive && sandbox->policy->network.mode == SB_NETWORK_LIMITED &&
           sandbox->line.listener < 0;
}

static bool adjust_egress(const struct sb_sandbox *sandbox, Aisbx__V1__ControlStatus *status)
{
    return !is_cut_off(sandbox) ||
           status->state != AISBX__V1__CONTROL_STATE__CONTROL_STATE_ENFORCED ||
           set_status(status, AISBX__V1__CONTROL_STATE__CONTROL_STATE_ABSENT,
                      "this sandbox has no line to the proxy, and so no network at all");
}

static Aisbx__V1__Network *network_new(const struct sb_sandbox *sandbox)
{
    static const struct sb_network none = {.mode = SB_NETWORK_NONE};
    return sb_api_profile_network(is_cut_off(sandbox) ? &none : &sandbox->policy->network);
}

/** What the spawn itself decided, on top of what the host gives. */
static bool adjust_controls(const struct sb_sandbox *sandbox, Aisbx__V1__Sandbox *msg)
{
    bool is_done = true;
    for (size_t i = 0; i < msg->n_controls && is_done; i++) {
        Aisbx__V1__ControlStatus *status = msg->controls[i];
        if (status->control == AISBX__V1__CONTROL__CONTROL_DISTINCT_UID) {
            is_done = adjust_uid(sandbox, status);
        } else if (status->control == AISBX__V1__CONTROL__CONTROL_CGROUP) {
            is_done = adjust_cgroup(sandbox, status);
        } else if (status->control == AISBX__V1__CONTROL__CONTROL_DISK_LIMIT) {
            is_done = adjust_disk(sandbox, status);
        } else if (status->control == AISBX__V1__CONTROL__CONTROL_EGRESS) {
            is_done = adjust_egress(sandbox, status);
        }
    }
    return is_done;
}

static bool add_labels(const struct sb_pairs *labels, Aisbx__V1__Sandbox *msg)
{
    if (labels->n == 0) {
        return true;
    }
    msg->labels = calloc(labels->n, sizeof(Aisbx__V1__Sandbox__LabelsEntry *));
    if (msg->labels == NULL) {
        return false;
    }
    for (size_t i = 0; i < labels->n; i++) {
        Aisbx__V1__Sandbox__LabelsEntry *entry =
            sb_api_pb_new(&aisbx__v1__sandbox__labels_entry__descriptor);
        if (entry == NULL) {
            return false;
        }
        msg->labels[msg->n_labels++] = entry;
        if (!sb_api_pb_text(&entry->key, labels->items[i].name) ||
            !sb_api_pb_text(&entry->value, labels->items[i].value)) {
            return false;
        }
    }
    return true;
}

/** Fills a repeated string from two lists. */
static bool
add_texts(const struct sb_strings *a, const struct sb_strings *b, size_t *ret_n, char ***ret_texts)
{
    static const struct sb_strings none = {NULL, 0};
    const struct sb_strings *lists[] = {a, b == NULL ? &none : b};
    size_t n = lists[0]->n + lists[1]->n;
    *ret_n = 0;
    if (n == 0) {
        return true;
    }
    *ret_texts = calloc(n, sizeof(char *));
    if (*ret_texts == NULL) {
        return false;
    }
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < lists[k]->n; i++) {
            char *copy = sb_str_dup(sb_str_from(lists[k]->items[i]));
            if (copy == NULL) {
                return false;
            }
            (*ret_texts)[(*ret_n)++] = copy;
        }
    }
    return true;
}

Aisbx__V1__PackageSet *sb_api_pb_package_set(const struct sb_package_entry *entry)
{
    Aisbx__V1__PackageSet *set = sb_api_pb_new(&aisbx__v1__package_set__descriptor);
    if (set == NULL) {
        return NULL;
    }
    set->install_ms = entry->took_ms;
    set->size_bytes = entry->bytes;
    if (!sb_api_pb_text(&set->manager, sb_manager_names[entry->manager]) ||
        !add_texts(&entry->names, NULL, &set->n_requested, &set->requested) ||
        !add_texts(&entry->installed, NULL, &set->n_installed, &set->installed)) {
        aisbx__v1__package_set__free_unpacked(set, NULL);
        return NULL;
    }
    return set;
}

/** What is in use: of a sandbox that has ended nothing is. */
static bool add_packages(const struct sb_sandbox *sandbox, Aisbx__V1__Sandbox *msg)
{
    msg->packages = calloc(SB_MANAGER_END_, sizeof(Aisbx__V1__PackageSet *));
    for (int i = SB_MANAGER_PIP; msg->packages != NULL && i < SB_MANAGER_END_; i++) {
        if (sandbox->packages.uses[i].entry == NULL) {
            continue;
        }
        Aisbx__V1__PackageSet *set = sb_api_pb_package_set(sandbox->packages.uses[i].entry);
        if (set == NULL) {
            return false;
        }
        set->cached = sandbox->packages.uses[i].was_kept;
        msg->packages[msg->n_packages++] = set;
    }
    return msg->packages != NULL;
}

static void fill_numbers(const struct sb_sandbox *sandbox, bool is_here, Aisbx__V1__Sandbox *msg)
{
    msg->state = (Aisbx__V1__SandboxState)sandbox->state;
    msg->destroy_reason = sandbox->state == SB_STATE_DESTROYED
                              ? (Aisbx__V1__DestroyReason)sandbox->reason
                              : AISBX__V1__DESTROY_REASON__DESTROY_REASON_UNSPECIFIED;
    msg->active_execs = sandbox->n_active;
    msg->init_pid = is_here && sandbox->state != SB_STATE_DESTROYED ? sandbox->init_pid : 0;
    msg->idle_ms = sandbox->idle_ms;
}

/** What is known of every sandbox, however long ago. */
static bool fill_facts(const struct sb_sandbox *sandbox, Aisbx__V1__Sandbox *msg)
{
    const struct sb_policy *policy = sandbox->policy;
    return sb_api_pb_text(&msg->sandbox_id, sandbox->id) &&
           sb_api_pb_text(&msg->profile, policy->profile) &&
           sb_api_pb_text(&msg->policy_hash, policy->hash) &&
           sb_api_pb_time(sandbox->create_ms, &msg->create_time) &&
           sb_api_pb_time(sandbox->expire_ms, &msg->expire_time) &&
           sb_api_pb_time(sandbox->destroy_ms, &msg->destroy_time) &&
           (sandbox->state != SB_STATE_DESTROYED ||
            sb_api_pb_text(&msg->destroy_message, sandbox->destroy_message));
}

static bool fill_sandbox(const struct sb_sandbox *sandbox, bool is_here, Aisbx__V1__Sandbox *msg)
{
    const struct sb_policy *policy = sandbox->policy;
    fill_numbers(sandbox, is_here, msg);
    if (!fill_facts(sandbox, msg)) {
        return false;
    }
    if (sandbox->is_recalled) {
        return true;
    }
    msg->limits = sb_api_profile_limits(&policy->limits);
    msg->network = network_new(sandbox);
    return msg->limits != NULL && msg->network != NULL &&
           sb_api_profile_mounts(&policy->mounts, &msg->n_mounts, &msg->mounts) == 0 &&
           sb_api_pb_text(&msg->driver, sb_driver_names[policy->driver]) &&
           add_labels(&sandbox->labels, msg) &&
           sb_api_pb_controls(sandbox->worker->probe, policy->driver, &msg->n_controls,
                              &msg->controls) &&
           adjust_controls(sandbox, msg) && add_packages(sandbox, msg) &&
           sb_api_pb_violations(policy, &sandbox->notify.denials, NULL, &msg->n_violations,
                                &msg->violations) &&
           add_texts(&policy->notices, &sandbox->degraded, &msg->n_notices, &msg->notices) &&
           sb_api_pb_text(&msg->forked_from, sandbox->forked_from) &&
           (sandbox->base == NULL || !sandbox->base->is_listed ||
            sb_api_pb_text(&msg->snapshot_id, sandbox->base->id));
}

static bool add_paths(const struct sb_snapshot *snapshot, Aisbx__V1__Snapshot *msg)
{
    static const char *const paths[] = {"/tmp", "/workspace"};
    size_t n = snapshot->has_workspace ? 2 : 1;
    msg->paths = calloc(n, sizeof(char *));
    for (size_t i = 0; msg->paths != NULL && i < n; i++) {
        msg->paths[i] = strdup(paths[i]);
        if (msg->paths[i] == NULL) {
            return false;
        }
        msg->n_paths++;
    }
    return msg->paths != NULL;
}

static bool fill_snapshot(const struct sb_snapshot *snapshot, Aisbx__V1__Snapshot *msg)
{
    const struct sb_snapshot *base = snapshot->base;
    msg->size_bytes = snapshot->size_bytes;
    msg->copied_bytes = snapshot->copied_bytes;
    msg->copied_files = snapshot->copied_files;
    msg->method = snapshot->is_delta ? AISBX__V1__SNAPSHOT_METHOD__SNAPSHOT_METHOD_CHANGES
                                     : AISBX__V1__SNAPSHOT_METHOD__SNAPSHOT_METHOD_COPY;
    return sb_api_pb_text(&msg->snapshot_id, snapshot->id) &&
           sb_api_pb_text(&msg->sandbox_id, snapshot->sandbox_id) &&
           sb_api_pb_text(&msg->title, snapshot->title) &&
           sb_api_pb_time(snapshot->create_ms, &msg->create_time) &&
           (base == NULL || !base->is_listed || sb_api_pb_text(&msg->base_snapshot_id, base->id)) &&
           add_paths(snapshot, msg);
}

Aisbx__V1__Snapshot *sb_api_pb_snapshot(const struct sb_snapshot *snapshot)
{
    Aisbx__V1__Snapshot *msg = sb_api_pb_new(&aisbx__v1__snapshot__descriptor);
    if (msg != NULL && !fill_snapshot(snapshot, msg)) {
        aisbx__v1__snapshot__free_unpacked(msg, NULL);
        return NULL;
    }
    return msg;
}

Aisbx__V1__Sandbox *sb_api_pb_sandbox(const struct sb_sandbox *sandbox, bool is_here)
{
    Aisbx__V1__Sandbox *msg = sb_api_pb_new(&aisbx__v1__sandbox__descriptor);
    if (msg != NULL && !fill_sandbox(sandbox, is_here, msg)) {
        aisbx__v1__sandbox__free_unpacked(msg, NULL);
        return NULL;
    }
    return msg;
}

static bool add_usage(const struct sb_facts *facts, Aisbx__V1__Verdict *msg)
{
    Aisbx__V1__Usage *usage = sb_api_pb_new(&aisbx__v1__usage__descriptor);
    if (usage == NULL) {
        return false;
    }
    msg->usage = usage;
    usage->wall_ms = facts->wall_ms;
    usage->cpu_user_us = facts->cpu_user_us;
    usage->cpu_system_us = facts->cpu_system_us;
    bool has_group = facts->counters.has_memory && facts->counters.memory_peak > 0;
    usage->memory_peak_bytes = has_group ? facts->counters.memory_peak : facts->max_rss_bytes;
    usage->stdout_bytes = facts->stdout_bytes;
    usage->stderr_bytes = facts->stderr_bytes;
    return sb_api_pb_text(&usage->memory_peak_source, has_group ? "cgroup" : "rusage");
}

static bool add_evidence(const struct sb_verdict *verdict, Aisbx__V1__Verdict *msg)
{
    if (verdict->n_evidence == 0) {
        return true;
    }
    msg->evidence = calloc(verdict->n_evidence, sizeof(Aisbx__V1__Evidence *));
    if (msg->evidence == NULL) {
        return false;
    }
    for (size_t i = 0; i < verdict->n_evidence; i++) {
        Aisbx__V1__Evidence *item = sb_api_pb_new(&aisbx__v1__evidence__descriptor);
        if (item == NULL) {
            return false;
        }
        msg->evidence[msg->n_evidence++] = item;
        item->value = verdict->evidence[i].value;
        if (!sb_api_pb_text(&item->source, verdict->evidence[i].source)) {
            return false;
        }
    }
    return true;
}

static bool add_learnt_call(Aisbx__V1__Verdict *msg, const char *name, uint64_t count)
{
    Aisbx__V1__LearntCall *call = sb_api_pb_new(&aisbx__v1__learnt_call__descriptor);
    if (call == NULL) {
        return false;
    }
    msg->learnt[msg->n_learnt++] = call;
    call->count = count;
    return sb_api_pb_text(&call->name, name);
}

static bool add_learnt(const struct sb_sandbox *sandbox, Aisbx__V1__Verdict *msg)
{
    static const struct sb_learnt nothing;
    const struct sb_learnt *learnt =
        sandbox->notify.learnt == NULL ? &nothing : sandbox->notify.learnt;
    if (!sandbox->policy->learns) {
        return true;
    }
    msg->learnt = calloc(SB_LEARNT_MAX, sizeof(Aisbx__V1__LearntCall *));
    for (int i = 0; msg->learnt != NULL && i < SB_LEARNT_MAX; i++) {
        SB_CLEANUP(sb_freep) char *name = sb_floor_name(i); /* NULL: newer than we are, or none */
        if (name != NULL &&
            (sb_learnt_has(learnt, i) || sb_floor_need(name) == SB_FLOOR_NEEDS_ALL) &&
            !add_learnt_call(msg, name, learnt->counts[i])) {
            return false;
        }
    }
    return msg->learnt != NULL;
}

static bool fill_verdict(const struct sb_exec *exec, Aisbx__V1__Verdict *msg)
{
    const struct sb_verdict *verdict = &exec->verdict;
    msg->kind = (Aisbx__V1__VerdictKind)verdict->kind;
    msg->exit_code = verdict->exit_code;
    msg->signal = verdict->signal;
    msg->killed_processes = exec->facts.has_empty ? exec->facts.killed : 0;
    return sb_api_pb_text(&msg->message, verdict->message) &&
           sb_api_pb_text(&msg->next_step, verdict->next_step) && add_usage(&exec->facts, msg) &&
           add_evidence(verdict, msg) &&
           sb_api_pb_violations(exec->sandbox->policy, &exec->denials, verdict, &msg->n_violations,
                                &msg->violations) &&
           add_learnt(exec->sandbox, msg) &&
           add_texts(&exec->sandbox->degraded, NULL, &msg->n_degraded, &msg->degraded);
}

Aisbx__V1__Verdict *sb_api_pb_verdict(const struct sb_exec *exec)
{
    Aisbx__V1__Verdict *msg = sb_api_pb_new(&aisbx__v1__verdict__descriptor);
    if (msg != NULL && !fill_verdict(exec, msg)) {
        aisbx__v1__verdict__free_unpacked(msg, NULL);
        return NULL;
    }
    return msg;
}

static bool add_verdict(const struct sb_exec *exec, Aisbx__V1__Exec *msg)
{
    return exec->state != SB_EXEC_ENDED || (msg->verdict = sb_api_pb_verdict(exec)) != NULL;
}

/** What it was given of its own. */
static bool add_own(const struct sb_exec *exec, Aisbx__V1__Exec *msg)
{
    static const struct sb_exec_limits none;
    const struct sb_exec_limits *limits = &exec->limits;
    msg->open_stdin = !sb_exec_has_ended(exec) && !exec->is_passed && !exec->in.is_eof;
    if (exec->terminal.is_wanted) {
        msg->open_stdin = !sb_exec_has_ended(exec);
        msg->terminal = sb_api_pb_new(&aisbx__v1__terminal__descriptor);
        if (msg->terminal == NULL || !sb_api_pb_text(&msg->terminal->term, exec->terminal.name)) {
            return false;
        }
        msg->terminal->rows = exec->terminal.rows;
        msg->terminal->columns = exec->terminal.columns;
    }
    if (memcmp(limits, &none, sizeof none) == 0) {
        return true;
    }
    msg->limits = sb_api_pb_new(&aisbx__v1__exec_limits__descriptor);
    if (msg->limits == NULL) {
        return false;
    }
    msg->limits->output_bytes = limits->output_bytes;
    msg->limits->process_cpu_ms = limits->rlimits[SB_INIT_RLIMIT_CPU] * 1000;
    msg->limits->process_address_bytes = limits->rlimits[SB_INIT_RLIMIT_ADDRESS];
    msg->limits->process_open_files = limits->rlimits[SB_INIT_RLIMIT_FILES];
    msg->limits->file_bytes = limits->rlimits[SB_INIT_RLIMIT_FILE];
    return true;
}

static bool fill_exec(const struct sb_exec *exec, Aisbx__V1__Exec *msg)
{
    msg->stdout_bytes = exec->out[0].spool.total;
    msg->stderr_bytes = exec->out[1].spool.total;
    msg->pid = exec->pid;
    msg->background = exec->is_background;
    const struct sb_strings args = {exec->args, exec->n_args};
    return sb_api_pb_text(&msg->exec_id, exec->id) &&
           sb_api_pb_text(&msg->sandbox_id, exec->sandbox->id) &&
           sb_api_pb_text(&msg->cwd, exec->cwd) &&
           add_texts(&args, NULL, &msg->n_args, &msg->args) &&
           sb_api_pb_time(exec->start_real_ms, &msg->start_time) &&
           sb_api_pb_time(exec->state == SB_EXEC_ENDED ? exec->end_real_ms : 0, &msg->end_time) &&
           add_own(exec, msg) && add_verdict(exec, msg);
}

Aisbx__V1__Exec *sb_api_pb_exec(const struct sb_exec *exec)
{
    Aisbx__V1__Exec *msg = sb_api_pb_new(&aisbx__v1__exec__descriptor);
    if (msg != NULL && !fill_exec(exec, msg)) {
        aisbx__v1__exec__free_unpacked(msg, NULL);
        return NULL;
    }
    return msg;
}
