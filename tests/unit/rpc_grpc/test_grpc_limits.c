#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "fixture.h"

enum { CHUNK_BYTES = 65536 };

static int remove_scratch(void **state)
{
    (void)state;
    fixture_scratch_remove();
    return 0;
}

static const struct fixture_options on_unix = {0};
static const struct fixture_options on_tcp = {.address = "ipv4:127.0.0.1:0"};

static void pump_channel(struct sb_rpc_channel *channel, int timeout_ms)
{
    struct pollfd pfd;
    (void)sb_rpc_channel_prepare(channel, &pfd);
    (void)poll(&pfd, 1, timeout_ms);
    sb_rpc_channel_process(channel);
}

/* ---- memory ---- */

struct reading {
    uint64_t bytes;
    unsigned n_messages;
    unsigned n_drained;
    bool is_done;
    struct sb_err err;
};

static void on_chunk(struct sb_rpc_stream *stream, const Probe__V1__Chunk *chunk, void *user)
{
    struct reading *reading = user;
    reading->bytes += chunk->data.len;
    reading->n_messages++;
    sb_rpc_stream_read(stream);
}

static void on_reading_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    (void)stream;
    struct reading *reading = user;
    reading->is_done = true;
    reading->err = *err;
}

static const struct probe__v1__probe__feed__callbacks feed_callbacks = {.message = on_chunk,
                                                                        .done = on_reading_done};

/** Enough round trips for the producer to produce whatever it can. */
static void let_it_run(struct sb_rpc_channel *channel)
{
    Probe__V1__SayRequest req = PROBE__V1__SAY_REQUEST__INIT;
    for (int i = 0; i < 200; i++) {
        assert_int_equal(fixture_say(channel, &req, NULL, NULL), SB_OK);
    }
}

static void a_reader_that_stalls_stops_the_server(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_start(&on_tcp);
    struct sb_rpc_channel *channel = fixture_channel(fixture_target(fixture), NULL);
    Probe__V1__FeedRequest req = PROBE__V1__FEED_REQUEST__INIT;
    req.count = 200;
    req.chunk_bytes = CHUNK_BYTES;
    struct reading reading = {0};
    struct sb_rpc_stream *stream = NULL;
    struct sb_err err = {0};
    assert_int_equal(probe__v1__probe__feed__start(channel, &req, NULL, &feed_callbacks, &reading,
                                                   &stream, &err),
                     0);
    let_it_run(channel);
    struct fixture_stats stats = fixture_stats(fixture);
    assert_int_equal(stats.feeds_full, 1);
    assert_in_range(stats.fed_bytes, SB_RPC_HIGH_BYTES, 1 << 20);

    sb_rpc_stream_read(stream);
    fixture_wait(channel, &reading.is_done);
    assert_int_equal(reading.err.code, SB_OK);
    assert_int_equal(reading.n_messages, 200);
    assert_int_equal(reading.bytes, 200 * CHUNK_BYTES);
    sb_rpc_channel_free(channel);
    fixture_stop(fixture);
}

static void on_sum(struct sb_rpc_stream *stream, const Probe__V1__SumReply *reply, void *user)
{
    (void)stream;
    ((struct reading *)user)->bytes = reply->bytes;
}

static void on_sum_drained(struct sb_rpc_stream *stream, void *user)
{
    (void)stream;
    ((struct reading *)user)->n_drained++;
}

static const struct probe__v1__probe__sum__callbacks sum_callbacks = {
    .message = on_sum, .drained = on_sum_drained, .done = on_reading_done};

