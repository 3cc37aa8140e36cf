#include <unistd.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/out.h"
#include "base/say.h"
#include "cli/connect.h"
#include "cli/resolve.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/json/pbjson.h"

struct destroying {
    struct sb_connect *connect;
    const struct sb_args *args;
    struct sb_out out;
    struct sb_json json;
    bool has_failed;
};

/* One failure does not keep the others alive. */
static void destroy(struct destroying *d, char *id)
{
    struct sb_err err = {0};
    Aisbx__V1__DestroySandboxRequest request = AISBX__V1__DESTROY_SANDBOX_REQUEST__INIT;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__DestroySandboxResponse *reply = NULL;
    request.sandbox_id = id;
    if (aisbx__v1__sandbox_service__destroy_sandbox__call(d->connect->channel, &request,
                                                          &d->connect->options, &reply, &err) < 0) {
        (void)sb_err_wrap(&err, "cannot destroy %s", id);
        sb_say_error(&err, NULL);
        d->has_failed = true;
        return;
    }
    if (d->args->json && reply->sandbox != NULL) {
        sb_pbjson_message(&d->json, NULL, (const void *)reply->sandbox);
    } else if (!d->args->json) {
        sb_out_printf(&d->out, "%s\n", id);
    }
}

static void destroy_named(struct destroying *d)
{
    for (size_t i = 0; i < d->args->n_operands; i++) {
        char id[SB_ID_SIZE];
        struct sb_err err = {0};
        if (sb_resolve_sandbox(d->connect, d->args->operands[i], id, &err) < 0) {
            sb_say_error(&err, NULL);
            d->has_failed = true;
        } else {
            destroy(d, id);
        }
    }
}

/* The list of live ones shrinks as they go; one that cannot be destroyed ends the loop. */
static int destroy_all(struct destroying *d, struct sb_err *err)
{
    for (size_t n = 1; n > 0 && !d->has_failed;) {
        Aisbx__V1__ListSandboxesRequest request = AISBX__V1__LIST_SANDBOXES_REQUEST__INIT;
        SB_CLEANUP(sb_message_freep) Aisbx__V1__ListSandboxesResponse *reply = NULL;
        request.page_size = 1000;
        if (aisbx__v1__sandbox_service__list_sandboxes__call(
                d->connect->channel, &request, &d->connect->options, &reply, err) < 0) {
            return sb_err_wrap(err, "cannot list sandboxes");
        }
        n = reply->n_sandboxes;
        for (size_t i = 0; i < n; i++) {
            destroy(d, reply->sandboxes[i]->sandbox_id);
        }
    }
    return 0;
}

int sb_verb_destroy(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    struct destroying d = {.connect = &connect, .args = &cli->args};
    if (cli->args.all == (cli->args.n_operands > 0)) {
        sb_verb_hint(cli, "aisbx list shows the ids");
        return sb_verb_misused(
            cli, sb_err_set(err, SB_INVALID, "destroy needs either sandbox ids or --all"));
    }
    if (sb_connect_open(cli, SB_CONNECT_PRESENT, &connect, err) < 0 &&
        !(cli->args.all && connect.is_absent)) {
        return -1;
    }
    sb_out_init(&d.out, STDOUT_FILENO);
    d.json.out = &d.out;
    if (cli->args.json) {
        sb_json_open(&d.json, NULL, '[');
    }
    int rc = 0;
    if (!cli->args.all) {
        destroy_named(&d);
    } else if (connect.channel != NULL) {
        rc = destroy_all(&d, err);
    }
    if (cli->args.json) {
        sb_json_close(&d.json, ']');
        sb_out_put(&d.out, "\n");
    }
    struct sb_err flush_err;
    if (sb_out_flush(&d.out, &flush_err) < 0 && rc == 0) {
        *err = flush_err;
        rc = -1;
    }
    sb_out_done(&d.out);
    *ret_status = d.has_failed ? SB_STATUS_FAILED : 0;
    return rc;
}
