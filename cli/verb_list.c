#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/out.h"
#include "cli/arena.h"
#include "cli/connect.h"
#include "cli/pairs.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/json/pbjson.h"
#include "proto/json/when.h"

static const char *const titles[] = {"SANDBOX", "PROFILE", "STATE", "AGE", "RUNNING", "LABELS"};

struct listing {
    const struct sb_args *args;
    struct sb_out out;
    struct sb_json json;
    struct sb_table table;
    uint64_t now_ms;
};

static void put_labels(struct sb_table *table, const Aisbx__V1__Sandbox *sandbox)
{
    struct sb_out text;
    sb_out_init(&text, -1);
    for (size_t i = 0; i < sandbox->n_labels; i++) {
        sb_out_printf(&text, "%s%s=%s", i == 0 ? "" : ",", sandbox->labels[i]->key,
                      sandbox->labels[i]->value);
    }
    sb_table_cell(table, sb_buf_cstr(&text.buf));
    sb_out_done(&text);
}

static void put_row(struct listing *listing, const Aisbx__V1__Sandbox *sandbox)
{
    char text[64];
    struct sb_table *table = &listing->table;
    sb_table_cell(table, sandbox->sandbox_id);
    sb_table_cell(table, sandbox->profile);
    sb_table_cell(table,
                  sb_pbjson_enum(&aisbx__v1__sandbox_state__descriptor, (int)sandbox->state, text));
    sb_table_cell(table, sb_when_format_age(text, sandbox->create_time, listing->now_ms));
    (void)snprintf(text, sizeof text, "%" PRIu32, sandbox->active_execs);
    sb_table_cell(table, text);
    put_labels(table, sandbox);
}

static void put_sandbox(struct listing *listing, const Aisbx__V1__Sandbox *sandbox)
{
    if (listing->args->json) {
        sb_pbjson_message(&listing->json, NULL, (const void *)sandbox);
    } else if (listing->args->quiet) {
        sb_out_printf(&listing->out, "%s\n", sandbox->sandbox_id);
    } else {
        put_row(listing, sandbox);
    }
}

static bool find_state(const char *name, Aisbx__V1__SandboxState *ret_state)
{
    const ProtobufCEnumDescriptor *type = &aisbx__v1__sandbox_state__descriptor;
    char scratch[64];
    for (unsigned i = 0; i < type->n_values; i++) {
        int value = type->values[i].value;
        if (value != 0 && strcmp(sb_pbjson_enum(type, value, scratch), name) == 0) {
            *ret_state = (Aisbx__V1__SandboxState)value;
            return true;
        }
    }
    return false;
}

static int take_states(const struct sb_args *args,
                       struct sb_arena *arena,
                       Aisbx__V1__ListSandboxesRequest *request,
                       struct sb_err *err)
{
    if (args->all) {
        return sb_err_set(err, SB_INVALID, "--all and --state exclude each other");
    }
    request->n_states = args->states.n;
    request->states = sb_arena_alloc(arena, args->states.n, sizeof *request->states, err);
    if (request->states == NULL) {
        return -1;
    }
    for (size_t i = 0; i < args->states.n; i++) {
        if (!find_state(args->states.items[i], &request->states[i])) {
            return sb_err_set(
                err, SB_INVALID,
                "--state: %s is none of starting, running, paused, stopping, destroyed",
                args->states.items[i]);
        }
    }
    return 0;
}

static int make_filter(const struct sb_args *args,
                       struct sb_arena *arena,
                       Aisbx__V1__ListSandboxesRequest *request,
                       struct sb_err *err)
{
    static Aisbx__V1__SandboxState all[] = {
        AISBX__V1__SANDBOX_STATE__SANDBOX_STATE_STARTING,
        AISBX__V1__SANDBOX_STATE__SANDBOX_STATE_RUNNING,
        AISBX__V1__SANDBOX_STATE__SANDBOX_STATE_PAUSED,
        AISBX__V1__SANDBOX_STATE__SANDBOX_STATE_STOPPING,
        AISBX__V1__SANDBOX_STATE__SANDBOX_STATE_DESTROYED,
    };
    struct sb_pairs pairs = {0};
    for (size_t i = 0; i < args->labels.n; i++) {
        if (sb_pairs_add_label(&pairs, arena, sb_str_from(args->labels.items[i]), err) < 0) {
            return -1;
        }
    }
    request->labels = sb_pairs_entries(
        &pairs, arena, &aisbx__v1__list_sandboxes_request__labels_entry__descriptor, err);
    if (request->labels == NULL) {
        return -1;
    }
    request->n_labels = pairs.n;
    request->states = all;
    request->n_states = args->all ? sizeof all / sizeof all[0] : 0;
    if (args->states.n > 0 && take_states(args, arena, request, err) < 0) {
        return -1;
    }
    if (args->profile != NULL) {
        request->profile = sb_arena_text(arena, sb_str_from(args->profile), err);
    }
    return request->profile == NULL ? -1 : 0;
}

/* Page by page until the last. */
static int each_page(struct listing *listing,
                     struct sb_connect *connect,
                     struct sb_arena *arena,
                     Aisbx__V1__ListSandboxesRequest *request,
                     struct sb_err *err)
{
    request->page_size = 1000;
    do {
        SB_CLEANUP(sb_message_freep) Aisbx__V1__ListSandboxesResponse *reply = NULL;
        if (aisbx__v1__sandbox_service__list_sandboxes__call(connect->channel, request,
                                                             &connect->options, &reply, err) < 0) {
            return sb_err_wrap(err, "cannot list sandboxes");
        }
        for (size_t i = 0; i < reply->n_sandboxes; i++) {
            put_sandbox(listing, reply->sandboxes[i]);
        }
        request->page_token = sb_arena_text(arena, sb_str_from(reply->next_page_token), err);
        if (request->page_token == NULL) {
            return -1;
        }
    } while (*request->page_token != '\0');
    return 0;
}

static int
list(struct sb_cli *cli, struct listing *listing, struct sb_arena *arena, struct sb_err *err)
{
    Aisbx__V1__ListSandboxesRequest request = AISBX__V1__LIST_SANDBOXES_REQUEST__INIT;
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    if (sb_verb_misused(cli, make_filter(&cli->args, arena, &request, err)) < 0) {
        return -1;
    }
    if (sb_connect_open(cli, SB_CONNECT_PRESENT, &connect, err) < 0) {
        return connect.is_absent ? 0 : -1; /* no worker, no sandboxes */
    }
    return each_page(listing, &connect, arena, &request, err);
}

int sb_verb_list(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_arena_done) struct sb_arena arena = {0};
    struct listing listing = {.args = &cli->args, .now_ms = sb_clock_real_ms()};
    sb_out_init(&listing.out, STDOUT_FILENO);
    sb_table_init(&listing.table, titles, sizeof titles / sizeof titles[0]);
    listing.json.out = &listing.out;
    if (cli->args.json) {
        sb_json_open(&listing.json, NULL, '[');
    }
    int rc = list(cli, &listing, &arena, err);
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
