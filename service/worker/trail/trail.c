#include "service/worker/trail/trail.h"

#include <assert.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "service/worker/store/store.h"
#include "service/worker/trail/chain.h"
#include "trail/action.h"

enum { PRUNE_MAX = 20000 }; /* records dropped in one transaction */

struct sb_trail {
    struct sb_trail_options options;
    struct sb_trail_chain chain; /* the writer's, once it runs */
    struct sb_trail_head head;   /* loop: as far as is known to be committed */
    uint64_t logged;             /* sequence of the head that the log has */
    uint64_t n_lost;             /* events that could not be written */
    uint64_t pruned_ms;          /* monotonic */
    struct event head_timer;
    bool is_started;
};

/** A record on its way; its texts lie behind it. */
struct entry {
    struct sb_store_job job;
    struct sb_trail *trail;
    struct sb_trail_record record;
    void (*done)(void *ctx, const struct sb_err *err); /* NULL: an event */
    void *ctx;
    bool is_prune; /* of what is too old or too much: then the record says up to where */
    bool has_pruned;
    char texts[];
};

/* ---- the writer's ---- */

static int run_append(struct sb_store_job *job, sqlite3 *db, struct sb_err *err)
{
    struct entry *entry = SB_LIST_ENTRY(job, struct entry, job);
    return sb_trail_chain_append(&entry->trail->chain, db, &entry->record, err);
}

void sb_trail_undone(struct sb_trail *trail)
{
    if (trail != NULL) {
        trail->chain.is_known = false;
    }
}

void sb_trail_closing(struct sb_trail *trail)
{
    if (trail != NULL) {
        sb_trail_chain_done(&trail->chain);
    }
}

/* ---- the loop's ---- */

static void note_lost(struct sb_trail *trail)
{
    char detail[64];
    uint64_t n = trail->n_lost;
    trail->n_lost = 0;
    (void)snprintf(detail, sizeof detail, "{\"lost\":%" PRIu64 "}", n);
    const struct sb_trail_record record = {
        .actor = SB_STR("worker"),
        .action = SB_STR("audit.gap"),
        .outcome = SB_STR("failed"),
        .detail = sb_str_from(detail),
    };
    sb_trail_event(trail, &record);
}

static void on_appended(struct sb_store_job *job, const struct sb_err *err)
{
    struct entry *entry = SB_LIST_ENTRY(job, struct entry, job);
    struct sb_trail *trail = entry->trail;
    if (err == NULL) {
        trail->head.sequence = entry->record.sequence;
        memcpy(trail->head.hash, entry->record.hash, sizeof trail->head.hash);
        if (trail->n_lost > 0) {
            note_lost(trail);
        }
    } else if (entry->done == NULL) {
        trail->n_lost++;
    }
    if (entry->done != NULL) {
        entry->done(entry->ctx, err);
    }
    free(entry);
}

static struct entry *entry_new(struct sb_trail *trail, const struct sb_trail_record *record)
{
    size_t total = 0;
    assert(sb_trail_action_is_known(record->action)); /* else nobody could ask for it */
    for (size_t i = 0; i < SB_TRAIL_PARTS; i++) {
        total += sb_trail_part_of(record, i).len;
    }
    struct entry *entry = calloc(1, sizeof *entry + total);
    if (entry == NULL) {
        return NULL;
    }
    entry->job = (struct sb_store_job){.run = run_append, .done = on_appended};
    entry->trail = trail;
    entry->record = *record;
    if (entry->record.time_ms == 0) {
        entry->record.time_ms = sb_clock_real_ms();
    }
    char *at = entry->texts;
    for (size_t i = 0; i < SB_TRAIL_PARTS; i++) {
        struct sb_str *part = sb_trail_part(&entry->record, i);
        if (part->len > 0) {
            memcpy(at, part->ptr, part->len);
        }
        part->ptr = at;
        at += part->len;
    }
    return entry;
}

int sb_trail_intent(struct sb_trail *trail,
                    const struct sb_trail_record *record,
                    void (*done)(void *ctx, const struct sb_err *err),
                    void *ctx,
                    struct sb_err *err)
{
    struct entry *entry = entry_new(trail, record);
    if (entry == NULL) {
        return sb_err_oom(err);
    }
    entry->done = done;
    entry->ctx = ctx;
    if (sb_store_post(trail->options.store, &entry->job, err) < 0) {
        free(entry);
        return -1;
    }
    return 0;
}

