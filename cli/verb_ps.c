#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"
#include "base/out.h"
#include "cli/arena.h"
#include "cli/connect.h"
#include "cli/resolve.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/json/pbjson.h"
#include "proto/json/when.h"

enum { MAX_COMMAND = 60 }; /* bytes that people see */

static const char *const titles[] = {"EXEC", "SANDBOX", "STATE", "AGE", "OUTPUT", "COMMAND"};

struct listing {
    const struct sb_args *args;
    struct sb_out out;
    struct sb_json json;
    struct sb_table table;
    uint64_t now_ms;
};

static void put_state(struct sb_table *table, const Aisbx__V1__Exec *exec)
{
    char text[64];
    char kind[64];
    const Aisbx__V1__Verdict *verdict = exec->verdict;
    if (verdict == NULL) {
        sb_table_cell(table, exec->terminal != NULL ? "running, terminal" : "running");
        return;
    }
    bool has_signal = verdict->signal > 0;
    const char *name =
        sb_pbjson_enum(&aisbx__v1__verdict_kind__descriptor, (int)verdict->kind, kind);
    (void)snprintf(text, sizeof text, "%.40s %d", name,
                   has_signal ? 128 + verdict->signal : verdict->exit_code);
    sb_table_cell(table, text);
}

static void put_command(struct sb_table *table, const Aisbx__V1__Exec *exec)
{
    char text[MAX_COMMAND + 4] = "";
    size_t len = 0;
    for (size_t i = 0; i < exec->n_args && len < MAX_COMMAND; i++) {
        int n = snprintf(text + len, sizeof text - len, "%s%s", i == 0 ? "" : " ", exec->args[i]);
        len += n < 0 ? 0 : (size_t)n;
    }
    if (len > MAX_COMMAND) {
        (void)strcpy(text + MAX_COMMAND, "...");
    }
    sb_table_cell(table, text);
}

static void put_row(struct listing *listing, const Aisbx__V1__Exec *exec)
{
    char text[64];
    struct sb_table *table = &listing->table;
    sb_table_cell(table, exec->exec_id);
    sb_table_cell(table, exec->sandbox_id);
    put_state(table, exec);
    sb_table_cell(table, sb_when_format_age(text, exec->start_time, listing->now_ms));
    sb_table_cell(table, sb_num_format_bytes_short(text, exec->stdout_bytes + exec->stderr_bytes));
    put_command(table, exec);
}

static void put_exec(struct listing *listing, const Aisbx__V1__Exec *exec)
{
    if (listing->args->json) {
        sb_pbjson_message(&listing->json, NULL, (const void *)exec);
    } else if (listing->args->quiet) {
        sb_out_printf(&listing->out, "%s\n", exec->exec_id);
    } else {
        put_row(listing, exec);
    }
}

/* Page by page until the last. */
static int
each_page(struct listing *listing, struct sb_connect *connect, char *sandbox_id, struct sb_err *err)
{
    SB_CLEANUP(sb_arena_done) struct sb_arena arena = {0};
    Aisbx__V1__ListExecsRequest request = AISBX__V1__LIST_EXECS_REQUEST__INIT;
    request.sandbox_id = sandbox_id;
    request.page_size = 1000;
    request.running_only = !listing->args->all;
    do {
        SB_CLEANUP(sb_message_freep) Aisbx__V1__ListExecsResponse *reply = NULL;
        if (aisbx__v1__sandbox_service__list_execs__call(connect->channel, &request,
                                                         &connect->options, &reply, err) < 0) {
            return sb_err_wrap(err, "cannot list programs");
        }
        for (size_t i = 0; i < reply->n_execs; i++) {
            put_exec(listing, reply->execs[i]);
        }
        request.page_token = sb_arena_text(&arena, sb_str_from(reply->next_page_token), err);
        if (request.page_token == NULL) {
            return -1;
        }
    } while (*request.page_token != '\0');
    return 0;
}

static int list(struct sb_cli *cli, struct listing *listing, struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    char id[SB_ID_SIZE] = "";
    if (sb_connect_open(cli, SB_CONNECT_PRESENT, &connect, err) < 0) {
        bool is_empty = connect.is_absent && cli->args.n_operands == 0;
        return is_empty ? 0 : -1; /* no worker, no programs */
    }
    if (cli->args.n_operands > 0 &&
        sb_resolve_sandbox(&connect, cli->args.operands[0], id, err) < 0) {
        return -1;
    }
    return each_page(listing, &connect, id, err);
}

int sb_verb_ps(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    struct listing listing = {.args = &cli->args, .now_ms = sb_clock_real_ms()};
    sb_out_init(&listing.out, STDOUT_FILENO);
    sb_table_init(&listing.table, titles, sizeof titles / sizeof titles[0]);
    listing.json.out = &listing.out;
    if (cli->args.json) {
        sb_json_open(&listing.json, NULL, '[');
    }
    int rc = list(cli, &listing, err);
    if (rc == 0 && cli->args.json) {
        sb_json_close(&listing.json, ']');
        sb_out_put(&listing.out, "\n");
    } else if (rc == 0 && !cli->args.quiet) {
        sb_table_print(&listing.table, &listing.out);
    }
    rc = rc < 0 ? rc : sb_out_flush(&listing.out, err);
    sb_table_done(&listing.table);
    sb_out_done(&listing.out);
    *ret_status = 0;
    return rc;
}
