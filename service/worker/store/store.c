#include "service/worker/store/store.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "service/worker/store/file.h"
#include "service/worker/store/schema.h"

struct sb_store {
    struct sb_store_options options;
    sqlite3 *db; /* the writer's, once it runs; so are the statements */
    sqlite3_stmt *begin;
    sqlite3_stmt *commit;
    bool is_settled; /* likewise; see file.h */
    int lock;        /* -1: in memory */
    int wake;        /* eventfd, writer to loop; -1 */
    struct event wake_event;
    struct event retry_timer;
    struct event patience; /* runs while only patient jobs are queued */
    struct sb_store_job retry_job;
    bool is_retrying;
    bool is_started;
    pthread_t thread;

    struct sb_err why; /* loop: what the last transaction failed with; SB_OK: it did not */

    pthread_mutex_t mutex;
    pthread_cond_t has_work;
    struct sb_list queue;    /* mutex */
    struct sb_list finished; /* mutex */
    size_t n_queued;         /* mutex: not yet finished */
    bool is_due;             /* mutex: the writer is to take what is queued */
    bool is_ending;          /* mutex */
};

/* ---- failures ---- */

int sb_store_fail(sqlite3 *db, struct sb_err *err, const char *what)
{
    int rc = db == NULL ? SQLITE_NOMEM : sqlite3_errcode(db);
    const char *text = db == NULL ? "out of memory" : sqlite3_errmsg(db);
    enum sb_code code = SB_UNAVAILABLE;
    switch (rc & 0xff) {
    case SQLITE_FULL:
    case SQLITE_NOMEM:
        code = SB_EXHAUSTED;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        code = SB_DATA_LOSS;
        break;
    default:
        break;
    }
    return sb_err_set(err, code, "%s: %s (%d)", what, text, rc);
}

int sb_store_exec(sqlite3 *db, const char *sql, struct sb_err *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : sb_store_fail(db, err, SB_STORE_FILE);
}

/* ---- the writer ---- */

static size_t take(struct sb_store *store, struct sb_list *batch)
{
    size_t n = 0;
    (void)pthread_mutex_lock(&store->mutex);
    while ((sb_list_is_empty(&store->queue) || !store->is_due) && !store->is_ending) {
        (void)pthread_cond_wait(&store->has_work, &store->mutex);
    }
    while (n < SB_STORE_BATCH && !sb_list_is_empty(&store->queue)) {
        sb_list_append(batch, sb_list_pop(&store->queue));
        n++;
    }
    store->is_due = !sb_list_is_empty(&store->queue);
    (void)pthread_mutex_unlock(&store->mutex);
    return n;
}

/* Prepared once: each transaction needs both. */
static int step(struct sb_store *store, sqlite3_stmt **stmt, const char *sql, struct sb_err *err)
{
    if (*stmt == NULL && sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt,
                                            NULL) != SQLITE_OK) {
        return sb_store_fail(store->db, err, SB_STORE_FILE);
    }
    int rc = sqlite3_step(*stmt) == SQLITE_DONE ? 0 : sb_store_fail(store->db, err, SB_STORE_FILE);
    (void)sqlite3_reset(*stmt);
    return rc;
}

