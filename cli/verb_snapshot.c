/* snapshot, snapshots, fork, rollback. */
#include <stdio.h>
#include <unistd.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"
#include "base/out.h"
#include "base/say.h"
#include "cli/connect.h"
#include "cli/resolve.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/json/pbjson.h"
#include "proto/json/when.h"

static int
print(const struct sb_cli *cli, const void *message, const char *text, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, STDOUT_FILENO);
    if (cli->args.json) {
        struct sb_json json = {.out = &out};
        sb_pbjson_message(&json, NULL, message);
        sb_out_put(&out, "\n");
    } else {
        sb_out_printf(&out, "%s", text);
    }
    return sb_out_flush(&out, err);
}

/* ---- snapshot ---- */

int sb_verb_snapshot(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    char id[SB_ID_SIZE];
    char text[SB_ID_SIZE + 1];
    char size[SB_NUM_TEXT_SIZE];
    union { /* it is read alone */
        const char *from;
        char *to;
    } title = {cli->args.title == NULL ? "" : cli->args.title};
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_message_freep) Aisbx__V1__SnapshotSandboxResponse *reply = NULL;
    Aisbx__V1__SnapshotSandboxRequest request = AISBX__V1__SNAPSHOT_SANDBOX_REQUEST__INIT;
    if (sb_connect_open(cli, SB_CONNECT_PRESENT, &connect, err) < 0 ||
        sb_resolve_sandbox(&connect, cli->args.operands[0], id, err) < 0) {
        return -1;
    }
    request.sandbox_id = id;
    request.title = title.to;
    if (aisbx__v1__sandbox_service__snapshot_sandbox__call(connect.channel, &request,
                                                           &connect.options, &reply, err) < 0) {
        return sb_err_wrap(err, "cannot take a snapshot of %s", id);
    }
    if (reply->snapshot == NULL) {
        return sb_err_set(err, SB_INTERNAL, "the worker's reply is empty");
    }
    if (cli->args.verbose) {
        sb_say_note("%s copied", sb_num_format_bytes(size, reply->snapshot->copied_bytes));
    }
    if (reply->snapshot->n_paths == 1) {
        sb_say_note("/workspace is a directory of the host, or there is none: kept is %s",
                    reply->snapshot->paths[0]);
    }
    (void)snprintf(text, sizeof text, "%.30s\n", reply->snapshot->snapshot_id);
    *ret_status = 0;
    if (print(cli, reply->snapshot, text, err) < 0) {
        return sb_err_wrap(err, "snapshot %s was made", reply->snapshot->snapshot_id);
    }
    return 0;
}

/* ---- snapshots ---- */

static const char *const titles[] = {"SNAPSHOT", "SANDBOX", "AGE", "SIZE", "TITLE"};

struct listing {
    const struct sb_args *args;
    struct sb_out out;
    struct sb_json json;
    struct sb_table table;
    uint64_t now_ms;
};

static void put(struct listing *listing, const Aisbx__V1__Snapshot *snapshot)
{
    char text[64];
    struct sb_table *table = &listing->table;
    if (listing->args->json) {
        sb_pbjson_message(&listing->json, NULL, (const void *)snapshot);
        return;
    }
    if (listing->args->quiet) {
        sb_out_printf(&listing->out, "%s\n", snapshot->snapshot_id);
        return;
    }
    sb_table_cell(table, snapshot->snapshot_id);
    sb_table_cell(table, snapshot->sandbox_id);
    sb_table_cell(table, sb_when_format_age(text, snapshot->create_time, listing->now_ms));
    sb_table_cell(table, sb_num_format_bytes(text, snapshot->size_bytes));
    sb_table_cell(table, snapshot->title);
}

/* Page by page until the last. */
static int each_page(struct listing *listing, struct sb_connect *connect, struct sb_err *err)
{
    char id[SB_ID_SIZE];
    char token[128] = "";
    Aisbx__V1__ListSnapshotsRequest request = AISBX__V1__LIST_SNAPSHOTS_REQUEST__INIT;
    if (listing->args->n_operands > 0) {
        if (sb_resolve_sandbox(connect, listing->args->operands[0], id, err) < 0) {
            return -1;
        }
        request.sandbox_id = id;
    }
    request.page_size = 1000;
    request.page_token = token;
    do {
        SB_CLEANUP(sb_message_freep) Aisbx__V1__ListSnapshotsResponse *reply = NULL;
        if (aisbx__v1__sandbox_service__list_snapshots__call(connect->channel, &request,
                                                             &connect->options, &reply, err) < 0) {
            return sb_err_wrap(err, "cannot list snapshots");
        }
        for (size_t i = 0; i < reply->n_snapshots; i++) {
            put(listing, reply->snapshots[i]);
        }
        (void)snprintf(token, sizeof token, "%s", reply->next_page_token);
    } while (token[0] != '\0');
    return 0;
}

static int delete_all(struct sb_cli *cli, struct sb_connect *connect, int *ret_status)
{
    for (size_t i = 0; i < cli->args.n_operands; i++) {
        char id[SB_ID_SIZE];
        struct sb_err err = {0};
        SB_CLEANUP(sb_message_freep) Aisbx__V1__DeleteSnapshotResponse *reply = NULL;
        Aisbx__V1__DeleteSnapshotRequest request = AISBX__V1__DELETE_SNAPSHOT_REQUEST__INIT;
        request.snapshot_id = id;
        if (sb_resolve_snapshot(connect, cli->args.operands[i], id, &err) < 0 ||
            aisbx__v1__sandbox_service__delete_snapshot__call(
                connect->channel, &request, &connect->options, &reply, &err) < 0) {
            sb_say_error(&err, NULL); /* one failure does not keep the others */
            *ret_status = SB_STATUS_FAILED;
        }
    }
    return 0;
}

