#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fixture.h"
#include "suite.h"

enum { HOLD_MS = 200 };

#define SERVICE(call) aisbx__test__echo_service__##call
#define ECHO_METHOD   SERVICE(methods)[AISBX__TEST__ECHO_SERVICE__METHOD_ECHO]

/** One call on a channel of its own; fails the test unless it succeeds. */
static Aisbx__Test__EchoReply *echo(struct fixture *fixture,
                                    const Aisbx__Test__EchoRequest *req,
                                    const struct sb_rpc_stream_options *options)
{
    struct sb_rpc_channel *channel = fixture_open(fixture);
    Aisbx__Test__EchoReply *reply = NULL;
    struct sb_err err;
    if (SERVICE(echo__call)(channel, req, options, &reply, &err) < 0) {
        fail_msg("echo: %s", err.text);
    }
    sb_rpc_channel_free(channel);
    return reply;
}

static void reply_free(Aisbx__Test__EchoReply *reply)
{
    protobuf_c_message_free_unpacked(&reply->base, NULL);
}

/** The error of a call that must fail. */
static struct sb_err failing_echo(struct fixture *fixture,
                                  const Aisbx__Test__EchoRequest *req,
                                  const struct sb_rpc_stream_options *options)
{
    struct sb_rpc_channel *channel = fixture_open(fixture);
    Aisbx__Test__EchoReply *reply = NULL;
    struct sb_err err = {.code = SB_OK};
    assert_int_equal(SERVICE(echo__call)(channel, req, options, &reply, &err), -1);
    assert_null(reply);
    sb_rpc_channel_free(channel);
    return err;
}

static void unary_reply_repeats_the_request(void **state)
{
    uint8_t bytes[] = {0, 1, 255};
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    req.text = text("grüße");
    req.payload = (ProtobufCBinaryData){sizeof bytes, bytes};
    Aisbx__Test__EchoReply *reply = echo(*state, &req, NULL);
    assert_string_equal(reply->text, "grüße");
    assert_int_equal(reply->payload.len, sizeof bytes);
    assert_memory_equal(reply->payload.data, bytes, sizeof bytes);
    reply_free(reply);
    wait_for(NULL, &seen.done, 1);
    assert_int_equal(seen.cancelled, 0);
}

static void empty_request_is_a_request(void **state)
{
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    Aisbx__Test__EchoReply *reply = echo(*state, &req, NULL);
    assert_string_equal(reply->text, "");
    reply_free(reply);
}

static void one_channel_carries_many_calls(void **state)
{
    struct sb_rpc_channel *channel = fixture_open(*state);
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    for (int i = 0; i < 100; i++) {
        Aisbx__Test__EchoReply *reply = NULL;
        struct sb_err err;
        assert_int_equal(SERVICE(echo__call)(channel, &req, NULL, &reply, &err), 0);
        reply_free(reply);
    }
    sb_rpc_channel_free(channel);
    wait_for(NULL, &seen.done, 100);
}

static void failure_carries_code_and_text(void **state)
{
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    for (uint32_t code = SB_CANCELLED; code <= SB_UNAUTHENTICATED; code++) {
        req.fail_code = code;
        req.text = text("warum nicht: ä");
        struct sb_err err = failing_echo(*state, &req, NULL);
        assert_int_equal(err.code, code);
        assert_string_equal(err.text, "failed as asked: warum nicht: ä");
    }
}

static void metadata_reaches_the_handler(void **state)
{
    const struct sb_rpc_metadata metadata[] = {
        {"x-first", "one", 3}, {"x-api-key", "secret value!", 13}, {"x-data-bin", "a\0b", 3}};
    struct sb_rpc_stream_options options = {.metadata = metadata, .n_metadata = 3};
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    req.want_metadata = text("x-api-key");
    Aisbx__Test__EchoReply *reply = echo(*state, &req, &options);
    assert_int_equal(reply->metadata.len, 13);
    assert_memory_equal(reply->metadata.data, "secret value!", 13);
    reply_free(reply);

    req.want_metadata = text("x-data-bin");
    reply = echo(*state, &req, &options);
    assert_int_equal(reply->metadata.len, 3);
    assert_memory_equal(reply->metadata.data, "a\0b", 3);
    reply_free(reply);

    req.want_metadata = text("x-absent");
    reply = echo(*state, &req, &options);
    assert_false(reply->has_metadata);
    reply_free(reply);
}

