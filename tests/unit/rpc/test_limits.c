#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "suite.h"

#define SERVICE(call) aisbx__test__echo_service__##call
#define ECHO_METHOD   SERVICE(methods)[AISBX__TEST__ECHO_SERVICE__METHOD_ECHO]

static ProtobufCBinaryData bytes(const void *data, size_t len)
{
    return (ProtobufCBinaryData){len, (uint8_t *)text(data)};
}

/** Sends any message where the server expects an EchoRequest. */
static struct sb_err send_raw(struct fixture *fixture, const ProtobufCMessage *req)
{
    struct sb_rpc_channel *channel = fixture_open(fixture);
    struct sb_rpc_method method = ECHO_METHOD;
    ProtobufCMessage *reply = NULL;
    struct sb_err err = {.code = SB_OK, .text = ""};
    method.in = req->descriptor;
    if (sb_rpc_call_unary(channel, &method, req, NULL, &reply, &err) == 0) {
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    sb_rpc_channel_free(channel);
    return err;
}

static void text_that_is_not_utf8_is_refused_by_name(void **state)
{
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    char *names[] = {text("good"), text("bad \xff\xfe")};
    req.names = names;
    req.n_names = 2;
    struct sb_err err = send_raw(*state, &req.base);
    assert_int_equal(err.code, SB_INVALID);
    assert_string_equal(err.text, "names[1]: not UTF-8");
    assert_int_equal(seen.started, 0);
}

static void text_with_a_nul_is_refused_by_name(void **state)
{
    Aisbx__Test__RawRequest req = AISBX__TEST__RAW_REQUEST__INIT;
    req.text = bytes("a\0b", 3);
    struct sb_err err = send_raw(*state, &req.base);
    assert_int_equal(err.code, SB_INVALID);
    assert_string_equal(err.text, "text: holds a NUL byte");
}

static void malformed_message_is_refused(void **state)
{
    Aisbx__Test__RawRequest req = AISBX__TEST__RAW_REQUEST__INIT;
    req.nested = bytes("\x12\xff", 2); /* field 2, length without end */
    struct sb_err err = send_raw(*state, &req.base);
    assert_int_equal(err.code, SB_INVALID);
    assert_string_equal(err.text, "nested.text: malformed");
    assert_int_equal(seen.started, 0);
}

static struct sb_err send_nested(struct fixture *fixture, unsigned depth)
{
    enum { MAX = 4000 };
    static Aisbx__Test__Nested levels[MAX];
    assert_true(depth <= MAX);
    for (unsigned i = 0; i < depth; i++) {
        aisbx__test__nested__init(&levels[i]);
        levels[i].inner = i == 0 ? NULL : &levels[i - 1];
    }
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    req.nested = &levels[depth - 1];
    return send_raw(fixture, &req.base);
}

static void nesting_is_limited(void **state)
{
    assert_int_equal(send_nested(*state, SB_RPC_MAX_DEPTH - 1).code, SB_OK);
    struct sb_err err = send_nested(*state, SB_RPC_MAX_DEPTH);
    assert_int_equal(err.code, SB_INVALID);
    assert_non_null(strstr(err.text, "nested too deeply"));
    assert_int_equal(send_nested(*state, 2000).code, SB_INVALID);
    assert_int_equal(seen.started, 1);
}

static void message_that_swells_is_refused(void **state)
{
    enum { N = 2000000 }; /* 4 MB on the wire, 128 MB unpacked */
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    req.names = calloc(N, sizeof *req.names);
    assert_non_null(req.names);
    req.n_names = N;
    for (size_t i = 0; i < N; i++) {
        req.names[i] = text("");
    }
    struct sb_err err = send_raw(*state, &req.base);
    free(req.names);
    assert_int_equal(err.code, SB_EXHAUSTED);
    assert_non_null(strstr(err.text, "too much memory"));
    assert_int_equal(seen.started, 0);
}

static struct sb_err send_payload(struct fixture *fixture, size_t len)
{
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    req.payload = (ProtobufCBinaryData){len, calloc(1, len)};
    assert_non_null(req.payload.data);
    struct sb_err err = send_raw(fixture, &req.base);
    free(req.payload.data);
    return err;
}

static void largest_message_passes_both_ways(void **state)
{
    assert_int_equal(send_payload(*state, SB_RPC_MAX_MESSAGE_BYTES - 64).code, SB_OK);
}

static void larger_message_is_not_sent(void **state)
{
    struct sb_err err = send_payload(*state, SB_RPC_MAX_MESSAGE_BYTES + 1);
    assert_int_equal(err.code, SB_EXHAUSTED);
    assert_int_equal(seen.started, 0);
}

static void reply_that_is_too_large_fails_the_call(void **state)
{
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    req.reply_bytes = SB_RPC_MAX_MESSAGE_BYTES + 1;
    struct sb_err err = send_raw(*state, &req.base);
    assert_int_equal(err.code, SB_EXHAUSTED);
    wait_for(NULL, &seen.done, 1);
}

static void server_may_allow_less(void **state)
{
    (void)state;
    struct sb_rpc_server_options options = {.max_message_bytes = 1000};
    struct fixture *fixture = fixture_start(&options);
    assert_int_equal(send_payload(fixture, 900).code, SB_OK);
    assert_int_equal(send_payload(fixture, 1100).code, SB_EXHAUSTED);
    fixture_stop(fixture);
}

static void bad_stream_message_fails_the_call(void **state)
{
    struct sb_rpc_channel *channel = fixture_open(*state);
    struct probe probe = probe_new();
    struct sb_err err;
    assert_int_equal(
        SERVICE(collect__start)(channel, NULL, &collect_callbacks, &probe, &probe.stream, &err), 0);
    /* Field 1 as text, where the server has a number. */
    Aisbx__Test__RawRequest raw = AISBX__TEST__RAW_REQUEST__INIT;
    raw.text = bytes("x", 1);
    (void)sb_rpc_stream_send(probe.stream, &raw.base);
    wait_done(channel, &probe);
    assert_int_equal(probe.status.code, SB_INVALID);
    assert_string_equal(probe.status.text, "number: not of the declared type");
    wait_for(channel, &seen.done, 1);
    sb_rpc_channel_free(channel);
}

static void calls_beyond_the_limit_are_turned_away(void **state)
{
    (void)state;
    struct sb_rpc_server_options options = {.max_calls = 2};
    struct fixture *fixture = fixture_start(&options);
    struct sb_rpc_channel *channel = fixture_open(fixture);
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    struct probe held[2] = {probe_new(), probe_new()};
    struct probe third = probe_new();
    struct sb_err err;
    req.hold = true;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(SERVICE(echo__start)(channel, &req, NULL, &echo_callbacks, &held[i],
                                              &held[i].stream, &err),
                         0);
    }
    wait_for(channel, &seen.started, 2);
    req.hold = false;
    assert_int_equal(
        SERVICE(echo__start)(channel, &req, NULL, &echo_callbacks, &third, &third.stream, &err), 0);
    wait_done(channel, &third);
    assert_int_equal(third.status.code, SB_EXHAUSTED);
    fixture_release(fixture);
    wait_done(channel, &held[0]);
    wait_done(channel, &held[1]);
    wait_for(channel, &seen.done, 2);

    Aisbx__Test__EchoReply *reply = NULL;
    assert_int_equal(SERVICE(echo__call)(channel, &req, NULL, &reply, &err), 0); /* room again */
    protobuf_c_message_free_unpacked(&reply->base, NULL);
    sb_rpc_channel_free(channel);
    fixture_stop(fixture);
}

int test_limits(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(text_that_is_not_utf8_is_refused_by_name),
        TEST(text_with_a_nul_is_refused_by_name),
        TEST(malformed_message_is_refused),
        TEST(nesting_is_limited),
        TEST(message_that_swells_is_refused),
        TEST(largest_message_passes_both_ways),
        TEST(larger_message_is_not_sent),
        TEST(reply_that_is_too_large_fails_the_call),
        cmocka_unit_test(server_may_allow_less),
        TEST(bad_stream_message_fails_the_call),
        cmocka_unit_test(calls_beyond_the_limit_are_turned_away),
    };
    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