static void undo(struct sb_store *store)
{
    if (sqlite3_get_autocommit(store->db) == 0) {
        (void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    }
    if (store->options.undone != NULL) {
        store->options.undone(store->options.ctx);
    }
}

static int
transact(struct sb_store *store, struct sb_list *from, struct sb_list *end, struct sb_err *err)
{
    sb_err_clear(err);
    int rc = step(store, &store->begin, "BEGIN IMMEDIATE", err);
    for (struct sb_list *node = from; rc == 0 && node != end; node = node->next) {
        struct sb_store_job *job = SB_LIST_ENTRY(node, struct sb_store_job, link);
        rc = job->run(job, store->db, err);
    }
    if (rc == 0) {
        rc = step(store, &store->commit, "COMMIT", err);
    }
    if (rc < 0) {
        undo(store);
    }
    return rc;
}

static void run_batch(struct sb_store *store, struct sb_list *batch, size_t n)
{
    struct sb_err err;
    bool is_good = transact(store, batch->next, batch, &err) == 0;
    if (is_good && !store->is_settled) {
        struct sb_err ignored; /* then it is after the next */
        store->is_settled = sb_store_file_settle(store->db, &ignored) == 0;
    }
    SB_FOREACH (node, batch) {
        struct sb_store_job *job = SB_LIST_ENTRY(node, struct sb_store_job, link);
        if (is_good || n == 1) {
            job->err = err;
        } else {
            (void)transact(store, node, node->next, &job->err);
        }
    }
}

static void hand_back(struct sb_store *store, struct sb_list *batch)
{
    static const uint64_t one = 1;
    (void)pthread_mutex_lock(&store->mutex);
    for (struct sb_list *node; (node = sb_list_pop(batch)) != NULL;) {
        sb_list_append(&store->finished, node);
    }
    (void)pthread_mutex_unlock(&store->mutex);
    (void)!write(store->wake, &one, sizeof one);
}

static void *write_on(void *ctx)
{
    struct sb_store *store = ctx;
    struct sb_list batch;
    size_t n = 0;
    sb_list_init(&batch);
    while ((n = take(store, &batch)) > 0) {
        run_batch(store, &batch, n);
        hand_back(store, &batch);
    }
    return NULL;
}

/* ---- the loop's side ---- */

/** What a job decided for itself says nothing of the disk. */
static bool is_about_disk(const struct sb_err *err)
{
    return err->code == SB_OK || err->code == SB_UNAVAILABLE || err->code == SB_EXHAUSTED ||
           err->code == SB_DATA_LOSS || err->code == SB_INTERNAL;
}

static void note_health(struct sb_store *store, const struct sb_err *err)
{
    bool was_good = store->why.code == SB_OK;
    bool is_good = err->code == SB_OK;
    store->why = *err;
    if (was_good == is_good) {
        return;
    }
    if (is_good) {
        SB_LOG_INFO("records can be kept again");
    } else {
        SB_LOG_ERROR("records cannot be kept", "why=%s", err->text);
        const struct timeval tv = {SB_STORE_RETRY_MS / 1000, SB_STORE_RETRY_MS % 1000 * 1000};
        (void)event_add(&store->retry_timer, &tv);
    }
    if (store->options.changed != NULL) {
        store->options.changed(store->options.ctx, is_good ? NULL : &store->why);
    }
}

static void deliver(struct sb_store *store)
{
    struct sb_list mine;
    sb_list_init(&mine);
    (void)pthread_mutex_lock(&store->mutex);
    for (struct sb_list *node; (node = sb_list_pop(&store->finished)) != NULL;) {
        sb_list_append(&mine, node);
        store->n_queued--;
    }
    (void)pthread_mutex_unlock(&store->mutex);
    for (struct sb_list *node; (node = sb_list_pop(&mine)) != NULL;) {
        struct sb_store_job *job = SB_LIST_ENTRY(node, struct sb_store_job, link);
        struct sb_err err = job->err;
        if (is_about_disk(&err)) {
            note_health(store, &err);
            err.code = err.code == SB_OK ? SB_OK : SB_UNAVAILABLE;
        }
        job->done(job, err.code == SB_OK ? NULL : &err);
    }
}

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    uint64_t count = 0;
    (void)!read(fd, &count, sizeof count);
    deliver(ctx);
}

/* A transaction of nothing would not touch the disk. */
static int run_retry(struct sb_store_job *job, sqlite3 *db, struct sb_err *err)
{
    (void)job;
    return sb_store_exec(db,
                         "CREATE TABLE probe (filler BLOB);"
                         "INSERT INTO probe VALUES (zeroblob(16384)); DROP TABLE probe",
                         err);
}

static void on_retried(struct sb_store_job *job, const struct sb_err *err)
{
    struct sb_store *store = SB_LIST_ENTRY(job, struct sb_store, retry_job);
    const struct timeval tv = {SB_STORE_RETRY_MS / 1000, SB_STORE_RETRY_MS % 1000 * 1000};
    store->is_retrying = false;
    if (err != NULL) {
        (void)event_add(&store->retry_timer, &tv);
    }
}

static void on_retry(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_store *store = ctx;
    struct sb_err err;
    if (store->is_retrying || store->why.code == SB_OK) {
        return;
    }
    store->retry_job = (struct sb_store_job){.run = run_retry, .done = on_retried};
    if (sb_store_post(store, &store->retry_job, &err) < 0) {
        on_retried(&store->retry_job, &err);
        return;
    }
    store->is_retrying = true;
}

/* The writer is to take all that is queued. With the mutex. */
static void make_due(struct sb_store *store)
{
    if (!store->is_due && !sb_list_is_empty(&store->queue)) {
        store->is_due = true;
        (void)pthread_cond_signal(&store->has_work);
    }
}

static void on_patience(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_store *store = ctx;
    (void)pthread_mutex_lock(&store->mutex);
    make_due(store);
    (void)pthread_mutex_unlock(&store->mutex);
}

