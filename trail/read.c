#include "trail/read.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

enum { BUSY_MS = 2000, URI_SIZE = 3 * PATH_MAX + 64 };

#define COLUMNS                                                                                    \
    "sequence, time_ms, actor, tenant, action, outcome, sandbox_id, exec_id, policy_hash, "        \
    "detail, "                                                                                     \
    "hash"

int sb_trail_db_fail(sqlite3 *db, struct sb_err *err, const char *what)
{
    int rc = sqlite3_errcode(db);
    enum sb_code code = SB_UNAVAILABLE;
    if ((rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB) {
        code = SB_DATA_LOSS;
    } else if ((rc & 0xff) == SQLITE_FULL || (rc & 0xff) == SQLITE_NOMEM) {
        code = SB_EXHAUSTED;
    }
    return sb_err_set(err, code, "%s: %s (%d)", what, sqlite3_errmsg(db), rc);
}

/* On -1 *ret_rc says why; 0: it is a database without an audit. */
static int
open_one(const char *name, const char *path, sqlite3 **ret_db, int *ret_rc, struct sb_err *err)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    int flags =
        SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_URI;
    if (sqlite3_open_v2(name, &db, flags, NULL) != SQLITE_OK ||
        sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK ||
        sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(db, BUSY_MS) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "SELECT 1 FROM sqlite_schema WHERE name = 'audit'", -1, &stmt,
                           NULL) != SQLITE_OK) {
        *ret_rc = sqlite3_errcode(db) & 0xff;
        (void)sb_trail_db_fail(db, err, path);
        (void)sqlite3_close(db);
        return -1;
    }
    int rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW) {
        *ret_rc = rc == SQLITE_DONE ? 0 : sqlite3_errcode(db) & 0xff;
        if (rc == SQLITE_DONE) {
            (void)sb_err_set(err, SB_PRECONDITION, "%s: holds no audit", path);
        } else {
            (void)sb_trail_db_fail(db, err, path);
        }
        (void)sqlite3_finalize(stmt);
        (void)sqlite3_close(db);
        return -1;
    }
    (void)sqlite3_finalize(stmt);
    *ret_db = db;
    return 0;
}

