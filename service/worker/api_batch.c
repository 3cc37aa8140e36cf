#include "service/worker/api_batch.h"

#include "base/err.h"
#include "service/worker/api.h"
#include "service/worker/batch/batch.h"
#include "service/worker/worker.h"

void sb_api_batch_start(struct sb_rpc_call *call, const Aisbx__V1__RunBatchRequest *req, void *svc)
{
    struct sb_err err;
    struct sb_caller caller;
    struct sb_batch *batch = NULL;
    if (!sb_api_identify(call, svc, &caller)) {
        return;
    }
    if (req->request_id[0] != '\0') {
        (void)sb_err_set(
            &err, SB_INVALID,
            "request_id: results of a batch are not kept for a repeated call; leave it "
            "out");
        sb_rpc_call_fail(call, &err);
    } else if (sb_batch_start(call, svc, &caller, req, &batch, &err) < 0) {
        sb_rpc_call_fail(call, &err);
    } else {
        sb_rpc_call_set_user(call, batch);
    }
}

void sb_api_batch_drained(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    struct sb_batch *batch = sb_rpc_call_user(call);
    if (batch != NULL) {
        sb_batch_drained(batch);
    }
}

void sb_api_batch_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    struct sb_batch *batch = sb_rpc_call_user(call);
    sb_rpc_call_set_user(call, NULL);
    sb_batch_free(batch);
}
