/** Programs: how they are started, and how their end is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "proto/rpc/rpc.h"
#include "rig.h"

static void run_returns_both_streams_status_and_usage(void **state)
{
    struct rig *rig = *state;
    const struct rig_spec spec = {
        .args = {"sh", "-c", "read a; echo out $a; echo err >&2; exit 3"}};
    Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, "in\n");
    const Aisbx__V1__Verdict *verdict = run->exec->verdict;
    assert_memory_equal(run->stdout.data, "out in\n", 7);
    assert_memory_equal(run->stderr.data, "err\n", 4);
    assert_int_equal(run->stdout_omitted_bytes, 0);
    assert_int_equal(verdict->kind, AISBX__V1__VERDICT_KIND__VERDICT_KIND_EXITED);
    assert_int_equal(verdict->exit_code, 3);
    assert_int_equal(verdict->usage->stdout_bytes, 7);
    assert_true(verdict->usage->memory_peak_bytes > 0);
    assert_string_equal(verdict->evidence[0]->source, "wait4.status");
    assert_int_equal(run->sandbox->destroy_reason,
                     AISBX__V1__DESTROY_REASON__DESTROY_REASON_EXEC_ENDED);
    aisbx__v1__run_response__free_unpacked(run, NULL);
}

static void run_shows_head_and_tail_of_long_output(void **state)
{
    struct rig *rig = *state;
    const struct rig_spec spec = {.args = {"sh", "-c", "seq 1 100000"}};
    Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
    assert_memory_equal(run->stdout.data, "1\n2\n3\n", 6);
    assert_true(run->stdout_tail.len > 7);
    assert_memory_equal(run->stdout_tail.data + run->stdout_tail.len - 7, "100000\n", 7);
    assert_int_equal(run->stdout.len + run->stdout_tail.len + run->stdout_omitted_bytes, 588895);
    assert_int_equal(run->exec->stdout_bytes, 588895);
    aisbx__v1__run_response__free_unpacked(run, NULL);
}

static void a_signal_is_told_as_one(void **state)
{
    struct rig *rig = *state;
    const struct rig_spec spec = {.args = {"sh", "-c", "kill -SEGV $$"}};
    Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
    char id[40];
    rig_create(rig->channel, id, 0, 0);
    const struct rig_spec inside = {.args = {"sh", "-c", "kill -SEGV $$"}, .sandbox_id = id};
    Aisbx__V1__RunResponse *again = rig_run(rig->channel, &inside, NULL);
    assert_int_equal(run->exec->verdict->kind, AISBX__V1__VERDICT_KIND__VERDICT_KIND_SIGNALED);
    assert_int_equal(run->exec->verdict->signal, 11);
    assert_int_equal(again->exec->verdict->kind, AISBX__V1__VERDICT_KIND__VERDICT_KIND_SIGNALED);
    assert_int_equal(again->exec->verdict->signal, 11);
    aisbx__v1__run_response__free_unpacked(run, NULL);
    aisbx__v1__run_response__free_unpacked(again, NULL);
}

static void a_program_that_is_not_there_is_named(void **state)
{
    struct rig *rig = *state;
    char id[40];
    rig_create(rig->channel, id, 0, 0);
    const struct rig_spec specs[] = {{.args = {"no-such-program"}},
                                     {.args = {"no-such-program"}, .sandbox_id = id}};
    for (size_t i = 0; i < 2; i++) {
        Aisbx__V1__RunResponse *run = rig_run(rig->channel, &specs[i], NULL);
        assert_int_equal(run->exec->verdict->kind,
                         AISBX__V1__VERDICT_KIND__VERDICT_KIND_START_FAILED);
        assert_int_equal(run->exec->verdict->exit_code, 127);
        assert_non_null(strstr(run->exec->verdict->message, "no-such-program"));
        assert_non_null(strstr(run->exec->verdict->next_step, "install"));
        aisbx__v1__run_response__free_unpacked(run, NULL);
    }
}

static void passed_descriptors_carry_the_output_past_the_worker(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    struct rig_stream stream = {0};
    char text[16] = "";
    size_t len = 0;
    int in[2];
    int out[2];
    assert_int_equal(sb_fd_pipe(in, &err), 0);
    assert_int_equal(sb_fd_pipe(out, &err), 0);
    const int fds[3] = {in[0], out[1], out[1]};
    const struct rig_spec spec = {.args = {"cat"}, .is_passed = true};
    rig_start(&stream, rig->channel, &spec, true, fds);
    close(in[0]);
    close(out[1]);
    assert_int_equal(write(in[1], "past", 4), 4);
    close(in[1]);
    assert_true(rig_until_done(&stream));
    assert_int_equal(sb_fd_read_full(out[0], text, sizeof text - 1, &len, &err), 0);
    assert_string_equal(text, "past");
    assert_int_equal(stream.ended->verdict->exit_code, 0);
    assert_int_equal(stream.ended->stdout_bytes, 0);
    close(out[0]);
    rig_stream_free(&stream);
}

static void a_passed_file_is_refused(void **state)
{
    struct rig *rig = *state;
    struct rig_stream stream = {0};
    FILE *file = tmpfile();
    assert_non_null(file);
    const int fds[3] = {fileno(file), fileno(file), fileno(file)};
    const struct rig_spec spec = {.args = {"true"}, .is_passed = true};
    rig_start(&stream, rig->channel, &spec, true, fds);
    assert_true(rig_until_done(&stream));
    assert_int_equal(stream.status.code, SB_INVALID);
    assert_non_null(strstr(stream.status.text, "stdin"));
    (void)fclose(file);
    rig_stream_free(&stream);
}

static void passing_without_descriptors_is_refused(void **state)
{
    struct rig *rig = *state;
    struct rig_stream stream = {0};
    const struct rig_spec spec = {.args = {"true"}, .is_passed = true};
    rig_start(&stream, rig->channel, &spec, true, NULL);
    assert_true(rig_until_done(&stream));
    assert_int_equal(stream.status.code, SB_INVALID);
    rig_stream_free(&stream);
}

static void what_a_shell_leaves_behind_lives_until_the_sandbox_ends(void **state)
{
    struct rig *rig = *state;
    char id[40];
    char marker[24];
    char script[64];
    rig_create(rig->channel, id, 0, 0);
    (void)snprintf(script, sizeof script, "sleep %s & echo started", rig_marker(marker));
    const struct rig_spec spec = {.args = {"sh", "-c", script}, .sandbox_id = id};
    Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
    assert_memory_equal(run->stdout.data, "started\n", 8);
    assert_int_equal(run->exec->verdict->kind, AISBX__V1__VERDICT_KIND__VERDICT_KIND_EXITED);
    assert_int_equal(rig_count(marker), 1);

    /* CancelExec ends leftovers of an exec that is over, without changing its verdict. */
    struct sb_err err;
    Aisbx__V1__CancelExecRequest cancel = AISBX__V1__CANCEL_EXEC_REQUEST__INIT;
    Aisbx__V1__CancelExecResponse *reply = NULL;
    cancel.exec_id = run->exec->exec_id;
    assert_int_equal(
        aisbx__v1__sandbox_service__cancel_exec__call(rig->channel, &cancel, NULL, &reply, &err),
        0);
    assert_int_equal(rig_count(marker), 0);
    assert_int_equal(reply->exec->verdict->kind, AISBX__V1__VERDICT_KIND__VERDICT_KIND_EXITED);
    aisbx__v1__cancel_exec_response__free_unpacked(reply, NULL);
    aisbx__v1__run_response__free_unpacked(run, NULL);
}

