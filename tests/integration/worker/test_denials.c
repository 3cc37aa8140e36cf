/** Refused system calls: answered, counted, told; and a program that makes nothing but those. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/rpc/rpc.h"
#include "rig.h"

#define TEXT_OF(number) #number
#define TEXT(number)    TEXT_OF(number)
#define UMOUNT          TEXT(SYS_umount2)

/* Perl makes system calls by number, and is on every Debian. $! is 1: EPERM. */
#define LOOP(condition)                                                                            \
    "for (my $i = 0; " condition "; $i++) {"                                                       \
    " syscall(" UMOUNT ", 0, 0) == -1 && $! == 1 or exit 9; }"

static const Aisbx__V1__Violation *
find(Aisbx__V1__Violation *const *violations, size_t n, const char *subject)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(violations[i]->subject, subject) == 0) {
            return violations[i];
        }
    }
    fail_msg("no violation about %s among %zu", subject, n);
    return NULL;
}

static void ordinary_programs_have_no_violations(void **state)
{
    struct rig *rig = *state;
    const struct rig_spec spec = {.args = {"sh", "-c", "ls -l /usr/bin >/dev/null; id; ps; echo"}};
    Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
    assert_int_equal(run->exec->verdict->n_violations, 0);
    assert_int_equal(run->sandbox->n_violations, 0);
    for (size_t i = 0; i < run->exec->verdict->n_degraded; i++) {
        assert_null(strstr(run->exec->verdict->degraded[i], "violations"));
    }
    aisbx__v1__run_response__free_unpacked(run, NULL);
}

static void a_refused_call_is_in_the_result_with_count_rule_and_program(void **state)
{
    struct rig *rig = *state;
    const struct rig_spec spec = {.args = {"perl", "-e", LOOP("$i < 3")}};
    Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
    const Aisbx__V1__Verdict *verdict = run->exec->verdict;
    assert_int_equal(verdict->exit_code, 0);
    assert_int_equal(verdict->n_violations, 1);
    const Aisbx__V1__Violation *violation = find(verdict->violations, 1, "umount2");
    assert_int_equal(violation->kind, AISBX__V1__VIOLATION_KIND__VIOLATION_KIND_SYSCALL);
    assert_int_equal(violation->count, 3);
    assert_string_equal(violation->profile, run->sandbox->profile);
    assert_non_null(strstr(violation->decided_by, "floor"));
    assert_string_equal(violation->allow_with, ""); /* nothing may */
    assert_non_null(strstr(violation->detail, "EPERM; first by perl (pid "));
    assert_int_equal(run->sandbox->n_violations, 1);
    aisbx__v1__run_response__free_unpacked(run, NULL);
}

static void each_exec_has_its_own_and_the_sandbox_has_all(void **state)
{
    struct rig *rig = *state;
    char id[40];
    rig_create(rig->channel, id, 0, 0);
    const struct rig_spec first = {.args = {"perl", "-e", LOOP("$i < 2")}, .sandbox_id = id};
    const struct rig_spec second = {.args = {"perl", "-e", LOOP("$i < 5")}, .sandbox_id = id};
    const struct rig_spec quiet = {.args = {"true"}, .sandbox_id = id};
    Aisbx__V1__RunResponse *runs[] = {rig_run(rig->channel, &first, NULL),
                                      rig_run(rig->channel, &second, NULL),
                                      rig_run(rig->channel, &quiet, NULL)};
    assert_int_equal(runs[0]->exec->verdict->violations[0]->count, 2);
    assert_int_equal(runs[1]->exec->verdict->violations[0]->count, 5);
    assert_int_equal(runs[2]->exec->verdict->n_violations, 0);
    Aisbx__V1__GetSandboxResponse *sandbox = rig_get(rig->channel, id);
    assert_int_equal(sandbox->sandbox->n_violations, 1);
    assert_int_equal(sandbox->sandbox->violations[0]->count, 7);
    aisbx__v1__get_sandbox_response__free_unpacked(sandbox, NULL);
    for (size_t i = 0; i < 3; i++) {
        aisbx__v1__run_response__free_unpacked(runs[i], NULL);
    }
}

static void a_follower_is_told_of_each_kind_once_and_before_the_end(void **state)
{
    struct rig *rig = *state;
    struct rig_stream stream = {0};
    const struct rig_spec spec = {.args = {"perl", "-e", LOOP("$i < 50")}};
    rig_start(&stream, rig->channel, &spec, false, NULL);
    assert_true(rig_until_done(&stream));
    assert_int_equal(stream.n_violations, 1);
    assert_int_equal(stream.ended->verdict->violations[0]->count, 50);
    rig_stream_free(&stream);
}

struct watched {
    size_t n;
    char subject[32];
};

static void
on_watch(struct sb_rpc_stream *stream, const Aisbx__V1__WatchSandboxesResponse *msg, void *user)
{
    struct watched *watched = user;
    if (msg->kind == AISBX__V1__SANDBOX_EVENT_KIND__SANDBOX_EVENT_KIND_VIOLATION) {
        watched->n++;
        (void)strncpy(watched->subject, msg->violation->subject, sizeof watched->subject - 1);
    }
    sb_rpc_stream_read(stream);
}

