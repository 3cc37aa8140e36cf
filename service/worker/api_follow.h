#pragma once
/** Sends what happens to an exec down a call: started, output, ended.
 *
 *  Theory of operation. A follower holds two offsets into the exec's spool and nothing else. It
 * sends while the call takes messages, stops when the call's queue is over its high mark, and goes
 * on from the same offsets when drained() comes: a slow reader costs the transport's queue, and
 * what the spool no longer has is reported as dropped. */
#include <stdbool.h>
#include <stdint.h>

#include "aisbx/v1/exec.pb-c.h"

struct sb_exec;
struct sb_follow;
struct sb_rpc_call;

struct sb_follow_options {
    /** Wraps the event in the call's own message and sends it; as sb_rpc_call_send. */
    bool (*send)(struct sb_rpc_call *call, Aisbx__V1__ExecEvent *event);
    uint64_t offsets[2]; /* stdout, stderr */
    bool is_no_follow;   /* end with what is there */
    bool is_owner;       /* the exec is cancelled when the call ends before it, unless background */
    bool is_here;        /* the reader is on this machine */
};

/** Follows exec down call, which is ended when all was sent. The follower becomes the call's user
 *  pointer. NULL: out of memory, or too many followers; the call was failed then. */
struct sb_follow *sb_follow_start(struct sb_rpc_call *call,
                                  struct sb_exec *exec,
                                  const struct sb_follow_options *options);
/** Handlers of the call. */
void sb_follow_drained(struct sb_follow *follow);
/** Frees it. NULL is fine. */
void sb_follow_done(struct sb_follow *follow, bool is_cancelled);

struct sb_exec *sb_follow_exec(const struct sb_follow *follow);
/** Called whenever something happened to the exec, after everything was sent; may be NULL. */
void sb_follow_on_change(struct sb_follow *follow, void (*on_change)(void *ctx), void *ctx);
