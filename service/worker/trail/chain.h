#pragma once
/** Appends records to the chain in the database. Writer thread. */
#include <stdbool.h>

#include "trail/read.h"

struct sqlite3;
struct sqlite3_stmt;

struct sb_trail_chain {
    struct sb_trail_head head;
    bool is_known; /* head is what the database says */
    struct sqlite3_stmt *insert;
    struct sqlite3_stmt *move;
};

/** Gives the record its sequence and hash and writes it. Inside a transaction; when that is undone
 *  the chain must be told by is_known = false. */
int sb_trail_chain_append(struct sb_trail_chain *chain,
                          struct sqlite3 *db,
                          struct sb_trail_record *record,
                          struct sb_err *err);
/** Drops all records up to @upto, which must not be the last, and remembers where the rest begins.
 *  The record that says so is the caller's. @ret_anchor  the last one dropped. Returns 0: there was
 *  none, 1, or -1. */
int sb_trail_chain_prune(struct sqlite3 *db,
                         uint64_t upto,
                         struct sb_trail_head *ret_anchor,
                         struct sb_err *err);
void sb_trail_chain_done(struct sb_trail_chain *chain);