static void a_watcher_is_told_of_the_first_of_its_kind(void **state)
{
    static const struct aisbx__v1__sandbox_service__watch_sandboxes__callbacks callbacks = {
        .message = on_watch};
    struct rig *rig = *state;
    struct sb_err err;
    struct watched watched = {0};
    Aisbx__V1__WatchSandboxesRequest request = AISBX__V1__WATCH_SANDBOXES_REQUEST__INIT;
    struct sb_rpc_channel *other = rig_connect(rig);
    struct sb_rpc_stream *stream = NULL;
    assert_int_equal(aisbx__v1__sandbox_service__watch_sandboxes__start(
                         other, &request, NULL, &callbacks, &watched, &stream, &err),
                     0);
    sb_rpc_stream_read(stream);
    rig_turn(other, 200);
    const struct rig_spec spec = {.args = {"perl", "-e", LOOP("$i < 50")}};
    aisbx__v1__run_response__free_unpacked(rig_run(rig->channel, &spec, NULL), NULL);
    for (int i = 0; i < 100 && watched.n < 1; i++) {
        rig_turn(other, 50);
    }
    assert_int_equal(watched.n, 1);
    assert_string_equal(watched.subject, "umount2");
    sb_rpc_channel_free(other);
}

static void a_hundred_thousand_refusals_are_counted_to_the_last(void **state)
{
    struct rig *rig = *state;
    const struct rig_spec spec = {.args = {"perl", "-e", LOOP("$i < 100000")}};
    Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
    assert_int_equal(run->exec->verdict->exit_code, 0);
    assert_int_equal(run->exec->verdict->violations[0]->count, 100000);
    aisbx__v1__run_response__free_unpacked(run, NULL);
}

static void others_are_served_while_one_does_nothing_else(void **state)
{
    struct rig *rig = *state;
    struct rig_stream flood = {0};
    struct sb_err err;
    struct sb_rpc_channel *other = rig_connect(rig);
    const struct rig_spec endless = {.args = {"perl", "-e", LOOP("1")}};
    const struct rig_spec spec = {.args = {"echo", "served"}};
    rig_start(&flood, other, &endless, false, NULL);
    assert_true(rig_until_started(&flood));
    for (int i = 0; i < 10; i++) {
        Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
        assert_memory_equal(run->stdout.data, "served\n", 7);
        assert_int_equal(run->exec->verdict->n_violations, 0);
        aisbx__v1__run_response__free_unpacked(run, NULL);
    }
    assert_null(flood.ended); /* it was at it all the time */
    Aisbx__V1__CancelExecRequest cancel = AISBX__V1__CANCEL_EXEC_REQUEST__INIT;
    Aisbx__V1__CancelExecResponse *reply = NULL;
    cancel.exec_id = flood.exec_id;
    assert_int_equal(
        aisbx__v1__sandbox_service__cancel_exec__call(rig->channel, &cancel, NULL, &reply, &err),
        0);
    assert_int_equal(reply->exec->verdict->kind, AISBX__V1__VERDICT_KIND__VERDICT_KIND_CANCELLED);
    assert_true(reply->exec->verdict->violations[0]->count > 10);
    aisbx__v1__cancel_exec_response__free_unpacked(reply, NULL);
    assert_true(rig_until_done(&flood));
    rig_stream_free(&flood);
    sb_rpc_channel_free(other);
}

static void many_kinds_fill_the_table_and_no_more(void **state)
{
    struct rig *rig = *state;
    /* 100 families that are not there, twice. */
    const struct rig_spec spec = {
        .args = {"perl", "-e",
                 "for (1, 2) { for (my $i = 100; $i < 200; $i++) {"
                 " syscall(" TEXT(SYS_socket) ", $i, 1, 0) == -1 or exit 9; } }"}};
    Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
    const Aisbx__V1__Verdict *verdict = run->exec->verdict;
    uint64_t total = 0;
    assert_int_equal(verdict->exit_code, 0);
    assert_int_equal(verdict->n_violations, 64);
    for (size_t i = 0; i < verdict->n_violations; i++) {
        total += verdict->violations[i]->count;
    }
    assert_int_equal(total, 200);
    assert_non_null(find(verdict->violations, verdict->n_violations, "others"));
    aisbx__v1__run_response__free_unpacked(run, NULL);
}

const struct CMUnitTest denial_tests[] = {
    RIG_SHARED(ordinary_programs_have_no_violations),
    RIG_SHARED(a_refused_call_is_in_the_result_with_count_rule_and_program),
    RIG_SHARED(each_exec_has_its_own_and_the_sandbox_has_all),
    RIG_SHARED(a_follower_is_told_of_each_kind_once_and_before_the_end),
    RIG_ALONE(a_watcher_is_told_of_the_first_of_its_kind),
    RIG_SHARED(a_hundred_thousand_refusals_are_counted_to_the_last),
    RIG_SHARED(others_are_served_while_one_does_nothing_else),
    RIG_SHARED(many_kinds_fill_the_table_and_no_more),
};
const size_t denial_tests_n = sizeof denial_tests / sizeof *denial_tests;