int sb_store_post(struct sb_store *store, struct sb_store_job *job, struct sb_err *err)
{
    static const struct timeval patience = {0, SB_STORE_PATIENT_MS * 1000};
    int rc = 0;
    bool waits = false;
    (void)pthread_mutex_lock(&store->mutex);
    if (store->n_queued >= SB_STORE_QUEUE) {
        rc = -1;
    } else {
        store->n_queued++;
        sb_list_append(&store->queue, &job->link);
        waits = job->is_patient && !store->is_due;
        if (!waits) {
            make_due(store);
        }
    }
    (void)pthread_mutex_unlock(&store->mutex);
    if (waits && event_pending(&store->patience, EV_TIMEOUT, NULL) == 0) {
        (void)event_add(&store->patience, &patience);
    }
    return rc == 0 ? 0
                   : sb_err_set(err, SB_UNAVAILABLE,
                                "%d records wait for the disk already; try again later",
                                SB_STORE_QUEUE);
}

bool sb_store_works(const struct sb_store *store, struct sb_err *ret_why)
{
    if (store->why.code != SB_OK) {
        *ret_why = store->why;
    }
    return store->why.code == SB_OK;
}

/* ---- life ---- */

int sb_store_open(const struct sb_store_options *options,
                  struct sb_store **ret_store,
                  struct sb_err *err)
{
    struct sb_store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        return sb_err_oom(err);
    }
    store->options = *options;
    store->lock = -1;
    store->wake = -1;
    sb_list_init(&store->queue);
    sb_list_init(&store->finished);
    (void)pthread_mutex_init(&store->mutex, NULL);
    (void)pthread_cond_init(&store->has_work, NULL);
    if (sb_store_file_open(options, &store->db, &store->lock, &store->is_settled, err) < 0 ||
        sb_schema_migrate(store->db, err) < 0) {
        sb_store_free(store);
        return -1;
    }
    *ret_store = store;
    return 0;
}

sqlite3 *sb_store_db(struct sb_store *store)
{
    return store->is_started ? NULL : store->db;
}

int sb_store_start(struct sb_store *store, struct event_base *base, struct sb_err *err)
{
    sigset_t all;
    sigset_t before;
    store->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (store->wake < 0) {
        return sb_err_sys(err, errno, "eventfd");
    }
    (void)event_assign(&store->wake_event, base, store->wake, EV_READ | EV_PERSIST, on_wake, store);
    (void)event_assign(&store->retry_timer, base, -1, 0, on_retry, store);
    (void)event_assign(&store->patience, base, -1, 0, on_patience, store);
    if (event_add(&store->wake_event, NULL) < 0) {
        return sb_err_set(err, SB_INTERNAL, "the event loop refused the store");
    }
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
    int rc = pthread_create(&store->thread, NULL, write_on, store);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        return sb_err_sys(err, rc, "thread");
    }
    store->is_started = true;
    return 0;
}

void sb_store_settle(struct sb_store *store)
{
    if (store == NULL || !store->is_started) {
        return;
    }
    for (;;) {
        struct pollfd pfd = {.fd = store->wake, .events = POLLIN};
        (void)pthread_mutex_lock(&store->mutex);
        size_t n = store->n_queued;
        make_due(store);
        (void)pthread_mutex_unlock(&store->mutex);
        if (n == 0) {
            return;
        }
        (void)poll(&pfd, 1, -1);
        on_wake(store->wake, EV_READ, store);
    }
}

void sb_store_free(struct sb_store *store)
{
    if (store == NULL) {
        return;
    }
    if (store->is_started) {
        (void)pthread_mutex_lock(&store->mutex);
        store->is_ending = true;
        (void)pthread_cond_signal(&store->has_work);
        (void)pthread_mutex_unlock(&store->mutex);
        (void)pthread_join(store->thread, NULL);
        store->options.changed = NULL;
        deliver(store);
    }
    if (store->options.closing != NULL) {
        store->options.closing(store->options.ctx);
    }
    if (store->wake >= 0) {
        (void)event_del(&store->wake_event);
        (void)event_del(&store->retry_timer);
        (void)event_del(&store->patience);
        close(store->wake);
    }
    (void)sqlite3_finalize(store->begin);
    (void)sqlite3_finalize(store->commit);
    (void)sqlite3_close(store->db);
    if (store->lock >= 0) {
        close(store->lock);
    }
    (void)pthread_mutex_destroy(&store->mutex);
    (void)pthread_cond_destroy(&store->has_work);
    free(store);
}