/* Its name for SQLite, in which a path may hold anything. False: it is too long. */
static bool make_uri(const char *path, const char *query, char out[URI_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    size_t n = (size_t)snprintf(out, URI_SIZE, "file:");
    for (; path[0] == '/' && path[1] == '/'; path++) { /* would name a host */
    }
    for (; *path != '\0' && n + 32 < URI_SIZE; path++) {
        if (strchr("?#%", *path) == NULL) {
            out[n++] = *path;
        } else {
            out[n++] = '%';
            out[n++] = digits[*path >> 4];
            out[n++] = digits[*path & 15];
        }
    }
    (void)snprintf(out + n, URI_SIZE - n, "%s", query);
    return *path == '\0';
}

/* Nobody has it open, and all is in the one file. */
static bool is_at_rest(const char *path)
{
    char wal[PATH_MAX];
    int n = snprintf(wal, sizeof wal, "%s-wal", path);
    return n > 0 && (size_t)n < sizeof wal && access(wal, F_OK) < 0 && errno == ENOENT;
}

int sb_trail_open_file(const char *path, sqlite3 **ret_db, struct sb_err *err)
{
    char uri[URI_SIZE];
    int rc = 0;
    if (access(path, R_OK) < 0) {
        return sb_err_sys(err, errno, "%s", path);
    }
    if (!make_uri(path, "", uri)) {
        return sb_err_set(err, SB_INVALID, "the name of the database is too long");
    }
    if (open_one(uri, path, ret_db, &rc, err) == 0) {
        return 0;
    }
    /* SQLite wants to write beside it; where nobody may, one that is at rest can do without. */
    if ((rc != SQLITE_READONLY && rc != SQLITE_CANTOPEN) || !is_at_rest(path)) {
        return -1;
    }
    (void)make_uri(path, "?immutable=1", uri);
    return open_one(uri, path, ret_db, &rc, err);
}

void sb_trail_close_file(sqlite3 **db)
{
    (void)sqlite3_close(*db);
}

/** False: a value is not of its type. */
static bool read_record(sqlite3_stmt *stmt, struct sb_trail_record *record)
{
    *record = (struct sb_trail_record){
        .sequence = (uint64_t)sqlite3_column_int64(stmt, 0),
        .time_ms = (uint64_t)sqlite3_column_int64(stmt, 1),
    };
    for (size_t i = 0; i < SB_TRAIL_PARTS; i++) {
        int column = (int)i + 2;
        if (sqlite3_column_type(stmt, column) != SQLITE_TEXT) {
            return false;
        }
        const void *text = sqlite3_column_text(stmt, column);
        *sb_trail_part(record, i) = sb_str_of(text, (size_t)sqlite3_column_bytes(stmt, column));
    }
    int hash = SB_TRAIL_PARTS + 2;
    if (sqlite3_column_type(stmt, 1) != SQLITE_INTEGER ||
        sqlite3_column_type(stmt, hash) != SQLITE_BLOB ||
        sqlite3_column_bytes(stmt, hash) != SB_TRAIL_HASH_BYTES) {
        return false;
    }
    memcpy(record->hash, sqlite3_column_blob(stmt, hash), SB_TRAIL_HASH_BYTES);
    return true;
}

/* ---- finding ---- */

static bool is_action(struct sb_str action, struct sb_str wanted)
{
    return sb_str_starts_with(action, wanted) &&
           (action.len == wanted.len || action.ptr[wanted.len] == '.');
}

static bool is_same(struct sb_str text, struct sb_str wanted)
{
    return wanted.len == 0 || sb_str_eq(text, wanted);
}

static bool matches(const struct sb_trail_filter *filter, const struct sb_trail_record *record)
{
    return is_same(record->sandbox_id, filter->sandbox_id) &&
           is_same(record->outcome, filter->outcome) && is_same(record->actor, filter->actor) &&
           is_same(record->tenant, filter->tenant) &&
           (filter->action.len == 0 || is_action(record->action, filter->action)) &&
           record->time_ms >= filter->start_ms &&
           (filter->end_ms == 0 || record->time_ms < filter->end_ms);
}

static int prepare(sqlite3 *db,
                   const struct sb_trail_query *query,
                   sqlite3_stmt **ret_stmt,
                   struct sb_err *err)
{
    static const char *const texts[2][2] = {
        {"SELECT " COLUMNS " FROM audit WHERE sequence <= ?1 ORDER BY sequence DESC",
         "SELECT " COLUMNS " FROM audit WHERE sandbox_id = ?2 AND sandbox_id <> '' AND sequence <= "
         "?1 ORDER BY sequence DESC"},
        {"SELECT " COLUMNS " FROM audit WHERE sequence >= ?1 ORDER BY sequence",
         "SELECT " COLUMNS " FROM audit WHERE sandbox_id = ?2 AND sandbox_id <> '' AND sequence >= "
         "?1 ORDER BY sequence"},
    };
    sqlite3_stmt *stmt = NULL;
    struct sb_str sandbox = query->filter.sandbox_id;
    uint64_t from = query->from != 0 ? query->from : (query->is_ascending ? 1 : INT64_MAX);
    from = from > INT64_MAX ? INT64_MAX : from;
    const char *text = texts[query->is_ascending ? 1 : 0][sandbox.len > 0 ? 1 : 0];
    if (sqlite3_prepare_v2(db, text, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 1, (sqlite3_int64)from) != SQLITE_OK ||
        (sandbox.len > 0 &&
         sqlite3_bind_text(stmt, 2, sandbox.ptr, (int)sandbox.len, SQLITE_STATIC) != SQLITE_OK)) {
        (void)sb_trail_db_fail(db, err, "read the audit");
        (void)sqlite3_finalize(stmt);
        return -1;
    }
    *ret_stmt = stmt;
    return 0;
}

static int walk(sqlite3 *db,
                sqlite3_stmt *stmt,
                const struct sb_trail_query *query,
                uint64_t *ret_next,
                struct sb_err *err)
{
    int rc = 0;
    uint64_t n = 0;
    uint64_t n_seen = 0;
    struct sb_trail_record record;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        uint64_t at = (uint64_t)sqlite3_column_int64(stmt, 0);
        if (n == query->max || (query->max_seen > 0 && n_seen == query->max_seen)) {
            *ret_next = at;
            return 0;
        }
        n_seen++;
        if (!read_record(stmt, &record)) {
            return sb_err_set(err, SB_DATA_LOSS, "audit: record %" PRIu64 " is damaged", at);
        }
        if (!matches(&query->filter, &record)) {
            continue;
        }
        n++;
        if (query->found(query->ctx, &record, err) < 0) {
            return -1;
        }
    }
    if (rc != SQLITE_DONE) {
        return sb_trail_db_fail(db, err, "read the audit");
    }
    *ret_next = 0;
    return 0;
}

