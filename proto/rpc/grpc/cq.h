#pragma once
/** One completion queue and the threads that wait on it.
 *
 *  Theory of operation. gRPC core does its I/O on the threads that sit in
 *  grpc_completion_queue_next; it offers no descriptor to poll. One queue with one or two threads
 * is the fastest arrangement measured (several queues spread one connection over threads). Whoever
 *  starts a batch gives it a struct sb_grpc_op; when the batch ends on_cq is called by a queue
 * thread, or by the one that started a batch if all is done at once, as most sending is. It must
 * not block, and what it does not settle itself it hands to the owner through the inbox. */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include <grpc/grpc.h>

#include "base/log.h"
#include "proto/rpc/grpc/inbox.h"

struct sb_err;

enum { SB_GRPC_MAX_THREADS = 8 };

/** One batch under way. Must live until on_cq ran. */
struct sb_grpc_op {
    struct sb_grpc_note note;                         /* to hand the op on to the owner */
    void (*on_cq)(struct sb_grpc_op *op, bool is_ok); /* any thread */
};

struct sb_grpc_cq {
    grpc_completion_queue *queue;
    pthread_t threads[SB_GRPC_MAX_THREADS];
    unsigned n_threads;
};

/** grpc_init, with our log sink (level for core's errors: @errors), and with all signals blocked in
 *  the threads it starts; pair with grpc_shutdown. Any thread. */
void sb_grpc_cq_library_init(enum sb_log_level errors);

/** Creates the queue, for an owner who waits by sb_grpc_cq_wait himself. */
void sb_grpc_cq_init(struct sb_grpc_cq *cq);

/** Starts 1..SB_GRPC_MAX_THREADS threads that take no signals, and before that the queue if it is
 *  not there. Errors: by errno; the queue is there all the same. */
int sb_grpc_cq_start(struct sb_grpc_cq *cq, unsigned n_threads, struct sb_err *err);

/** Waits once, for at most wait_ms; does the I/O meanwhile, and calls the on_cq of one batch that
 *  ended. For a queue without threads; owner thread. */
void sb_grpc_cq_wait(struct sb_grpc_cq *cq, int wait_ms);

/** Waits until every batch has ended (whoever calls this has cancelled them), joins the threads,
 *  destroys the queue. Owner thread. A cq that was never started is left alone. */
void sb_grpc_cq_stop(struct sb_grpc_cq *cq);

/** Starts a batch on call, whose queue cq is; op->on_cq will run, or has run already, unless -1 is
 *  returned. Sends of one call must not be started by two threads at once. Errors: only for our own
 *  bugs, which are logged. */
int sb_grpc_cq_batch(struct sb_grpc_cq *cq,
                     grpc_call *call,
                     const grpc_op *ops,
                     size_t n_ops,
                     struct sb_grpc_op *op);

/** ThreadSanitizer does not see the order that libgrpc's own locks make: tell it at each hand-off.
 */
#if defined(__SANITIZE_THREAD__)
#define SB_GRPC_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SB_GRPC_TSAN 1
#endif
#endif
#ifdef SB_GRPC_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define SB_GRPC_HAND_OVER(ptr) __tsan_release(ptr)
#define SB_GRPC_TAKE_OVER(ptr) __tsan_acquire(ptr)
#else
#define SB_GRPC_HAND_OVER(ptr) ((void)(ptr))
#define SB_GRPC_TAKE_OVER(ptr) ((void)(ptr))
#endif
