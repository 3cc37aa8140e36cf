#include "service/worker/snapshot/api_snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/api_pb.h"
#include "service/worker/sandbox.h"
#include "service/worker/snapshot/snapshot.h"
#include "service/worker/worker.h"

enum { QUESTION_MAX = 1024 };

/* ---- SnapshotSandbox ---- */

/** One call that waits until its snapshot is taken. */
struct wait {
    struct sb_snapshot_observer observer;
    struct sb_rpc_call *call;
    struct sb_snapshot *snapshot; /* a reference */
    bool is_owner;                /* the snapshot goes when the call does, before it was answered */
    bool is_over;
};

static void answer(struct wait *wait)
{
    struct sb_err err = wait->snapshot->err;
    Aisbx__V1__SnapshotSandboxResponse *msg = NULL;
    if (err.code == SB_OK) {
        msg = sb_api_pb_new(&aisbx__v1__snapshot_sandbox_response__descriptor);
        if (msg != NULL && (msg->snapshot = sb_api_pb_snapshot(wait->snapshot)) == NULL) {
            (void)sb_err_oom(&err);
        }
    }
    wait->is_over = true;
    sb_api_finish(wait->call, msg, &err);
}

static void on_settled(struct sb_snapshot_observer *observer, struct sb_snapshot *snapshot)
{
    struct wait *wait = SB_LIST_ENTRY(observer, struct wait, observer);
    (void)snapshot;
    if (!wait->is_over) {
        answer(wait);
    }
}

/** Returns 1: begun now, 0: the first call with this request_id began it, or -1. */
static int take(struct sb_worker *worker,
                const struct sb_caller *caller,
                const Aisbx__V1__SnapshotSandboxRequest *req,
                struct sb_snapshot **ret_snapshot,
                struct sb_err *err)
{
    char known[SB_ID_SIZE];
    struct sb_sandbox *sandbox = NULL;
    const struct sb_idem_call id = {caller->actor, "SnapshotSandbox", req->request_id, &req->base};
    if (sb_idem_find(&worker->idem, &id, sb_clock_real_ms(), known, err) < 0) {
        return -1;
    }
    if (known[0] != '\0') {
        if (sb_api_find_snapshot(worker, caller, known, ret_snapshot, err) < 0) {
            return -1;
        }
        (void)sb_snapshot_ref(*ret_snapshot);
        return 0;
    }
    if (sb_api_find_sandbox(worker, caller, req->sandbox_id, &sandbox, err) < 0 ||
        sb_snapshot_take(sandbox, req->title, true, ret_snapshot, err) < 0) {
        return -1;
    }
    if (sb_idem_add(&worker->idem, &id, sb_clock_real_ms(), (*ret_snapshot)->id, err) < 0) {
        sb_snapshot_delete(*ret_snapshot);
        sb_snapshot_unref(worker, *ret_snapshot);
        return -1;
    }
    return 1;
}

void sb_api_snapshot_take(struct sb_rpc_call *call,
                          const Aisbx__V1__SnapshotSandboxRequest *req,
                          void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err;
    struct sb_caller caller;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    struct wait *wait = calloc(1, sizeof *wait);
    if (wait == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return;
    }
    int is_first = take(worker, &caller, req, &wait->snapshot, &err);
    if (is_first < 0) {
        free(wait);
        sb_rpc_call_fail(call, &err);
        return;
    }
    wait->observer.settled = on_settled;
    wait->call = call;
    /* With a request_id the caller can come back for it. */
    wait->is_owner = is_first > 0 && req->request_id[0] == '\0';
    sb_snapshot_observe(wait->snapshot, &wait->observer);
    sb_rpc_call_set_user(call, wait);
    if (wait->snapshot->state != SB_SNAPSHOT_TAKING) {
        answer(wait);
    }
}

