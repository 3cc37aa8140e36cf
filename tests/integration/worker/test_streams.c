/** Output and input of programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/rpc/rpc.h"
#include "rig.h"

enum { MEBI = 1 << 20 };

/** What the worker may grow by; a sanitizer keeps freed memory for a while. */
#ifdef SB_SANITIZED
enum { MAY_GROW = 512 * MEBI };
#else
enum { MAY_GROW = 8 * MEBI };
#endif

static void output_arrives_as_it_is_written(void **state)
{
    struct rig *rig = *state;
    struct rig_stream stream = {0};
    const struct rig_spec spec = {.args = {"sh", "-c", "echo one; read x; echo two >&2"},
                                  .has_stdin = true};
    rig_start(&stream, rig->channel, &spec, true, NULL);
    assert_true(rig_until_output(&stream, "one\n"));
    assert_non_null(stream.stream); /* it still runs */
    Aisbx__V1__InteractExecRequest input = AISBX__V1__INTERACT_EXEC_REQUEST__INIT;
    input.message_case = AISBX__V1__INTERACT_EXEC_REQUEST__MESSAGE_STDIN;
    input.stdin.data = (uint8_t *)rig_text("go\n");
    input.stdin.len = 3;
    (void)aisbx__v1__sandbox_service__interact_exec__write(stream.stream, &input);
    assert_true(rig_until_done(&stream));
    assert_string_equal(sb_buf_cstr(&stream.err), "two\n");
    assert_int_equal(stream.ended->verdict->exit_code, 0);
    rig_stream_free(&stream);
}

static void the_end_of_the_clients_messages_is_the_end_of_input(void **state)
{
    enum { PIECES = 100, PIECE = 60000 };
    static uint8_t piece[PIECE];
    struct rig *rig = *state;
    struct rig_stream stream = {0};
    const struct rig_spec spec = {.args = {"wc", "-c"}};
    rig_start(&stream, rig->channel, &spec, true, NULL);
    for (int i = 0; i < PIECES; i++) {
        Aisbx__V1__InteractExecRequest input = AISBX__V1__INTERACT_EXEC_REQUEST__INIT;
        input.message_case = AISBX__V1__INTERACT_EXEC_REQUEST__MESSAGE_STDIN;
        input.stdin.data = piece;
        input.stdin.len = PIECE;
        (void)aisbx__v1__sandbox_service__interact_exec__write(stream.stream, &input);
    }
    sb_rpc_stream_half_close(stream.stream);
    assert_true(rig_until_done(&stream));
    assert_int_equal(strtol(sb_buf_cstr(&stream.out), NULL, 10), PIECES * PIECE);
    rig_stream_free(&stream);
}

static void a_signal_of_the_stream_reaches_the_program(void **state)
{
    struct rig *rig = *state;
    struct rig_stream stream = {0};
    const struct rig_spec spec = {
        .args = {"sh", "-c",
                 "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done"}};
    rig_start(&stream, rig->channel, &spec, true, NULL);
    assert_true(rig_until_output(&stream, "ready"));
    Aisbx__V1__InteractExecRequest signal = AISBX__V1__INTERACT_EXEC_REQUEST__INIT;
    signal.message_case = AISBX__V1__INTERACT_EXEC_REQUEST__MESSAGE_SIGNAL;
    signal.signal = 2;
    (void)aisbx__v1__sandbox_service__interact_exec__write(stream.stream, &signal);
    assert_true(rig_until_done(&stream));
    assert_non_null(strstr(sb_buf_cstr(&stream.out), "caught"));
    assert_int_equal(stream.ended->verdict->exit_code, 9);
    rig_stream_free(&stream);
}

static Aisbx__V1__ReadExecOutputResponse *
read_output(const struct rig *rig, const char *exec_id, int64_t offset, uint32_t max, uint64_t wait)
{
    struct sb_err err;
    Aisbx__V1__ReadExecOutputRequest request = AISBX__V1__READ_EXEC_OUTPUT_REQUEST__INIT;
    Aisbx__V1__ReadExecOutputResponse *reply = NULL;
    request.exec_id = rig_text(exec_id);
    request.stream = AISBX__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDOUT;
    request.offset = offset;
    request.max_bytes = max;
    request.wait_ms = wait;
    if (aisbx__v1__sandbox_service__read_exec_output__call(rig->channel, &request, NULL, &reply,
                                                           &err) < 0) {
        fail_msg("ReadExecOutput: %s", err.text);
    }
    return reply;
}