static void metadata_that_http_could_not_carry_is_refused(void **state)
{
    static const struct sb_rpc_metadata bad[] = {
        {"X-Upper", "v", 1}, {"", "v", 1}, {"key with blank", "v", 1}, {"x-line", "a\nb", 3}};
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sb_rpc_stream_options options = {.metadata = &bad[i], .n_metadata = 1};
        assert_int_equal(failing_echo(*state, &req, &options).code, SB_INVALID);
    }
    assert_int_equal(seen.started, 0);
}

static void check_trailers(struct fixture *fixture, enum sb_code code)
{
    struct sb_rpc_channel *channel = fixture_open(fixture);
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    struct probe probe = probe_new();
    struct sb_err err;
    req.want_trailers = true;
    req.fail_code = code;
    assert_int_equal(
        SERVICE(echo__start)(channel, &req, NULL, &echo_callbacks, &probe, &probe.stream, &err), 0);
    wait_done(channel, &probe);
    assert_int_equal(probe.status.code, code);
    assert_int_equal(probe.n_messages, code == SB_OK ? 1 : 0);
    assert_string_equal(probe.text_trailer, "hello");
    assert_int_equal(probe.trailer_len, 3);
    assert_memory_equal(probe.trailer, "a\0b", 3);
    sb_rpc_channel_free(channel);
}

static void trailers_come_with_success(void **state)
{
    check_trailers(*state, SB_OK);
}

static void trailers_come_with_failure(void **state)
{
    check_trailers(*state, SB_PRECONDITION);
}

static void unknown_method_is_unimplemented(void **state)
{
    struct sb_rpc_channel *channel = fixture_open(*state);
    struct sb_rpc_method method = ECHO_METHOD;
    method.name = "Nothing";
    method.path = "/aisbx.test.EchoService/Nothing";
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    struct sb_err err;
    assert_int_equal(sb_rpc_call_unary(channel, &method, &req.base, NULL, &reply, &err), -1);
    assert_int_equal(err.code, SB_UNIMPLEMENTED);
    sb_rpc_channel_free(channel);
}

static void method_without_handler_says_so(void **state)
{
    struct sb_rpc_channel *channel = fixture_open(*state);
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    Aisbx__Test__EchoReply *reply = NULL;
    struct sb_err err;
    assert_int_equal(SERVICE(unbuilt__call)(channel, &req, NULL, &reply, &err), -1);
    assert_int_equal(err.code, SB_UNIMPLEMENTED);
    assert_non_null(strstr(err.text, "aisbx.test.EchoService.Unbuilt"));
    sb_rpc_channel_free(channel);
}

static void handler_knows_its_peer(void **state)
{
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    Aisbx__Test__EchoReply *reply = echo(*state, &req, NULL);
    const char *expected = is_local()                           ? "local"
                           : is_unix()                          ? "unix"
                           : strcmp(transport_name, "tcp") == 0 ? "tcp"
                                                                : "tls";
    assert_string_equal(reply->transport, expected);
    assert_int_equal(reply->pid, is_unix() ? getpid() : -1);
    assert_int_equal(reply->uid, is_unix() ? getuid() : (uid_t)-1);
    reply_free(reply);
}

static void handler_knows_the_time_left(void **state)
{
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    Aisbx__Test__EchoReply *reply = echo(*state, &req, NULL);
    assert_true(reply->time_left_ms == UINT64_MAX);
    reply_free(reply);
    struct sb_rpc_stream_options options = {.timeout_ms = 3600000};
    reply = echo(*state, &req, &options);
    /* gRPC rounds what it sends, up to 1 % upwards. */
    assert_true(reply->time_left_ms > 3000000 && reply->time_left_ms <= 3660000);
    reply_free(reply);
}

