#pragma once
/** The file of the database. */
#include <stdbool.h>

struct sb_err;
struct sqlite3;

/** Opens aisbx.db in dir, made when missing, 0600; -1: in memory. @is_synced  each commit is
 * written through to the disk. @ret_lock  keeps other workers out while it is open; -1: none.
 *  Errors: as sb_store_open. */
int sb_store_file_open(
    int dir, bool is_synced, struct sqlite3 **ret_db, int *ret_lock, struct sb_err *err);
