/** Lines to the egress proxy, with spawner, init and proxy played by the test. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "fake.h"
#include "service/worker/denials.h"
#include "service/worker/egress.h"
#include "service/worker/egress_packet.h"
#include "service/worker/policy/policy.h"
#include "service/worker/sandbox.h"

enum { SLOT = 9 };

static uint64_t await_body(struct fake *fake, Spawn__V1__Request__BodyCase body)
{
    struct sb_frame frame = SB_FRAME_INIT;
    const Spawn__V1__Request *request = fake_request(fake, &frame);
    assert_int_equal(request->body_case, body);
    uint64_t tag = request->tag;
    sb_frame_done(&frame);
    return tag;
}

/* The proxy's end of a socket that the worker gets. */
static int start_proxy(struct fake *fake, uint64_t tag)
{
    int pair[2];
    Spawn__V1__EgressStarted started = SPAWN__V1__EGRESS_STARTED__INIT;
    Spawn__V1__Reply reply = SPAWN__V1__REPLY__INIT;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    reply.tag = tag;
    reply.body_case = SPAWN__V1__REPLY__BODY_EGRESS_STARTED;
    reply.egress_started = &started;
    fake_reply(fake, &reply, pair, 1);
    close(pair[0]);
    return pair[1];
}

static void say_ready(struct fake *fake, int proxy)
{
    const struct sb_egress_ready ready = {SB_EGRESS_READY, SB_EGRESS_VERSION};
    assert_int_equal(send(proxy, &ready, sizeof ready, MSG_NOSIGNAL), sizeof ready);
    fake_turn(fake);
}

/* The next packet to the proxy; its descriptor, if there is one, is closed. */
static struct sb_egress_rules heard(int proxy, bool *ret_has_fd)
{
    static char data[SB_EGRESS_MAX_PACKET];
    struct sb_err err;
    struct sb_egress_rules rules;
    int fd = -1;
    struct sb_fd_msg msg = {.data = data, .cap = sizeof data, .fds = &fd, .nfds_cap = 1};
    if (sb_fd_recv(proxy, &msg, MSG_DONTWAIT, &err) != 1) {
        fail_msg("the proxy is told nothing");
    }
    *ret_has_fd = fd >= 0;
    sb_fd_close_all(&fd, 1);
    memcpy(&rules, data, sizeof rules);
    return rules;
}

