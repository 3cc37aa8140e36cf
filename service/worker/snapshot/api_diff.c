/* DiffFiles. A child of the spawner compares, and tells by a socket what differs: one packet is in
 * memory at a time, and who reads slowly makes it wait. */
#include "service/worker/snapshot/api_diff.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aisbx/v1/file_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "proto/rpc/rpc.h"
#include "service/shared/changeproto.h"
#include "service/shared/frame.h"
#include "service/worker/api.h"
#include "service/worker/api_file.h"
#include "service/worker/fileframe.h"
#include "service/worker/limits.h"
#include "service/worker/pause.h"
#include "service/worker/sandbox.h"
#include "service/worker/snapshot/snapshot.h"
#include "service/worker/spawner.h"
#include "service/worker/worker.h"

enum { PACKETS_A_TURN = 64 };

struct diff {
    struct sb_list link; /* worker->snapshots.diffs */
    struct sb_worker *worker;
    struct sb_rpc_call *call; /* NULL: it has ended */
    struct sb_sandbox *sandbox;
    int sock;       /* owned; -1: the spawner has not answered */
    bool is_asking; /* the spawner */
    bool is_over;   /* the call was answered */
    bool is_paused;
    bool has_data; /* was asked for */
    struct event readable;
};

static void diff_free(struct diff *diff)
{
    if (diff->sock >= 0) {
        (void)event_del(&diff->readable);
        close(diff->sock);
    }
    sb_list_remove(&diff->link);
    sb_sandbox_file_left(diff->sandbox);
    sb_sandbox_unref(diff->sandbox);
    free(diff);
}

static void end(struct diff *diff, const struct sb_err *err)
{
    if (diff->sock >= 0) {
        (void)event_del(&diff->readable);
    }
    if (!diff->is_over && diff->call != NULL) {
        diff->is_over = true;
        if (err == NULL) {
            sb_rpc_call_reply(diff->call, NULL);
        } else {
            sb_rpc_call_fail(diff->call, err);
        }
    }
}

static void send_message(struct diff *diff, const Aisbx__V1__DiffFilesResponse *msg)
{
    if (!aisbx__v1__file_service__diff_files__send(diff->call, msg)) {
        diff->is_paused = true;
        (void)event_del(&diff->readable);
    }
}

static void send_change(struct diff *diff, uint32_t change, const struct sb_fileframe *frame)
{
    Aisbx__V1__DiffFilesResponse msg = AISBX__V1__DIFF_FILES_RESPONSE__INIT;
    char path[SB_FILE_MAX_PATH + 1];
    path[0] = '/';
    memcpy(path + 1, frame->path.ptr, frame->path.len);
    msg.kind = (Aisbx__V1__FileEventKind)change;
    msg.file = sb_api_file_info(&frame->info, sb_str_of(path, 1 + frame->path.len), frame->link);
    if (msg.file == NULL) {
        struct sb_err err;
        (void)sb_err_oom(&err);
        end(diff, &err);
        return;
    }
    send_message(diff, &msg);
    aisbx__v1__file_info__free_unpacked(msg.file, NULL);
}

static void send_data(struct diff *diff, uint64_t offset, struct sb_str data)
{
    Aisbx__V1__DiffFilesResponse msg = AISBX__V1__DIFF_FILES_RESPONSE__INIT;
    union { /* it is read alone */
        const char *from;
        uint8_t *to;
    } bytes = {data.ptr};
    msg.data.data = bytes.to;
    msg.data.len = data.len;
    msg.offset = offset;
    send_message(diff, &msg);
}

static void end_failed(struct diff *diff, const struct sb_file_failed *failed)
{
    struct sb_err err;
    if (failed->why == SB_FILE_WHY_DEEP) {
        (void)sb_err_set(&err, SB_PRECONDITION,
                         "directories lie too deep within each other to be compared");
    } else if (failed->why == SB_FILE_WHY_SHRUNK) {
        (void)sb_err_set(&err, SB_ABORTED,
                         "a file became shorter while it was read; try again, or pause the sandbox "
                         "meanwhile");
    } else if (failed->why == SB_FILE_WHY_WHITEOUT) {
        (void)sb_err_set(&err, SB_PRECONDITION,
                         "a name begins with .wh., which means something else in an archive of "
                         "changes: rename it, or take changes by DIFF_CONTENT_FILES");
    } else {
        (void)sb_err_sys(&err, failed->error, "compare the files of %s", diff->sandbox->id);
    }
    end(diff, &err);
}

