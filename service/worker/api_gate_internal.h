#pragma once
/* What the files of the gate share; all of it the loop thread's. */
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/id.h"
#include "base/list.h"
#include "service/worker/acts.h"
#include "service/worker/auth/caller.h"
#include "service/worker/policy/policy.h"
#include "service/worker/probe.h"
#include "service/worker/spans.h"
#include "service/worker/tombs.h"

struct sb_idem_note;
struct sb_rpc_call;
struct sb_worker;

/** What the gate keeps of a call. */
struct sb_ticket {
    struct sb_list link; /* worker->lookers, when the call ends with its key */
    struct sb_worker *worker;
    struct sb_rpc_call *call; /* a reference while the intent is on its way */
    const struct sb_act *act;
    const char *action; /* of the record under way, or of the last one */
    struct sb_caller caller;
    struct sb_span span;
    char sandbox_id[SB_ID_SIZE];
    char exec_id[SB_ID_SIZE];
    char policy_hash[SB_POLICY_HASH_SIZE];
    struct sb_idem_note *note; /* of its request_id; NULL: none is kept */
    struct sb_err note_err;    /* why not; SB_OK: it is */
    struct sb_tombs_waiter tombs;
    struct sb_probe_waiter probe;
    const ProtobufCMessage *msg; /* what waits for either; the call's */
    bool is_recalling;           /* a reference on the call is held meanwhile, as by the next */
    bool is_probing;
    bool is_admitted;  /* caller is who it is */
    bool has_intent;   /* an outcome is owed */
    bool is_waiting;   /* for the disk */
    bool has_left;     /* ended while it waited */
    bool goes_on;      /* what it began does, when the caller leaves */
    unsigned had_once; /* bit n: row n of act->more */
};

/** Writes that it is about to be done.
 *  @detail  as of struct sb_act; NULL: none.  @done  with the ticket, when that is committed.
 *  Errors: SB_UNAVAILABLE: too much waits for the disk; SB_EXHAUSTED: memory. */
int sb_gate_write_intent(struct sb_ticket *ticket,
                         const ProtobufCMessage *msg,
                         const char *detail,
                         void (*done)(void *ctx, const struct sb_err *err),
                         struct sb_err *err);
/** @status  NULL: it was cancelled. */
void sb_gate_write_outcome(struct sb_ticket *ticket, const struct sb_err *status);
/** Nobody fills the disk by being refused: a burst, then one a second, which says how many more
 *  there were. */
void sb_gate_write_refusal(struct sb_ticket *ticket, const struct sb_err *status);
/** The caller may not. */
bool sb_gate_is_refusal(const struct sb_err *status);
