/** What the next worker knows: tombstones and request ids, in a store of its own. */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aisbx/v1/sandbox_service.pb-c.h"
#include "base/clock.h"
#include "fake.h"
#include "service/worker/idem_store.h"
#include "service/worker/limits.h"
#include "service/worker/policy/policy.h"
#include "service/worker/sandbox.h"
#include "service/worker/store/store.h"
#include "service/worker/tombs.h"

static char path[64];

/** A worker on the state of the one before. */
static struct fake *next(struct sb_err *err, const char *sql)
{
    void *state = NULL;
    assert_int_equal(fake_setup(&state), 0);
    struct fake *fake = state;
    struct sb_worker *worker = &fake->worker;
    worker->start_ms = sb_clock_real_ms();
    worker->state_dir = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    assert_true(worker->state_dir >= 0);
    const struct sb_store_options options = {.dir = worker->state_dir};
    assert_int_equal(sb_store_open(&options, &worker->store, err), 0);
    assert_int_equal(sql == NULL ? 0 : sb_store_exec(sb_store_db(worker->store), sql, err), 0);
    return fake;
}

static int load(struct fake *fake, struct sb_err *err)
{
    struct sb_worker *worker = &fake->worker;
    return sb_tombs_find_lost(worker, err) < 0 ||
                   sb_idem_store_load(worker->store, &worker->idem, sb_clock_real_ms(), err) < 0
               ? -1
               : 0;
}

struct asked {
    struct sb_tombs_waiter waiter;
    int n_told;
    struct sb_err err;
};

static void on_ready(struct sb_tombs_waiter *waiter, const struct sb_err *err)
{
    struct asked *asked = SB_LIST_ENTRY(waiter, struct asked, waiter);
    asked->n_told++;
    asked->err = err == NULL ? (struct sb_err){.code = SB_OK} : *err;
}

/** The first two that ask about what was before. */
static enum sb_code recall(struct fake *fake)
{
    struct sb_err err;
    struct asked asked[2] = {{.waiter.ready = on_ready}, {.waiter.ready = on_ready}};
    assert_false(sb_tombs_are_read(&fake->worker));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sb_tombs_recall(&fake->worker, &asked[i].waiter, &err), 0);
    }
    assert_int_equal(asked[0].n_told, 0);
    sb_store_settle(fake->worker.store);
    assert_int_equal(asked[0].n_told, 1);
    assert_int_equal(asked[1].n_told, 1);
    assert_int_equal(asked[0].err.code, asked[1].err.code);
    assert_int_equal(sb_tombs_are_read(&fake->worker), asked[0].err.code == SB_OK);
    return asked[0].err.code;
}

static void start(struct fake *fake)
{
    struct sb_err err;
    assert_int_equal(sb_store_start(fake->worker.store, fake->worker.base, &err), 0);
}

static struct fake *begin(void)
{
    struct sb_err err;
    struct fake *fake = next(&err, NULL);
    if (load(fake, &err) < 0) {
        fail_msg("%s", err.text);
    }
    start(fake);
    return fake;
}

/** Nothing more is written: as if it had been killed. */
static void die(struct fake *fake)
{
    void *state = fake;
    sb_store_free(fake->worker.store);
    fake->worker.store = NULL;
    close(fake->worker.state_dir);
    assert_int_equal(fake_teardown(&state), 0);
}

static int setup(void **state)
{
    (void)state;
    (void)strcpy(path, "/tmp/aisbx-test.XXXXXX");
    assert_non_null(mkdtemp(path));
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"aisbx.db", "aisbx.db-wal", "aisbx.db-shm",
                                        "aisbx.db.lock"};
    char file[128];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(file, sizeof file, "%s/%s", path, names[i]);
        (void)unlink(file);
    }
    return rmdir(path);
}

/* ---- tombstones ---- */

