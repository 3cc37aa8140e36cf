#pragma once
#include <stdbool.h>

/** The file of the database.
 *
 *  Theory of operation. With SB_DURABLE_COMMIT nothing is synced until the log is moved into the
 *  database. SQLite makes one exception, the head of the log and its directory: a head that is
 * older than what follows it could bring pages back that were moved already. A log that did not
 * exist has none, so a start waits for no disk; what comes after its first commit is as usual. */
struct sb_err;
struct sb_store_options;
struct sqlite3;

/** Opens aisbx.db in the directory of the options, made when missing, 0600; or in memory.
 *  @ret_lock  keeps other workers out while it is open; -1: none.
 *  @ret_is_settled  false: sb_store_file_settle is due after the next commit.
 *  Errors: as sb_store_open. */
int sb_store_file_open(const struct sb_store_options *options,
                       struct sqlite3 **ret_db,
                       int *ret_lock,
                       bool *ret_is_settled,
                       struct sb_err *err);

/** From here on SQLite syncs what it usually does. Not within a transaction. */
int sb_store_file_settle(struct sqlite3 *db, struct sb_err *err);