static int list(struct sb_cli *cli, struct sb_connect *connect, struct sb_err *err)
{
    struct listing listing = {.args = &cli->args, .now_ms = sb_clock_real_ms()};
    sb_out_init(&listing.out, STDOUT_FILENO);
    sb_table_init(&listing.table, titles, sizeof titles / sizeof titles[0]);
    listing.json.out = &listing.out;
    if (cli->args.json) {
        sb_json_open(&listing.json, NULL, '[');
    }
    int rc = connect->channel == NULL ? 0 : each_page(&listing, connect, err);
    if (rc == 0 && cli->args.json) {
        sb_json_close(&listing.json, ']');
        sb_out_put(&listing.out, "\n");
    } else if (rc == 0 && !cli->args.quiet) {
        sb_table_print(&listing.table, &listing.out);
    }
    rc = rc < 0 ? rc : sb_out_flush(&listing.out, err);
    sb_table_done(&listing.table);
    sb_out_done(&listing.out);
    return rc;
}

int sb_verb_snapshots(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    *ret_status = 0;
    if (cli->args.forget ? cli->args.n_operands == 0 : cli->args.n_operands > 1) {
        return sb_verb_misused(
            cli,
            sb_err_set(err, SB_INVALID,
                       cli->args.forget ? "--delete needs the ids of snapshots"
                                        : "snapshots takes one sandbox id, or --delete and ids "
                                          "of snapshots"));
    }
    if (sb_connect_open(cli, SB_CONNECT_PRESENT, &connect, err) < 0 &&
        (!connect.is_absent || cli->args.forget)) {
        return -1;
    }
    return cli->args.forget ? delete_all(cli, &connect, ret_status) : list(cli, &connect, err);
}

/* ---- fork ---- */

static int print_forks(const struct sb_cli *cli,
                       const Aisbx__V1__ForkSandboxResponse *reply,
                       struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, STDOUT_FILENO);
    if (cli->args.json) {
        struct sb_json json = {.out = &out};
        sb_pbjson_message(&json, NULL, (const void *)reply);
        sb_out_put(&out, "\n");
    }
    for (size_t i = 0; !cli->args.json && i < reply->n_sandboxes; i++) {
        sb_out_printf(&out, "%s\n", reply->sandboxes[i]->sandbox_id);
    }
    return sb_out_flush(&out, err);
}

int sb_verb_fork(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    char id[SB_ID_SIZE];
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ForkSandboxResponse *reply = NULL;
    Aisbx__V1__ForkSandboxRequest request = AISBX__V1__FORK_SANDBOX_REQUEST__INIT;
    if (sb_connect_open(cli, SB_CONNECT_PRESENT, &connect, err) < 0 ||
        sb_resolve_sandbox(&connect, cli->args.operands[0], id, err) < 0) {
        return -1;
    }
    request.sandbox_id = id;
    request.count = (uint32_t)cli->args.count;
    if (aisbx__v1__sandbox_service__fork_sandbox__call(connect.channel, &request, &connect.options,
                                                       &reply, err) < 0) {
        return sb_err_wrap(err, "cannot fork %s", id);
    }
    for (size_t i = 0; i < reply->n_notices; i++) {
        sb_say_note("%s", reply->notices[i]);
    }
    *ret_status = 0;
    if (print_forks(cli, reply, err) < 0) {
        for (size_t i = 0; i < reply->n_sandboxes; i++) {
            sb_say_note("sandbox %s was made", reply->sandboxes[i]->sandbox_id);
        }
        return -1;
    }
    return 0;
}

/* ---- rollback ---- */

int sb_verb_rollback(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    char id[SB_ID_SIZE];
    char snapshot[SB_ID_SIZE];
    char text[SB_ID_SIZE + 1];
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_message_freep) Aisbx__V1__RollbackSandboxResponse *reply = NULL;
    Aisbx__V1__RollbackSandboxRequest request = AISBX__V1__ROLLBACK_SANDBOX_REQUEST__INIT;
    if (sb_connect_open(cli, SB_CONNECT_PRESENT, &connect, err) < 0 ||
        sb_resolve_sandbox(&connect, cli->args.operands[0], id, err) < 0 ||
        sb_resolve_snapshot(&connect, cli->args.operands[1], snapshot, err) < 0) {
        return -1;
    }
    request.sandbox_id = id;
    request.snapshot_id = snapshot;
    if (aisbx__v1__sandbox_service__rollback_sandbox__call(connect.channel, &request,
                                                           &connect.options, &reply, err) < 0) {
        return sb_err_wrap(err, "cannot take %s back", id);
    }
    if (reply->sandbox == NULL) {
        return sb_err_set(err, SB_INTERNAL, "the worker's reply is empty");
    }
    (void)snprintf(text, sizeof text, "%.30s\n", id);
    *ret_status = 0;
    return print(cli, reply->sandbox, text, err);
}