static void ends_are_recalled_and_lives_are_lost(void **state)
{
    (void)state;
    char ids[2][SB_ID_SIZE];
    char hash[SB_POLICY_HASH_SIZE];
    struct fake *fake = begin();
    struct sb_sandbox *alive = fake_sandbox(fake, false);
    close(fake_spawn(fake, 1));
    struct sb_sandbox *ended = fake_sandbox(fake, false);
    close(fake_spawn(fake, 2));
    sb_sandbox_destroy(ended, SB_REASON_TTL, "its ttl_ms passed");
    fake_gone(fake, 2, 9);
    assert_int_equal(ended->state, SB_STATE_DESTROYED);
    memcpy(ids[0], alive->id, SB_ID_SIZE);
    memcpy(ids[1], ended->id, SB_ID_SIZE);
    memcpy(hash, alive->policy->hash, sizeof hash);
    uint64_t destroy_ms = ended->destroy_ms;
    die(fake);

    for (int i = 0; i < 2; i++) { /* once more: it stays as it was found */
        fake = begin();
        const struct sb_registry *registry = &fake->worker.registry;
        const struct sb_sandbox *lost = sb_registry_sandbox(registry, ids[0]);
        assert_int_equal(registry->n_tombs, i == 0); /* what is to be told of at once */
        assert_int_equal(recall(fake), SB_OK);
        lost = sb_registry_sandbox(registry, ids[0]);
        const struct sb_sandbox *told = sb_registry_sandbox(registry, ids[1]);
        assert_int_equal(registry->n_live, 0);
        assert_int_equal(registry->n_tombs, 2);
        assert_int_equal(lost->state, SB_STATE_DESTROYED);
        assert_int_equal(lost->reason, SB_REASON_WORKER_LOST);
        assert_non_null(strstr(lost->destroy_message, "the worker went away"));
        assert_string_equal(lost->tenant, "local");
        assert_string_equal(lost->owner, "uid:1");
        assert_string_equal(lost->policy->hash, hash);
        assert_int_equal(told->reason, SB_REASON_TTL);
        assert_string_equal(told->destroy_message, "its ttl_ms passed");
        assert_int_equal(told->destroy_ms, destroy_ms);
        die(fake);
    }
}

static void the_newest_of_a_day_are_recalled(void **state)
{
    (void)state;
    char sql[1024];
    struct sb_err err;
    uint64_t now_ms = sb_clock_real_ms();
    struct fake *fake = next(&err, NULL);
    sqlite3 *db = sb_store_db(fake->worker.store);
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sb_store_exec(db, "BEGIN", &err), 0);
    for (int i = 0; i < SB_MAX_TOMBSTONES + 10; i++) {
        char id[SB_ID_SIZE];
        assert_int_equal(sb_id_make(id, "sb_", &err), 0);
        (void)snprintf(sql, sizeof sql,
                       "INSERT INTO tombstone VALUES ('%s', 'o', 't', 'p', 'h', 1, '%d', 1, %ju)",
                       id, i, (uintmax_t)(now_ms - SB_MAX_TOMBSTONES - 10 + (unsigned)i));
        assert_int_equal(sb_store_exec(db, sql, &err), 0);
    }
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO tombstone VALUES ('sb_bbbbbbbbbbbbbbbbbbbbbbbbbb', 'o', 't', 'p', "
                   "'h', 1, 'old', 1, %ju); COMMIT",
                   (uintmax_t)(now_ms - SB_MAX_MEMORY_MS - 1));
    assert_int_equal(sb_store_exec(db, sql, &err), 0);
    assert_int_equal(load(fake, &err), 0);
    start(fake);
    const struct sb_registry *registry = &fake->worker.registry;
    assert_int_equal(registry->n_tombs, 0);
    assert_int_equal(recall(fake), SB_OK);
    assert_int_equal(registry->n_tombs, SB_MAX_TOMBSTONES);
    assert_null(sb_registry_sandbox(registry, "sb_bbbbbbbbbbbbbbbbbbbbbbbbbb"));
    const struct sb_sandbox *oldest =
        SB_LIST_ENTRY(registry->tombs.next, struct sb_sandbox, tomb_link);
    assert_string_equal(oldest->destroy_message, "10");
    struct sb_sandbox *ended = fake_sandbox(fake, false); /* which makes room */
    close(fake_spawn(fake, 1));
    assert_true(ended->seq > oldest->seq);
    sb_sandbox_destroy(ended, SB_REASON_TTL, "its ttl_ms passed");
    fake_gone(fake, 1, 9);
    die(fake);
    fake = next(&err, NULL);
    db = sb_store_db(fake->worker.store);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM tombstone", -1, &stmt, NULL), 0);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(stmt, 0), SB_MAX_TOMBSTONES);
    (void)sqlite3_finalize(stmt);
    die(fake);
}