static bool is_silent(int proxy)
{
    char byte = 0;
    return recv(proxy, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0;
}

/* A sandbox of python-dev up to where the spawner is asked for the proxy. */
static uint64_t ask_for_proxy(struct fake *fake, struct sb_sandbox **ret_sandbox)
{
    *ret_sandbox = fake_sandbox_of(fake, "python-dev", false);
    uint64_t tag = await_body(fake, SPAWN__V1__REQUEST__BODY_LOAD_FILTER);
    Spawn__V1__FilterLoaded loaded = SPAWN__V1__FILTER_LOADED__INIT;
    Spawn__V1__Reply reply = SPAWN__V1__REPLY__INIT;
    loaded.filter_id = 7;
    reply.tag = tag;
    reply.body_case = SPAWN__V1__REPLY__BODY_FILTER_LOADED;
    reply.filter_loaded = &loaded;
    fake_reply(fake, &reply, NULL, 0);
    return await_body(fake, SPAWN__V1__REQUEST__BODY_START_EGRESS);
}

/* The spawner gives the sandbox that was asked for; some descriptor stands for its listener. */
static int give_sandbox(struct fake *fake)
{
    uint64_t tag = await_body(fake, SPAWN__V1__REQUEST__BODY_SPAWN);
    int listener = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int init = fake_spawned(fake, tag, SLOT, listener);
    close(listener);
    return init;
}

struct running {
    struct sb_sandbox *sandbox;
    int proxy;
    int init;
};

/* A sandbox whose line the proxy has. */
static struct running run(struct fake *fake)
{
    struct running made;
    bool has_fd = false;
    made.proxy = start_proxy(fake, ask_for_proxy(fake, &made.sandbox));
    say_ready(fake, made.proxy);
    made.init = give_sandbox(fake);
    assert_int_equal(made.sandbox->state, SB_STATE_RUNNING);
    assert_int_equal(heard(made.proxy, &has_fd).type, SB_EGRESS_OPEN);
    assert_true(has_fd);
    return made;
}

static void stop(struct running *what)
{
    close(what->proxy);
    close(what->init);
}

static void the_proxy_is_told_of_a_sandbox_its_socket_and_its_rules(void **state)
{
    struct fake *fake = *state;
    struct sb_sandbox *sandbox = NULL;
    bool has_fd = false;
    int proxy = start_proxy(fake, ask_for_proxy(fake, &sandbox));
    int init = give_sandbox(fake);
    struct sb_egress_rules rules = heard(proxy, &has_fd);
    assert_int_equal(rules.type, SB_EGRESS_OPEN);
    assert_string_equal(rules.id, sandbox->id);
    assert_int_equal(rules.n_allow, 2);
    assert_true(has_fd);
    assert_int_equal(sandbox->degraded.n, 1); /* no seccomp listener here, and nothing else */
    close(proxy);
    close(init);
}

static void without_the_program_a_sandbox_has_no_network_and_says_so(void **state)
{
    struct fake *fake = *state;
    struct sb_sandbox *sandbox = NULL;
    fake_fail(fake, ask_for_proxy(fake, &sandbox), SB_NOT_FOUND, "aisbx-egress is not there");
    int init = give_sandbox(fake);
    assert_int_equal(sandbox->state, SB_STATE_RUNNING);
    assert_int_equal(sandbox->line.listener, -1);
    assert_string_equal(sandbox->degraded.items[1],
                        "egress: no network at all, as it cannot be filtered: mount: aisbx-egress "
                        "is not there");
    close(init);
}

static void a_change_is_settled_when_the_proxy_says_so(void **state)
{
    struct fake *fake = *state;
    struct sb_err err;
    struct running r = run(fake);
    bool has_fd = true;
    struct sb_network none = {.mode = SB_NETWORK_NONE};
    assert_true(sb_egress_is_settled(r.sandbox));
    assert_int_equal(sb_policy_set_network(r.sandbox->policy, &none, &err), 0);
    sb_egress_change(fake->worker.egress, r.sandbox);
    struct sb_egress_rules rules = heard(r.proxy, &has_fd);
    assert_int_equal(rules.type, SB_EGRESS_UPDATE);
    assert_int_equal(rules.n_allow, 0);
    assert_false(has_fd);
    assert_false(sb_egress_is_settled(r.sandbox));
    struct sb_egress_updated updated = {.type = SB_EGRESS_UPDATED, .serial = rules.serial};
    memcpy(updated.id, rules.id, sizeof updated.id);
    assert_int_equal(send(r.proxy, &updated, sizeof updated, 0), sizeof updated);
    fake_turn(fake);
    assert_true(sb_egress_is_settled(r.sandbox));
    stop(&r);
}

static void refusals_are_counted_by_destination(void **state)
{
    struct fake *fake = *state;
    struct running r = run(fake);
    static const char texts[] = "example.org\0\0no rule\x1b matches\0example.org:443";
    char packet[sizeof(struct sb_egress_denied) + sizeof texts];
    struct sb_egress_denied denied = {.type = SB_EGRESS_DENIED,
                                      .reason = SB_EGRESS_NO_RULE,
                                      .port = 443,
                                      .count = 3,
                                      .n_lost = 2};
    memcpy(denied.id, r.sandbox->id, sizeof denied.id);
    memcpy(packet, &denied, sizeof denied);
    memcpy(packet + sizeof denied, texts, sizeof texts);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(send(r.proxy, packet, sizeof packet, 0), sizeof packet);
    }
    sb_egress_settle(fake->worker.egress);
    const struct sb_denials *denials = &r.sandbox->notify.denials;
    assert_int_equal(denials->n, 1);
    assert_string_equal(denials->items[0].name, "example.org:443");
    assert_string_equal(denials->items[0].allow, "example.org:443");
    assert_null(strchr(denials->items[0].why, '\x1b'));
    assert_int_equal(denials->items[0].count, 6);
    assert_int_equal(denials->n_more, 4);
    stop(&r);
}

static void a_proxy_that_dies_is_started_again_and_told_everything(void **state)
{
    struct fake *fake = *state;
    struct running r = run(fake);
    bool has_fd = false;
    close(r.proxy);
    fake_turn(fake);
    r.proxy = start_proxy(fake, await_body(fake, SPAWN__V1__REQUEST__BODY_START_EGRESS));
    assert_int_equal(heard(r.proxy, &has_fd).type, SB_EGRESS_OPEN);
    assert_true(has_fd);
    assert_true(is_silent(r.proxy));
    stop(&r);
}

/* Looks when it is told. */
struct looking {
    struct sb_sandbox_observer observer;
    bool has_seen_it_settled;
};

static void look(struct sb_sandbox_observer *observer, struct sb_sandbox *sandbox)
{
    struct looking *looking = SB_LIST_ENTRY(observer, struct looking, observer);
    looking->has_seen_it_settled = looking->has_seen_it_settled || sb_egress_is_settled(sandbox);
}

static void a_change_is_settled_by_the_next_proxy_when_the_first_dies_over_it(void **state)
{
    struct fake *fake = *state;
    struct sb_err err;
    struct running r = run(fake);
    bool has_fd = false;
    struct sb_network none = {.mode = SB_NETWORK_NONE};
    struct looking looking = {.observer = {.changed = look}};
    sb_sandbox_observe(r.sandbox, &looking.observer);
    assert_int_equal(sb_policy_set_network(r.sandbox->policy, &none, &err), 0);
    sb_egress_change(fake->worker.egress, r.sandbox);
    close(r.proxy);
    fake_turn(fake);
    assert_false(looking.has_seen_it_settled);
    r.proxy = start_proxy(fake, await_body(fake, SPAWN__V1__REQUEST__BODY_START_EGRESS));
    assert_int_equal(heard(r.proxy, &has_fd).n_allow, 0);
    assert_true(looking.has_seen_it_settled);
    sb_sandbox_unobserve(&looking.observer);
    stop(&r);
}