int sb_trail_find(sqlite3 *db,
                  const struct sb_trail_query *query,
                  uint64_t *ret_next,
                  struct sb_err *err)
{
    sqlite3_stmt *stmt = NULL;
    if (prepare(db, query, &stmt, err) < 0) {
        return -1;
    }
    int rc = walk(db, stmt, query, ret_next, err);
    (void)sqlite3_finalize(stmt);
    return rc;
}

/* ---- head and anchor ---- */

static int read_one(sqlite3 *db, const char *sql, struct sb_trail_head *ret, struct sb_err *err)
{
    sqlite3_stmt *stmt = NULL;
    struct sb_trail_head head = {0};
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        return sb_trail_db_fail(db, err, "read the audit");
    }
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        head.sequence = (uint64_t)sqlite3_column_int64(stmt, 0);
        if (sqlite3_column_bytes(stmt, 1) == SB_TRAIL_HASH_BYTES) {
            memcpy(head.hash, sqlite3_column_blob(stmt, 1), SB_TRAIL_HASH_BYTES);
        }
    } else if (rc != SQLITE_DONE) {
        (void)sb_trail_db_fail(db, err, "read the audit");
        (void)sqlite3_finalize(stmt);
        return -1;
    }
    (void)sqlite3_finalize(stmt);
    *ret = head;
    return 0;
}

int sb_trail_read_head(sqlite3 *db, struct sb_trail_head *ret_head, struct sb_err *err)
{
    return read_one(db, "SELECT sequence, hash FROM audit_head", ret_head, err);
}

int sb_trail_read_anchor(sqlite3 *db, struct sb_trail_head *ret_anchor, struct sb_err *err)
{
    return read_one(db, "SELECT sequence, hash FROM audit_anchor", ret_anchor, err);
}

const char *sb_trail_prune_detail(const struct sb_trail_head *anchor, char out[SB_TRAIL_PRUNE_SIZE])
{
    char hex[SB_TRAIL_HEX_SIZE];
    sb_trail_hex(anchor->hash, hex);
    (void)snprintf(out, SB_TRAIL_PRUNE_SIZE, "{\"upto\":%" PRIu64 ",\"hash\":\"%s\"}",
                   anchor->sequence, hex);
    return out;
}

/* ---- verifying ---- */

struct walker {
    struct sb_trail_verdict *verdict;
    struct sb_trail_head anchor;
    bool has_anchor_record; /* the chain itself says that it begins there */
    const struct sb_trail_head *noted;
    size_t n_noted;
};

static bool is_broken(struct sb_trail_verdict *verdict, uint64_t at, const char *why)
{
    verdict->broken = at;
    (void)snprintf(verdict->why, sizeof verdict->why, "%s", why);
    return false;
}

static bool check_order(struct walker *walker, uint64_t sequence)
{
    struct sb_trail_verdict *verdict = walker->verdict;
    if (verdict->n == 0) {
        verdict->first = sequence;
        if (sequence == 1) {
            return true;
        }
        if (walker->anchor.sequence + 1 != sequence) {
            return is_broken(verdict, walker->anchor.sequence + 1,
                             "it is missing, and with it all up to the first that is there");
        }
        verdict->last = walker->anchor;
        return true;
    }
    return sequence == verdict->last.sequence + 1
               ? true
               : is_broken(verdict, verdict->last.sequence + 1, "it is missing");
}

static void note_anchor(struct walker *walker, const struct sb_trail_record *record)
{
    char detail[SB_TRAIL_PRUNE_SIZE];
    if (sb_str_eq(record->action, SB_STR(SB_TRAIL_PRUNE_ACTION)) &&
        sb_str_eq(record->detail, sb_str_from(sb_trail_prune_detail(&walker->anchor, detail)))) {
        walker->has_anchor_record = true;
    }
}

