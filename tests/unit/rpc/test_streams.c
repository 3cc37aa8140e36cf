#include <string.h>

#include "fixture.h"
#include "suite.h"

enum {
    CHUNK_BYTES = 16 << 10,
    /* Two queues, a window and two socket buffers stand between producer and a deaf consumer. */
    BOUND_BYTES = 2 << 20,
};

#define SERVICE(call) aisbx__test__echo_service__##call

static void start_count(struct sb_rpc_channel *channel,
                        struct probe *probe,
                        uint32_t count,
                        uint32_t size,
                        enum sb_code fail_code)
{
    Aisbx__Test__CountRequest req = AISBX__TEST__COUNT_REQUEST__INIT;
    struct sb_err err;
    req.count = count;
    req.size = size;
    req.fail_code = fail_code;
    assert_int_equal(
        SERVICE(count__start)(channel, &req, NULL, &count_callbacks, probe, &probe->stream, &err),
        0);
}

static void start_chat(struct sb_rpc_channel *channel, struct probe *probe)
{
    struct sb_err err;
    assert_int_equal(
        SERVICE(chat__start)(channel, NULL, &chat_callbacks, probe, &probe->stream, &err), 0);
}

static bool write_chunk(struct probe *probe, uint32_t number, size_t size)
{
    static uint8_t data[CHUNK_BYTES];
    Aisbx__Test__Chunk chunk = AISBX__TEST__CHUNK__INIT;
    chunk.number = number;
    chunk.data = (ProtobufCBinaryData){size, data};
    return SERVICE(chat__write)(probe->stream, &chunk);
}

static void server_stream_arrives_in_order(void **state)
{
    struct sb_rpc_channel *channel = fixture_open(*state);
    struct probe probe = probe_new();
    start_count(channel, &probe, 500, 100, SB_OK);
    sb_rpc_stream_read(probe.stream);
    wait_done(channel, &probe);
    assert_int_equal(probe.status.code, SB_OK);
    assert_int_equal(probe.n_messages, 500);
    assert_true(probe.is_in_order);
    assert_int_equal(probe.n_bytes, 50000);
    sb_rpc_channel_free(channel);
    wait_for(NULL, &seen.done, 1);
    assert_int_equal(seen.cancelled, 0);
}

static void empty_server_stream_just_ends(void **state)
{
    struct sb_rpc_channel *channel = fixture_open(*state);
    struct probe probe = probe_new();
    start_count(channel, &probe, 0, 0, SB_OK);
    sb_rpc_stream_read(probe.stream);
    wait_done(channel, &probe);
    assert_int_equal(probe.status.code, SB_OK);
    assert_int_equal(probe.n_messages, 0);
    sb_rpc_channel_free(channel);
}

static void stream_may_end_with_a_failure(void **state)
{
    struct sb_rpc_channel *channel = fixture_open(*state);
    struct probe probe = probe_new();
    start_count(channel, &probe, 3, 10, SB_DATA_LOSS);
    sb_rpc_stream_read(probe.stream);
    wait_done(channel, &probe);
    assert_int_equal(probe.status.code, SB_DATA_LOSS);
    assert_string_equal(probe.status.text, "failed as asked");
    sb_rpc_channel_free(channel);
}

static void message_waits_until_it_is_asked_for(void **state)
{
    struct sb_rpc_channel *channel = fixture_open(*state);
    struct probe probe = probe_new();
    probe.reads_on = false;
    start_count(channel, &probe, 2, 10, SB_OK);
    (void)wait_still(channel, &seen.sent);
    assert_int_equal(probe.n_messages, 0);
    assert_false(probe.is_done);
    sb_rpc_stream_read(probe.stream);
    wait_messages(channel, &probe, 1);
    (void)wait_still(channel, &seen.sent);
    assert_int_equal(probe.n_messages, 1);
    probe.reads_on = true;
    sb_rpc_stream_read(probe.stream);
    wait_done(channel, &probe);
    assert_int_equal(probe.n_messages, 2);
    sb_rpc_channel_free(channel);
}

