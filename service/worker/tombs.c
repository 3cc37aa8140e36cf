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

/** A row on its way from one thread to the other. Texts lie behind it. */
struct row {
    struct sb_store_job job; /* to be written */
    struct sb_list link;     /* read */
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
        row->is_prune = sandbox->destroy_ms != 0 && worker->tombs.n_written++ % PRUNE_EVERY == 0;
    }
    if (row == NULL || sb_store_post(worker->store, &row->job, &err) < 0) {
        SB_LOG_WARN("tombstone not kept", "sandbox=%s why=%s", sandbox->id, err.text);
        free(row);
    }
}

/* ---- reading ---- */

#define COLUMNS                                                                                    \
    "sandbox_id, owner, tenant, profile, policy_hash, message, reason, create_ms, destroy_ms"

static const char *text_of(sqlite3_stmt *stmt, int column)
{
    const unsigned char *text = sqlite3_column_text(stmt, column);
    return text == NULL ? "" : (const char *)text;
}

/** A row of COLUMNS; for free(). NULL: memory. */
static struct row *row_read(sqlite3_stmt *stmt)
{
    const char *owner = text_of(stmt, 1);
    const char *profile = text_of(stmt, 3);
    size_t owner_size = strlen(owner) + 1;
    size_t profile_size = strlen(profile) + 1;
    struct row *row = calloc(1, sizeof *row + owner_size + profile_size);
    if (row == NULL) {
        return NULL;
    }
    row->owner = memcpy(row->texts, owner, owner_size);
    row->profile = memcpy(row->texts + owner_size, profile, profile_size);
    (void)snprintf(row->id, sizeof row->id, "%s", text_of(stmt, 0));
    (void)snprintf(row->tenant, sizeof row->tenant, "%s", text_of(stmt, 2));
    (void)snprintf(row->hash, sizeof row->hash, "%s", text_of(stmt, 4));
    (void)snprintf(row->message, sizeof row->message, "%s", text_of(stmt, 5));
    sqlite3_int64 reason = sqlite3_column_int64(stmt, 6);
    row->reason = reason < 0 || reason >= SB_REASON_END_ ? SB_REASON_END_ : (int)reason;
    row->create_ms = (uint64_t)sqlite3_column_int64(stmt, 7);
    row->destroy_ms = (uint64_t)sqlite3_column_int64(stmt, 8);
    return row;
}

static void rows_free(struct sb_list *rows)
{
    for (struct sb_list *node = NULL; (node = sb_list_pop(rows)) != NULL;) {
        free(SB_LIST_ENTRY(node, struct row, link));
    }
}

/** Appends what the statement finds, and ends it. */
static int
rows_read(sqlite3 *db, sqlite3_stmt *stmt, int prepared, struct sb_list *rows, struct sb_err *err)
{
    int at = prepared;
    while (prepared == SQLITE_OK && (at = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct row *row = row_read(stmt);
        if (row == NULL) {
            (void)sqlite3_finalize(stmt);
            return sb_err_oom(err);
        }
        sb_list_append(rows, &row->link);
    }
    int rc = at == SQLITE_DONE ? 0 : sb_store_fail(db, err, "read tombstones");
    (void)sqlite3_finalize(stmt);
    return rc;
}

static int fill(struct sb_sandbox *sandbox, const struct row *row, struct sb_err *err)
{
    if (!sb_id_valid(sb_str_from(row->id), "sb_") || row->reason == SB_REASON_END_) {
        return sb_err_set(err, SB_DATA_LOSS, "the database holds a tombstone that is none");
    }
    sandbox->owner = sb_str_dup(sb_str_from(row->owner));
    sandbox->policy = calloc(1, sizeof *sandbox->policy);
    if (sandbox->owner == NULL || sandbox->policy == NULL) {
        return sb_err_oom(err);
    }
    sandbox->policy->profile = sb_str_dup(sb_str_from(row->profile));
    if (sandbox->policy->profile == NULL) {
        return sb_err_oom(err);
    }
    memcpy(sandbox->id, row->id, sizeof sandbox->id);
    memcpy(sandbox->tenant, row->tenant, sizeof sandbox->tenant);
    memcpy(sandbox->policy->hash, row->hash, sizeof sandbox->policy->hash);
    memcpy(sandbox->destroy_message, row->message, sizeof sandbox->destroy_message);
    sandbox->reason = (enum sb_reason)row->reason;
    sandbox->create_ms = row->create_ms;
    sandbox->destroy_ms = row->destroy_ms;
    sandbox->state = SB_STATE_DESTROYED;
    sandbox->is_recalled = true;
    return 0;
}

/** From the newest on. */
static int bury(struct sb_worker *worker, const struct sb_list *rows, struct sb_err *err)
{
    SB_FOREACH (node, rows) {
        const struct row *row = SB_LIST_ENTRY(node, struct row, link);
        if (sb_registry_sandbox(&worker->registry, row->id) != NULL) {
            continue; /* it ended since */
        }
        struct sb_sandbox *sandbox = sb_sandbox_blank(worker, err);
        if (sandbox == NULL) {
            return -1;
        }
        if (fill(sandbox, row, err) < 0 ||
            sb_registry_recall(&worker->registry, sandbox, err) < 0) {
            sb_sandbox_unref(sandbox);
            return -1;
        }
    }
    return 0;
}

/* ---- at the start: those without an end ---- */

static int read_lost(sqlite3 *db, struct sb_list *rows, struct sb_err *err)
{
    static const char sql[] =
        "SELECT " COLUMNS " FROM tombstone WHERE destroy_ms = 0 ORDER BY create_ms DESC";
    sqlite3_stmt *stmt = NULL;
    int prepared = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    return rows_read(db, stmt, prepared, rows, err);
}

static int mark_lost(sqlite3 *db, const struct row *like, struct sb_err *err)
{
    static const char sql[] =
        "UPDATE tombstone SET destroy_ms = ?1, reason = ?2, message = ?3 WHERE destroy_ms = 0";
    sqlite3_stmt *stmt = NULL;
    int prepared = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    (void)sqlite3_bind_int64(stmt, 1, (sqlite3_int64)like->destroy_ms);
    (void)sqlite3_bind_int64(stmt, 2, like->reason);
    (void)sqlite3_bind_text(stmt, 3, like->message, -1, SQLITE_STATIC);
    return step(db, stmt, prepared, "mark sandboxes as lost", err);
}

static void lose(struct row *row, uint64_t at_ms)
{
    char at[32];
    struct tm tm;
    time_t time = (time_t)(at_ms / 1000);
    (void)strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&time, &tm));
    (void)snprintf(row->message, sizeof row->message,
                   "the worker went away, and it with that; found at %s, when the next one started",
                   at);
    row->reason = SB_REASON_WORKER_LOST;
    row->destroy_ms = at_ms;
}

