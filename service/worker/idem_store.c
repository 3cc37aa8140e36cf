#include "service/worker/idem_store.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "service/worker/idem.h"
#include "service/worker/store/store.h"

enum { PRUNE_EVERY = 256 }; /* notes between two looks at what is too old or too much */

/* ?1 key, ?2 hash of the content, ?3 id of what was made, ?4 time */
static const char note_sql[] =
    "INSERT INTO request (key, content, result_id, time_ms) VALUES (?1, ?2, ?3, ?4)"
    " ON CONFLICT (key) DO NOTHING";
static const char result_sql[] =
    "INSERT INTO request (key, content, result_id, time_ms) VALUES (?1, ?2, ?3, ?4)"
    " ON CONFLICT (key) DO UPDATE SET content = ?2, result_id = ?3, time_ms = ?4";
static const char forget_sql[] = "DELETE FROM request WHERE key = ?1";

/** A statement on its way, and what the gate keeps of a note. */
struct sb_idem_note {
    struct sb_store_job job;
    const char *sql;
    char hash[SB_IDEM_HASH_SIZE];
    char id[SB_ID_SIZE];
    uint64_t time_ms;
    uint64_t oldest_ms; /* prune: what is older goes; 0: nothing */
    size_t max;         /* and what is more */
    void (*done)(void *ctx, const struct sb_err *err);
    void *ctx;
    bool is_done;
    bool is_left; /* nobody wants to know any more */
    size_t key_len;
    char key[];
};

/* ---- the writer's ---- */

static int step(sqlite3 *db, sqlite3_stmt *stmt, int prepared, struct sb_err *err)
{
    int rc = prepared == SQLITE_OK && sqlite3_step(stmt) == SQLITE_DONE
                 ? 0
                 : sb_store_fail(db, err, "request ids");
    (void)sqlite3_finalize(stmt);
    return rc;
}

static int prune(sqlite3 *db, uint64_t oldest_ms, size_t max, struct sb_err *err)
{
    static const char sql[] =
        "DELETE FROM request WHERE time_ms <= ?1 OR time_ms < (SELECT time_ms "
        "FROM request ORDER BY time_ms DESC LIMIT 1 OFFSET ?2)";
    sqlite3_stmt *stmt = NULL;
    int prepared = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    (void)sqlite3_bind_int64(stmt, 1, (sqlite3_int64)oldest_ms);
    (void)sqlite3_bind_int64(stmt, 2, (sqlite3_int64)max - 1);
    return step(db, stmt, prepared, err);
}

