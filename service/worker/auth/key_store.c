#include "service/worker/auth/key_store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "service/worker/auth/keys.h"
#include "service/worker/store/store.h"

/* ---- reading ---- */

static void copy_text(sqlite3_stmt *stmt, int column, char *out, size_t size)
{
    const unsigned char *text = sqlite3_column_text(stmt, column);
    (void)snprintf(out, size, "%s", text == NULL ? "" : (const char *)text);
}

static int read_row(sqlite3_stmt *stmt, struct sb_keys *keys, struct sb_err *err)
{
    struct sb_key key = {0};
    struct sb_key *added = NULL;
    sqlite3_int64 role = sqlite3_column_int64(stmt, 2);
    if (sqlite3_column_bytes(stmt, 1) != SB_KEY_HASH || role <= SB_ROLE_NONE ||
        role > SB_ROLE_ADMIN) {
        return sb_err_set(err, SB_DATA_LOSS, "the database holds a key that is none");
    }
    copy_text(stmt, 0, key.id, sizeof key.id);
    memcpy(key.hash, sqlite3_column_blob(stmt, 1), SB_KEY_HASH);
    key.role = (enum sb_role)role;
    copy_text(stmt, 3, key.tenant, sizeof key.tenant);
    copy_text(stmt, 4, key.title, sizeof key.title);
    copy_text(stmt, 5, key.created_by, sizeof key.created_by);
    key.create_ms = (uint64_t)sqlite3_column_int64(stmt, 6);
    key.expire_ms = (uint64_t)sqlite3_column_int64(stmt, 7);
    key.revoke_ms = (uint64_t)sqlite3_column_int64(stmt, 8);
    key.last_use_ms = (uint64_t)sqlite3_column_int64(stmt, 9);
    key.noted_use_ms = key.last_use_ms;
    return sb_keys_add(keys, &key, &added, err);
}

int sb_key_store_load(struct sb_store *store, struct sb_keys *keys, struct sb_err *err)
{
    sqlite3_stmt *stmt = NULL;
    sqlite3 *db = sb_store_db(store);
    static const char sql[] = "SELECT key_id, hash, role, tenant, title, created_by, create_ms, "
                              "expire_ms, revoke_ms, last_use_ms FROM api_key ORDER BY create_ms";
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        return sb_store_fail(db, err, "read keys");
    }
    int step = SQLITE_ROW;
    int rc = 0;
    while (rc == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        rc = read_row(stmt, keys, err);
    }
    if (rc == 0 && step != SQLITE_DONE) {
        rc = sb_store_fail(db, err, "read keys");
    }
    (void)sqlite3_finalize(stmt);
    return rc;
}

/* ---- writing ---- */

struct put {
    struct sb_store_job job;
    struct sb_key key; /* a copy: the writer's thread reads it */
    void (*done)(void *ctx, const struct sb_err *err);
    void *ctx;
};

static int run_put(struct sb_store_job *job, sqlite3 *db, struct sb_err *err)
{
    const struct put *put = SB_LIST_ENTRY(job, struct put, job);
    const struct sb_key *key = &put->key;
    static const char sql[] =
        "INSERT INTO api_key (key_id, hash, role, tenant, title, created_by, create_ms, expire_ms,"
        " revoke_ms, last_use_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
        " ON CONFLICT (key_id) DO UPDATE SET revoke_ms = ?9, last_use_ms = ?10";
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        return sb_store_fail(db, err, "write a key");
    }
    const struct {
        int at;
        const char *text;
    } texts[] = {{1, key->id}, {4, key->tenant}, {5, key->title}, {6, key->created_by}};
    const uint64_t numbers[] = {key->create_ms, key->expire_ms, key->revoke_ms, key->last_use_ms};
    (void)sqlite3_bind_blob(stmt, 2, key->hash, SB_KEY_HASH, SQLITE_STATIC);
    (void)sqlite3_bind_int64(stmt, 3, key->role);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        (void)sqlite3_bind_text(stmt, texts[i].at, texts[i].text, -1, SQLITE_STATIC);
    }
    for (int i = 0; i < 4; i++) {
        (void)sqlite3_bind_int64(stmt, 7 + i, (sqlite3_int64)numbers[i]);
    }
    int rc = sqlite3_step(stmt) == SQLITE_DONE ? 0 : sb_store_fail(db, err, "write a key");
    (void)sqlite3_finalize(stmt);
    return rc;
}

static void put_done(struct sb_store_job *job, const struct sb_err *err)
{
    struct put *put = SB_LIST_ENTRY(job, struct put, job);
    if (put->done != NULL) {
        put->done(put->ctx, err);
    }
    free(put);
}

int sb_key_store_put(struct sb_store *store,
                     const struct sb_key *key,
                     void (*done)(void *ctx, const struct sb_err *err),
                     void *ctx,
                     struct sb_err *err)
{
    struct put *put = calloc(1, sizeof *put);
    if (put == NULL) {
        return sb_err_oom(err);
    }
    *put = (struct put){
        .job = {.run = run_put, .done = put_done}, .key = *key, .done = done, .ctx = ctx};
    if (sb_store_post(store, &put->job, err) < 0) {
        free(put);
        return -1;
    }
    return 0;
}
