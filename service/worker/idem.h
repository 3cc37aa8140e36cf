#pragma once
/** request_id: a repeated call acts once.
 *
 *  Theory of operation. A sandbox or exec has its id before anything is set up, so the map needs no
 *  pending state: it leads from (owner, method, request_id) to the id of what the first call made,
 *  and a duplicate observes that, in whatever state it is. When the set-up fails the entry is
 *  dropped, so that a retry may succeed. */

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/list.h"
#include "base/map.h"

struct sb_err;

struct sb_idem {
    struct sb_map entries;
    struct sb_list by_age; /* oldest first */
    struct sb_hash_key keys[2];
    uint64_t max_age_ms;
    size_t max;
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
 *  Errors: SB_EXISTS: the id was used with other content; SB_INVALID: too long; SB_EXHAUSTED. */
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
/** Forgets the entry that leads to id, if there is one. */
void sb_idem_drop(struct sb_idem *idem, const char *id);