/* False: stop for now. */
static bool take_packet(struct diff *diff)
{
    static unsigned char packet[sizeof(struct sb_change_head) + sizeof(struct sb_file_info) +
                                2UL * SB_FILE_MAX_PATH + SB_FILE_MAX_DATA];
    struct sb_change_head head;
    struct sb_fileframe frame;
    struct sb_err err;
    ssize_t len = recv(diff->sock, packet, sizeof packet, MSG_DONTWAIT);
    if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (len < (ssize_t)sizeof head) {
        (void)sb_err_set(&err, SB_ABORTED, "sandbox %s ended while its files were compared",
                         diff->sandbox->id);
        end(diff, &err);
        return false;
    }
    memcpy(&head, packet, sizeof head);
    if (sb_fileframe_read(packet + sizeof head, (size_t)len - sizeof head, &frame, &err) < 0) {
        end(diff, &err);
        return false;
    }
    bool is_change = frame.type == SB_FILE_INFO && frame.path.len > 0 &&
                     head.change >= SB_CHANGE_CREATED && head.change <= SB_CHANGE_REMOVED;
    bool is_data = frame.type == SB_FILE_DATA && diff->has_data;
    if (is_data) {
        send_data(diff, head.offset, frame.data);
    } else if (is_change) {
        send_change(diff, head.change, &frame);
    } else if (frame.type == SB_FILE_FAILED) {
        end_failed(diff, &frame.failed);
    } else {
        end(diff, NULL);
    }
    return (is_change || is_data) && !diff->is_over && !diff->is_paused;
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct diff *diff = ctx;
    for (int i = 0; i < PACKETS_A_TURN && take_packet(diff); i++) {
    }
}

static void on_opened(void *ctx,
                      const Spawn__V1__Reply *reply,
                      struct sb_frame *frame,
                      const struct sb_err *failure)
{
    struct diff *diff = ctx;
    struct sb_err err;
    diff->is_asking = false;
    SB_CLEANUP(sb_closep) int sock = reply == NULL ? -1 : sb_frame_take_fd(frame, 0);
    if (diff->call == NULL) {
        diff_free(diff); /* whose socket is closed, so the child ends */
        return;
    }
    if (sock < 0) {
        (void)sb_err_set(&err, SB_INTERNAL, "the spawner gave no socket");
        end(diff, reply == NULL ? failure : &err);
        return;
    }
    diff->sock = SB_STEAL_FD(sock);
    (void)event_assign(&diff->readable, diff->worker->base, diff->sock, EV_READ | EV_PERSIST,
                       on_readable, diff);
    if (event_add(&diff->readable, NULL) < 0) {
        (void)sb_err_set(&err, SB_INTERNAL, "the event loop refused a socket");
        end(diff, &err);
    }
}

/* ---- the call ---- */

/* The spawner has so many children that compare, and one that nobody reads stays. */
static size_t count_of(const struct sb_snapshots *snapshots, const char *tenant)
{
    size_t n = 0;
    SB_FOREACH (node, &snapshots->diffs) {
        const struct diff *diff = SB_LIST_ENTRY(node, struct diff, link);
        n += strcmp(diff->sandbox->tenant, tenant) == 0;
    }
    return n;
}

static int check(const struct sb_sandbox *sandbox, struct sb_err *err)
{
    if (sandbox->state != SB_STATE_RUNNING && sandbox->state != SB_STATE_PAUSED) {
        return sb_err_set(err, SB_PRECONDITION, "sandbox %s is %s", sandbox->id,
                          sb_state_name(sandbox->state));
    }
    if (count_of(&sandbox->worker->snapshots, sandbox->tenant) >= SB_MAX_TENANT_DIFFS) {
        return sb_err_set(err, SB_EXHAUSTED,
                          "%d calls of this tenant compare files already; read them to their end, "
                          "and try again",
                          (int)SB_MAX_TENANT_DIFFS);
    }
    return sandbox->n_fileops >= SB_MAX_FILE_CALLS
               ? sb_err_set(err, SB_EXHAUSTED, "%d calls on files of %s go on; try again",
                            (int)SB_MAX_FILE_CALLS, sandbox->id)
               : 0;
}