static void deadline_ends_the_call_at_both_ends(void **state)
{
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    struct sb_rpc_channel *channel = fixture_open(*state);
    Aisbx__Test__EchoReply *reply = NULL;
    struct sb_err err;
    /* Connects, so that the time is not spent on that. */
    assert_int_equal(SERVICE(echo__call)(channel, &req, NULL, &reply, &err), 0);
    reply_free(reply);
    struct sb_rpc_stream_options options = {.timeout_ms = HOLD_MS};
    req.hold = true;
    assert_int_equal(SERVICE(echo__call)(channel, &req, &options, &reply, &err), -1);
    assert_int_equal(err.code, SB_DEADLINE);
    wait_for(NULL, &seen.cancelled, 1);
    wait_for(NULL, &seen.done, 2);
    sb_rpc_channel_free(channel);
}

static void cancel_ends_the_call_at_both_ends(void **state)
{
    struct sb_rpc_channel *channel = fixture_open(*state);
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    struct probe probe = probe_new();
    struct sb_err err;
    req.hold = true;
    assert_int_equal(
        SERVICE(echo__start)(channel, &req, NULL, &echo_callbacks, &probe, &probe.stream, &err), 0);
    wait_for(channel, &seen.started, 1);
    sb_rpc_stream_cancel(probe.stream);
    assert_false(probe.is_done); /* never from inside cancel */
    wait_done(channel, &probe);
    assert_int_equal(probe.status.code, SB_CANCELLED);
    wait_for(channel, &seen.cancelled, 1);
    sb_rpc_channel_free(channel);
}

static void lost_connection_cancels_the_call(void **state)
{
    struct sb_rpc_channel *channel = fixture_open(*state);
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    struct probe probes[3] = {probe_new(), probe_new(), probe_new()};
    struct sb_err err;
    req.hold = true;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(SERVICE(echo__start)(channel, &req, NULL, &echo_callbacks, &probes[i],
                                              &probes[i].stream, &err),
                         0);
    }
    wait_for(channel, &seen.started, 3);
    sb_rpc_channel_free(channel);
    for (size_t i = 0; i < 3; i++) {
        assert_true(probes[i].is_done);
        assert_int_equal(probes[i].status.code, SB_CANCELLED);
    }
    wait_for(NULL, &seen.cancelled, 3);
}

static void sixty_four_calls_run_at_a_time(void **state)
{
    enum { N = 64 };
    struct sb_rpc_channel *channel = fixture_open(*state);
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    struct probe probes[N];
    struct sb_err err;
    req.hold = true;
    for (size_t i = 0; i < N; i++) {
        probes[i] = probe_new();
        assert_int_equal(SERVICE(echo__start)(channel, &req, NULL, &echo_callbacks, &probes[i],
                                              &probes[i].stream, &err),
                         0);
    }
    wait_for(channel, &seen.started, N);
    fixture_release(*state);
    for (size_t i = 0; i < N; i++) {
        wait_done(channel, &probes[i]);
        assert_int_equal(probes[i].status.code, SB_OK);
        assert_int_equal(probes[i].n_messages, 1);
    }
    wait_for(channel, &seen.done, N);
    sb_rpc_channel_free(channel);
}

static void passed_descriptor_arrives(void **state)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    struct sb_rpc_stream_options options = {.fds = &fds[1], .n_fds = 1};
    req.use_fd = true;
    req.text = text("through the pipe");
    if (!is_local()) {
        assert_int_equal(failing_echo(*state, &req, &options).code, SB_UNIMPLEMENTED);
    } else {
        reply_free(echo(*state, &req, &options));
        (void)close(fds[1]);
        char buf[64] = "";
        assert_int_equal(read(fds[0], buf, sizeof buf - 1), (ssize_t)strlen(req.text));
        assert_string_equal(buf, req.text);
        assert_int_equal(read(fds[0], buf, sizeof buf), 0); /* no copy is left open */
        fds[1] = -1;
    }
    (void)close(fds[0]);
    if (fds[1] >= 0) {
        (void)close(fds[1]);
    }
}

