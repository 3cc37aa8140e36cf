#include "service/worker/tombs.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "service/worker/events.h"
#include "service/worker/limits.h"
#include "service/worker/policy/policy.h"
#include "service/worker/sandbox.h"
#include "service/worker/store/store.h"
#include "service/worker/worker.h"

enum { PRUNE_EVERY = 256 }; /* ends between two looks at what is too old or too much */

/** A row on its way: the writer's thread reads it. Texts lie behind it. */
struct row {
    struct sb_store_job job;
    char id[SB_ID_SIZE];
    char tenant[SB_TENANT_SIZE];
    char hash[SB_POLICY_HASH_SIZE];
    char message[sizeof((struct sb_sandbox *)0)->destroy_message];
    int reason;
    uint64_t create_ms;
    uint64_t destroy_ms;
    bool is_prune;
    const char *owner;
    const char *profile;
    char texts[];
};

static int step(sqlite3 *db, sqlite3_stmt *stmt, int prepared, const char *what, struct sb_err *err)
{
    int rc = prepared == SQLITE_OK && sqlite3_step(stmt) == SQLITE_DONE
                 ? 0
                 : sb_store_fail(db, err, what);
    (void)sqlite3_finalize(stmt);
    return rc;
}

/** Alive ones stay. */
static int prune(sqlite3 *db, struct sb_err *err)
{
    static const char sql[] =
        "DELETE FROM tombstone WHERE destroy_ms <> 0 AND (destroy_ms < ?1 OR destroy_ms < (SELECT "
        "destroy_ms FROM tombstone WHERE destroy_ms <> 0 ORDER BY destroy_ms DESC LIMIT 1 OFFSET "
        "?2))";
    sqlite3_stmt *stmt = NULL;
    uint64_t now_ms = sb_clock_real_ms();
    int prepared = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    (void)sqlite3_bind_int64(
        stmt, 1, (sqlite3_int64)(now_ms > SB_MAX_MEMORY_MS ? now_ms - SB_MAX_MEMORY_MS : 0));
    (void)sqlite3_bind_int64(stmt, 2, SB_MAX_TOMBSTONES - 1);
    return step(db, stmt, prepared, "drop tombstones", err);
}

/* ---- writing ---- */

static int run_write(struct sb_store_job *job, sqlite3 *db, struct sb_err *err)
{
    static const char sql[] =
        "INSERT INTO tombstone (sandbox_id, owner, tenant, profile, policy_hash, message, reason,"
        " create_ms, destroy_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
        " ON CONFLICT (sandbox_id) DO UPDATE SET policy_hash = ?5, message = ?6, reason = ?7,"
        " destroy_ms = ?9";
    const struct row *row = SB_LIST_ENTRY(job, struct row, job);
    const char *const texts[] = {row->id,      row->owner, row->tenant,
                                 row->profile, row->hash,  row->message};
    sqlite3_stmt *stmt = NULL;
    int prepared = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    for (int i = 0; i < 6; i++) {
        (void)sqlite3_bind_text(stmt, i + 1, texts[i], -1, SQLITE_STATIC);
    }
    (void)sqlite3_bind_int64(stmt, 7, row->reason);
    (void)sqlite3_bind_int64(stmt, 8, (sqlite3_int64)row->create_ms);
    (void)sqlite3_bind_int64(stmt, 9, (sqlite3_int64)row->destroy_ms);
    if (step(db, stmt, prepared, "write a tombstone", err) < 0) {
        return -1;
    }
    return row->is_prune ? prune(db, err) : 0;
}

static void on_written(struct sb_store_job *job, const struct sb_err *err)
{
    struct row *row = SB_LIST_ENTRY(job, struct row, job);
    if (err != NULL) {
        SB_LOG_WARN("tombstone not kept", "sandbox=%s why=%s", row->id, err->text);
    }
    free(row);
}

static struct row *row_new(const struct sb_sandbox *sandbox)
{
    size_t owner = strlen(sandbox->owner) + 1;
    size_t profile = strlen(sandbox->policy->profile) + 1;
    struct row *row = calloc(1, sizeof *row + owner + profile);
    if (row == NULL) {
        return NULL;
    }
    /* A caller that holds on to a sandbox should not find it unknown when this worker is killed. */
    bool is_kept = sandbox->destroy_ms == 0 && !sandbox->is_only;
    row->job = (struct sb_store_job){.run = run_write, .done = on_written, .is_patient = !is_kept};
    memcpy(row->texts, sandbox->owner, owner);
    memcpy(row->texts + owner, sandbox->policy->profile, profile);
    row->owner = row->texts;
    row->profile = row->texts + owner;
    memcpy(row->id, sandbox->id, sizeof row->id);
    memcpy(row->tenant, sandbox->tenant, sizeof row->tenant);
    memcpy(row->hash, sandbox->policy->hash, sizeof row->hash);
    memcpy(row->message, sandbox->destroy_message, sizeof row->message);
    row->reason = (int)sandbox->reason;
    row->create_ms = sandbox->create_ms;
    row->destroy_ms = sandbox->destroy_ms;
    return row;
}

void sb_tomb_write(const struct sb_sandbox *sandbox)
{
    struct sb_err err = {.code = SB_OK};
    struct sb_worker *worker = sandbox->worker;
    if (worker->store == NULL || worker->state_dir < 0 || sandbox->is_internal) {
        return;
    }
    struct row *row = row_new(sandbox);
    if (row == NULL) {
        (void)sb_err_oom(&err);
    } else {
        row->is_prune = sandbox->destroy_ms != 0 && ++worker->n_tombs_written % PRUNE_EVERY == 0;
    }
    if (row == NULL || sb_store_post(worker->store, &row->job, &err) < 0) {
        SB_LOG_WARN("tombstone not kept", "sandbox=%s why=%s", sandbox->id, err.text);
        free(row);
    }
}

