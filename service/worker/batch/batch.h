#pragma once
/** One program against many inputs: compiled once, then run for each in a sandbox of its own.
 *
 *  Theory of operation.
 *
 *      COMPILING ---> RUNNING ---> ended
 *          | failed, or its files cannot be had        ^
 *          +-------------------------------------------+
 *
 *  The program is compiled in a sandbox that goes when its files have been read: these are the
 * stage of every case, which starts from nothing else. So a case knows nothing of another, whatever
 * the program does to what it finds; what it costs is one copy of the files a case. Without a
 * compiler the stage is what the call brought. Results go out as they come; while the caller does
 * not read them no case begins. A quota that is met while cases run only makes them fewer at a
 * time. What happens to cells is looked at from the loop, never from inside what tells of it. */
#include "aisbx/v1/sandbox_service.rpc.h"
#include "service/worker/auth/caller.h"

struct sb_batch;
struct sb_err;
struct sb_rpc_call;
struct sb_worker;

enum {
    SB_BATCH_MAX_CASES = 1000,
    SB_BATCH_MAX_PARALLEL = 64,
};

/** Begins; the call is answered as it goes.
 *  Errors: SB_INVALID naming the field; SB_EXHAUSTED; SB_PRECONDITION: the language. */
int sb_batch_start(struct sb_rpc_call *call,
                   struct sb_worker *worker,
                   const struct sb_caller *caller,
                   const Aisbx__V1__RunBatchRequest *req,
                   struct sb_batch **ret_batch,
                   struct sb_err *err);
/** The caller reads again. */
void sb_batch_drained(struct sb_batch *batch);
/** The call has ended: so does everything. NULL is fine. */
void sb_batch_free(struct sb_batch *batch);