static void descriptors_stay_with_their_call(void **state)
{
    enum { N = 20 };
    if (!is_local()) {
        skip();
    }
    struct sb_rpc_channel *channel = fixture_open(*state);
    struct probe probes[N];
    int pipes[N][2];
    struct sb_err err;
    for (size_t i = 0; i < N; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "call %zu", i);
        Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
        assert_int_equal(pipe(pipes[i]), 0);
        struct sb_rpc_stream_options options = {.fds = &pipes[i][1], .n_fds = i % 2};
        req.use_fd = true;
        req.text = name;
        probes[i] = probe_new();
        assert_int_equal(SERVICE(echo__start)(channel, &req, &options, &echo_callbacks, &probes[i],
                                              &probes[i].stream, &err),
                         0);
    }
    for (size_t i = 0; i < N; i++) {
        char want[16];
        char got[16] = "";
        wait_done(channel, &probes[i]);
        assert_int_equal(probes[i].status.code, SB_OK);
        (void)close(pipes[i][1]);
        (void)snprintf(want, sizeof want, "call %zu", i);
        assert_true(read(pipes[i][0], got, sizeof got - 1) >= 0);
        assert_string_equal(got, i % 2 == 0 ? "" : want);
        (void)close(pipes[i][0]);
    }
    sb_rpc_channel_free(channel);
}

static void untaken_descriptor_is_closed(void **state)
{
    if (!is_local()) {
        skip();
    }
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    struct sb_rpc_stream_options options = {.fds = &fds[1], .n_fds = 1};
    reply_free(echo(*state, &req, &options));
    wait_for(NULL, &seen.done, 1);
    (void)close(fds[1]);
    char byte = 0;
    struct pollfd pfd = {fds[0], POLLIN, 0};
    assert_int_equal(poll(&pfd, 1, 10000), 1); /* end of file, not silence */
    assert_int_equal(read(fds[0], &byte, 1), 0);
    (void)close(fds[0]);
}

struct nested_call {
    struct sb_rpc_channel *channel;
    struct sb_err err;
    bool is_done;
};

static void on_nested_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    (void)stream;
    (void)err;
    struct nested_call *nested = user;
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    Aisbx__Test__EchoReply *reply = NULL;
    assert_int_equal(SERVICE(echo__call)(nested->channel, &req, NULL, &reply, &nested->err), -1);
    nested->is_done = true;
}

static void blocking_call_in_a_callback_is_refused(void **state)
{
    static const struct SERVICE(echo__callbacks) callbacks = {.done = on_nested_done};
    struct nested_call nested = {.channel = fixture_open(*state)};
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    struct sb_rpc_stream *stream = NULL;
    struct sb_err err;
    assert_int_equal(
        SERVICE(echo__start)(nested.channel, &req, NULL, &callbacks, &nested, &stream, &err), 0);
    while (!nested.is_done) {
        sb_rpc_channel_wait(nested.channel);
    }
    assert_int_equal(nested.err.code, SB_INTERNAL);
    sb_rpc_channel_free(nested.channel);
}

int test_calls(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(unary_reply_repeats_the_request),
        TEST(empty_request_is_a_request),
        TEST(one_channel_carries_many_calls),
        TEST(failure_carries_code_and_text),
        TEST(metadata_reaches_the_handler),
        TEST(metadata_that_http_could_not_carry_is_refused),
        TEST(trailers_come_with_success),
        TEST(trailers_come_with_failure),
        TEST(unknown_method_is_unimplemented),
        TEST(method_without_handler_says_so),
        TEST(handler_knows_its_peer),
        TEST(handler_knows_the_time_left),
        TEST(deadline_ends_the_call_at_both_ends),
        TEST(cancel_ends_the_call_at_both_ends),
        TEST(lost_connection_cancels_the_call),
        TEST(sixty_four_calls_run_at_a_time),
        TEST(passed_descriptor_arrives),
        TEST(descriptors_stay_with_their_call),
        TEST(untaken_descriptor_is_closed),
        TEST(blocking_call_in_a_callback_is_refused),
    };
    return cmocka_run_group_tests_name("calls", tests, NULL, NULL);
}
