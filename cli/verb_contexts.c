#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "aisbx/v1/context_service.rpc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/out.h"
#include "cli/connect.h"
#include "cli/resolve.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/json/pbjson.h"
#include "proto/json/when.h"

static const char *const titles[] = {"CONTEXT", "LANGUAGE", "STATE", "AGE", "RUN"};

static void put_row(struct sb_table *table, const Aisbx__V1__Context *context, uint64_t now_ms)
{
    char text[64];
    sb_table_cell(table, context->context_id);
    sb_table_cell(table, context->language);
    sb_table_cell(table,
                  sb_pbjson_enum(&aisbx__v1__context_state__descriptor, (int)context->state, text));
    sb_table_cell(table, sb_when_format_age(text, context->create_time, now_ms));
    (void)snprintf(text, sizeof text, "%" PRIu64, context->execution_count);
    sb_table_cell(table, text);
}

/* A sandbox has 16 at most: one page. */
int sb_verb_contexts(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ListContextsResponse *reply = NULL;
    SB_CLEANUP(sb_out_done) struct sb_out out;
    Aisbx__V1__ListContextsRequest request = AISBX__V1__LIST_CONTEXTS_REQUEST__INIT;
    struct sb_json json = {.out = &out};
    struct sb_table table;
    char id[SB_ID_SIZE];
    sb_out_init(&out, STDOUT_FILENO);
    if (sb_connect_open(cli, SB_CONNECT_PRESENT, &connect, err) < 0 ||
        sb_resolve_sandbox(&connect, cli->args.operands[0], id, err) < 0) {
        return -1;
    }
    request.sandbox_id = id;
    if (aisbx__v1__context_service__list_contexts__call(connect.channel, &request, &connect.options,
                                                        &reply, err) < 0) {
        return sb_err_wrap(err, "cannot list the contexts of %s", id);
    }
    *ret_status = 0;
    if (cli->args.json) {
        sb_json_open(&json, NULL, '[');
        for (size_t i = 0; i < reply->n_contexts; i++) {
            sb_pbjson_message(&json, NULL, &reply->contexts[i]->base);
        }
        sb_json_close(&json, ']');
        sb_out_put(&out, "\n");
        return sb_out_flush(&out, err);
    }
    sb_table_init(&table, titles, sizeof titles / sizeof titles[0]);
    for (size_t i = 0; i < reply->n_contexts; i++) {
        put_row(&table, reply->contexts[i], sb_clock_real_ms());
    }
    sb_table_print(&table, &out);
    sb_table_done(&table);
    return sb_out_flush(&out, err);
}