static void a_server_that_does_not_read_stops_the_client(void **state)
{
    (void)state;
    const struct fixture_options options = {.is_sum_deaf = true};
    struct fixture *fixture = fixture_start(&options);
    struct sb_rpc_channel *channel = fixture_channel(fixture_target(fixture), NULL);
    struct reading reading = {0};
    struct sb_rpc_stream *stream = NULL;
    struct sb_err err = {0};
    assert_int_equal(
        probe__v1__probe__sum__start(channel, NULL, &sum_callbacks, &reading, &stream, &err), 0);
    uint8_t *bytes = calloc(1, CHUNK_BYTES);
    Probe__V1__Chunk chunk = PROBE__V1__CHUNK__INIT;
    chunk.data = (ProtobufCBinaryData){.data = bytes, .len = CHUNK_BYTES};
    uint64_t sent = 0;
    unsigned n_drained = 0;
    for (int round = 0; round < 20; round++) { /* until drained() comes no more */
        do {
            sent += CHUNK_BYTES;
        } while (sent < 64 << 20 && probe__v1__probe__sum__write(stream, &chunk));
        let_it_run(channel);
        if (reading.n_drained == n_drained) {
            break;
        }
        n_drained = reading.n_drained;
    }
    assert_in_range(sent, SB_RPC_HIGH_BYTES, 2 << 20);
    sb_rpc_stream_cancel(stream);
    fixture_wait(channel, &reading.is_done);
    assert_int_equal(reading.err.code, SB_CANCELLED);
    free(bytes);
    sb_rpc_channel_free(channel);
    fixture_stop(fixture);
}

static void too_large_a_message_is_refused_either_way(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_start(&on_unix);
    struct sb_rpc_channel *channel = fixture_channel(fixture_target(fixture), NULL);
    struct sb_err err = {0};
    Probe__V1__SayRequest req = PROBE__V1__SAY_REQUEST__INIT;
    req.payload.len = SB_RPC_MAX_MESSAGE_BYTES + 1;
    req.payload.data = calloc(1, req.payload.len);
    assert_int_equal(fixture_say(channel, &req, NULL, &err), SB_EXHAUSTED);
    free(req.payload.data);
    req.payload = (ProtobufCBinaryData){0};
    req.reply_bytes = SB_RPC_MAX_MESSAGE_BYTES + 1;
    assert_int_equal(fixture_say(channel, &req, NULL, &err), SB_EXHAUSTED);
    assert_non_null(strstr(err.text, "larger than"));
    req.reply_bytes = 0;
    assert_int_equal(fixture_say(channel, &req, NULL, &err), SB_OK);
    sb_rpc_channel_free(channel);
    fixture_stop(fixture);
}

static void a_call_beyond_the_maximum_is_refused_at_once(void **state)
{
    (void)state;
    const struct fixture_options options = {.max_calls = 2};
    struct fixture *fixture = fixture_start(&options);
    struct sb_rpc_channel *channel = fixture_channel(fixture_target(fixture), NULL);
    struct reading readings[2] = {0};
    struct sb_rpc_stream *streams[2] = {0};
    struct sb_err err = {0};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(probe__v1__probe__sum__start(channel, NULL, &sum_callbacks, &readings[i],
                                                      &streams[i], &err),
                         0);
    }
    Probe__V1__SayRequest req = PROBE__V1__SAY_REQUEST__INIT;
    while (fixture_stats(fixture).started < 2) {
        (void)usleep(1000);
    }
    assert_int_equal(fixture_say(channel, &req, NULL, &err), SB_EXHAUSTED);
    sb_rpc_stream_half_close(streams[0]);
    fixture_wait(channel, &readings[0].is_done);
    assert_int_equal(readings[0].err.code, SB_OK);
    while (fixture_stats(fixture).done < 1) {
        (void)usleep(1000);
    }
    assert_int_equal(fixture_say(channel, &req, NULL, &err), SB_OK);
    sb_rpc_channel_free(channel);
    fixture_stop(fixture);
}

static void open_connections_are_limited_and_closed_ones_do_not_count(void **state)
{
    (void)state;
    const struct fixture_options options = {.max_connections = 2};
    struct fixture *fixture = fixture_start(&options);
    Probe__V1__SayRequest req = PROBE__V1__SAY_REQUEST__INIT;
    for (int i = 0; i < 5; i++) {
        fixture_expect_answer(fixture);
    }
    struct sb_rpc_channel *first = fixture_channel(fixture_target(fixture), NULL);
    struct sb_rpc_channel *second = fixture_channel(fixture_target(fixture), NULL);
    struct sb_rpc_channel *third = fixture_channel(fixture_target(fixture), NULL);
    struct sb_err err = {0};
    while (fixture_say(first, &req, NULL, &err) != SB_OK) { /* core is still closing the others */
        (void)usleep(10000);
    }
    while (fixture_say(second, &req, NULL, &err) != SB_OK) {
        (void)usleep(10000);
    }
    assert_int_equal(fixture_say(third, &req, NULL, &err), SB_UNAVAILABLE);
    assert_int_equal(fixture_say(first, &req, NULL, &err), SB_OK);
    sb_rpc_channel_free(first);
    sb_rpc_channel_free(second);
    sb_rpc_channel_free(third);
    fixture_stop(fixture);
}

