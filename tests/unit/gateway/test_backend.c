#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "echo.pb-c.h"
#include "echo.rpc.h"
#include "mcp-gateway/backend.h"

/* Server and gateway in one loop. */
struct fixture {
    char dir[64];
    char address[96];
    struct event_base *base;
    struct sb_rpc_server *server;
    struct sb_backend *backend;
    struct sb_rpc_call *held;
    unsigned cancelled; /* calls that the server saw cancelled */
};

/* What came of a call. */
struct outcome {
    struct sb_backend_call *call;
    char text[128];
    unsigned messages;
    bool is_done;
    struct sb_err err;
    struct fixture *fixture;
    bool starts_another;
    struct sb_err another;
};

static const struct sb_rpc_method *method(int i)
{
    return &aisbx__test__echo_service__methods[i];
}

/* ---- the server ---- */

static void echo(struct sb_rpc_call *call, const Aisbx__Test__EchoRequest *request, void *svc)
{
    struct fixture *fixture = svc;
    char seen[128];
    size_t len = 0;
    if (request->hold) {
        fixture->held = call;
        return;
    }
    if (request->fail_code != 0) {
        struct sb_err err;
        (void)sb_err_set(&err, SB_EXHAUSTED, "slow down");
        sb_rpc_call_trailer(call, "retry-after-ms", "250", 3);
        sb_rpc_call_fail(call, &err);
        return;
    }
    const char *value = sb_rpc_call_metadata(call, request->want_metadata, &len);
    Aisbx__Test__EchoReply reply = AISBX__TEST__ECHO_REPLY__INIT;
    (void)snprintf(seen, sizeof seen, "%s", value == NULL ? "-" : value);
    reply.text = seen;
    sb_rpc_call_reply(call, (const ProtobufCMessage *)&reply);
}

static void echo_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    struct fixture *fixture = svc;
    fixture->cancelled += cancelled;
    fixture->held = fixture->held == call ? NULL : fixture->held;
}

static void count(struct sb_rpc_call *call, const Aisbx__Test__CountRequest *request, void *svc)
{
    (void)svc;
    for (uint32_t i = 0; i < request->count; i++) {
        Aisbx__Test__Chunk chunk = AISBX__TEST__CHUNK__INIT;
        chunk.number = i;
        (void)sb_rpc_call_send(call, (const ProtobufCMessage *)&chunk);
    }
    sb_rpc_call_reply(call, NULL);
}

static const struct aisbx__test__echo_service__server service = {
    .echo = {echo, echo_done},
    .count = {count, NULL, NULL},
};

