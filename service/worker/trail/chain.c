#include "service/worker/trail/chain.h"

#include <sqlite3.h>
#include <string.h>

#include "base/err.h"

static int prepare(sqlite3 *db, sqlite3_stmt **stmt, const char *sql, struct sb_err *err)
{
    if (*stmt != NULL ||
        sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL) == SQLITE_OK) {
        return 0;
    }
    return sb_trail_db_fail(db, err, "audit");
}

static int step(sqlite3 *db, sqlite3_stmt *stmt, struct sb_err *err)
{
    int rc = sqlite3_step(stmt);
    if (rc != SQLITE_DONE) {
        (void)sb_trail_db_fail(db, err, "audit");
    }
    (void)sqlite3_reset(stmt);
    (void)sqlite3_clear_bindings(stmt);
    return rc == SQLITE_DONE ? 0 : -1;
}

static int insert(struct sb_trail_chain *chain,
                  sqlite3 *db,
                  const struct sb_trail_record *record,
                  struct sb_err *err)
{
    sqlite3_stmt *stmt = chain->insert;
    int rc = sqlite3_bind_int64(stmt, 1, (sqlite3_int64)record->sequence);
    rc |= sqlite3_bind_int64(stmt, 2, (sqlite3_int64)record->time_ms);
    for (size_t i = 0; i < SB_TRAIL_PARTS; i++) {
        struct sb_str part = sb_trail_part_of(record, i);
        rc |= sqlite3_bind_text(stmt, (int)i + 3, part.len == 0 ? "" : part.ptr, (int)part.len,
                                SQLITE_STATIC);
    }
    rc |= sqlite3_bind_blob(stmt, SB_TRAIL_PARTS + 3, record->hash, sizeof record->hash,
                            SQLITE_STATIC);
    return rc == SQLITE_OK ? step(db, stmt, err) : sb_err_oom(err);
}

static int move(struct sb_trail_chain *chain,
                sqlite3 *db,
                const struct sb_trail_record *record,
                struct sb_err *err)
{
    int rc = sqlite3_bind_int64(chain->move, 1, (sqlite3_int64)record->sequence);
    rc |= sqlite3_bind_blob(chain->move, 2, record->hash, sizeof record->hash, SQLITE_STATIC);
    return rc == SQLITE_OK ? step(db, chain->move, err) : sb_err_oom(err);
}

int sb_trail_chain_append(struct sb_trail_chain *chain,
                          sqlite3 *db,
                          struct sb_trail_record *record,
                          struct sb_err *err)
{
    if (prepare(db, &chain->insert,
                "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                err) < 0 ||
        prepare(db, &chain->move, "INSERT OR REPLACE INTO audit_head VALUES (1, ?1, ?2)", err) <
            0) {
        return -1;
    }
    if (!chain->is_known) {
        if (sb_trail_read_head(db, &chain->head, err) < 0) {
            return -1;
        }
        chain->is_known = true;
    }
    record->sequence = chain->head.sequence + 1;
    if (sb_trail_hash(chain->head.hash, record, record->hash, err) < 0 ||
        insert(chain, db, record, err) < 0 || move(chain, db, record, err) < 0) {
        return -1;
    }
    chain->head.sequence = record->sequence;
    memcpy(chain->head.hash, record->hash, sizeof record->hash);
    return 0;
}

static int hash_of(sqlite3 *db, uint64_t sequence, struct sb_trail_head *ret, struct sb_err *err)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(db, "SELECT hash FROM audit WHERE sequence = ?1", -1, &stmt, NULL) !=
            SQLITE_OK ||
        sqlite3_bind_int64(stmt, 1, (sqlite3_int64)sequence) != SQLITE_OK) {
        (void)sb_trail_db_fail(db, err, "audit");
        (void)sqlite3_finalize(stmt);
        return -1;
    }
    int rc = sqlite3_step(stmt);
    int found = 0;
    if (rc == SQLITE_ROW && sqlite3_column_bytes(stmt, 0) == SB_TRAIL_HASH_BYTES) {
        ret->sequence = sequence;
        memcpy(ret->hash, sqlite3_column_blob(stmt, 0), SB_TRAIL_HASH_BYTES);
        found = 1;
    } else if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
        found = sb_trail_db_fail(db, err, "audit");
    }
    (void)sqlite3_finalize(stmt);
    return found;
}

static int
bind_and_step(sqlite3 *db, const char *sql, const struct sb_trail_head *head, struct sb_err *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    rc = rc == SQLITE_OK ? sqlite3_bind_int64(stmt, 1, (sqlite3_int64)head->sequence) : rc;
    if (rc == SQLITE_OK && sqlite3_bind_parameter_count(stmt) > 1) {
        rc = sqlite3_bind_blob(stmt, 2, head->hash, sizeof head->hash, SQLITE_STATIC);
    }
    int result = rc == SQLITE_OK ? step(db, stmt, err) : sb_trail_db_fail(db, err, "audit");
    (void)sqlite3_finalize(stmt);
    return result;
}

int sb_trail_chain_prune(sqlite3 *db,
                         uint64_t upto,
                         struct sb_trail_head *ret_anchor,
                         struct sb_err *err)
{
    struct sb_trail_head anchor;
    int found = hash_of(db, upto, &anchor, err);
    if (found <= 0) {
        return found;
    }
    if (bind_and_step(db, "INSERT OR REPLACE INTO audit_anchor VALUES (1, ?1, ?2)", &anchor, err) <
            0 ||
        bind_and_step(db, "DELETE FROM audit WHERE sequence <= ?1", &anchor, err) < 0) {
        return -1;
    }
    *ret_anchor = anchor;
    return 1;
}

void sb_trail_chain_done(struct sb_trail_chain *chain)
{
    (void)sqlite3_finalize(chain->insert);
    (void)sqlite3_finalize(chain->move);
    chain->insert = NULL;
    chain->move = NULL;
}