void sb_trail_event(struct sb_trail *trail, const struct sb_trail_record *record)
{
    struct sb_err err;
    if (trail == NULL || !trail->is_started) {
        return;
    }
    struct entry *entry = entry_new(trail, record);
    if (entry != NULL) {
        entry->job.is_patient = true;
    }
    if (entry == NULL || sb_store_post(trail->options.store, &entry->job, &err) < 0) {
        trail->n_lost++;
        free(entry);
    }
}

/* ---- pruning ---- */

static int read_number(sqlite3 *db, const char *sql, uint64_t *ret_number, struct sb_err *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    rc = rc == SQLITE_OK ? sqlite3_step(stmt) : rc;
    if (rc == SQLITE_ROW) {
        *ret_number = (uint64_t)sqlite3_column_int64(stmt, 0);
    } else {
        (void)sb_trail_db_fail(db, err, "audit");
    }
    (void)sqlite3_finalize(stmt);
    return rc == SQLITE_ROW ? 0 : -1;
}

/** The records that make the database larger than it may be: as large a part of them. */
static int find_excess(
    struct sb_trail *trail, sqlite3 *db, uint64_t first, uint64_t *ret_n, struct sb_err *err)
{
    uint64_t pages = 0;
    uint64_t free_pages = 0;
    uint64_t size = 0;
    if (read_number(db, "PRAGMA page_count", &pages, err) < 0 ||
        read_number(db, "PRAGMA freelist_count", &free_pages, err) < 0 ||
        read_number(db, "PRAGMA page_size", &size, err) < 0) {
        return -1;
    }
    uint64_t used = (pages - free_pages) * size;
    uint64_t max = trail->options.max_bytes;
    uint64_t n = trail->chain.head.sequence - first + 1;
    *ret_n = used <= max ? 0 : (uint64_t)((double)n * (double)(used - max) / (double)used) + 1;
    return 0;
}

static int find_upto(struct sb_trail *trail, sqlite3 *db, uint64_t *ret_upto, struct sb_err *err)
{
    sqlite3_stmt *stmt = NULL;
    uint64_t first = 0;
    uint64_t n = 0;
    uint64_t now_ms = sb_clock_real_ms();
    uint64_t keep = trail->options.keep_ms;
    *ret_upto = 0;
    if (read_number(db, "SELECT coalesce(min(sequence), 0) FROM audit", &first, err) < 0) {
        return -1;
    }
    if (first == 0) {
        return 0;
    }
    if (find_excess(trail, db, first, &n, err) < 0) {
        return -1;
    }
    if (sqlite3_prepare_v2(db,
                           "SELECT coalesce(max(sequence), 0) FROM (SELECT sequence, time_ms FROM "
                           "audit ORDER BY sequence LIMIT ?1) WHERE sequence < ?2 AND (time_ms < "
                           "?3 OR sequence < ?4)",
                           -1, &stmt, NULL) != SQLITE_OK) {
        return sb_trail_db_fail(db, err, "audit");
    }
    (void)sqlite3_bind_int64(stmt, 1, PRUNE_MAX);
    (void)sqlite3_bind_int64(stmt, 2, (sqlite3_int64)trail->chain.head.sequence);
    (void)sqlite3_bind_int64(stmt, 3, (sqlite3_int64)(now_ms > keep ? now_ms - keep : 0));
    (void)sqlite3_bind_int64(stmt, 4, (sqlite3_int64)(first + n));
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        *ret_upto = (uint64_t)sqlite3_column_int64(stmt, 0);
    } else {
        (void)sb_trail_db_fail(db, err, "audit");
    }
    (void)sqlite3_finalize(stmt);
    return rc == SQLITE_ROW ? 0 : -1;
}

/** The record that says so goes first, so that the chain is never without it. */
static int run_prune(struct sb_store_job *job, sqlite3 *db, struct sb_err *err)
{
    struct entry *entry = SB_LIST_ENTRY(job, struct entry, job);
    struct sb_trail *trail = entry->trail;
    struct sb_trail_head anchor;
    uint64_t upto = 0;
    entry->has_pruned = false;
    if (!trail->chain.is_known) {
        return 0;
    }
    if (find_upto(trail, db, &upto, err) < 0) {
        return -1;
    }
    int found = upto == 0 ? 0 : sb_trail_chain_prune(db, upto, &anchor, err);
    if (found <= 0) {
        return found;
    }
    entry->record.detail = sb_str_from(sb_trail_prune_detail(&anchor, entry->texts));
    entry->has_pruned = true;
    return sb_trail_chain_append(&trail->chain, db, &entry->record, err);
}