/* ---- many calls ---- */

static unsigned count_fds(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        n++;
    }
    (void)closedir(dir);
    return n;
}

static void ten_thousand_calls_leave_nothing_behind(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_start(&on_unix);
    struct sb_rpc_channel *channel = fixture_channel(fixture_target(fixture), NULL);
    Probe__V1__SayRequest req = PROBE__V1__SAY_REQUEST__INIT;
    uint8_t bytes[100] = {1};
    req.payload = (ProtobufCBinaryData){.data = bytes, .len = sizeof bytes};
    assert_int_equal(fixture_say(channel, &req, NULL, NULL), SB_OK);
    unsigned n_fds = count_fds();
    for (int i = 0; i < 10000; i++) {
        req.fail_code = i % 10 == 0 ? SB_PRECONDITION : SB_OK;
        assert_int_equal(fixture_say(channel, &req, NULL, NULL), req.fail_code);
    }
    assert_int_equal(count_fds(), n_fds);
    sb_rpc_channel_free(channel);
    struct fixture_stats stats = fixture_stats(fixture);
    assert_int_equal(stats.started, 10001);
    while (stats.done != stats.started) { /* the client hears of the end first */
        stats = fixture_stats(fixture);
    }
    assert_int_equal(stats.cancelled, 0);
    fixture_stop(fixture);
}

static void freeing_a_server_ends_its_calls(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_start(&on_tcp);
    struct sb_rpc_channel *channel = fixture_channel(fixture_target(fixture), NULL);
    struct reading readings[8] = {0};
    struct sb_err err = {0};
    for (int i = 0; i < 8; i++) {
        struct sb_rpc_stream *stream = NULL;
        assert_int_equal(probe__v1__probe__sum__start(channel, NULL, &sum_callbacks, &readings[i],
                                                      &stream, &err),
                         0);
    }
    while (fixture_stats(fixture).started < 8) {
        (void)usleep(1000);
    }
    fixture_stop(fixture);
    for (int i = 0; i < 8; i++) {
        fixture_wait(channel, &readings[i].is_done);
        assert_int_equal(readings[i].err.code, SB_UNAVAILABLE);
    }
    sb_rpc_channel_free(channel);
}

static void freeing_a_channel_ends_its_streams(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_start(&on_tcp);
    struct sb_rpc_channel *channel = fixture_channel(fixture_target(fixture), NULL);
    struct reading reading = {0};
    struct sb_rpc_stream *stream = NULL;
    struct sb_err err = {0};
    assert_int_equal(
        probe__v1__probe__sum__start(channel, NULL, &sum_callbacks, &reading, &stream, &err), 0);
    while (fixture_stats(fixture).started < 1) {
        (void)usleep(1000);
    }
    sb_rpc_channel_free(channel);
    assert_true(reading.is_done);
    assert_int_equal(reading.err.code, SB_CANCELLED);
    while (fixture_stats(fixture).cancelled < 1) {
        (void)usleep(1000);
    }
    fixture_stop(fixture);
}

/** A program that sees the end of its input goes on to do things; one whose caller has gone is to
 *  be killed. */
