#pragma once
/** request_id: a repeated call acts once.
 *
 *  Theory of operation. A sandbox or exec has its id before anything is set up, so the map needs no
 *  pending state: it leads from (owner, method, request_id) to the id of what the first call made,
 *  and a duplicate observes that, in whatever state it is. When the set-up fails the entry is
 *  dropped, so that a retry may succeed. A worker with a state directory keeps the entries
 *  (idem_store.h); those of the worker before lead to nothing any more, for its sandboxes went with
 *  it, and a duplicate is told so. */

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/list.h"
#include "base/map.h"

struct sb_buf;
struct sb_err;
struct sb_store;

enum { SB_IDEM_KEY_MAX = 1024, SB_IDEM_HASH_SIZE = 65 }; /* bytes; of hexadecimal with the NUL */

struct sb_idem {
    struct sb_map entries;
    struct sb_list by_age; /* oldest first */
    uint64_t max_age_ms;
    size_t max;
    struct sb_store *store; /* where they are kept; borrowed; NULL: in memory only */
    uint64_t n_noted;
};

/** Identity of one call. */
struct sb_idem_call {
    const char *owner;
    const char *method;
    const char *request_id;          /* "" is no call at all */
    const ProtobufCMessage *content; /* the whole request */
};

/** @max  entries; when full the oldest goes.   @max_age_ms  older entries are forgotten. */
void sb_idem_init(struct sb_idem *idem, size_t max, uint64_t max_age_ms);
void sb_idem_done(struct sb_idem *idem);

/** Looks the call up.
 *  @ret_id  the id of what the first call made; "" when this is the first (or has no request_id).
 *  Errors: SB_EXISTS: the id was used with other content; SB_PRECONDITION: it was used before this
 *  worker started, and what it made is gone; SB_INVALID: too long; SB_EXHAUSTED. */
int sb_idem_find(struct sb_idem *idem,
                 const struct sb_idem_call *call,
                 uint64_t now_ms,
                 char ret_id[SB_ID_SIZE],
                 struct sb_err *err);
/** Remembers what the first call made. Nothing happens without request_id. */
int sb_idem_add(struct sb_idem *idem,
                const struct sb_idem_call *call,
                uint64_t now_ms,
                const char *id,
                struct sb_err *err);
/** Whether such a call has been begun here, whatever its content. */
bool sb_idem_knows(const struct sb_idem *idem, const struct sb_idem_call *call, uint64_t now_ms);
/** Forgets the entry that leads to id, if there is one. */
void sb_idem_drop(struct sb_idem *idem, const char *id);

/* ---- for idem_store.c ---- */

/** Appends what a call is known by. Errors: SB_INVALID: request_id is too long; SB_EXHAUSTED. */
int sb_idem_key(const struct sb_idem_call *call, struct sb_buf *key, struct sb_err *err);
/** SHA-256 of the content: the same in every worker. */
int sb_idem_hash(const ProtobufCMessage *content,
                 char ret_hash[SB_IDEM_HASH_SIZE],
                 struct sb_err *err);
bool sb_idem_has(const struct sb_idem *idem, struct sb_str key);
/** An entry of a worker before this one. @hash  without a NUL.   @id  "": nobody knows. */
int sb_idem_recall(struct sb_idem *idem,
                   struct sb_str key,
                   const char *hash,
                   const char *id,
                   uint64_t time_ms,
                   struct sb_err *err);
