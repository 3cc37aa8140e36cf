#include "service/worker/snapshot/snapshot.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "service/worker/limits.h"
#include "service/worker/pause.h"
#include "service/worker/policy/policy.h"
#include "service/worker/sandbox.h"
#include "service/worker/spawner.h"
#include "service/worker/state.h"
#include "service/worker/worker.h"

#define MIN_BYTES (64ULL << 10) /* less is not worth beginning */

void sb_snapshots_init(struct sb_snapshots *snapshots)
{
    sb_list_init(&snapshots->list);
    sb_list_init(&snapshots->diffs);
}

void sb_snapshots_done(struct sb_snapshots *snapshots)
{
    SB_FOREACH (node, &snapshots->list) {
        sb_list_remove(node);
        free(SB_LIST_ENTRY(node, struct sb_snapshot, link));
    }
}

struct sb_snapshot *sb_snapshot_ref(struct sb_snapshot *snapshot)
{
    snapshot->refs++;
    return snapshot;
}

static void let_go(struct sb_snapshot *snapshot)
{
    if (snapshot->layer_id != 0) {
        sb_spawner_drop_layer(snapshot->worker->spawner, snapshot->layer_id);
        snapshot->layer_id = 0;
    }
}

void sb_snapshot_unref(struct sb_worker *worker, struct sb_snapshot *snapshot)
{
    (void)worker;
    while (snapshot != NULL && --snapshot->refs == 0) {
        struct sb_snapshot *base = snapshot->base;
        assert(sb_list_is_empty(&snapshot->observers));
        let_go(snapshot);
        sb_list_remove(&snapshot->link);
        free(snapshot);
        snapshot = base;
    }
}

struct sb_snapshot *sb_snapshot_find(const struct sb_worker *worker, const char *id)
{
    SB_FOREACH (node, &worker->snapshots.list) {
        struct sb_snapshot *snapshot = SB_LIST_ENTRY(node, struct sb_snapshot, link);
        if (snapshot->is_listed && strcmp(snapshot->id, id) == 0) {
            return snapshot;
        }
    }
    return NULL;
}

void sb_snapshot_delete(struct sb_snapshot *snapshot)
{
    if (snapshot->is_listed) {
        snapshot->is_listed = false;
        let_go(snapshot); /* what stands on it holds it by itself */
        sb_snapshot_unref(snapshot->worker, snapshot);
    }
}

void sb_snapshot_observe(struct sb_snapshot *snapshot, struct sb_snapshot_observer *observer)
{
    sb_list_append(&snapshot->observers, &observer->link);
}

void sb_snapshot_unobserve(struct sb_snapshot_observer *observer)
{
    sb_list_remove(&observer->link);
}

/* ---- how much there is ---- */

struct used {
    uint64_t snapshots;
    uint64_t bytes;
};

/* @tenant  NULL: all of them. */
static struct used count(const struct sb_worker *worker, const char *tenant)
{
    struct used used = {0};
    SB_FOREACH (node, &worker->snapshots.list) {
        const struct sb_snapshot *snapshot = SB_LIST_ENTRY(node, struct sb_snapshot, link);
        if (tenant == NULL || strcmp(snapshot->tenant, tenant) == 0) {
            used.snapshots += snapshot->is_listed;
            used.bytes += snapshot->size_bytes;
        }
    }
    return used;
}

/* Bytes that one more may take. @wanted  that it does take. */
static int check_room(const struct sb_worker *worker,
                      const char *tenant,
                      uint64_t wanted,
                      uint64_t *ret_bytes,
                      struct sb_err *err)
{
    const struct {
        const char *whose;
        struct used used;
        uint64_t snapshots;
        uint64_t bytes;
    } rows[] = {
        {"this tenant has", count(worker, tenant), SB_MAX_TENANT_SNAPSHOTS,
         SB_MAX_TENANT_SNAPSHOT_BYTES},
        {"this worker has", count(worker, NULL), SB_MAX_SNAPSHOTS, SB_MAX_SNAPSHOT_BYTES},
    };
    *ret_bytes = UINT64_MAX;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[2][SB_NUM_TEXT_SIZE];
        uint64_t bytes = rows[i].used.bytes;
        if (rows[i].used.snapshots >= rows[i].snapshots || bytes > rows[i].bytes ||
            wanted > rows[i].bytes - bytes) {
            return sb_err_set(
                err, SB_EXHAUSTED,
                "%s %ju snapshots of at most %ju, with %s of at most %s; delete some (aisbx "
                "snapshots shows them), and destroy what stands on them",
                rows[i].whose, (uintmax_t)rows[i].used.snapshots, (uintmax_t)rows[i].snapshots,
                sb_num_format_bytes(text[0], bytes), sb_num_format_bytes(text[1], rows[i].bytes));
        }
        uint64_t left = rows[i].bytes - bytes;
        *ret_bytes = left < *ret_bytes ? left : *ret_bytes;
    }
    return 0;
}

/* ---- taking one ---- */

