#pragma once
/** The file of the database. */
struct sb_err;
struct sb_store_options;
struct sqlite3;

/** Opens aisbx.db in the directory of the options, made when missing, 0600; or in memory.
 *  @ret_lock  keeps other workers out while it is open; -1: none.
 *  Errors: as sb_store_open. */
int sb_store_file_open(const struct sb_store_options *options,
                       struct sqlite3 **ret_db,
                       int *ret_lock,
                       struct sb_err *err);