static void client_stream_adds_up(void **state)
{
    struct sb_rpc_channel *channel = fixture_open(*state);
    struct probe probe = probe_new();
    struct sb_err err;
    assert_int_equal(
        SERVICE(collect__start)(channel, NULL, &collect_callbacks, &probe, &probe.stream, &err), 0);
    uint8_t data[100] = {0};
    Aisbx__Test__Chunk chunk = AISBX__TEST__CHUNK__INIT;
    for (unsigned i = 0; i < 50; i++) {
        chunk.data = (ProtobufCBinaryData){i % 2 == 0 ? 0 : sizeof data, data};
        (void)SERVICE(collect__write)(probe.stream, &chunk);
    }
    sb_rpc_stream_half_close(probe.stream);
    wait_done(channel, &probe);
    assert_int_equal(probe.status.code, SB_OK);
    assert_int_equal(probe.n_messages, 50); /* empty ones count */
    assert_int_equal(probe.n_bytes, 2500);
    sb_rpc_channel_free(channel);
}

static void on_any_accepted(struct sb_rpc_stream *stream, void *user)
{
    struct probe *probe = user;
    (void)stream;
    probe->n_accepted++;
}

static void on_any_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    struct probe *probe = user;
    (void)stream;
    probe->status = *err;
    probe->is_done = true;
}

/* Begins a Collect that waits to be accepted, with a chunk of that number. */
static void start_waiting(struct sb_rpc_channel *channel, struct probe *probe, unsigned number)
{
    static const struct sb_rpc_stream_callbacks callbacks = {.accepted = on_any_accepted,
                                                             .done = on_any_done};
    static const struct sb_rpc_stream_options options;
    Aisbx__Test__Chunk chunk = AISBX__TEST__CHUNK__INIT;
    struct sb_err err;
    chunk.number = number;
    assert_int_equal(
        sb_rpc_stream_start(
            channel, &aisbx__test__echo_service__methods[AISBX__TEST__ECHO_SERVICE__METHOD_COLLECT],
            NULL, &options, &callbacks, probe, &probe->stream, &err),
        0);
    (void)SERVICE(collect__write)(probe->stream, &chunk);
}

static void client_stream_hears_that_it_is_accepted(void **state)
{
    struct sb_rpc_channel *channel = fixture_open(*state);
    struct probe probe = probe_new();
    start_waiting(channel, &probe, 0);
    wait_for(channel, &seen.read, 1);
    (void)wait_still(channel, &seen.read);
    assert_int_equal(probe.n_accepted, 0);
    Aisbx__Test__Chunk chunk = AISBX__TEST__CHUNK__INIT;
    chunk.number = CHUNK_ACCEPT;
    (void)SERVICE(collect__write)(probe.stream, &chunk);
    wait_accepted(channel, &probe);
    assert_false(probe.is_done);
    sb_rpc_stream_half_close(probe.stream);
    wait_done(channel, &probe);
    assert_int_equal(probe.status.code, SB_OK);
    assert_int_equal(probe.n_accepted, 1);
    sb_rpc_channel_free(channel);
}

static void refused_client_stream_was_never_accepted(void **state)
{
    struct sb_rpc_channel *channel = fixture_open(*state);
    struct probe probe = probe_new();
    start_waiting(channel, &probe, CHUNK_REFUSE);
    wait_done(channel, &probe);
    assert_int_equal(probe.status.code, SB_ABORTED);
    assert_int_equal(probe.n_accepted, 0);
    sb_rpc_channel_free(channel);
}

static void both_sides_talk_in_turn(void **state)
{
    struct sb_rpc_channel *channel = fixture_open(*state);
    struct probe probe = probe_new();
    start_chat(channel, &probe);
    sb_rpc_stream_read(probe.stream);
    for (unsigned i = 0; i < 100; i++) {
        (void)write_chunk(&probe, i, 10);
        wait_messages(channel, &probe, i + 1);
    }
    assert_false(probe.is_done);
    sb_rpc_stream_half_close(probe.stream);
    wait_done(channel, &probe);
    assert_int_equal(probe.status.code, SB_OK);
    assert_true(probe.is_in_order);
    sb_rpc_channel_free(channel);
}