static void on_pruned(struct sb_store_job *job, const struct sb_err *err)
{
    struct entry *entry = SB_LIST_ENTRY(job, struct entry, job);
    struct sb_trail *trail = entry->trail;
    if (err == NULL && entry->has_pruned) {
        SB_LOG_INFO("audit pruned", "detail=%s", entry->texts);
        trail->head.sequence = entry->record.sequence;
        memcpy(trail->head.hash, entry->record.hash, sizeof trail->head.hash);
        trail->pruned_ms = 0; /* there may be more */
    }
    free(entry);
}

static void prune(struct sb_trail *trail)
{
    struct sb_err err;
    uint64_t now_ms = sb_clock_mono_ms();
    if (trail->pruned_ms != 0 && now_ms - trail->pruned_ms < SB_TRAIL_PRUNE_MS) {
        return;
    }
    struct entry *entry = calloc(1, sizeof *entry + SB_TRAIL_PRUNE_SIZE);
    if (entry == NULL) {
        return;
    }
    trail->pruned_ms = now_ms;
    entry->job = (struct sb_store_job){.run = run_prune, .done = on_pruned};
    entry->trail = trail;
    entry->record = (struct sb_trail_record){
        .time_ms = sb_clock_real_ms(),
        .actor = SB_STR("worker"),
        .action = SB_STR(SB_TRAIL_PRUNE_ACTION),
        .outcome = SB_STR("ended"),
    };
    if (sb_store_post(trail->options.store, &entry->job, &err) < 0) {
        free(entry);
    }
}

/* ---- life ---- */

static void log_head(struct sb_trail *trail)
{
    char hex[SB_TRAIL_HEX_SIZE];
    if (trail->head.sequence == trail->logged) {
        return;
    }
    trail->logged = trail->head.sequence;
    sb_trail_hex(trail->head.hash, hex);
    SB_LOG_INFO("audit head", "sequence=%" PRIu64 " hash=%s", trail->head.sequence, hex);
}

static void arm(struct sb_trail *trail)
{
    const struct timeval tv = {SB_TRAIL_HEAD_MS / 1000, 0};
    (void)event_add(&trail->head_timer, &tv);
}

static void on_head_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    log_head(ctx);
    prune(ctx);
    arm(ctx);
}

static int check_last(struct sb_trail *trail, sqlite3 *db, struct sb_err *err)
{
    sqlite3_stmt *stmt = NULL;
    const struct sb_trail_head *head = &trail->chain.head;
    if (sqlite3_prepare_v2(db, "SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1",
                           -1, &stmt, NULL) != SQLITE_OK) {
        return sb_trail_db_fail(db, err, "audit");
    }
    bool is_there = sqlite3_step(stmt) == SQLITE_ROW;
    bool is_last =
        is_there ? (uint64_t)sqlite3_column_int64(stmt, 0) == head->sequence &&
                       sqlite3_column_bytes(stmt, 1) == SB_TRAIL_HASH_BYTES &&
                       memcmp(sqlite3_column_blob(stmt, 1), head->hash, sizeof head->hash) == 0
                 : head->sequence == 0;
    (void)sqlite3_finalize(stmt);
    return is_last
               ? 0
               : sb_err_set(err, SB_DATA_LOSS,
                            "the audit does not end with the record that was written last (%ju): "
                            "aisbx-security audit verify tells more; move " SB_STORE_FILE
                            " away to begin anew",
                            (uintmax_t)head->sequence);
}

int sb_trail_open(const struct sb_trail_options *options,
                  struct sb_trail **ret_audit,
                  struct sb_err *err)
{
    sqlite3 *db = sb_store_db(options->store);
    struct sb_trail *trail = calloc(1, sizeof *trail);
    if (trail == NULL) {
        return sb_err_oom(err);
    }
    trail->options = *options;
    trail->logged = UINT64_MAX;
    if (sb_trail_read_head(db, &trail->chain.head, err) < 0 || check_last(trail, db, err) < 0) {
        free(trail);
        return -1;
    }
    trail->chain.is_known = true;
    trail->head = trail->chain.head;
    *ret_audit = trail;
    return 0;
}

void sb_trail_start(struct sb_trail *trail, struct event_base *base)
{
    (void)event_assign(&trail->head_timer, base, -1, 0, on_head_timer, trail);
    trail->is_started = true;
    log_head(trail);
    arm(trail);
}

void sb_trail_stop(struct sb_trail *trail)
{
    if (trail != NULL && trail->is_started) {
        trail->is_started = false;
        (void)event_del(&trail->head_timer);
    }
}

void sb_trail_free(struct sb_trail *trail)
{
    if (trail == NULL) {
        return;
    }
    sb_trail_stop(trail);
    log_head(trail);
    free(trail);
}
