#include <unistd.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/out.h"
#include "cli/arena.h"
#include "cli/connect.h"
#include "cli/pairs.h"
#include "cli/resolve.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/json/pbjson.h"

enum { FIELDS = 3 };

struct change {
    Aisbx__V1__SandboxSpec spec;
    Google__Protobuf__FieldMask mask;
    char *paths[FIELDS];
};

/* Notes a field that is set or taken away; both at once is a mistake. */
static int note(struct change *change,
                char *path,
                bool is_set,
                bool is_none,
                const char *both,
                struct sb_err *err)
{
    if (is_set && is_none) {
        return sb_err_set(err, SB_INVALID, "%s exclude each other", both);
    }
    if (is_set || is_none) {
        change->paths[change->mask.n_paths++] = path;
    }
    return 0;
}

static int
fill(struct change *change, const struct sb_args *args, struct sb_arena *arena, struct sb_err *err)
{
    static char ttl[] = "ttl_ms";
    static char idle[] = "idle_ms";
    static char labels[] = "labels";
    struct sb_pairs pairs = {0};
    aisbx__v1__sandbox_spec__init(&change->spec);
    google__protobuf__field_mask__init(&change->mask);
    change->mask.paths = change->paths;
    if (note(change, ttl, args->ttl_ms != 0, args->no_ttl, "--ttl and --no-ttl", err) < 0 ||
        note(change, idle, args->idle_ms != 0, args->no_idle, "--idle and --no-idle", err) < 0 ||
        note(change, labels, args->labels.n > 0, args->no_labels, "--label and --no-labels", err) <
            0) {
        return -1;
    }
    if (change->mask.n_paths == 0) {
        return sb_err_set(err, SB_INVALID, "nothing to change");
    }
    for (size_t i = 0; i < args->labels.n; i++) {
        if (sb_pairs_add_label(&pairs, arena, sb_str_from(args->labels.items[i]), err) < 0) {
            return -1;
        }
    }
    change->spec.ttl_ms = args->ttl_ms;
    change->spec.idle_ms = args->idle_ms;
    change->spec.labels =
        sb_pairs_entries(&pairs, arena, &aisbx__v1__sandbox_spec__labels_entry__descriptor, err);
    change->spec.n_labels = pairs.n;
    return change->spec.labels == NULL ? -1 : 0;
}

static int print(const struct sb_cli *cli, const Aisbx__V1__Sandbox *sandbox, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    if (sandbox == NULL) {
        return sb_err_set(err, SB_INTERNAL, "the worker's reply is empty");
    }
    sb_out_init(&out, STDOUT_FILENO);
    if (cli->args.json) {
        struct sb_json json = {.out = &out};
        sb_pbjson_message(&json, NULL, (const void *)sandbox);
        sb_out_put(&out, "\n");
    } else {
        sb_out_printf(&out, "%s\n", sandbox->sandbox_id);
    }
    return sb_out_flush(&out, err);
}

int sb_verb_update(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_arena_done) struct sb_arena arena = {0};
    SB_CLEANUP(sb_message_freep) Aisbx__V1__UpdateSandboxResponse *reply = NULL;
    Aisbx__V1__UpdateSandboxRequest request = AISBX__V1__UPDATE_SANDBOX_REQUEST__INIT;
    struct change change = {0};
    char id[SB_ID_SIZE];
    if (sb_verb_misused(cli, fill(&change, &cli->args, &arena, err)) < 0) {
        sb_verb_hint(cli, "aisbx update --ttl 1h SANDBOX; aisbx help update shows what there is");
        return -1;
    }
    if (sb_connect_open(cli, SB_CONNECT_PRESENT, &connect, err) < 0 ||
        sb_resolve_sandbox(&connect, cli->args.operands[0], id, err) < 0) {
        return -1;
    }
    request.sandbox_id = id;
    request.update_mask = &change.mask;
    request.sandbox = &change.spec;
    if (aisbx__v1__sandbox_service__update_sandbox__call(connect.channel, &request,
                                                         &connect.options, &reply, err) < 0) {
        return sb_err_wrap(err, "cannot change %s", id);
    }
    *ret_status = 0;
    return print(cli, reply->sandbox, err);
}