static void server_may_end_a_dialogue_first(void **state)
{
    struct sb_rpc_channel *channel = fixture_open(*state);
    struct probe probe = probe_new();
    start_chat(channel, &probe);
    sb_rpc_stream_read(probe.stream);
    (void)write_chunk(&probe, UINT32_MAX, 0);
    for (unsigned i = 0; i < 10; i++) {
        (void)write_chunk(&probe, i, 10); /* too late, harmless */
    }
    wait_done(channel, &probe);
    assert_int_equal(probe.status.code, SB_ABORTED);
    wait_for(channel, &seen.done, 1);
    assert_int_equal(seen.cancelled, 0);
    sb_rpc_channel_free(channel);
}

static void reader_that_stops_stops_the_producer(void **state)
{
    struct sb_rpc_channel *channel = fixture_open(*state);
    struct probe probe = probe_new();
    enum { COUNT = 1024 }; /* 16 MiB */
    start_count(channel, &probe, COUNT, CHUNK_BYTES, SB_OK);
    wait_for(channel, &seen.sent, SB_RPC_HIGH_BYTES / CHUNK_BYTES);
    unsigned sent = wait_still(channel, &seen.sent);
    assert_in_range((size_t)sent * CHUNK_BYTES, SB_RPC_HIGH_BYTES, BOUND_BYTES);
    assert_int_equal(probe.n_messages, 0);

    sb_rpc_stream_read(probe.stream);
    wait_done(channel, &probe);
    assert_int_equal(probe.status.code, SB_OK);
    assert_int_equal(probe.n_messages, COUNT);
    assert_true(probe.is_in_order);
    assert_true(seen.drained > 0);
    sb_rpc_channel_free(channel);
}

static void stalled_stream_holds_up_nobody_else(void **state)
{
    struct sb_rpc_channel *channel = fixture_open(*state);
    struct probe stalled = probe_new();
    struct probe other = probe_new();
    start_count(channel, &stalled, 4096, CHUNK_BYTES, SB_OK);
    (void)wait_still(channel, &seen.sent);
    start_count(channel, &other, 200, CHUNK_BYTES, SB_OK);
    sb_rpc_stream_read(other.stream);
    wait_done(channel, &other);
    assert_int_equal(other.n_messages, 200);
    assert_int_equal(stalled.n_messages, 0);
    sb_rpc_channel_free(channel);
    wait_for(NULL, &seen.cancelled, 1);
}

static void handler_that_stops_stops_the_client(void **state)
{
    struct sb_rpc_channel *channel = fixture_open(*state);
    struct probe probe = probe_new();
    struct sb_err err;
    atomic_store(&is_server_deaf, true);
    assert_int_equal(
        SERVICE(collect__start)(channel, NULL, &collect_callbacks, &probe, &probe.stream, &err), 0);
    wait_for(channel, &seen.started, 1);
    static uint8_t data[CHUNK_BYTES];
    Aisbx__Test__Chunk chunk = AISBX__TEST__CHUNK__INIT;
    chunk.data = (ProtobufCBinaryData){sizeof data, data};
    unsigned sent = 0;
    for (unsigned rounds = 0; rounds < 100; rounds++) {
        while (sent < 4096 && SERVICE(collect__write)(probe.stream, &chunk)) {
            sent++;
        }
        sent++; /* the one that went over the mark is queued as well */
        unsigned before = probe.n_drained;
        (void)wait_still(channel, &seen.read);
        if (probe.n_drained == before) {
            break;
        }
    }
    assert_in_range((size_t)sent * CHUNK_BYTES, SB_RPC_HIGH_BYTES, BOUND_BYTES);
    assert_int_equal(seen.read, 0);
    unsigned before = probe.n_drained;
    fixture_poke(*state);
    wait_for(channel, &seen.read, sent);
    while (probe.n_drained == before) {
        sb_rpc_channel_wait(channel);
    }
    sb_rpc_stream_half_close(probe.stream);
    wait_done(channel, &probe);
    assert_int_equal(probe.status.code, SB_OK);
    assert_int_equal(probe.n_messages, sent);
    sb_rpc_channel_free(channel);
}