static void settle(struct sb_snapshot *snapshot, const struct sb_err *failure)
{
    struct sb_worker *worker = snapshot->worker;
    snapshot->state = failure == NULL ? SB_SNAPSHOT_KEPT : SB_SNAPSHOT_FAILED;
    if (failure != NULL) {
        snapshot->err = *failure;
        sb_idem_drop(&worker->idem, snapshot->id);
    }
    snapshot->refs++;
    SB_FOREACH (node, &snapshot->observers) {
        struct sb_snapshot_observer *observer =
            SB_LIST_ENTRY(node, struct sb_snapshot_observer, link);
        observer->settled(observer, snapshot);
    }
    if (failure != NULL) {
        sb_snapshot_delete(snapshot);
    }
    sb_snapshot_unref(worker, snapshot);
}

static int
keep(struct sb_snapshot *snapshot, const Spawn__V1__LayerTaken *taken, struct sb_err *err)
{
    uint64_t left = 0;
    bool was_listed = snapshot->is_listed;
    snapshot->layer_id = taken->layer_id;
    /* Others may have come to it meanwhile, each with all the room that there was. */
    snapshot->is_listed = false; /* it counts as one more */
    int has_room = check_room(snapshot->worker, snapshot->tenant, taken->size_bytes, &left, err);
    snapshot->is_listed = was_listed;
    if (has_room < 0) {
        return -1;
    }
    snapshot->size_bytes = taken->size_bytes;
    snapshot->copied_bytes = taken->copied_bytes;
    snapshot->copied_files = taken->copied_files;
    snapshot->is_delta = taken->depth > 1;
    if (!snapshot->is_delta) {
        struct sb_snapshot *base = snapshot->base;
        snapshot->base = NULL;
        sb_snapshot_unref(snapshot->worker, base);
    }
    return 0;
}

static void on_taken(void *ctx,
                     const Spawn__V1__Reply *reply,
                     struct sb_frame *frame,
                     const struct sb_err *failure)
{
    (void)frame;
    struct sb_snapshot *snapshot = ctx;
    struct sb_worker *worker = snapshot->worker;
    struct sb_err err;
    if (reply == NULL) {
        settle(snapshot, failure);
    } else if (keep(snapshot, reply->layer_taken, &err) < 0) {
        let_go(snapshot);
        settle(snapshot, &err);
    } else {
        SB_LOG_INFO("snapshot taken", "snapshot=%s sandbox=%s bytes=%ju copied=%ju", snapshot->id,
                    snapshot->sandbox_id, (uintmax_t)snapshot->size_bytes,
                    (uintmax_t)snapshot->copied_bytes);
        settle(snapshot, NULL);
    }
    sb_snapshot_unref(worker, snapshot);
}

static int check(const struct sb_sandbox *sandbox, const char *title, struct sb_err *err)
{
    if (sandbox->state != SB_STATE_RUNNING && sandbox->state != SB_STATE_PAUSED) {
        return sb_err_set(err, SB_PRECONDITION, "sandbox %s is %s", sandbox->id,
                          sb_state_name(sandbox->state));
    }
    if (sandbox->state == SB_STATE_PAUSED && !sb_pause_is_frozen(sandbox)) {
        return sb_err_set(err, SB_UNAVAILABLE, "sandbox %s is being paused; try again",
                          sandbox->id);
    }
    size_t characters = 0;
    for (const char *at = title; *at != '\0'; at++) {
        characters += ((unsigned char)*at & 0xc0) != 0x80;
    }
    return characters > 63 ? sb_err_set(err, SB_INVALID, "title: longer than 63 characters") : 0;
}

int sb_snapshot_take(struct sb_sandbox *sandbox,
                     const char *title,
                     bool is_listed,
                     struct sb_snapshot **ret_snapshot,
                     struct sb_err *err)
{
    struct sb_worker *worker = sandbox->worker;
    uint64_t max_bytes = 0;
    if (check(sandbox, title, err) < 0 ||
        check_room(worker, sandbox->tenant, MIN_BYTES, &max_bytes, err) < 0) {
        return -1;
    }
    struct sb_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot == NULL) {
        return sb_err_oom(err);
    }
    sb_list_init(&snapshot->observers);
    snapshot->worker = worker;
    snapshot->create_ms = sb_clock_real_ms();
    snapshot->has_workspace = sandbox->policy->filesystem != SB_FILESYSTEM_MINIMAL &&
                              !sb_policy_shares_workspace(sandbox->policy);
    snapshot->seq = worker->registry.next_seq++;
    (void)snprintf(snapshot->tenant, sizeof snapshot->tenant, "%s", sandbox->tenant);
    (void)snprintf(snapshot->sandbox_id, sizeof snapshot->sandbox_id, "%s", sandbox->id);
    (void)snprintf(snapshot->title, sizeof snapshot->title, "%s", title);
    if (sb_id_make_kin(snapshot->id, "sn_", worker->id, err) < 0 ||
        sb_spawner_take_layer(worker->spawner, sandbox->slot, max_bytes,
                              sandbox->state == SB_STATE_PAUSED, on_taken, snapshot, err) < 0) {
        free(snapshot);
        return -1;
    }
    snapshot->is_listed = is_listed;
    snapshot->refs = 2U + is_listed; /* the caller's, the spawner's answer's, the list's */
    snapshot->base = sandbox->base == NULL ? NULL : sb_snapshot_ref(sandbox->base);
    sb_list_prepend(&worker->snapshots.list, &snapshot->link);
    *ret_snapshot = snapshot;
    return 0;
}