static void what_an_ephemeral_run_leaves_behind_is_killed_and_counted(void **state)
{
    struct rig *rig = *state;
    char marker[24];
    char script[64];
    (void)snprintf(script, sizeof script, "sleep %s & exit 0", rig_marker(marker));
    const struct rig_spec spec = {.args = {"sh", "-c", script}};
    Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
    assert_int_equal(rig_count(marker), 0);
    assert_int_equal(run->exec->verdict->kind, AISBX__V1__VERDICT_KIND__VERDICT_KIND_EXITED);
    assert_int_equal(run->exec->verdict->killed_processes, 1);
    aisbx__v1__run_response__free_unpacked(run, NULL);
}

static void execs_are_listed_newest_first_and_remembered(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    char id[40];
    rig_create(rig->channel, id, 0, 0);
    const struct rig_spec first = {.args = {"echo", "first"}, .sandbox_id = id};
    const struct rig_spec second = {.args = {"echo", "second"}, .sandbox_id = id};
    aisbx__v1__run_response__free_unpacked(rig_run(rig->channel, &first, NULL), NULL);
    aisbx__v1__run_response__free_unpacked(rig_run(rig->channel, &second, NULL), NULL);
    Aisbx__V1__ListExecsRequest request = AISBX__V1__LIST_EXECS_REQUEST__INIT;
    Aisbx__V1__ListExecsResponse *reply = NULL;
    request.sandbox_id = id;
    assert_int_equal(
        aisbx__v1__sandbox_service__list_execs__call(rig->channel, &request, NULL, &reply, &err),
        0);
    assert_int_equal(reply->n_execs, 2);
    assert_string_equal(reply->execs[0]->args[1], "second");
    assert_string_equal(reply->execs[1]->args[1], "first");
    assert_non_null(reply->execs[0]->end_time);
    aisbx__v1__list_execs_response__free_unpacked(reply, NULL);
}

