#include <poll.h>
#include <string.h>

#include "fixture.h"
#include "suite.h"

enum { SLOTS = 8, LAME_MS = 50, GRACE_MS = 10000 };

#define SERVICE(call) aisbx__test__echo_service__##call

struct drain {
    struct fixture *fixture;
    unsigned lame_ms;
    unsigned grace_ms;
    atomic_uint is_done;
};

static void on_drained(void *ctx)
{
    struct drain *drain = ctx;
    atomic_store(&drain->is_done, 1);
}

static void drain_on_loop(void *ctx)
{
    struct drain *drain = ctx;
    sb_rpc_server_drain(fixture_server(drain->fixture), drain->lame_ms, drain->grace_ms, on_drained,
                        drain);
}

static void begin_drain(struct drain *drain)
{
    fixture_on_loop(drain->fixture, drain_on_loop, drain);
}

/** Calls that start again whenever they end, until one is turned away. */
struct load {
    struct sb_rpc_channel *channel;
    struct probe slots[SLOTS];
    bool is_open[SLOTS];
    unsigned n_ok;
    unsigned n_refused;
    bool is_over;
};

static void load_slot(struct load *load, size_t i)
{
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    struct probe *probe = &load->slots[i];
    struct sb_err err;
    *probe = probe_new();
    if (SERVICE(echo__start)(load->channel, &req, NULL, &echo_callbacks, probe, &probe->stream,
                             &err) < 0) {
        assert_int_equal(err.code, SB_UNAVAILABLE);
        load->n_refused++;
        load->is_over = true;
        return;
    }
    load->is_open[i] = true;
}

static bool load_turn(struct load *load)
{
    bool has_open = false;
    sb_rpc_channel_wait(load->channel);
    for (size_t i = 0; i < SLOTS; i++) {
        if (load->is_open[i] && load->slots[i].is_done) {
            enum sb_code code = load->slots[i].status.code;
            load->is_open[i] = false;
            if (code == SB_OK) {
                load->n_ok++;
            } else {
                assert_int_equal(code, SB_UNAVAILABLE);
                load->n_refused++;
                load->is_over = true;
            }
        }
        if (!load->is_open[i] && !load->is_over) {
            load_slot(load, i);
        }
        has_open = has_open || load->is_open[i];
    }
    return has_open;
}

static void drain_under_load_loses_no_call(void **state)
{
    struct drain drain = {.fixture = *state, .lame_ms = LAME_MS, .grace_ms = GRACE_MS};
    struct load load = {.channel = fixture_open(*state)};
    for (size_t i = 0; i < SLOTS; i++) {
        load_slot(&load, i);
    }
    while (load.n_ok < 200) {
        assert_true(load_turn(&load));
    }
    begin_drain(&drain);
    while (load_turn(&load)) {
    }
    assert_true(load.n_refused > 0);
    wait_for(load.channel, &drain.is_done, 1);
    /* Whatever a handler saw was answered, and the answer arrived. */
    assert_int_equal(seen.started, load.n_ok);
    assert_int_equal(seen.done, load.n_ok);
    assert_int_equal(seen.cancelled, 0);
    sb_rpc_channel_free(load.channel);
}

static void lame_server_still_serves(void **state)
{
    struct drain drain = {.fixture = *state, .lame_ms = GRACE_MS, .grace_ms = GRACE_MS};
    begin_drain(&drain);
    struct sb_rpc_channel *channel = fixture_open(*state);
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    Aisbx__Test__EchoReply *reply = NULL;
    struct sb_err err;
    assert_int_equal(SERVICE(echo__call)(channel, &req, NULL, &reply, &err), 0);
    protobuf_c_message_free_unpacked(&reply->base, NULL);
    assert_int_equal(drain.is_done, 0);
    sb_rpc_channel_free(channel);
}

static void live_call_ends_by_itself_within_the_grace(void **state)
{
    struct drain drain = {.fixture = *state, .lame_ms = 0, .grace_ms = GRACE_MS};
    struct sb_rpc_channel *channel = fixture_open(*state);
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    struct probe probe = probe_new();
    struct sb_err err;
    req.hold = true;
    assert_int_equal(
        SERVICE(echo__start)(channel, &req, NULL, &echo_callbacks, &probe, &probe.stream, &err), 0);
    wait_for(channel, &seen.started, 1);
    begin_drain(&drain);
    (void)wait_still(channel, &drain.is_done);
    assert_int_equal(drain.is_done, 0);
    fixture_release(*state);
    wait_done(channel, &probe);
    assert_int_equal(probe.status.code, SB_OK);
    wait_for(channel, &drain.is_done, 1);
    assert_int_equal(seen.cancelled, 0);
    sb_rpc_channel_free(channel);
}

static void live_call_is_cancelled_after_the_grace(void **state)
{
    struct drain drain = {.fixture = *state, .lame_ms = 0, .grace_ms = LAME_MS};
    struct sb_rpc_channel *channel = fixture_open(*state);
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    struct probe probe = probe_new();
    struct sb_err err;
    req.hold = true;
    assert_int_equal(
        SERVICE(echo__start)(channel, &req, NULL, &echo_callbacks, &probe, &probe.stream, &err), 0);
    wait_for(channel, &seen.started, 1);
    begin_drain(&drain);
    wait_done(channel, &probe);
    assert_int_equal(probe.status.code, SB_UNAVAILABLE);
    wait_for(channel, &drain.is_done, 1);
    assert_int_equal(seen.cancelled, 1);
    sb_rpc_channel_free(channel);
}

int test_drain(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(drain_under_load_loses_no_call),
        TEST(lame_server_still_serves),
        TEST(live_call_ends_by_itself_within_the_grace),
        TEST(live_call_is_cancelled_after_the_grace),
    };
    return cmocka_run_group_tests_name("drain", tests, NULL, NULL);
}