static void kept_output_is_read_by_offset_from_either_end(void **state)
{
    struct rig *rig = *state;
    const struct rig_spec spec = {.args = {"printf", "0123456789"}};
    Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
    static const struct {
        int64_t offset;
        const char *text;
        uint64_t at;
        uint32_t max;
        int is_end;
    } rows[] = {
        {0, "0123456789", 0, 0, 1}, {3, "3456", 3, 4, 0}, {-3, "789", 7, 0, 1},
        {-100, "01", 0, 2, 0},      {10, "", 10, 0, 1},   {INT64_MIN, "0", 0, 1, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Aisbx__V1__ReadExecOutputResponse *reply =
            read_output(rig, run->exec->exec_id, rows[i].offset, rows[i].max, 0);
        assert_int_equal(reply->data.len, strlen(rows[i].text));
        assert_int_equal(reply->offset, rows[i].at);
        assert_int_equal(reply->total_bytes, 10);
        assert_int_equal(reply->end_of_stream, rows[i].is_end);
        assert_true(reply->data.len == 0 ||
                    memcmp(reply->data.data, rows[i].text, reply->data.len) == 0);
        aisbx__v1__read_exec_output_response__free_unpacked(reply, NULL);
    }
    aisbx__v1__run_response__free_unpacked(run, NULL);
}

static void a_reader_can_wait_for_the_first_byte(void **state)
{
    struct rig *rig = *state;
    struct rig_stream stream = {0};
    char id[40];
    rig_create(rig->channel, id, 0, 0);
    const struct rig_spec spec = {.args = {"sh", "-c", "sleep 0.3; echo late; sleep 0.2"},
                                  .sandbox_id = id,
                                  .is_background = true};
    rig_start(&stream, rig->channel, &spec, false, NULL);
    assert_true(rig_until_started(&stream));
    Aisbx__V1__ReadExecOutputResponse *none = read_output(rig, stream.exec_id, 0, 0, 0);
    Aisbx__V1__ReadExecOutputResponse *late = read_output(rig, stream.exec_id, 0, 0, 10000);
    assert_int_equal(none->data.len, 0);
    assert_false(none->end_of_stream);
    assert_int_equal(late->data.len, 5);
    aisbx__v1__read_exec_output_response__free_unpacked(none, NULL);
    aisbx__v1__read_exec_output_response__free_unpacked(late, NULL);
    assert_true(rig_until_done(&stream));
    rig_stream_free(&stream);
}

static void input_can_come_by_calls_of_its_own(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    struct rig_stream stream = {0};
    const struct rig_spec spec = {.args = {"cat"}, .has_stdin = true};
    rig_start(&stream, rig->channel, &spec, false, NULL);
    assert_true(rig_until_started(&stream));
    Aisbx__V1__SendExecInputRequest request = AISBX__V1__SEND_EXEC_INPUT_REQUEST__INIT;
    Aisbx__V1__SendExecInputResponse *reply = NULL;
    request.exec_id = stream.exec_id;
    request.data.data = (uint8_t *)rig_text("typed");
    request.data.len = 5;
    request.eof = 1;
    assert_int_equal(aisbx__v1__sandbox_service__send_exec_input__call(rig->channel, &request, NULL,
                                                                       &reply, &err),
                     0);
    aisbx__v1__send_exec_input_response__free_unpacked(reply, NULL);
    assert_true(rig_until_done(&stream));
    assert_string_equal(sb_buf_cstr(&stream.out), "typed");
    assert_int_equal(aisbx__v1__sandbox_service__send_exec_input__call(rig->channel, &request, NULL,
                                                                       &reply, &err),
                     -1);
    assert_int_equal(err.code, SB_PRECONDITION);
    rig_stream_free(&stream);
}

static void a_late_follower_continues_from_its_offset(void **state)
{
    struct rig *rig = *state;
    struct rig_stream first = {0};
    struct rig_stream second = {0};
    struct sb_rpc_channel *other = rig_connect(rig);
    const struct rig_spec spec = {.args = {"sh", "-c", "printf abcdef; read x; printf ghi"},
                                  .has_stdin = true};
    rig_start(&first, rig->channel, &spec, true, NULL);
    assert_true(rig_until_output(&first, "abcdef"));
    rig_attach(&second, other, first.exec_id, 4);
    assert_true(rig_until_output(&second, "ef"));
    sb_rpc_stream_half_close(first.stream);
    assert_true(rig_until_done(&second));
    assert_true(rig_until_done(&first));
    assert_string_equal(sb_buf_cstr(&second.out), "efghi");
    assert_string_equal(sb_buf_cstr(&first.out), "abcdefghi");
    assert_non_null(second.ended);
    rig_stream_free(&first);
    rig_stream_free(&second);
    sb_rpc_channel_free(other);
}

static void a_hundred_megabytes_leave_the_workers_memory_alone(void **state)
{
    struct rig *rig = *state;
    struct rig_stream stream = {.is_counting = true};
    const struct rig_spec spec = {.args = {"head", "-c", "104857600", "/dev/zero"}};
    uint64_t before = rig_rss(rig->pid);
    rig_start(&stream, rig->channel, &spec, false, NULL);
    assert_true(rig_until_done(&stream));
    assert_int_equal(stream.ended->verdict->exit_code, 0);
    assert_int_equal(stream.ended->verdict->usage->stdout_bytes, 100 * MEBI);
    assert_int_equal(stream.out_bytes + stream.dropped, 100 * MEBI);
    assert_true(rig_rss(rig->pid) < before + MAY_GROW);
    rig_stream_free(&stream);
}

static void a_reader_who_does_not_read_holds_up_neither_program_nor_worker(void **state)
{
    struct rig *rig = *state;
    struct rig_stream slow = {.is_slow = true, .is_counting = true};
    const struct rig_spec spec = {.args = {"head", "-c", "52428800", "/dev/zero"}};
    uint64_t before = rig_rss(rig->pid);
    struct sb_rpc_channel *other = rig_connect(rig);
    rig_start(&slow, other, &spec, false, NULL);
    assert_true(rig_until_started(&slow));
    /* The program ends although nobody reads, and its sandbox with it. */
    assert_int_equal(rig_until_destroyed(rig->channel, slow.sandbox_id),
                     AISBX__V1__DESTROY_REASON__DESTROY_REASON_EXEC_ENDED);
    assert_true(rig_rss(rig->pid) < before + MAY_GROW);
    slow.is_slow = false;
    sb_rpc_stream_read(slow.stream);
    assert_true(rig_until_done(&slow));
    assert_int_equal(slow.out_bytes + slow.dropped, 50 * MEBI);
    rig_stream_free(&slow);
    sb_rpc_channel_free(other);
}

static void output_over_the_limit_keeps_head_and_tail_and_says_so(void **state)
{
    struct rig *rig = *state;
    const struct rig_spec spec = {.args = {"sh", "-c", "seq 1 100000"}, .output_bytes = 4096};
    Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
    assert_memory_equal(run->stdout.data, "1\n2\n3\n", 6);
    assert_memory_equal(run->stdout_tail.data + run->stdout_tail.len - 7, "100000\n", 7);
    assert_int_equal(run->stdout.len + run->stdout_tail.len, 4096);
    assert_int_equal(run->stdout_omitted_bytes, 588895 - 4096);
    assert_int_equal(run->exec->verdict->kind,
                     AISBX__V1__VERDICT_KIND__VERDICT_KIND_OUTPUT_TRUNCATED);
    assert_non_null(strstr(run->exec->verdict->next_step, "output_bytes"));
    aisbx__v1__run_response__free_unpacked(run, NULL);
}

const struct CMUnitTest stream_tests[] = {
    RIG_SHARED(output_arrives_as_it_is_written),
    RIG_SHARED(the_end_of_the_clients_messages_is_the_end_of_input),
    RIG_SHARED(a_signal_of_the_stream_reaches_the_program),
    RIG_SHARED(kept_output_is_read_by_offset_from_either_end),
    RIG_SHARED(a_reader_can_wait_for_the_first_byte),
    RIG_SHARED(input_can_come_by_calls_of_its_own),
    RIG_SHARED(a_late_follower_continues_from_its_offset),
    RIG_ALONE(a_hundred_megabytes_leave_the_workers_memory_alone),
    RIG_ALONE(a_reader_who_does_not_read_holds_up_neither_program_nor_worker),
    RIG_SHARED(output_over_the_limit_keeps_head_and_tail_and_says_so),
};
const size_t stream_tests_n = sizeof stream_tests / sizeof *stream_tests;
