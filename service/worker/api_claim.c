#include "service/worker/api_claim.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "service/worker/api.h"
#include "service/worker/api_pb.h"
#include "service/worker/claims.h"
#include "service/worker/worker.h"

static int check(const Aisbx__V1__ClaimRequestRequest *req, struct sb_err *err)
{
    static const char *const methods[] = {"CreateSandbox", "Run", "StartExec", "InteractExec"};
    if (req->request_id[0] == '\0') {
        return sb_err_set(err, SB_INVALID, "request_id: is missing");
    }
    if (!sb_id_valid(sb_str_from(req->worker_id), "wk_")) {
        return sb_err_set(err, SB_INVALID, "worker_id: is no id of a worker");
    }
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (strcmp(req->method, methods[i]) == 0) {
            return 0;
        }
    }
    return sb_err_set(err, SB_INVALID, "method: none that makes a sandbox by request_id");
}

/** What was done here comes before what was said of others. */
static int claim(struct sb_worker *worker,
                 const struct sb_idem_call *id,
                 const Aisbx__V1__ClaimRequestRequest *req,
                 char ret_id[SB_ID_SIZE],
                 struct sb_err *err)
{
    if (sb_idem_knows(&worker->idem, id, sb_clock_real_ms())) {
        (void)snprintf(ret_id, SB_ID_SIZE, "%s", worker->id);
        return 0;
    }
    if (req->release) {
        sb_claims_release(&worker->claims, id, req->worker_id);
        (void)snprintf(ret_id, SB_ID_SIZE, "%s", req->worker_id);
        return 0;
    }
    return sb_claims_take(&worker->claims, id, req->worker_id, sb_clock_real_ms(), ret_id, err);
}

void sb_api_claim_request(struct sb_rpc_call *call,
                          const Aisbx__V1__ClaimRequestRequest *req,
                          void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err = {.code = SB_OK};
    struct sb_caller caller;
    char worker_id[SB_ID_SIZE];
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    const struct sb_idem_call id = {caller.actor, req->method, req->request_id, NULL};
    if (check(req, &err) < 0 || claim(worker, &id, req, worker_id, &err) < 0) {
        sb_rpc_call_fail(call, &err);
        return;
    }
    Aisbx__V1__ClaimRequestResponse *msg =
        sb_api_pb_new(&aisbx__v1__claim_request_response__descriptor);
    if (msg != NULL && !sb_api_pb_text(&msg->worker_id, worker_id)) {
        (void)sb_err_oom(&err);
    }
    sb_api_finish(call, msg, &err);
}