static void serve(struct fixture *fixture)
{
    struct sb_err err;
    const struct sb_rpc_server_options options = {.base = fixture->base};
    fixture->server = sb_rpc_server_new(&options, &err);
    assert_non_null(fixture->server);
    assert_int_equal(aisbx__test__echo_service__serve(fixture->server, &service, fixture, &err), 0);
    assert_int_equal(
        sb_rpc_server_listen(fixture->server, fixture->address, 0600, NULL, NULL, &err), 0);
    assert_int_equal(sb_rpc_server_start(fixture->server, &err), 0);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct sb_err err;
    assert_non_null(fixture);
    (void)snprintf(fixture->dir, sizeof fixture->dir, "/tmp/aisbx-test-backend-XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    (void)snprintf(fixture->address, sizeof fixture->address, "unix:%s/sock", fixture->dir);
    fixture->base = event_base_new();
    const struct sb_backend_options options = {
        .base = fixture->base, .address = fixture->address, .key = "aisbx_own"};
    assert_int_equal(sb_backend_new(&options, &fixture->backend, &err), 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    sb_backend_free(fixture->backend);
    sb_rpc_server_free(fixture->server);
    event_base_free(fixture->base);
    (void)snprintf(path, sizeof path, "%s/sock.lock", fixture->dir);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/sock", fixture->dir);
    (void)unlink(path);
    int removed = rmdir(fixture->dir);
    free(fixture);
    return removed;
}

/* ---- the caller ---- */

static void on_echo(struct sb_backend_call *call, const ProtobufCMessage *message, void *user)
{
    (void)call;
    struct outcome *outcome = user;
    const Aisbx__Test__EchoReply *reply = (const Aisbx__Test__EchoReply *)message;
    (void)snprintf(outcome->text, sizeof outcome->text, "%s", reply->text);
    outcome->messages++;
}

static void on_chunk(struct sb_backend_call *call, const ProtobufCMessage *message, void *user)
{
    (void)message;
    struct outcome *outcome = user;
    outcome->messages++;
    sb_backend_read(call);
}

static int ask(struct outcome *outcome,
               const Aisbx__Test__EchoRequest *message,
               const struct sb_backend_caller *caller,
               struct sb_err *err);

static void on_end(struct sb_backend_call *call, const struct sb_err *err, void *user)
{
    struct outcome *outcome = user;
    const char *trailer = sb_backend_trailer(call, "retry-after-ms");
    outcome->is_done = true;
    outcome->err = *err;
    if (trailer != NULL) {
        (void)snprintf(outcome->text, sizeof outcome->text, "%s", trailer);
    }
    if (outcome->starts_another) {
        static struct outcome other;
        const struct sb_backend_caller caller = {.protocol = "test"};
        Aisbx__Test__EchoRequest message = AISBX__TEST__ECHO_REQUEST__INIT;
        other = (struct outcome){.fixture = outcome->fixture};
        assert_int_equal(ask(&other, &message, &caller, &outcome->another), -1);
    }
}

static const struct sb_backend_callbacks unary = {.message = on_echo, .done = on_end};
static const struct sb_backend_callbacks stream = {.message = on_chunk, .done = on_end};

static int ask(struct outcome *outcome,
               const Aisbx__Test__EchoRequest *message,
               const struct sb_backend_caller *caller,
               struct sb_err *err)
{
    const struct sb_backend_request request = {
        .caller = caller, .method = method(0), .message = (const ProtobufCMessage *)message};
    return sb_backend_start(outcome->fixture->backend, &request, &unary, outcome, &outcome->call,
                            err);
}

static void run_until(const struct outcome *outcome)
{
    while (!outcome->is_done) {
        assert_int_equal(event_base_loop(outcome->fixture->base, EVLOOP_ONCE), 0);
    }
}

/* What the server sees of one metadata entry. */
static const char *
seen(struct fixture *fixture, const struct sb_backend_caller *caller, const char *key)
{
    static struct outcome outcome;
    struct sb_err err;
    union {
        const char *in;
        char *out;
    } name = {.in = key};
    Aisbx__Test__EchoRequest message = AISBX__TEST__ECHO_REQUEST__INIT;
    message.want_metadata = name.out;
    outcome = (struct outcome){.fixture = fixture};
    assert_int_equal(ask(&outcome, &message, caller, &err), 0);
    run_until(&outcome);
    assert_int_equal(outcome.err.code, SB_OK);
    return outcome.text;
}

/* ---- */

static void connects_to_nobody_before_the_first_call(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {.fixture = fixture};
    const struct sb_backend_caller caller = {.protocol = "test"};
    struct sb_err err;
    Aisbx__Test__EchoRequest message = AISBX__TEST__ECHO_REQUEST__INIT;
    assert_int_equal(ask(&outcome, &message, &caller, &err), -1); /* nobody listens yet */
    assert_int_equal(err.code, SB_UNAVAILABLE);
    assert_int_equal(sb_backend_live(fixture->backend), 0);
    serve(fixture);
    assert_string_equal(seen(fixture, &caller, "x-aisbx-protocol"), "test");
}

static void tells_the_worker_who_asks(void **state)
{
    struct fixture *fixture = *state;
    serve(fixture);
    const struct sb_backend_caller own = {.protocol = "mcp"};
    assert_string_equal(seen(fixture, &own, "x-api-key"), "aisbx_own");
    assert_string_equal(seen(fixture, &own, "x-aisbx-via"), "-");
    const struct sb_backend_caller other = {
        .key = "aisbx_theirs", .peer = "127.0.0.1:9", .is_remote = true, .protocol = "rest"};
    assert_string_equal(seen(fixture, &other, "x-api-key"), "aisbx_theirs");
    assert_string_equal(seen(fixture, &other, "x-aisbx-via"), "http");
    assert_string_equal(seen(fixture, &other, "x-aisbx-peer"), "127.0.0.1:9");
}

static void lends_its_own_key_to_nobody_on_the_network(void **state)
{
    struct fixture *fixture = *state;
    serve(fixture);
    const struct sb_backend_caller nobody = {.peer = "127.0.0.1:9", .is_remote = true};
    assert_string_equal(seen(fixture, &nobody, "x-api-key"), "-");
    assert_string_equal(seen(fixture, &nobody, "x-aisbx-via"), "http");
}

static void reads_a_stream_to_its_end(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {.fixture = fixture};
    const struct sb_backend_caller caller = {.protocol = "test"};
    struct sb_err err;
    serve(fixture);
    Aisbx__Test__CountRequest message = AISBX__TEST__COUNT_REQUEST__INIT;
    message.count = 100;
    const struct sb_backend_request request = {
        .caller = &caller, .method = method(1), .message = (const ProtobufCMessage *)&message};
    assert_int_equal(
        sb_backend_start(fixture->backend, &request, &stream, &outcome, &outcome.call, &err), 0);
    sb_backend_read(outcome.call);
    run_until(&outcome);
    assert_int_equal(outcome.messages, 100);
    assert_int_equal(sb_backend_live(fixture->backend), 0);
}

static void passes_trailers_of_a_refusal_on(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {.fixture = fixture};
    const struct sb_backend_caller caller = {.protocol = "test"};
    struct sb_err err;
    serve(fixture);
    Aisbx__Test__EchoRequest message = AISBX__TEST__ECHO_REQUEST__INIT;
    message.fail_code = SB_EXHAUSTED;
    assert_int_equal(ask(&outcome, &message, &caller, &err), 0);
    run_until(&outcome);
    assert_int_equal(outcome.err.code, SB_EXHAUSTED);
    assert_string_equal(outcome.text, "250");
}

static void cancels_at_the_server(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {.fixture = fixture};
    const struct sb_backend_caller caller = {.protocol = "test"};
    struct sb_err err;
    serve(fixture);
    Aisbx__Test__EchoRequest message = AISBX__TEST__ECHO_REQUEST__INIT;
    message.hold = 1;
    assert_int_equal(ask(&outcome, &message, &caller, &err), 0);
    while (fixture->held == NULL) {
        (void)event_base_loop(fixture->base, EVLOOP_ONCE);
    }
    sb_backend_cancel(outcome.call);
    while (!outcome.is_done || fixture->cancelled == 0) {
        (void)event_base_loop(fixture->base, EVLOOP_ONCE);
    }
    assert_int_equal(outcome.err.code, SB_CANCELLED);
}

static void outlives_its_worker(void **state)
{
    struct fixture *fixture = *state;
    const struct sb_backend_caller caller = {.protocol = "test"};
    serve(fixture);
    assert_string_equal(seen(fixture, &caller, "x-aisbx-protocol"), "test");
    sb_rpc_server_free(fixture->server);
    fixture->server = NULL;
    struct outcome outcome = {.fixture = fixture};
    struct sb_err err;
    Aisbx__Test__EchoRequest message = AISBX__TEST__ECHO_REQUEST__INIT;
    assert_int_equal(ask(&outcome, &message, &caller, &err), -1);
    assert_int_equal(err.code, SB_UNAVAILABLE);
    serve(fixture);
    assert_string_equal(seen(fixture, &caller, "x-aisbx-protocol"), "test");
}

static void ends_calls_that_live_when_it_ends(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {.fixture = fixture, .starts_another = true};
    const struct sb_backend_caller caller = {.protocol = "test"};
    struct sb_err err;
    serve(fixture);
    Aisbx__Test__EchoRequest message = AISBX__TEST__ECHO_REQUEST__INIT;
    message.hold = 1;
    assert_int_equal(ask(&outcome, &message, &caller, &err), 0);
    sb_backend_free(fixture->backend);
    fixture->backend = NULL;
    assert_true(outcome.is_done);
    assert_int_equal(outcome.err.code, SB_CANCELLED);
    assert_int_equal(outcome.another.code, SB_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(connects_to_nobody_before_the_first_call, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_the_worker_who_asks, setup, teardown),
        cmocka_unit_test_setup_teardown(lends_its_own_key_to_nobody_on_the_network, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(reads_a_stream_to_its_end, setup, teardown),
        cmocka_unit_test_setup_teardown(passes_trailers_of_a_refusal_on, setup, teardown),
        cmocka_unit_test_setup_teardown(cancels_at_the_server, setup, teardown),
        cmocka_unit_test_setup_teardown(outlives_its_worker, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_calls_that_live_when_it_ends, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
