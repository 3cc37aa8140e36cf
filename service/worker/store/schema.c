#include "service/worker/store/schema.h"

#include <sqlite3.h>
#include <stdio.h>

#include "base/err.h"
#include "service/worker/store/store.h"

/* A row is never changed once it was released: a new one brings what changes. */
static const char *const versions[] = {
    /* 1: the audit, what is remembered of ended sandboxes, and repeated calls. */
    "CREATE TABLE audit ("
    " sequence INTEGER PRIMARY KEY,"
    " time_ms INTEGER NOT NULL,"
    " actor TEXT NOT NULL,"
    " tenant TEXT NOT NULL,"
    " action TEXT NOT NULL,"
    " outcome TEXT NOT NULL,"
    " sandbox_id TEXT NOT NULL,"
    " exec_id TEXT NOT NULL,"
    " policy_hash TEXT NOT NULL,"
    " detail TEXT NOT NULL,"
    " hash BLOB NOT NULL) STRICT;"
    "CREATE INDEX audit_by_sandbox ON audit (sandbox_id, sequence) WHERE sandbox_id <> '';"
    /* One row: the last record, so that records cut off at the end are missed. */
    "CREATE TABLE audit_head (one INTEGER PRIMARY KEY CHECK (one = 1),"
    " sequence INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;"
    /* Where the chain begins after pruning: the last record that was dropped. */
    "CREATE TABLE audit_anchor (one INTEGER PRIMARY KEY CHECK (one = 1),"
    " sequence INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;"
    "CREATE TABLE tombstone ("
    " sandbox_id TEXT PRIMARY KEY,"
    " owner TEXT NOT NULL,"
    " tenant TEXT NOT NULL,"
    " profile TEXT NOT NULL,"
    " policy_hash TEXT NOT NULL,"
    " reason INTEGER NOT NULL,"
    " message TEXT NOT NULL,"
    " create_ms INTEGER NOT NULL,"
    " destroy_ms INTEGER NOT NULL) STRICT;" /* 0: alive, as far as is known */
    "CREATE INDEX tombstone_by_age ON tombstone (destroy_ms);"
    "CREATE TABLE request ("
    " key BLOB PRIMARY KEY,"
    " content BLOB NOT NULL,"
    " result_id TEXT NOT NULL,"
    " time_ms INTEGER NOT NULL) STRICT;"
    "CREATE INDEX request_by_age ON request (time_ms);"
    "CREATE INDEX request_by_result ON request (result_id);",
    /* 2: API keys; of each its SHA-256. */
    "CREATE TABLE api_key ("
    " key_id TEXT PRIMARY KEY,"
    " hash BLOB NOT NULL,"
    " role INTEGER NOT NULL,"
    " tenant TEXT NOT NULL,"
    " title TEXT NOT NULL,"
    " created_by TEXT NOT NULL,"
    " create_ms INTEGER NOT NULL,"
    " expire_ms INTEGER NOT NULL," /* 0: never, as the next ones */
    " revoke_ms INTEGER NOT NULL,"
    " last_use_ms INTEGER NOT NULL) STRICT;",
};
enum { N_VERSIONS = sizeof versions / sizeof *versions };

static int read_version(sqlite3 *db, int *ret_version, struct sb_err *err)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW) {
        (void)sb_store_fail(db, err, "read the schema's version");
        (void)sqlite3_finalize(stmt);
        return -1;
    }
    *ret_version = sqlite3_column_int(stmt, 0);
    (void)sqlite3_finalize(stmt);
    return 0;
}

int sb_schema_migrate_to(sqlite3 *db, int version, struct sb_err *err)
{
    char text[64];
    int now = 0;
    if (read_version(db, &now, err) < 0) {
        return -1;
    }
    if (now > N_VERSIONS || now < 0) {
        return sb_err_set(err, SB_PRECONDITION,
                          "the database has schema %d, and this program knows %d only: it was "
                          "written by a newer aisbx; use that, or another --state-dir",
                          now, (int)N_VERSIONS);
    }
    for (; now < version; now++) {
        (void)snprintf(text, sizeof text, "PRAGMA user_version = %d; COMMIT", now + 1);
        if (sb_store_exec(db, "BEGIN IMMEDIATE", err) < 0) {
            return -1;
        }
        if (sb_store_exec(db, versions[now], err) < 0 || sb_store_exec(db, text, err) < 0) {
            (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
            return sb_err_wrap(err, "schema %d", now + 1);
        }
    }
    return 0;
}

int sb_schema_migrate(sqlite3 *db, struct sb_err *err)
{
    return sb_schema_migrate_to(db, N_VERSIONS, err);
}