int sb_tombs_find_lost(struct sb_worker *worker, struct sb_err *err)
{
    sqlite3 *db = sb_store_db(worker->store);
    struct sb_list rows;
    sb_list_init(&rows);
    int rc = read_lost(db, &rows, err);
    if (rc == 0 && !sb_list_is_empty(&rows)) {
        SB_FOREACH (node, &rows) {
            lose(SB_LIST_ENTRY(node, struct row, link), worker->start_ms);
        }
        const struct row *any = SB_LIST_ENTRY(rows.next, struct row, link);
        rc = mark_lost(db, any, err) < 0 ? -1 : bury(worker, &rows, err);
    }
    rows_free(&rows);
    return rc;
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

/* ---- later: all others ---- */

struct recall {
    struct sb_store_job job;
    struct sb_worker *worker;
    struct sb_list rows; /* the newest one first */
};

static int run_recall(struct sb_store_job *job, sqlite3 *db, struct sb_err *err)
{
    static const char sql[] = "SELECT " COLUMNS " FROM tombstone WHERE destroy_ms >= ?1"
                              " ORDER BY destroy_ms DESC, create_ms DESC LIMIT ?2";
    struct recall *recall = SB_LIST_ENTRY(job, struct recall, job);
    uint64_t now_ms = sb_clock_real_ms();
    uint64_t from_ms = now_ms > SB_MAX_MEMORY_MS ? now_ms - SB_MAX_MEMORY_MS : 1;
    sqlite3_stmt *stmt = NULL;
    rows_free(&recall->rows);
    int prepared = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    (void)sqlite3_bind_int64(stmt, 1, (sqlite3_int64)from_ms);
    (void)sqlite3_bind_int64(stmt, 2, SB_MAX_TOMBSTONES);
    return rows_read(db, stmt, prepared, &recall->rows, err);
}

static void on_recalled(struct sb_store_job *job, const struct sb_err *failure)
{
    struct recall *recall = SB_LIST_ENTRY(job, struct recall, job);
    struct sb_worker *worker = recall->worker;
    struct sb_tombs *tombs = &worker->tombs;
    struct sb_err err;
    if (failure == NULL && bury(worker, &recall->rows, &err) < 0) {
        failure = &err;
    }
    rows_free(&recall->rows);
    free(recall);
    tombs->are_asked_for = false;
    tombs->are_read = failure == NULL;
    if (failure != NULL) {
        SB_LOG_WARN("sandboxes of before are not known", "why=%s", failure->text);
    }
    for (struct sb_list *node = NULL; (node = sb_list_pop(&tombs->waiters)) != NULL;) {
        struct sb_tombs_waiter *waiter = SB_LIST_ENTRY(node, struct sb_tombs_waiter, link);
        waiter->ready(waiter, failure);
    }
}

void sb_tombs_init(struct sb_tombs *tombs)
{
    *tombs = (struct sb_tombs){.n_written = 0};
    sb_list_init(&tombs->waiters);
}

bool sb_tombs_are_read(const struct sb_worker *worker)
{
    return worker->tombs.are_read || worker->store == NULL || worker->state_dir < 0;
}

int sb_tombs_recall(struct sb_worker *worker, struct sb_tombs_waiter *waiter, struct sb_err *err)
{
    struct sb_tombs *tombs = &worker->tombs;
    if (!tombs->are_asked_for) {
        struct recall *recall = calloc(1, sizeof *recall);
        if (recall == NULL) {
            return sb_err_oom(err);
        }
        recall->job = (struct sb_store_job){.run = run_recall, .done = on_recalled};
        recall->worker = worker;
        sb_list_init(&recall->rows);
        if (sb_store_post(worker->store, &recall->job, err) < 0) {
            free(recall);
            return -1;
        }
        tombs->are_asked_for = true;
    }
    sb_list_append(&tombs->waiters, &waiter->link);
    return 0;
}

void sb_tombs_leave(struct sb_tombs_waiter *waiter)
{
    sb_list_remove(&waiter->link);
}
