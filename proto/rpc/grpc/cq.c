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

static void complete(struct sb_grpc_op *op, bool is_ok)
{
    SB_GRPC_TAKE_OVER(op);
    op->on_cq(op, is_ok);
}

/** False: the queue is shut down. */
static bool wait_once(grpc_completion_queue *queue, gpr_timespec deadline)
{
    grpc_event event = grpc_completion_queue_next(queue, deadline, NULL);
    if (event.type == GRPC_OP_COMPLETE) {
        complete(event.tag, event.success != 0);
    }
    return event.type != GRPC_QUEUE_SHUTDOWN;
}

static void *queue_thread(void *arg)
{
    while (wait_once(arg, gpr_inf_future(GPR_CLOCK_MONOTONIC))) {
    }
    return NULL;
}

void sb_grpc_cq_wait(struct sb_grpc_cq *cq, int wait_ms)
{
    (void)wait_once(cq->queue, gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                            gpr_time_from_millis(wait_ms, GPR_TIMESPAN)));
}

void sb_grpc_cq_init(struct sb_grpc_cq *cq)
{
    cq->n_threads = 0;
    cq->queue = grpc_completion_queue_create_for_next(NULL);
}

int sb_grpc_cq_start(struct sb_grpc_cq *cq, unsigned n_threads, struct sb_err *err)
{
    if (n_threads > SB_GRPC_MAX_THREADS) {
        n_threads = SB_GRPC_MAX_THREADS;
    }
    sigset_t before;
    block_signals(&before);
    if (cq->queue == NULL) {
        sb_grpc_cq_init(cq);
    }
    int failed = 0;
    while (failed == 0 && cq->n_threads < n_threads) {
        failed = pthread_create(&cq->threads[cq->n_threads], NULL, queue_thread, cq->queue);
        cq->n_threads += failed == 0;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed == 0 ? 0 : sb_err_sys(err, failed, "completion queue thread");
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
    while (cq->n_threads == 0 && wait_once(cq->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC))) {
        /* destroy insists on having seen the end */
    }
    grpc_completion_queue_destroy(cq->queue);
    cq->queue = NULL;
    cq->n_threads = 0;
}

int sb_grpc_cq_batch(
    struct sb_grpc_cq *cq, grpc_call *call, const grpc_op *ops, size_t n_ops, struct sb_grpc_op *op)
{
    void *ended = NULL;
    int is_ok = 0;
    SB_GRPC_HAND_OVER(op);
    /* What this thread brings to its end itself it need not wake another for, to be told by it. */
    grpc_completion_queue_thread_local_cache_init(cq->queue);
    grpc_call_error status = grpc_call_start_batch(call, ops, n_ops, op, NULL);
    if (grpc_completion_queue_thread_local_cache_flush(cq->queue, &ended, &is_ok) != 0) {
        complete(ended, is_ok != 0);
    }
    if (status != GRPC_CALL_OK) {
        SB_LOG_ERROR("grpc batch refused", "why=%s", grpc_call_error_to_string(status));
        return -1;
    }
    return 0;
}