static void a_cancelled_call_does_not_look_like_the_end_of_its_messages(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_start(&on_unix);
    struct sb_rpc_channel *channel = fixture_channel(fixture_target(fixture), NULL);
    for (unsigned i = 1; i <= 200; i++) {
        struct reading reading = {0};
        struct sb_rpc_stream *stream = NULL;
        struct sb_err err = {0};
        assert_int_equal(
            probe__v1__probe__sum__start(channel, NULL, &sum_callbacks, &reading, &stream, &err),
            0);
        while (fixture_stats(fixture).started < i) {
            pump_channel(channel, 1);
        }
        sb_rpc_stream_cancel(stream);
        fixture_wait(channel, &reading.is_done);
    }
    while (fixture_stats(fixture).done < 200) {
        (void)usleep(1000);
    }
    assert_int_equal(fixture_stats(fixture).cancelled, 200);
    assert_int_equal(fixture_stats(fixture).half_closed, 0);
    sb_rpc_channel_free(channel);
    fixture_stop(fixture);
}

/* ---- a server that hangs ---- */

static pid_t start_process(const char *address, int *ret_port)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        (void)close(fds[0]);
        (void)close(fds[1]);
        (void)execl("/proc/self/exe", "test_grpc_limits", "--serve", address, (char *)NULL);
        _exit(127);
    }
    (void)close(fds[1]);
    FILE *out = fdopen(fds[0], "r");
    assert_non_null(out);
    char line[32];
    assert_non_null(fgets(line, sizeof line, out));
    *ret_port = (int)strtol(line + strlen("ready "), NULL, 10);
    assert_true(*ret_port > 0);
    (void)fclose(out);
    return pid;
}

static void a_server_that_hangs_is_noticed_by_keepalive(void **state)
{
    (void)state;
    int port = 0;
    pid_t pid = start_process("ipv4:127.0.0.1:0", &port);
    char target[64];
    (void)snprintf(target, sizeof target, "ipv4:127.0.0.1:%d", port);
    const struct sb_rpc_channel_options options = {.keepalive_ms = 500};
    struct sb_rpc_channel *channel = fixture_channel(target, &options);
    Probe__V1__SayRequest req = PROBE__V1__SAY_REQUEST__INIT;
    assert_int_equal(fixture_say(channel, &req, NULL, NULL), SB_OK);
    /* Long enough for a server that does not like pings to complain. */
    req.sleep_ms = 8000;
    assert_int_equal(fixture_say(channel, &req, NULL, NULL), SB_OK);

    assert_int_equal(kill(pid, SIGSTOP), 0);
    struct sb_err err = {0};
    req.sleep_ms = 0;
    assert_int_equal(fixture_say(channel, &req, NULL, &err), SB_UNAVAILABLE);
    assert_non_null(strstr(err.text, "keepalive"));
    sb_rpc_channel_free(channel);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* ---- drain ---- */

struct lane {
    struct sb_rpc_channel *channel;
    bool *is_over;
    unsigned n_ok;
    unsigned n_failed;
    unsigned *n_live;
    struct sb_err err; /* of the last failure */
};

static void next_call(struct lane *lane);

static void on_lane_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    (void)stream;
    struct lane *lane = user;
    if (err->code == SB_OK) {
        lane->n_ok++;
    } else {
        lane->n_failed++;
        lane->err = *err;
    }
    --*lane->n_live;
    if (!*lane->is_over) {
        next_call(lane);
    }
}

static void next_call(struct lane *lane)
{
    static const struct probe__v1__probe__say__callbacks callbacks = {.done = on_lane_done};
    Probe__V1__SayRequest req = PROBE__V1__SAY_REQUEST__INIT;
    struct sb_rpc_stream *stream = NULL;
    struct sb_err err = {0};
    ++*lane->n_live;
    assert_int_equal(
        probe__v1__probe__say__start(lane->channel, &req, NULL, &callbacks, lane, &stream, &err),
        0);
}

static void *drain_thread(void *arg)
{
    fixture_drain(arg, 300, 5000);
    return NULL;
}

