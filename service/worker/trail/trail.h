#pragma once
/** The worker writes its decisions down.
 *
 *  Theory of operation. What is about to be done is written first: sb_trail_intent hands the record
 *  to the store's writer, and only when it is committed does the call go on (api_gate.c). What came
 *  of it, and what nobody asked for (a sandbox that ends, a violation), follows as an event, which
 *  nobody waits for. The writer gives each record its number and its hash within the transaction,
 * so that the chain has no holes whatever fails. When an event cannot be written it is counted, and
 *  the next record that can be says how many are missing.
 *
 *  The head of the chain goes to the log every SB_TRAIL_HEAD_MS when it has moved, and at start and
 *  end: whoever cuts the database short must cut the log, too. */
#include <stdbool.h>
#include <stdint.h>

#include "trail/record.h"

struct event_base;
struct sb_trail;
struct sb_err;
struct sb_store;

enum {
    SB_TRAIL_HEAD_MS = 60000,
    SB_TRAIL_PRUNE_MS = 600000, /* between two looks at what is too old or too much */
};

struct sb_trail_options {
    struct sb_store *store; /* borrowed; not started yet */
    uint64_t keep_ms;       /* older records are dropped */
    uint64_t max_bytes;     /* and the oldest while the database is larger */
};

/** Reads where the chain stands. Errors: SB_DATA_LOSS: the last record is not the one the database
 *  says it is. Before the store starts. */
int sb_trail_open(const struct sb_trail_options *options,
                  struct sb_trail **ret_audit,
                  struct sb_err *err);
/** The store has started: from now on records are written. */
void sb_trail_start(struct sb_trail *trail, struct event_base *base);
/** No more events; those that are written will be committed when the store is freed. */
void sb_trail_stop(struct sb_trail *trail);
/** After the store was freed. NULL is fine. */
void sb_trail_free(struct sb_trail *trail);
/** The store undid a transaction: for sb_store_options.undone. Writer thread. */
void sb_trail_undone(struct sb_trail *trail);
/** The store is about to close: for sb_store_options.closing. */
void sb_trail_closing(struct sb_trail *trail);

/** Writes before an act. @record  its texts are copied; sequence, hash and, when 0, time are given.
 *  @done  loop thread, later: err NULL: it is committed. On -1 (SB_UNAVAILABLE) it is not called.
 */
int sb_trail_intent(struct sb_trail *trail,
                    const struct sb_trail_record *record,
                    void (*done)(void *ctx, const struct sb_err *err),
                    void *ctx,
                    struct sb_err *err);
/** Writes what has happened. @trail  NULL: nothing is kept. */
void sb_trail_event(struct sb_trail *trail, const struct sb_trail_record *record);