/* ---- reading ---- */

static const char *text_of(sqlite3_stmt *stmt, int column)
{
    const unsigned char *text = sqlite3_column_text(stmt, column);
    return text == NULL ? "" : (const char *)text;
}

static int fill(struct sb_sandbox *sandbox, sqlite3_stmt *stmt, struct sb_err *err)
{
    const char *id = text_of(stmt, 0);
    sqlite3_int64 reason = sqlite3_column_int64(stmt, 6);
    if (!sb_id_valid(sb_str_from(id), "sb_") || reason < 0 || reason >= SB_REASON_END_) {
        return sb_err_set(err, SB_DATA_LOSS, "the database holds a tombstone that is none");
    }
    sandbox->owner = sb_str_dup(sb_str_from(text_of(stmt, 1)));
    sandbox->policy = calloc(1, sizeof *sandbox->policy);
    if (sandbox->owner == NULL || sandbox->policy == NULL) {
        return sb_err_oom(err);
    }
    sandbox->policy->profile = sb_str_dup(sb_str_from(text_of(stmt, 3)));
    if (sandbox->policy->profile == NULL) {
        return sb_err_oom(err);
    }
    (void)snprintf(sandbox->id, sizeof sandbox->id, "%s", id);
    (void)snprintf(sandbox->tenant, sizeof sandbox->tenant, "%s", text_of(stmt, 2));
    (void)snprintf(sandbox->policy->hash, sizeof sandbox->policy->hash, "%s", text_of(stmt, 4));
    (void)snprintf(sandbox->destroy_message, sizeof sandbox->destroy_message, "%s",
                   text_of(stmt, 5));
    sandbox->reason = (enum sb_reason)reason;
    sandbox->create_ms = (uint64_t)sqlite3_column_int64(stmt, 7);
    sandbox->destroy_ms = (uint64_t)sqlite3_column_int64(stmt, 8);
    sandbox->state = SB_STATE_DESTROYED;
    sandbox->is_recalled = true;
    return 0;
}

static int recall(struct sb_worker *worker, sqlite3_stmt *stmt, struct sb_err *err)
{
    struct sb_sandbox *sandbox = sb_sandbox_blank(worker, err);
    if (sandbox == NULL) {
        return -1;
    }
    if (fill(sandbox, stmt, err) < 0 ||
        sb_registry_add_sandbox(&worker->registry, sandbox, err) < 0) {
        sb_sandbox_unref(sandbox);
        return -1;
    }
    sb_registry_bury(&worker->registry, sandbox);
    return 0;
}

static int mark_lost(struct sb_worker *worker, sqlite3 *db, struct sb_err *err)
{
    static const char sql[] =
        "UPDATE tombstone SET destroy_ms = ?1, reason = ?2, message = ?3 WHERE destroy_ms = 0";
    char message[sizeof((struct sb_sandbox *)0)->destroy_message];
    char at[32];
    struct tm tm;
    sqlite3_stmt *stmt = NULL;
    time_t now = (time_t)(worker->start_ms / 1000);
    (void)strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    (void)snprintf(message, sizeof message,
                   "the worker went away, and it with that; found at %s, when the next one started",
                   at);
    int prepared = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    (void)sqlite3_bind_int64(stmt, 1, (sqlite3_int64)worker->start_ms);
    (void)sqlite3_bind_int64(stmt, 2, SB_REASON_WORKER_LOST);
    (void)sqlite3_bind_text(stmt, 3, message, -1, SQLITE_STATIC);
    return step(db, stmt, prepared, "mark sandboxes as lost", err);
}

static int read_all(struct sb_worker *worker, sqlite3 *db, struct sb_err *err)
{
    static const char sql[] =
        "SELECT * FROM (SELECT sandbox_id, owner, tenant, profile, policy_hash, message, reason,"
        " create_ms, destroy_ms FROM tombstone ORDER BY destroy_ms DESC, create_ms DESC LIMIT ?1)"
        " ORDER BY destroy_ms, create_ms";
    sqlite3_stmt *stmt = NULL;
    int at = SQLITE_ROW;
    int rc = 0;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        return sb_store_fail(db, err, "read tombstones");
    }
    (void)sqlite3_bind_int64(stmt, 1, SB_MAX_TOMBSTONES);
    while (rc == 0 && (at = sqlite3_step(stmt)) == SQLITE_ROW) {
        rc = recall(worker, stmt, err);
    }
    if (rc == 0 && at != SQLITE_DONE) {
        rc = sb_store_fail(db, err, "read tombstones");
    }
    (void)sqlite3_finalize(stmt);
    return rc;
}

int sb_tombs_load(struct sb_worker *worker, struct sb_err *err)
{
    sqlite3 *db = sb_store_db(worker->store);
    return mark_lost(worker, db, err) < 0 || prune(db, err) < 0 || read_all(worker, db, err) < 0
               ? -1
               : 0;
}

void sb_tombs_tell(const struct sb_worker *worker)
{
    SB_FOREACH (node, &worker->registry.sandbox_list) {
        const struct sb_sandbox *sandbox = SB_LIST_ENTRY(node, struct sb_sandbox, link);
        if (sandbox->is_recalled && sandbox->destroy_ms == worker->start_ms) {
            SB_LOG_WARN("sandbox lost with the worker before", "sandbox=%s", sandbox->id);
            sb_event_sandbox_ended(sandbox);
        }
    }
}
