/* Whose denial a record is. The sandbox of fake.c has the user id 5000 and PID 1 with number 4711.
 */
#include <stdio.h>
#include <unistd.h>

#include "fake.h"
#include "service/worker/audit.h"
#include "service/worker/audit_record.h"
#include "service/worker/exec.h"
#include "service/worker/sandbox.h"

enum { SLOT = 9 };

static void deny(struct fake *fake, unsigned domain, const char *path)
{
    char text[256];
    (void)snprintf(text, sizeof text,
                   "audit(1.2:3): domain=%x blockers=fs.make_reg path=\"%s\" dev=\"x\" ino=1",
                   domain, path);
    sb_audit_hear(fake->worker.audit, SB_AUDIT_ACCESS, sb_str_from(text));
}

static void put_up(struct fake *fake, unsigned domain, unsigned pid, unsigned uid)
{
    char text[256];
    (void)snprintf(
        text, sizeof text,
        "audit(1.2:3): domain=%x status=allocated mode=enforcing pid=%u uid=%u exe=\"/x\" "
        "comm=\"x\"",
        domain, pid, uid);
    sb_audit_hear(fake->worker.audit, SB_AUDIT_DOMAIN, sb_str_from(text));
}

static const struct sb_denials *told(const struct sb_sandbox *sandbox)
{
    return &sandbox->notify.denials;
}

static void the_first_denial_comes_before_its_wall(void **state)
{
    struct fake *fake = *state;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    deny(fake, 0xa, "/proc");
    deny(fake, 0xb, "/elsewhere");
    assert_int_equal(told(sandbox)->n, 0);
    put_up(fake, 0xa, 4711, 5001);
    assert_int_equal(told(sandbox)->n, 1);
    assert_string_equal(told(sandbox)->items[0].name, "/proc");
    assert_string_equal(told(sandbox)->items[0].why, "fs.make_reg");
    deny(fake, 0xa, "/proc");
    deny(fake, 0xa, "/dev/pts");
    assert_int_equal(told(sandbox)->n, 2);
    assert_int_equal(told(sandbox)->items[0].count, 2);
    close(init);
}

/* What a program is denied before the spawner's answer was read. */
static void records_may_come_before_the_sandbox(void **state)
{
    struct fake *fake = *state;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    deny(fake, 0xa, "/proc");
    put_up(fake, 0xa, 4711, 5000);
    assert_int_equal(told(sandbox)->n, 0);
    int init = fake_spawn(fake, SLOT);
    assert_int_equal(told(sandbox)->n, 1);
    close(init);
}

static void only_who_has_its_ids_is_it(void **state)
{
    struct fake *fake = *state;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    static const unsigned others[][2] = {{4712, 5001}, {4711, 4999}, {4711, 5002}, {4711, 0}};
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++) {
        deny(fake, 0x10 + i, "/proc");
        put_up(fake, 0x10 + i, others[i][0], others[i][1]);
    }
    assert_int_equal(told(sandbox)->n, 0);
    close(init);
}

/* The job's process that has taken the number of an ended PID 1 changes nothing. */
static void the_first_wall_is_the_one(void **state)
{
    struct fake *fake = *state;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    put_up(fake, 0xa, 4711, 5001);
    put_up(fake, 0xb, 4711, 5001);
    deny(fake, 0xb, "/other");
    assert_int_equal(told(sandbox)->n, 0);
    deny(fake, 0xa, "/proc");
    assert_int_equal(told(sandbox)->n, 1);
    close(init);
}

static void what_nobody_claims_is_bounded(void **state)
{
    struct fake *fake = *state;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    deny(fake, 0xa, "/first");
    for (unsigned i = 0; i < 10000; i++) {
        deny(fake, 0x1000 + i, "/foreign");
        put_up(fake, 0x1000 + i, 1, 0);
    }
    put_up(fake, 0xa, 4711, 5001); /* what waited for it has made room */
    assert_int_equal(told(sandbox)->n, 0);
    deny(fake, 0xa, "/proc");
    assert_int_equal(told(sandbox)->n, 1);
    close(init);
}

static void counts_for_the_exec_that_runs(void **state)
{
    struct fake *fake = *state;
    struct fake_job job;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    struct sb_exec *exec = fake_exec(sandbox, false, 0);
    fake_turn(fake);
    fake_take_job(init, &job);
    fake_started(&job);
    fake_turn(fake);
    put_up(fake, 0xa, 4711, 5001);
    deny(fake, 0xa, "/proc");
    assert_int_equal(exec->denials.n, 1);
    assert_int_equal(exec->denials.items[0].kind, SB_DENIAL_PATH);
    fake_job_close(&job);
    close(init);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
        TEST(the_first_denial_comes_before_its_wall),
        TEST(records_may_come_before_the_sandbox),
        TEST(only_who_has_its_ids_is_it),
        TEST(the_first_wall_is_the_one),
        TEST(what_nobody_claims_is_bounded),
        TEST(counts_for_the_exec_that_runs),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