/** One that ended since is the registry's own, and older ones stand behind it. */
static void what_ended_since_is_there_once(void **state)
{
    (void)state;
    struct fake *fake = begin();
    struct sb_sandbox *first = fake_sandbox(fake, false);
    close(fake_spawn(fake, 1));
    sb_sandbox_destroy(first, SB_REASON_TTL, "");
    fake_gone(fake, 1, 9);
    die(fake);
    fake = begin();
    struct sb_sandbox *second = fake_sandbox(fake, false);
    close(fake_spawn(fake, 2));
    sb_sandbox_destroy(second, SB_REASON_TTL, "");
    fake_gone(fake, 2, 9);
    const struct sb_registry *registry = &fake->worker.registry;
    assert_int_equal(registry->n_tombs, 1);
    assert_int_equal(recall(fake), SB_OK);
    assert_int_equal(registry->n_tombs, 2);
    assert_ptr_equal(registry->sandbox_list.next, &second->link);
    assert_ptr_equal(registry->tombs.prev, &second->tomb_link);
    assert_true(SB_LIST_ENTRY(registry->tombs.next, struct sb_sandbox, tomb_link)->seq <
                second->seq);
    die(fake);
}

static void rows_that_no_worker_wrote_are_refused(void **state)
{
    static const char *const later[] = {
        "INSERT INTO tombstone VALUES ('x', 'o', 't', 'p', 'h', 1, 'm', 1, 9000000000000)",
        "UPDATE tombstone SET sandbox_id = 'sb_aaaaaaaaaaaaaaaaaaaaaaaaaa', reason = 99",
    };
    static const char *const rows[] = {
        "UPDATE tombstone SET sandbox_id = 'x', destroy_ms = 0",
        "DELETE FROM tombstone; INSERT INTO request VALUES (x'00', x'00', '', 9000000000000)",
    };
    (void)state;
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        struct sb_err err;
        struct fake *fake = next(&err, later[i]);
        assert_int_equal(load(fake, &err), 0);
        start(fake);
        for (int k = 0; k < 2; k++) { /* each time it is asked about */
            assert_int_equal(recall(fake), SB_DATA_LOSS);
        }
        assert_true(sb_store_works(fake->worker.store, &err));
        die(fake);
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_err err;
        struct fake *fake = next(&err, rows[i]);
        assert_int_equal(load(fake, &err), -1);
        assert_int_equal(err.code, SB_DATA_LOSS);
        die(fake);
    }
}

/* ---- request ids ---- */

static struct sb_idem_call call_of(const char *id, char *profile)
{
    static Aisbx__V1__CreateSandboxRequest req;
    static Aisbx__V1__SandboxSpec spec;
    req = (Aisbx__V1__CreateSandboxRequest)AISBX__V1__CREATE_SANDBOX_REQUEST__INIT;
    spec = (Aisbx__V1__SandboxSpec)AISBX__V1__SANDBOX_SPEC__INIT;
    spec.profile = profile;
    req.sandbox = &spec;
    return (struct sb_idem_call){"uid:1", "CreateSandbox", id, &req.base};
}