void sb_api_snapshot_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    struct wait *wait = sb_rpc_call_user(call);
    if (wait == NULL) {
        return;
    }
    sb_rpc_call_set_user(call, NULL);
    sb_snapshot_unobserve(&wait->observer);
    if (cancelled && wait->is_owner) {
        sb_snapshot_delete(wait->snapshot);
    }
    sb_snapshot_unref(svc, wait->snapshot);
    free(wait);
}

/* ---- ListSnapshots, DeleteSnapshot ---- */

static bool matches(const struct sb_snapshot *snapshot,
                    const struct sb_caller *caller,
                    const Aisbx__V1__ListSnapshotsRequest *req)
{
    return snapshot->is_listed && snapshot->state == SB_SNAPSHOT_KEPT &&
           sb_caller_sees(caller, snapshot->tenant) &&
           (req->sandbox_id[0] == '\0' || strcmp(req->sandbox_id, snapshot->sandbox_id) == 0);
}

static int fill_page(const struct sb_worker *worker,
                     const struct sb_caller *caller,
                     const Aisbx__V1__ListSnapshotsRequest *req,
                     Aisbx__V1__ListSnapshotsResponse *msg,
                     struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(QUESTION_MAX);
    uint64_t cursor = 0;
    uint64_t last = 0;
    size_t size = sb_page_size(req->page_size);
    if (sb_buf_printf(&text, "snapshots|%s|%s", caller->actor, req->sandbox_id) < 0) {
        return sb_err_set(err, SB_INVALID, "sandbox_id: is no id");
    }
    uint64_t question = sb_hash_sip13(worker->page_key.key, sb_buf_cstr(&text), text.len);
    if (sb_page_cursor(&worker->page_key, sb_str_from(req->page_token), question, &cursor, err) <
        0) {
        return -1;
    }
    msg->snapshots = calloc(size, sizeof(Aisbx__V1__Snapshot *));
    if (msg->snapshots == NULL) {
        return sb_err_oom(err);
    }
    SB_FOREACH (node, &worker->snapshots.list) {
        const struct sb_snapshot *snapshot = SB_LIST_ENTRY(node, struct sb_snapshot, link);
        if (snapshot->seq >= cursor || !matches(snapshot, caller, req)) {
            continue;
        }
        if (msg->n_snapshots == size) {
            char token[SB_PAGE_TOKEN_SIZE];
            sb_page_token(&worker->page_key, last, question, token);
            return sb_api_pb_text(&msg->next_page_token, token) ? 0 : sb_err_oom(err);
        }
        Aisbx__V1__Snapshot *item = sb_api_pb_snapshot(snapshot);
        if (item == NULL) {
            return sb_err_oom(err);
        }
        msg->snapshots[msg->n_snapshots++] = item;
        last = snapshot->seq;
    }
    return 0;
}

void sb_api_snapshot_list(struct sb_rpc_call *call,
                          const Aisbx__V1__ListSnapshotsRequest *req,
                          void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_caller caller;
    struct sb_err err = {.code = SB_OK};
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    Aisbx__V1__ListSnapshotsResponse *msg =
        sb_api_pb_new(&aisbx__v1__list_snapshots_response__descriptor);
    if (msg != NULL) {
        (void)fill_page(worker, &caller, req, msg, &err);
    }
    sb_api_finish(call, msg, &err);
}

void sb_api_snapshot_delete(struct sb_rpc_call *call,
                            const Aisbx__V1__DeleteSnapshotRequest *req,
                            void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_caller caller;
    struct sb_err err = {.code = SB_OK};
    struct sb_snapshot *snapshot = NULL;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    if (sb_api_find_snapshot(worker, &caller, req->snapshot_id, &snapshot, &err) < 0) {
        sb_rpc_call_fail(call, &err);
        return;
    }
    sb_snapshot_delete(snapshot);
    sb_api_finish(call, sb_api_pb_new(&aisbx__v1__delete_snapshot_response__descriptor), &err);
}