static void a_line_that_the_proxy_does_not_take_is_cut_and_that_is_said(void **state)
{
    struct fake *fake = *state;
    struct running r = run(fake);
    struct sb_egress_closed closed = {.type = SB_EGRESS_CLOSED};
    memcpy(closed.id, r.sandbox->id, sizeof closed.id);
    assert_int_equal(send(r.proxy, &closed, sizeof closed, 0), sizeof closed);
    fake_turn(fake);
    assert_int_equal(r.sandbox->line.listener, -1);
    assert_non_null(strstr(r.sandbox->degraded.items[1], "could not take it"));
    assert_true(is_silent(r.proxy));
    stop(&r);
}

static void a_proxy_that_says_nonsense_is_replaced(void **state)
{
    struct fake *fake = *state;
    struct running r = run(fake);
    assert_int_equal(send(r.proxy, "nonsense", 8, 0), 8);
    fake_turn(fake);
    (void)await_body(fake, SPAWN__V1__REQUEST__BODY_START_EGRESS);
    stop(&r);
}

static void a_proxy_that_never_gets_ready_is_given_up_and_the_sandbox_says_so(void **state)
{
    struct fake *fake = *state;
    struct sb_sandbox *sandbox = NULL;
    int proxy = start_proxy(fake, ask_for_proxy(fake, &sandbox));
    int init = give_sandbox(fake);
    for (int i = 0; sandbox->line.listener >= 0 && i < 20; i++) {
        close(proxy);
        proxy = -1;
        for (int turn = 0; turn < 100 && fake_is_quiet(fake) && sandbox->line.listener >= 0;
             turn++) {
            fake_wait(fake, 50);
        }
        if (sandbox->line.listener >= 0) {
            proxy = start_proxy(fake, await_body(fake, SPAWN__V1__REQUEST__BODY_START_EGRESS));
        }
    }
    assert_int_equal(sandbox->line.listener, -1);
    assert_non_null(sb_egress_failure(fake->worker.egress));
    assert_non_null(strstr(sandbox->degraded.items[1], "the network is cut off"));
    close(init);
}

static void the_proxy_is_told_of_the_end(void **state)
{
    struct fake *fake = *state;
    struct running r = run(fake);
    bool has_fd = false;
    sb_sandbox_destroy(r.sandbox, SB_REASON_REQUESTED, NULL);
    (void)await_body(fake, SPAWN__V1__REQUEST__BODY_KILL);
    fake_gone(fake, SLOT, 9);
    struct sb_egress_rules rules = heard(r.proxy, &has_fd);
    assert_int_equal(rules.type, SB_EGRESS_CLOSE);
    assert_string_equal(rules.id, r.sandbox->id);
    stop(&r);
}

static void a_packet_of_another_length_is_none(void **state)
{
    (void)state;
    struct sb_err err;
    struct sb_egress_heard out;
    char data[sizeof(struct sb_egress_denied) + 64] = {0};
    struct sb_egress_denied denied = {.type = SB_EGRESS_DENIED};
    memcpy(data, &denied, sizeof denied);
    assert_int_equal(sb_egress_packet_read(data, sizeof denied + 4, &out, &err), 0);
    assert_int_equal(sb_egress_packet_read(data, sizeof denied + 3, &out, &err), -1);
    assert_int_equal(sb_egress_packet_read(data, sizeof denied + 5, &out, &err), -1);
    assert_int_equal(sb_egress_packet_read(data, 3, &out, &err), -1);
    memset(data + offsetof(struct sb_egress_denied, id), 'x', sizeof denied.id);
    assert_int_equal(sb_egress_packet_read(data, sizeof denied + 4, &out, &err), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_proxy_is_told_of_a_sandbox_its_socket_and_its_rules),
        TEST(without_the_program_a_sandbox_has_no_network_and_says_so),
        TEST(a_change_is_settled_when_the_proxy_says_so),
        TEST(refusals_are_counted_by_destination),
        TEST(a_proxy_that_dies_is_started_again_and_told_everything),
        TEST(a_change_is_settled_by_the_next_proxy_when_the_first_dies_over_it),
        TEST(a_line_that_the_proxy_does_not_take_is_cut_and_that_is_said),
        TEST(a_proxy_that_says_nonsense_is_replaced),
        TEST(a_proxy_that_never_gets_ready_is_given_up_and_the_sandbox_says_so),
        TEST(the_proxy_is_told_of_the_end),
        cmocka_unit_test(a_packet_of_another_length_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
