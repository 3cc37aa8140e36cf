#pragma once
/** The schema of aisbx.db, by versions (PRAGMA user_version). */

struct sb_err;
struct sqlite3;

/** Makes what is missing, one transaction per version. Errors: SB_PRECONDITION: the database is
 *  newer than this program; as sb_store_fail. */
int sb_schema_migrate(struct sqlite3 *db, struct sb_err *err);
/** As it was at a version, for tests of migrations. */
int sb_schema_migrate_to(struct sqlite3 *db, int version, struct sb_err *err);