static int run_note(struct sb_store_job *job, sqlite3 *db, struct sb_err *err)
{
    const struct sb_idem_note *note = SB_LIST_ENTRY(job, struct sb_idem_note, job);
    sqlite3_stmt *stmt = NULL;
    int prepared = sqlite3_prepare_v2(db, note->sql, -1, &stmt, NULL);
    (void)sqlite3_bind_blob(stmt, 1, note->key, (int)note->key_len, SQLITE_STATIC);
    (void)sqlite3_bind_blob(stmt, 2, note->hash, SB_IDEM_HASH_SIZE - 1, SQLITE_STATIC);
    (void)sqlite3_bind_text(stmt, 3, note->id, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(stmt, 4, (sqlite3_int64)note->time_ms);
    if (step(db, stmt, prepared, err) < 0) {
        return -1;
    }
    return note->oldest_ms == 0 ? 0 : prune(db, note->oldest_ms, note->max, err);
}

/* ---- the loop's ---- */

static void on_note(struct sb_store_job *job, const struct sb_err *err)
{
    struct sb_idem_note *note = SB_LIST_ENTRY(job, struct sb_idem_note, job);
    if (err != NULL) {
        SB_LOG_WARN("request id not kept", "why=%s", err->text);
    }
    note->is_done = true;
    if (note->is_left) {
        free(note);
    } else {
        note->done(note->ctx, err); /* may end it */
    }
}

static struct sb_idem_note *note_new(const char *sql, struct sb_str key)
{
    struct sb_idem_note *note = calloc(1, sizeof *note + key.len);
    if (note != NULL) {
        note->job = (struct sb_store_job){.run = run_note, .done = on_note};
        note->sql = sql;
        note->key_len = key.len;
        memcpy(note->key, key.ptr, key.len);
    }
    return note;
}

/** Nobody waits for it; when it is lost the row says that the call may have been done. */
static void post(struct sb_store *store, struct sb_idem_note *note)
{
    struct sb_err err;
    if (note == NULL) {
        return;
    }
    note->is_left = true;
    if (sb_store_post(store, &note->job, &err) < 0) {
        SB_LOG_WARN("request id not kept", "why=%s", err.text);
        free(note);
    }
}

void sb_idem_store_result(
    struct sb_store *store, struct sb_str key, const char *hash, uint64_t time_ms, const char *id)
{
    struct sb_idem_note *note = note_new(result_sql, key);
    if (note != NULL) {
        memcpy(note->hash, hash, sizeof note->hash);
        (void)strncpy(note->id, id, sizeof note->id - 1);
        note->time_ms = time_ms;
    }
    post(store, note);
}

void sb_idem_store_forget(struct sb_store *store, struct sb_str key)
{
    post(store, note_new(forget_sql, key));
}

int sb_idem_note(struct sb_idem *idem,
                 const struct sb_idem_call *call,
                 uint64_t now_ms,
                 void (*done)(void *ctx, const struct sb_err *err),
                 void *ctx,
                 struct sb_idem_note **ret_note,
                 struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf key = SB_BUF_INIT(SB_IDEM_KEY_MAX);
    struct sb_err wrong;
    *ret_note = NULL;
    if (idem->store == NULL || call->request_id[0] == '\0' || sb_idem_key(call, &key, &wrong) < 0 ||
        sb_idem_has(idem, sb_buf_str(&key))) {
        return 0; /* what is wrong is said by who looks it up */
    }
    struct sb_idem_note *note = note_new(note_sql, sb_buf_str(&key));
    if (note == NULL) {
        return sb_err_oom(err);
    }
    note->time_ms = now_ms;
    note->done = done;
    note->ctx = ctx;
    if (++idem->n_noted % PRUNE_EVERY == 0 && now_ms > idem->max_age_ms) {
        note->oldest_ms = now_ms - idem->max_age_ms;
        note->max = idem->max;
    }
    if (sb_idem_hash(call->content, note->hash, err) < 0 ||
        sb_store_post(idem->store, &note->job, err) < 0) {
        free(note);
        return -1;
    }
    *ret_note = note;
    return 0;
}

void sb_idem_note_end(struct sb_idem *idem, struct sb_idem_note *note)
{
    if (note == NULL) {
        return;
    }
    struct sb_str key = sb_str_of(note->key, note->key_len);
    if (!sb_idem_has(idem, key)) {
        sb_idem_store_forget(idem->store, key);
    }
    note->is_left = true;
    if (note->is_done) {
        free(note);
    }
}

/* ---- the start ---- */

static int read_row(sqlite3_stmt *stmt, struct sb_idem *idem, struct sb_err *err)
{
    const void *key = sqlite3_column_blob(stmt, 0);
    const void *hash = sqlite3_column_blob(stmt, 1);
    const unsigned char *id = sqlite3_column_text(stmt, 2);
    int key_len = sqlite3_column_bytes(stmt, 0);
    bool is_good = key != NULL && hash != NULL && id != NULL && key_len <= SB_IDEM_KEY_MAX &&
                   sqlite3_column_bytes(stmt, 1) == SB_IDEM_HASH_SIZE - 1 &&
                   sqlite3_column_bytes(stmt, 2) < SB_ID_SIZE;
    if (!is_good) {
        return sb_err_set(err, SB_DATA_LOSS, "the database holds a request that is none");
    }
    return sb_idem_recall(idem, sb_str_of(key, (size_t)key_len), hash, (const char *)id,
                          (uint64_t)sqlite3_column_int64(stmt, 3), err);
}

int sb_idem_store_load(struct sb_store *store,
                       struct sb_idem *idem,
                       uint64_t now_ms,
                       struct sb_err *err)
{
    static const char sql[] =
        "SELECT * FROM (SELECT key, content, result_id, time_ms FROM request ORDER BY time_ms DESC"
        " LIMIT ?1) ORDER BY time_ms";
    sqlite3 *db = sb_store_db(store);
    sqlite3_stmt *stmt = NULL;
    int at = SQLITE_ROW;
    int rc = 0;
    uint64_t oldest_ms = now_ms > idem->max_age_ms ? now_ms - idem->max_age_ms : 0;
    if (prune(db, oldest_ms, idem->max, err) < 0) {
        return -1;
    }
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        return sb_store_fail(db, err, "request ids");
    }
    (void)sqlite3_bind_int64(stmt, 1, (sqlite3_int64)idem->max);
    while (rc == 0 && (at = sqlite3_step(stmt)) == SQLITE_ROW) {
        rc = read_row(stmt, idem, err);
    }
    if (rc == 0 && at != SQLITE_DONE) {
        rc = sb_store_fail(db, err, "request ids");
    }
    (void)sqlite3_finalize(stmt);
    idem->store = store;
    return rc;
}
