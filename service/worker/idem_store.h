#pragma once
/** Request ids in the store, so that a repeated call acts once even when the worker died between.
 *
 *  Theory of operation. The row is written with the intent of the call, in the same transaction and
 *  before anything is done (api_gate.c): whatever the call does, and whenever the worker dies, the
 *  next worker knows that it may have been done. What the call made is added when it is known; a
 *  call that made nothing takes its row away again, so that it may be tried once more. The map in
 *  idem.h decides while the worker lives; the rows only fill that of the next. */
#include <stdint.h>

#include "base/str.h"

struct sb_err;
struct sb_idem;
struct sb_idem_call;
struct sb_idem_note;
struct sb_store;

/** Reads the rows of the last 24 hours, at most as many as idem holds, and from now on keeps what
 *  idem learns. Before the store starts. Errors: SB_DATA_LOSS: rows that no worker wrote; as
 *  sb_store_fail. */
int sb_idem_store_load(struct sb_store *store,
                       struct sb_idem *idem,
                       uint64_t now_ms,
                       struct sb_err *err);

/** Writes that the call is about to be done. Nothing is written (and *ret_note NULL) without a
 *  request_id, when that is known already or wrong, and by a worker that keeps nothing.
 *  @done  loop thread, later; err NULL: it is committed.   @ret_note  for sb_idem_note_end.
 *  Errors: SB_UNAVAILABLE, SB_EXHAUSTED. */
int sb_idem_note(struct sb_idem *idem,
                 const struct sb_idem_call *call,
                 uint64_t now_ms,
                 void (*done)(void *ctx, const struct sb_err *err),
                 void *ctx,
                 struct sb_idem_note **ret_note,
                 struct sb_err *err);
/** The call is over, done will not be called any more; if it made nothing the row goes. NULL is
 *  fine. */
void sb_idem_note_end(struct sb_idem *idem, struct sb_idem_note *note);

/* ---- for idem.c; nobody waits for these ---- */

/** The call with that key made id. */
void sb_idem_store_result(
    struct sb_store *store, struct sb_str key, const char *hash, uint64_t time_ms, const char *id);
void sb_idem_store_forget(struct sb_store *store, struct sb_str key);