static void an_exec_that_is_repeated_acts_once(void **state)
{
    struct rig *rig = *state;
    char id[40];
    char exec_id[40];
    rig_create(rig->channel, id, 0, 0);
    const struct rig_spec spec = {.args = {"sh", "-c", "echo $$; sleep 0.2; echo end"},
                                  .sandbox_id = id,
                                  .request_id = "exec-1"};
    struct rig_stream one = {0};
    struct rig_stream two = {0};
    struct sb_rpc_channel *other = rig_connect(rig);
    rig_start(&one, rig->channel, &spec, false, NULL);
    assert_true(rig_until_started(&one));
    rig_start(&two, other, &spec, false, NULL);
    assert_true(rig_until_done(&two));
    assert_true(rig_until_done(&one));
    (void)snprintf(exec_id, sizeof exec_id, "%s", one.exec_id);
    assert_string_equal(two.exec_id, exec_id);
    assert_string_equal(sb_buf_cstr(&one.out), sb_buf_cstr(&two.out));
    assert_int_equal(two.ended->verdict->exit_code, 0);
    rig_stream_free(&one);
    rig_stream_free(&two);
    sb_rpc_channel_free(other);
}

static void bad_requests_name_the_field(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    static const struct {
        const char *args[2];
        const char *cwd;
        uint64_t wall_ms;
        const char *field;
    } rows[] = {
        {{NULL}, "", 0, "args"},
        {{"", NULL}, "", 0, "args"},
        {{"true", NULL}, "workspace", 0, "cwd"},
        {{"true", NULL}, "", 86400000, "wall_ms"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig_request parts;
        const struct rig_spec spec = {.args = {rows[i].args[0]}};
        Aisbx__V1__RunRequest request = AISBX__V1__RUN_REQUEST__INIT;
        Aisbx__V1__RunResponse *reply = NULL;
        rig_request(&parts, &spec);
        parts.exec.cwd = rig_text(rows[i].cwd);
        parts.exec.wall_ms = rows[i].wall_ms;
        request.target = &parts.target;
        request.exec = &parts.exec;
        assert_int_equal(
            aisbx__v1__sandbox_service__run__call(rig->channel, &request, NULL, &reply, &err), -1);
        assert_int_equal(err.code, SB_INVALID);
        if (strstr(err.text, rows[i].field) == NULL) {
            fail_msg("'%s' does not name %s", err.text, rows[i].field);
        }
    }
}

static void ids_that_are_nobodys_are_not_found(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    Aisbx__V1__GetExecRequest request = AISBX__V1__GET_EXEC_REQUEST__INIT;
    Aisbx__V1__GetExecResponse *reply = NULL;
    request.exec_id = rig_text("ex_aaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_int_equal(
        aisbx__v1__sandbox_service__get_exec__call(rig->channel, &request, NULL, &reply, &err), -1);
    assert_int_equal(err.code, SB_NOT_FOUND);
    request.exec_id = rig_text("../../etc/passwd");
    assert_int_equal(
        aisbx__v1__sandbox_service__get_exec__call(rig->channel, &request, NULL, &reply, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
}

const struct CMUnitTest exec_tests[] = {
    RIG_SHARED(run_returns_both_streams_status_and_usage),
    RIG_SHARED(run_shows_head_and_tail_of_long_output),
    RIG_SHARED(a_signal_is_told_as_one),
    RIG_SHARED(a_program_that_is_not_there_is_named),
    RIG_SHARED(passed_descriptors_carry_the_output_past_the_worker),
    RIG_SHARED(a_passed_file_is_refused),
    RIG_SHARED(passing_without_descriptors_is_refused),
    RIG_SHARED(what_a_shell_leaves_behind_lives_until_the_sandbox_ends),
    RIG_SHARED(what_an_ephemeral_run_leaves_behind_is_killed_and_counted),
    RIG_SHARED(execs_are_listed_newest_first_and_remembered),
    RIG_SHARED(an_exec_that_is_repeated_acts_once),
    RIG_SHARED(bad_requests_name_the_field),
    RIG_SHARED(ids_that_are_nobodys_are_not_found),
};
const size_t exec_tests_n = sizeof exec_tests / sizeof *exec_tests;