static bool check_noted(struct walker *walker, const struct sb_trail_record *record)
{
    for (size_t i = 0; i < walker->n_noted; i++) {
        if (walker->noted[i].sequence == record->sequence &&
            memcmp(walker->noted[i].hash, record->hash, SB_TRAIL_HASH_BYTES) != 0) {
            return is_broken(walker->verdict, record->sequence,
                             "it is not the one that was noted: the chain was written anew");
        }
    }
    return true;
}

static bool check(struct walker *walker, sqlite3_stmt *stmt)
{
    struct sb_err err;
    struct sb_trail_record record;
    uint8_t hash[SB_TRAIL_HASH_BYTES];
    struct sb_trail_verdict *verdict = walker->verdict;
    uint64_t at = (uint64_t)sqlite3_column_int64(stmt, 0);
    if (!check_order(walker, at)) {
        return false;
    }
    verdict->n++;
    if (!read_record(stmt, &record)) {
        return is_broken(verdict, at, "it is damaged");
    }
    if (sb_trail_hash(verdict->last.hash, &record, hash, &err) < 0) {
        return is_broken(verdict, at, err.text);
    }
    if (memcmp(hash, record.hash, sizeof hash) != 0) {
        return is_broken(verdict, at,
                         "its hash does not fit: it was changed, or the one before it");
    }
    verdict->last.sequence = at;
    memcpy(verdict->last.hash, hash, sizeof hash);
    note_anchor(walker, &record);
    return check_noted(walker, &record);
}

static void check_ends(struct walker *walker, const struct sb_trail_head *head)
{
    struct sb_trail_verdict *verdict = walker->verdict;
    uint64_t last = verdict->last.sequence;
    if (head->sequence != last) {
        (void)is_broken(verdict, head->sequence > last ? last + 1 : last,
                        head->sequence > last ? "it is missing: records were cut off at the end"
                                              : "it is behind the last that the worker wrote");
    } else if (memcmp(head->hash, verdict->last.hash, sizeof head->hash) != 0) {
        (void)is_broken(verdict, last, "it is not the last one that the worker wrote");
    } else if (verdict->n > 0 && verdict->first > 1 && !walker->has_anchor_record) {
        (void)is_broken(verdict, verdict->first - 1,
                        "it is missing, and no record says that it was "
                        "pruned");
    }
    for (size_t i = 0; verdict->broken == 0 && i < walker->n_noted; i++) {
        if (walker->noted[i].sequence > last) {
            (void)is_broken(verdict, last + 1,
                            "it is missing: a later one was noted, so records were cut off");
        }
    }
}

int sb_trail_verify(sqlite3 *db,
                    const struct sb_trail_head *noted,
                    size_t n_noted,
                    struct sb_trail_verdict *ret_verdict,
                    struct sb_err *err)
{
    sqlite3_stmt *stmt = NULL;
    struct sb_trail_head head;
    struct sb_trail_verdict verdict = {0};
    struct walker walker = {.verdict = &verdict, .noted = noted, .n_noted = n_noted};
    /* One view of head and records, whatever is written meanwhile. */
    if (sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK) {
        return sb_trail_db_fail(db, err, "read the audit");
    }
    int rc = SQLITE_ERROR;
    if (sb_trail_read_head(db, &head, err) == 0 &&
        sb_trail_read_anchor(db, &walker.anchor, err) == 0) {
        rc = sqlite3_prepare_v2(db, "SELECT " COLUMNS " FROM audit ORDER BY sequence", -1, &stmt,
                                NULL);
        while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
            rc = check(&walker, stmt) ? SQLITE_OK : SQLITE_ABORT;
        }
        if (rc != SQLITE_DONE && rc != SQLITE_ABORT) {
            (void)sb_trail_db_fail(db, err, "read the audit");
        }
    }
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (rc != SQLITE_DONE && rc != SQLITE_ABORT) {
        return -1;
    }
    if (verdict.broken == 0) {
        check_ends(&walker, &head);
    }
    *ret_verdict = verdict;
    return 0;
}
