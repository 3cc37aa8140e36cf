#include "proto/rpc/grpc/cq.h"

#include <signal.h>

#include <grpc/support/time.h>

#include "base/err.h"
#include "proto/rpc/grpc/corelog.h"

static void block_signals(sigset_t *ret_before)
{
    sigset_t all;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, ret_before);
}

void sb_grpc_cq_library_init(enum sb_log_level errors)
{
    sigset_t before;
    block_signals(&before);
    sb_grpc_corelog_route(errors);
    grpc_init();
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void *queue_thread(void *arg)
{
    grpc_completion_queue *queue = arg;
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            return NULL;
        }
        if (event.type == GRPC_OP_COMPLETE) {
            struct sb_grpc_op *op = event.tag;
            SB_GRPC_TAKE_OVER(op);
            op->on_cq(op, event.success != 0);
        }
    }
}

int sb_grpc_cq_start(struct sb_grpc_cq *cq, unsigned n_threads, struct sb_err *err)
{
    if (n_threads > SB_GRPC_MAX_THREADS) {
        n_threads = SB_GRPC_MAX_THREADS;
    }
    sigset_t before;
    block_signals(&before);
    cq->n_threads = 0;
    cq->queue = grpc_completion_queue_create_for_next(NULL);
    int failed = 0;
    while (failed == 0 && cq->n_threads < n_threads) {
        failed = pthread_create(&cq->threads[cq->n_threads], NULL, queue_thread, cq->queue);
        cq->n_threads += failed == 0;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        sb_grpc_cq_stop(cq);
        return sb_err_sys(err, failed, "completion queue thread");
    }
    return 0;
}

void sb_grpc_cq_stop(struct sb_grpc_cq *cq)
{
    if (cq->queue == NULL) {
        return;
    }
    grpc_completion_queue_shutdown(cq->queue);
    for (unsigned i = 0; i < cq->n_threads; i++) {
        (void)pthread_join(cq->threads[i], NULL);
    }
    if (cq->n_threads == 0) { /* destroy insists on having seen the end */
        grpc_event event;
        do {
            event =
                grpc_completion_queue_next(cq->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        } while (event.type != GRPC_QUEUE_SHUTDOWN);
    }
    grpc_completion_queue_destroy(cq->queue);
    cq->queue = NULL;
    cq->n_threads = 0;
}

int sb_grpc_cq_batch(grpc_call *call, const grpc_op *ops, size_t n_ops, struct sb_grpc_op *op)
{
    SB_GRPC_HAND_OVER(op);
    grpc_call_error status = grpc_call_start_batch(call, ops, n_ops, op, NULL);
    if (status != GRPC_CALL_OK) {
        SB_LOG_ERROR("grpc batch refused", "why=%s", grpc_call_error_to_string(status));
        return -1;
    }
    return 0;
}