/** Two servers behind one channel that watches their health, as a gateway would have it. */
static void drain_once(void)
{
    enum { N_LANES = 16 };
    struct fixture *going = fixture_start(&on_tcp);
    struct fixture *staying = fixture_start(&on_tcp);
    char target[96];
    (void)snprintf(target, sizeof target, "ipv4:127.0.0.1:%d,127.0.0.1:%d", fixture_port(going),
                   fixture_port(staying));
    const struct sb_rpc_channel_options options = {
        .service_config = "{\"loadBalancingConfig\":[{\"round_robin\":{}}],"
                          "\"healthCheckConfig\":{\"serviceName\":\"probe.v1.Probe\"}}"};
    struct sb_rpc_channel *channel = fixture_channel(target, &options);
    bool is_over = false;
    unsigned n_live = 0;
    struct lane lanes[N_LANES] = {0};
    for (int i = 0; i < N_LANES; i++) {
        lanes[i] = (struct lane){.channel = channel, .is_over = &is_over, .n_live = &n_live};
        next_call(&lanes[i]);
    }
    while (fixture_stats(going).done < 100 || fixture_stats(staying).done < 100) {
        pump_channel(channel, 10);
    }
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, drain_thread, going), 0);
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        pump_channel(channel, 10);
    }
    is_over = true;
    while (n_live > 0) {
        pump_channel(channel, 10);
    }
    unsigned n_ok = 0;
    for (int i = 0; i < N_LANES; i++) {
        if (lanes[i].n_failed != 0) {
            fail_msg("%u of a lane failed: %s", lanes[i].n_failed, lanes[i].err.text);
        }
        n_ok += lanes[i].n_ok;
    }
    assert_true(n_ok > 200);
    sb_rpc_channel_free(channel);
    fixture_stop(going);
    fixture_stop(staying);
}

static void a_drain_under_load_loses_no_call(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        drain_once();
    }
}

static void a_drain_waits_for_live_calls_and_cancels_what_outlasts_its_grace(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_start(&on_unix);
    struct sb_rpc_channel *channel = fixture_channel(fixture_target(fixture), NULL);
    struct reading endless = {0};
    struct reading brief = {0};
    struct sb_rpc_stream *stream = NULL;
    struct sb_err err = {0};
    assert_int_equal(
        probe__v1__probe__sum__start(channel, NULL, &sum_callbacks, &endless, &stream, &err), 0);
    Probe__V1__SayRequest req = PROBE__V1__SAY_REQUEST__INIT;
    req.sleep_ms = 200;
    static const struct probe__v1__probe__say__callbacks callbacks = {.done = on_reading_done};
    assert_int_equal(
        probe__v1__probe__say__start(channel, &req, NULL, &callbacks, &brief, &stream, &err), 0);
    while (fixture_stats(fixture).started < 2) {
        (void)usleep(1000);
    }
    fixture_drain(fixture, 0, 600);
    fixture_wait(channel, &brief.is_done);
    assert_int_equal(brief.err.code, SB_OK);
    fixture_wait(channel, &endless.is_done);
    assert_int_equal(endless.err.code, SB_UNAVAILABLE);
    assert_int_equal(fixture_say(channel, &req, NULL, NULL), SB_UNAVAILABLE);
    sb_rpc_channel_free(channel);
    fixture_stop(fixture);
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "--serve") == 0) {
        /* By hand also: --serve ADDRESS [CERT KEY [CA]] */
        const struct sb_rpc_tls tls = {.cert_file = argv[3],
                                       .key_file = argc > 4 ? argv[4] : NULL,
                                       .ca_file = argc > 5 ? argv[5] : NULL};
        return fixture_serve_process(argv[2], argc > 3 ? &tls : NULL);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_that_stalls_stops_the_server),
        cmocka_unit_test(a_server_that_does_not_read_stops_the_client),
        cmocka_unit_test(too_large_a_message_is_refused_either_way),
        cmocka_unit_test(a_call_beyond_the_maximum_is_refused_at_once),
        cmocka_unit_test(open_connections_are_limited_and_closed_ones_do_not_count),
        cmocka_unit_test(ten_thousand_calls_leave_nothing_behind),
        cmocka_unit_test(freeing_a_server_ends_its_calls),
        cmocka_unit_test(freeing_a_channel_ends_its_streams),
        cmocka_unit_test(a_cancelled_call_does_not_look_like_the_end_of_its_messages),
        cmocka_unit_test(a_server_that_hangs_is_noticed_by_keepalive),
        cmocka_unit_test(a_drain_under_load_loses_no_call),
        cmocka_unit_test(a_drain_waits_for_live_calls_and_cancels_what_outlasts_its_grace),
    };
    return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