/* Returns 1: the call was answered. */
static int since(struct sb_rpc_call *call,
                 struct sb_worker *worker,
                 const Aisbx__V1__DiffFilesRequest *req,
                 Spawn__V1__ReadChanges *ret_of,
                 struct sb_err *err)
{
    const char *snapshot_id = req->snapshot_id;
    struct sb_snapshot *snapshot = NULL;
    struct sb_caller caller;
    spawn__v1__read_changes__init(ret_of);
    if ((int)req->content < 0 || req->content > AISBX__V1__DIFF_CONTENT__DIFF_CONTENT_TAR) {
        return sb_err_set(err, SB_INVALID, "content: unknown content");
    }
    if (req->since_host && snapshot_id[0] != '\0') {
        return sb_err_set(err, SB_INVALID, "since_host: not together with snapshot_id");
    }
    ret_of->content = (uint32_t)req->content;
    ret_of->since_host = req->since_host;
    if (snapshot_id[0] == '\0') { /* what the sandbox started from */
        return 0;
    }
    if (!sb_api_identify(call, worker, &caller)) {
        return 1;
    }
    if (sb_api_find_snapshot(worker, &caller, snapshot_id, &snapshot, err) < 0) {
        return -1;
    }
    ret_of->layer_id = snapshot->layer_id;
    return snapshot->state == SB_SNAPSHOT_KEPT
               ? 0
               : sb_err_set(err, SB_UNAVAILABLE, "snapshot %s is still being taken; try again",
                            snapshot->id);
}

void sb_api_diff_start(struct sb_rpc_call *call, const Aisbx__V1__DiffFilesRequest *req, void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err;
    Spawn__V1__ReadChanges of;
    struct sb_sandbox *sandbox = sb_api_call_sandbox(call, worker, req->sandbox_id);
    if (sandbox == NULL) {
        return;
    }
    int found = since(call, worker, req, &of, &err);
    struct diff *diff = found == 0 ? calloc(1, sizeof *diff) : NULL;
    if (found > 0) {
        return;
    }
    if (found == 0 && diff == NULL) {
        found = sb_err_oom(&err);
    }
    if (found < 0 || check(sandbox, &err) < 0 ||
        sb_spawner_read_changes(worker->spawner, sandbox->slot, &of, on_opened, diff, &err) < 0) {
        free(diff);
        sb_rpc_call_fail(call, &err);
        return;
    }
    diff->worker = worker;
    diff->call = call;
    diff->sandbox = sandbox;
    diff->sock = -1;
    diff->has_data = req->content != AISBX__V1__DIFF_CONTENT__DIFF_CONTENT_UNSPECIFIED;
    diff->is_asking = true;
    sandbox->refs++;
    sb_list_append(&worker->snapshots.diffs, &diff->link);
    sb_sandbox_file_joined(sandbox);
    sb_rpc_call_set_user(call, diff);
}

void sb_api_diff_drained(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    struct diff *diff = sb_rpc_call_user(call);
    if (diff != NULL && diff->is_paused && !diff->is_over) {
        diff->is_paused = false;
        (void)event_add(&diff->readable, NULL);
    }
}

void sb_api_diff_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    struct diff *diff = sb_rpc_call_user(call);
    if (diff == NULL) {
        return;
    }
    sb_rpc_call_set_user(call, NULL);
    diff->call = NULL;
    if (!diff->is_asking) {
        diff_free(diff);
    } /* else when the spawner has answered */
}

void sb_api_commit_refuse(struct sb_rpc_call *call,
                          const Aisbx__V1__CommitFilesRequest *req,
                          void *svc)
{
    struct sb_err err;
    (void)req;
    (void)svc;
    (void)sb_err_set(&err, SB_UNIMPLEMENTED,
                     "a worker writes to no host directory for others: aisbx commit does, with the "
                     "rights of who calls it; DiffFiles with since_host and DIFF_CONTENT_FILES "
                     "has all that is needed");
    sb_rpc_call_fail(call, &err);
}