static void count_done(void *ctx, const struct sb_err *err)
{
    int *n = ctx;
    assert_null(err);
    (*n)++;
}

static struct sb_idem_note *note(struct fake *fake, const struct sb_idem_call *call, int *n_done)
{
    struct sb_err err;
    struct sb_idem_note *made = NULL;
    assert_int_equal(
        sb_idem_note(&fake->worker.idem, call, sb_clock_real_ms(), count_done, n_done, &made, &err),
        0);
    return made;
}

static void what_may_have_been_done_is_not_done_again(void **state)
{
    (void)state;
    static const char made[] = "sb_aaaaaaaaaaaaaaaaaaaaaaaaaa";
    static char strict[] = "strict";
    static char other[] = "other";
    char id[SB_ID_SIZE];
    int n_done = 0;
    struct sb_err err;
    struct fake *fake = begin();
    struct sb_idem *idem = &fake->worker.idem;
    uint64_t now_ms = sb_clock_real_ms();
    struct sb_idem_call call = call_of("finished", strict);
    struct sb_idem_note *first = note(fake, &call, &n_done);
    sb_store_settle(fake->worker.store);
    assert_int_equal(n_done, 1);
    assert_int_equal(sb_idem_add(idem, &call, now_ms, made, &err), 0);
    assert_null(note(fake, &call, &n_done)); /* it is known */
    sb_idem_note_end(idem, first);
    call = call_of("under way", strict);
    struct sb_idem_note *second = note(fake, &call, &n_done);
    call = call_of("made nothing", strict);
    sb_idem_note_end(idem, note(fake, &call, &n_done)); /* before it is written */
    call = call_of("failed later", strict);
    struct sb_idem_note *third = note(fake, &call, &n_done);
    assert_int_equal(sb_idem_add(idem, &call, now_ms, "sb_bbbbbbbbbbbbbbbbbbbbbbbbbb", &err), 0);
    sb_idem_note_end(idem, third);
    sb_idem_drop(idem, "sb_bbbbbbbbbbbbbbbbbbbbbbbbbb");
    call = call_of("", strict);
    assert_null(note(fake, &call, &n_done));
    sb_store_settle(fake->worker.store);
    assert_int_equal(n_done, 2);
    free(second); /* of a call that nobody could end any more */
    die(fake);

    fake = begin();
    idem = &fake->worker.idem;
    call = call_of("finished", strict);
    assert_int_equal(sb_idem_find(idem, &call, now_ms, id, &err), -1);
    assert_int_equal(err.code, SB_PRECONDITION);
    assert_non_null(strstr(err.text, made));
    call = call_of("finished", other);
    assert_int_equal(sb_idem_find(idem, &call, now_ms, id, &err), -1);
    assert_int_equal(err.code, SB_EXISTS);
    call = call_of("under way", strict);
    assert_null(note(fake, &call, &n_done));
    assert_int_equal(sb_idem_find(idem, &call, now_ms, id, &err), -1);
    assert_int_equal(err.code, SB_PRECONDITION);
    static const char *const again[] = {"made nothing", "failed later"};
    for (int i = 0; i < 2; i++) {
        call = call_of(again[i], strict);
        assert_int_equal(sb_idem_find(idem, &call, now_ms, id, &err), 0);
        assert_string_equal(id, "");
    }
    call = call_of("finished", strict); /* a day later it is forgotten */
    assert_int_equal(sb_idem_find(idem, &call, now_ms + SB_MAX_MEMORY_MS + 1000, id, &err), 0);
    die(fake);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ends_are_recalled_and_lives_are_lost),
        TEST(the_newest_of_a_day_are_recalled),
        TEST(what_ended_since_is_there_once),
        TEST(rows_that_no_worker_wrote_are_refused),
        TEST(what_may_have_been_done_is_not_done_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
