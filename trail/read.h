#pragma once
/** Reading and verifying the records of a database. Any thread, one at a time per database. */
#include <stdbool.h>
#include <stdint.h>

#include "trail/record.h"

struct sqlite3;
struct sqlite3_stmt;

/** Opens a database for reading alone; its worker may run. Errors: by errno; SB_DATA_LOSS: it is no
 *  database; SB_PRECONDITION: it holds no audit. */
int sb_trail_open_file(const char *path, struct sqlite3 **ret_db, struct sb_err *err);
void sb_trail_close_file(struct sqlite3 **db); /* for SB_CLEANUP */

/** Which records. Zeroed: all. Empty texts match everything. */
struct sb_trail_filter {
    struct sb_str sandbox_id;
    struct sb_str action; /* also all below it: "exec" finds "exec.start" */
    struct sb_str outcome;
    struct sb_str actor;
    struct sb_str tenant;
    uint64_t start_ms; /* not before */
    uint64_t end_ms;   /* before; 0: no end */
};

struct sb_trail_query {
    struct sb_trail_filter filter;
    uint64_t from;     /* the first sequence to look at; 0: the end that comes first */
    bool is_ascending; /* else newest first */
    uint64_t max;      /* records */
    uint64_t max_seen; /* records looked at, so that no question takes long; 0: no bound */
    /** -1 ends it. The record's texts are valid during the call. */
    int (*found)(void *ctx, const struct sb_trail_record *record, struct sb_err *err);
    void *ctx;
};

/** @ret_next  where to go on; 0: there is no more. Errors: SB_DATA_LOSS and of found. */
int sb_trail_find(struct sqlite3 *db,
                  const struct sb_trail_query *query,
                  uint64_t *ret_next,
                  struct sb_err *err);

/** A record of the chain that somebody noted elsewhere. */
struct sb_trail_head {
    uint64_t sequence; /* 0: none */
    uint8_t hash[SB_TRAIL_HASH_BYTES];
};

struct sb_trail_verdict {
    uint64_t n; /* records looked at, all good but for the last when broken > 0 */
    uint64_t first;
    struct sb_trail_head last;
    uint64_t broken; /* the first that is not as it was written, or missing; 0: none */
    char why[512];
};

/** Goes along the whole chain. @noted  n_noted records that must be in it, e.g. of the log.
 *  Returns 0 also when something is broken; -1: it cannot be read. */
int sb_trail_verify(struct sqlite3 *db,
                    const struct sb_trail_head *noted,
                    size_t n_noted,
                    struct sb_trail_verdict *ret_verdict,
                    struct sb_err *err);

/** The head the database itself remembers, and where its chain begins (0: at 1). */
int sb_trail_read_head(struct sqlite3 *db, struct sb_trail_head *ret_head, struct sb_err *err);
int sb_trail_read_anchor(struct sqlite3 *db, struct sb_trail_head *ret_anchor, struct sb_err *err);

/** Fills err from the database's last failure. Returns -1. */
int sb_trail_db_fail(struct sqlite3 *db, struct sb_err *err, const char *what);

/** The detail of the record that says that pruning dropped all up to @anchor. */
#define SB_TRAIL_PRUNE_ACTION "audit.prune"
#define SB_TRAIL_PRUNE_SIZE   128
const char *sb_trail_prune_detail(const struct sb_trail_head *anchor,
                                  char out[SB_TRAIL_PRUNE_SIZE]);