static void much_flows_both_ways_at_once(void **state)
{
    enum { COUNT = 1000 };
    struct sb_rpc_channel *channel = fixture_open(*state);
    struct probe probe = probe_new();
    start_chat(channel, &probe);
    sb_rpc_stream_read(probe.stream);
    unsigned sent = 0;
    bool has_room = true;
    unsigned n_drained = 0;
    while (sent < COUNT) {
        while (has_room && sent < COUNT) {
            has_room = write_chunk(&probe, sent++, CHUNK_BYTES);
        }
        sb_rpc_channel_wait(channel);
        if (probe.n_drained > n_drained) {
            n_drained = probe.n_drained;
            has_room = true;
        }
    }
    sb_rpc_stream_half_close(probe.stream);
    wait_done(channel, &probe);
    assert_int_equal(probe.status.code, SB_OK);
    assert_int_equal(probe.n_messages, COUNT);
    assert_true(probe.is_in_order);
    sb_rpc_channel_free(channel);
}

static void cancel_reaches_a_streaming_handler(void **state)
{
    struct sb_rpc_channel *channel = fixture_open(*state);
    struct probe probe = probe_new();
    start_count(channel, &probe, UINT32_MAX, CHUNK_BYTES, SB_OK);
    sb_rpc_stream_read(probe.stream);
    wait_messages(channel, &probe, 10);
    sb_rpc_stream_cancel(probe.stream);
    wait_done(channel, &probe);
    assert_int_equal(probe.status.code, SB_CANCELLED);
    wait_for(channel, &seen.cancelled, 1);
    sb_rpc_channel_free(channel);
}

static void deadline_ends_a_stalled_stream(void **state)
{
    struct sb_rpc_channel *channel = fixture_open(*state);
    struct probe probe = probe_new();
    struct sb_rpc_stream_options options = {.timeout_ms = 100};
    Aisbx__Test__CountRequest req = AISBX__TEST__COUNT_REQUEST__INIT;
    struct sb_err err;
    req.count = UINT32_MAX;
    req.size = CHUNK_BYTES;
    assert_int_equal(SERVICE(count__start)(channel, &req, &options, &count_callbacks, &probe,
                                           &probe.stream, &err),
                     0);
    if (!is_local()) {
        /* gRPC reports the status behind the messages that came before it. */
        sb_rpc_stream_read(probe.stream);
    }
    wait_done(channel, &probe);
    assert_int_equal(probe.status.code, SB_DEADLINE);
    wait_for(channel, &seen.cancelled, 1);
    sb_rpc_channel_free(channel);
}

int test_streams(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(server_stream_arrives_in_order),
        TEST(empty_server_stream_just_ends),
        TEST(stream_may_end_with_a_failure),
        TEST(message_waits_until_it_is_asked_for),
        TEST(client_stream_adds_up),
        TEST(client_stream_hears_that_it_is_accepted),
        TEST(refused_client_stream_was_never_accepted),
        TEST(both_sides_talk_in_turn),
        TEST(server_may_end_a_dialogue_first),
        TEST(reader_that_stops_stops_the_producer),
        TEST(stalled_stream_holds_up_nobody_else),
        TEST(handler_that_stops_stops_the_client),
        TEST(much_flows_both_ways_at_once),
        TEST(cancel_reaches_a_streaming_handler),
        TEST(deadline_ends_a_stalled_stream),
    };
    return cmocka_run_group_tests_name("streams", tests, NULL, NULL);
}
