/** The database and its writer. */
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "service/worker/store/schema.h"
#include "service/worker/store/store.h"
#include "service/worker/trail/trail.h"
#include "trail/read.h"

struct rig {
    char path[64];
    char file[96];
    int dir;
    struct event_base *base;
    struct sb_store *store;
    struct sb_trail *trail;
    unsigned n_done;
    unsigned n_failed;
    unsigned n_undone;
    bool is_healthy;
};

static void on_undone(void *ctx)
{
    struct rig *rig = ctx;
    rig->n_undone++;
    sb_trail_undone(rig->trail);
}

static void on_closing(void *ctx)
{
    struct rig *rig = ctx;
    sb_trail_closing(rig->trail);
}

static void on_changed(void *ctx, const struct sb_err *why)
{
    struct rig *rig = ctx;
    rig->is_healthy = why == NULL;
}

static int open_rig(struct rig *rig, struct sb_err *err)
{
    const struct sb_store_options options = {
        .dir = rig->dir,
        .durability = SB_DURABLE_COMMIT,
        .changed = on_changed,
        .undone = on_undone,
        .closing = on_closing,
        .ctx = rig,
    };
    if (sb_store_open(&options, &rig->store, err) < 0) {
        rig->store = NULL;
        return -1;
    }
    const struct sb_trail_options kept = {
        .store = rig->store,
        .keep_ms = 90ULL * 86400000,
        .max_bytes = 1 << 30,
    };
    if (sb_trail_open(&kept, &rig->trail, err) < 0) {
        return -1;
    }
    if (sb_store_start(rig->store, rig->base, err) < 0) {
        return -1;
    }
    sb_trail_start(rig->trail, rig->base);
    return 0;
}

static void close_rig(struct rig *rig)
{
    sb_store_settle(rig->store);
    sb_trail_stop(rig->trail);
    sb_store_free(rig->store);
    sb_trail_free(rig->trail);
    rig->store = NULL;
    rig->trail = NULL;
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    (void)strcpy(rig->path, "/tmp/test-store-XXXXXX");
    assert_non_null(mkdtemp(rig->path));
    (void)snprintf(rig->file, sizeof rig->file, "%s/aisbx.db", rig->path);
    rig->dir = open(rig->path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    rig->base = event_base_new();
    rig->is_healthy = true;
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"aisbx.db", "aisbx.db-wal", "aisbx.db-shm",
                                        "aisbx.db.lock"};
    struct rig *rig = *state;
    close_rig(rig);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)unlinkat(rig->dir, names[i], 0);
    }
    close(rig->dir);
    assert_int_equal(rmdir(rig->path), 0);
    event_base_free(rig->base);
    free(rig);
    return 0;
}

static void on_written(void *ctx, const struct sb_err *err)
{
    struct rig *rig = ctx;
    rig->n_done++;
    rig->n_failed += err == NULL ? 0 : 1;
}

static void write_some(struct rig *rig, unsigned n, const char *detail)
{
    struct sb_err err;
    for (unsigned i = 0; i < n; i++) {
        const struct sb_trail_record record = {
            .actor = SB_STR("uid:0"),
            .tenant = SB_STR("local"),
            .action = SB_STR("exec.start"),
            .outcome = SB_STR("allowed"),
            .sandbox_id = SB_STR("sb_aaaaaaaaaaaaaaaaaaaaaaaaaa"),
            .detail = sb_str_from(detail),
        };
        assert_int_equal(sb_trail_intent(rig->trail, &record, on_written, rig, &err), 0);
    }
    sb_store_settle(rig->store);
}

static void verify(struct rig *rig, struct sb_trail_verdict *verdict)
{
    struct sb_err err;
    sqlite3 *db = NULL;
    assert_int_equal(sb_trail_open_file(rig->file, &db, &err), 0);
    assert_int_equal(sb_trail_verify(db, NULL, 0, verdict, &err), 0);
    (void)sqlite3_close(db);
}

/** As somebody with the file in hand. */
static void tamper(const struct rig *rig, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(rig->file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(db);
}

/* ---- the store ---- */

static void file_is_for_the_worker_alone(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    struct stat st;
    assert_int_equal(open_rig(rig, &err), 0);
    assert_int_equal(stat(rig->file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void second_worker_is_refused(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    struct sb_store *second = NULL;
    const struct sb_store_options options = {.dir = rig->dir};
    assert_int_equal(open_rig(rig, &err), 0);
    assert_int_equal(sb_store_open(&options, &second, &err), -1);
    assert_int_equal(err.code, SB_EXISTS);
}

static void *end_later(void *ctx)
{
    const int *lock = ctx;
    (void)poll(NULL, 0, 20);
    (void)close(*lock);
    return NULL;
}

static void a_worker_that_is_ending_is_waited_for(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    struct sb_store *next = NULL;
    pthread_t thread;
    const struct sb_store_options options = {.dir = rig->dir, .wait_ms = 60000};
    int lock = openat(rig->dir, SB_STORE_FILE ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    assert_int_equal(pthread_create(&thread, NULL, end_later, &lock), 0);
    assert_int_equal(sb_store_open(&options, &next, &err), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    sb_store_free(next);
}

/* A job that counts. */
struct counted {
    struct sb_store_job job;
    struct rig *rig;
};

static int run_nothing(struct sb_store_job *job, sqlite3 *db, struct sb_err *err)
{
    (void)job;
    (void)db;
    (void)err;
    return 0;
}

static void on_counted(struct sb_store_job *job, const struct sb_err *err)
{
    assert_null(err);
    SB_LIST_ENTRY(job, struct counted, job)->rig->n_done++;
}

static void post_counted(struct rig *rig, struct counted *counted, bool is_patient)
{
    struct sb_err err;
    *counted = (struct counted){
        .job = {.run = run_nothing, .done = on_counted, .is_patient = is_patient}, .rig = rig};
    assert_int_equal(sb_store_post(rig->store, &counted->job, &err), 0);
}

static void run_until(struct rig *rig, unsigned n_done)
{
    while (rig->n_done < n_done) {
        assert_int_equal(event_base_loop(rig->base, EVLOOP_ONCE), 0);
    }
}

static void job_that_nobody_waits_for_goes_with_the_next_or_alone(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    struct counted jobs[4];
    const struct timeval past_patience = {0, 4 * SB_STORE_PATIENT_MS * 1000};
    assert_int_equal(open_rig(rig, &err), 0);
    post_counted(rig, &jobs[0], true);
    post_counted(rig, &jobs[1], false);
    run_until(rig, 2);
    (void)event_base_loopexit(rig->base, &past_patience); /* which ends with nothing to be done */
    (void)event_base_dispatch(rig->base);
    post_counted(rig, &jobs[2], false);
    run_until(rig, 3);
    post_counted(rig, &jobs[3], true);
    run_until(rig, 4);
}

static void newer_schema_is_refused(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    assert_int_equal(open_rig(rig, &err), 0);
    close_rig(rig);
    tamper(rig, "PRAGMA user_version = 999");
    assert_int_equal(open_rig(rig, &err), -1);
    assert_int_equal(err.code, SB_PRECONDITION);
    assert_non_null(strstr(err.text, "newer"));
}

static void schema_grows_from_nothing(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(rig->file, &db), SQLITE_OK);
    assert_int_equal(sb_schema_migrate_to(db, 1, &err), 0);
    (void)sqlite3_close(db);
    assert_int_equal(chmod(rig->file, 0600), 0);
    assert_int_equal(open_rig(rig, &err), 0);
    close_rig(rig);
    assert_int_equal(sqlite3_open(rig->file, &db), SQLITE_OK);
    assert_int_equal(sb_schema_migrate(db, &err), 0);
    (void)sqlite3_close(db);
}

static void file_that_is_no_database_is_refused(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    FILE *file = fopen(rig->file, "w");
    for (int i = 0; i < 1000; i++) {
        (void)fputs("this is no database\n", file);
    }
    assert_int_equal(fclose(file), 0);
    assert_int_equal(open_rig(rig, &err), -1);
    assert_int_equal(err.code, SB_DATA_LOSS);
}

static void link_in_place_of_the_file_is_refused(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    assert_int_equal(symlinkat("/dev/null", rig->dir, "aisbx.db"), 0);
    assert_int_equal(open_rig(rig, &err), -1);
}

struct own_job {
    struct sb_store_job job;
    enum sb_code fails_with;
    unsigned n_runs;
    int result; /* of done */
};

static int run_own(struct sb_store_job *job, sqlite3 *db, struct sb_err *err)
{
    struct own_job *own = SB_LIST_ENTRY(job, struct own_job, job);
    own->n_runs++;
    if (sb_store_exec(db, "INSERT INTO request VALUES (randomblob(8), x'00', 'sb_x', 1)", err) <
        0) {
        return -1;
    }
    return own->fails_with == SB_OK ? 0 : sb_err_set(err, own->fails_with, "by itself");
}

static void own_done(struct sb_store_job *job, const struct sb_err *err)
{
    struct own_job *own = SB_LIST_ENTRY(job, struct own_job, job);
    own->result = err == NULL ? SB_OK : (int)err->code;
}

static void job_that_fails_takes_no_other_along(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    struct own_job jobs[9];
    assert_int_equal(open_rig(rig, &err), 0);
    memset(jobs, 0, sizeof jobs);
    for (int i = 0; i < 9; i++) {
        jobs[i].job.run = run_own;
        jobs[i].job.done = own_done;
        jobs[i].fails_with = i == 4 ? SB_NOT_FOUND : SB_OK;
        jobs[i].result = -1;
        assert_int_equal(sb_store_post(rig->store, &jobs[i].job, &err), 0);
    }
    sb_store_settle(rig->store);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(jobs[i].result, i == 4 ? SB_NOT_FOUND : SB_OK);
    }
    assert_true(rig->is_healthy);
    assert_true(rig->n_undone > 0);
    write_some(rig, 1, "{}");
    assert_int_equal(rig->n_failed, 0);
}

/* ---- the chain ---- */

static void chain_goes_on_after_a_restart(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    struct sb_trail_verdict verdict;
    assert_int_equal(open_rig(rig, &err), 0);
    write_some(rig, 100, "{}");
    close_rig(rig);
    assert_int_equal(open_rig(rig, &err), 0);
    write_some(rig, 100, "{}");
    verify(rig, &verdict);
    assert_int_equal(verdict.broken, 0);
    assert_int_equal(verdict.n, 200);
    assert_int_equal(verdict.last.sequence, 200);
}

static void each_way_of_tampering_is_found(void **state)
{
    static const struct {
        const char *sql;
        uint64_t broken;
    } ways[] = {
        {"UPDATE audit SET detail = replace(detail, 'a', 'b') WHERE sequence = 5", 5},
        {"UPDATE audit SET time_ms = time_ms + 1 WHERE sequence = 1", 1},
        {"UPDATE audit SET outcome = 'denied' WHERE sequence = 9", 9},
        {"DELETE FROM audit WHERE sequence = 7", 7},
        {"DELETE FROM audit WHERE sequence > 15", 16},
        {"DELETE FROM audit WHERE sequence <= 3", 1},
        {"DELETE FROM audit", 1},
        {"UPDATE audit SET hash = zeroblob(32) WHERE sequence = 20", 20},
        {"UPDATE audit SET actor = 'uid:0uid', tenant = 'local' WHERE sequence = 6", 6},
        {"INSERT INTO audit SELECT 21, time_ms, actor, tenant, action, outcome, sandbox_id, "
         "exec_id, "
         "policy_hash, detail, hash FROM audit WHERE sequence = 20",
         21},
        /* Dropping the beginning as pruning does, without the record that says so. */
        {"INSERT INTO audit_anchor SELECT 1, sequence, hash FROM audit WHERE sequence = 4;"
         "DELETE FROM audit WHERE sequence <= 4",
         4},
    };
    struct rig *rig = *state;
    struct sb_err err;
    struct sb_trail_verdict verdict;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        assert_int_equal(open_rig(rig, &err), 0);
        write_some(rig, 20, "{\"path\":\"/a\"}");
        close_rig(rig);
        verify(rig, &verdict);
        assert_int_equal(verdict.broken, 0);
        tamper(rig, ways[i].sql);
        verify(rig, &verdict);
        if (verdict.broken != ways[i].broken) {
            fail_msg("%s: broken at %ju (%s), not %ju", ways[i].sql, (uintmax_t)verdict.broken,
                     verdict.why, (uintmax_t)ways[i].broken);
        }
        (void)unlinkat(rig->dir, "aisbx.db", 0);
        (void)unlinkat(rig->dir, "aisbx.db-wal", 0);
        (void)unlinkat(rig->dir, "aisbx.db-shm", 0);
    }
}

static void cutting_both_short_is_found_by_what_was_noted(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    struct sb_trail_verdict verdict;
    sqlite3 *db = NULL;
    assert_int_equal(open_rig(rig, &err), 0);
    write_some(rig, 20, "{}");
    close_rig(rig);
    verify(rig, &verdict);
    const struct sb_trail_head noted = verdict.last;
    tamper(rig,
           "DELETE FROM audit WHERE sequence > 10;"
           "UPDATE audit_head SET sequence = 10, hash = (SELECT hash FROM audit WHERE sequence "
           "= 10)");
    verify(rig, &verdict);
    assert_int_equal(verdict.broken, 0); /* of itself it is whole */
    assert_int_equal(sb_trail_open_file(rig->file, &db, &err), 0);
    assert_int_equal(sb_trail_verify(db, &noted, 1, &verdict, &err), 0);
    (void)sqlite3_close(db);
    assert_int_equal(verdict.broken, 11);
}

static void start_refuses_a_chain_that_was_cut(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    assert_int_equal(open_rig(rig, &err), 0);
    write_some(rig, 5, "{}");
    close_rig(rig);
    tamper(rig, "DELETE FROM audit WHERE sequence = 5");
    assert_int_equal(open_rig(rig, &err), -1);
    assert_int_equal(err.code, SB_DATA_LOSS);
}

static void concurrent_reading_sees_a_whole_chain(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    struct sb_trail_verdict verdict;
    assert_int_equal(open_rig(rig, &err), 0);
    for (int i = 0; i < 20; i++) {
        const struct sb_trail_record record = {.action = SB_STR("limit")};
        for (int k = 0; k < 50; k++) {
            sb_trail_event(rig->trail, &record);
        }
        verify(rig, &verdict);
        assert_int_equal(verdict.broken, 0);
    }
    sb_store_settle(rig->store);
    verify(rig, &verdict);
    assert_int_equal(verdict.n, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(file_is_for_the_worker_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(second_worker_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_worker_that_is_ending_is_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(job_that_nobody_waits_for_goes_with_the_next_or_alone,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(newer_schema_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(schema_grows_from_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(file_that_is_no_database_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(link_in_place_of_the_file_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(job_that_fails_takes_no_other_along, setup, teardown),
        cmocka_unit_test_setup_teardown(chain_goes_on_after_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(each_way_of_tampering_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(cutting_both_short_is_found_by_what_was_noted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(start_refuses_a_chain_that_was_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(concurrent_reading_sees_a_whole_chain, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
