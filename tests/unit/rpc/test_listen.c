#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fixture.h"
#include "suite.h"

#define SERVICE(call) aisbx__test__echo_service__##call

struct place {
    char dir[64];
    char path[96];
    char address[112];
    struct event_base *base;
    struct sb_rpc_server *server;
};

static int place_setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    (void)snprintf(place->dir, sizeof place->dir, "/tmp/aisbx-test-rpc-XXXXXX");
    assert_non_null(mkdtemp(place->dir));
    (void)snprintf(place->path, sizeof place->path, "%s/sock", place->dir);
    (void)snprintf(place->address, sizeof place->address, "unix:%s", place->path);
    place->base = event_base_new();
    struct sb_rpc_server_options options = {.base = place->base};
    struct sb_err err;
    place->server = sb_rpc_server_new(&options, &err);
    assert_non_null(place->server);
    *state = place;
    return 0;
}

static int place_teardown(void **state)
{
    struct place *place = *state;
    sb_rpc_server_free(place->server);
    event_base_free(place->base);
    char lock[128];
    (void)snprintf(lock, sizeof lock, "%s.lock", place->path);
    (void)unlink(lock);
    (void)unlink(place->path);
    int removed = rmdir(place->dir);
    free(place);
    return removed;
}

static int listen_at(const struct place *place, unsigned mode, struct sb_err *err)
{
    return sb_rpc_server_listen(place->server, place->address, mode, NULL, NULL, err);
}

static void socket_left_by_the_dead_is_replaced(void **state)
{
    struct place *place = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", place->path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    (void)close(fd);
    struct sb_err err;
    assert_int_equal(listen_at(place, 0600, &err), 0);
}

static void second_server_is_refused(void **state)
{
    struct place *place = *state;
    struct sb_err err;
    assert_int_equal(listen_at(place, 0600, &err), 0);
    assert_int_equal(listen_at(place, 0600, &err), -1);
    assert_int_equal(err.code, SB_EXISTS);
    assert_int_equal(access(place->path, F_OK), 0); /* and the first keeps its socket */
}

static void other_kind_of_file_is_left_alone(void **state)
{
    struct place *place = *state;
    int fd = open(place->path, O_CREAT | O_WRONLY, 0600);
    (void)close(fd);
    struct sb_err err;
    assert_int_equal(listen_at(place, 0600, &err), -1);
    assert_int_equal(err.code, SB_EXISTS);
    assert_int_equal(access(place->path, F_OK), 0);
}

static void socket_has_exactly_the_mode_asked_for(void **state)
{
    struct place *place = *state;
    struct sb_err err;
    struct stat st;
    mode_t before = umask(0077);
    assert_int_equal(listen_at(place, 0666, &err), 0);
    (void)umask(before);
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0666);
}

static void socket_is_gone_when_the_server_is(void **state)
{
    struct place *place = *state;
    struct sb_err err;
    assert_int_equal(listen_at(place, 0600, &err), 0);
    sb_rpc_server_free(place->server);
    place->server = NULL;
    assert_int_equal(access(place->path, F_OK), -1);
}

static void bad_addresses_are_refused(void **state)
{
    struct place *place = *state;
    struct sb_err err;
    char address[256];
    (void)snprintf(address, sizeof address, "unix:/tmp/%0200d", 1);
    assert_int_equal(sb_rpc_server_listen(place->server, address, 0, NULL, NULL, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
    assert_int_equal(sb_rpc_server_listen(place->server, "unix:x", 0, NULL, NULL, &err), -1);
    assert_int_equal(access("x.lock", F_OK), -1); /* nothing was made for it */
    assert_int_equal(sb_rpc_server_listen(place->server, "ipv4:127.0.0.1:0", 0, NULL, NULL, &err),
                     -1);
    assert_int_equal(err.code, SB_UNIMPLEMENTED);
}

static void nobody_there_is_unavailable(void **state)
{
    struct place *place = *state;
    struct sb_rpc_channel *channel = NULL;
    struct sb_err err;
    assert_int_equal(sb_rpc_channel_open(place->address, NULL, &channel, &err), -1);
    assert_int_equal(err.code, SB_UNAVAILABLE);
    assert_null(channel);
}

/* Whether the end of whoever connects next to a plain listener has a name. */
static bool end_has_a_name(const struct sb_rpc_channel_options *options)
{
    char path[64];
    char target[80];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct sockaddr_un peer;
    socklen_t len = sizeof peer;
    struct sb_rpc_channel *channel = NULL;
    struct sb_err err;
    (void)snprintf(path, sizeof path, "/tmp/aisbx-test-%d.plain", getpid());
    (void)snprintf(target, sizeof target, "unix:%s", path);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    SB_CLEANUP(sb_closep) int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(sb_rpc_channel_open(target, options, &channel, &err), 0);
    SB_CLEANUP(sb_closep) int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_int_equal(getpeername(accepted, (struct sockaddr *)&peer, &len), 0);
    sb_rpc_channel_free(channel);
    assert_int_equal(unlink(path), 0);
    return len > sizeof address.sun_family;
}

static void a_client_that_lends_nothing_has_a_name(void **state)
{
    (void)state;
    const struct sb_rpc_channel_options options = {.lends_nothing = true};
    assert_true(end_has_a_name(&options));
    assert_false(end_has_a_name(NULL)); /* others have none, or could bind nothing */
}

static void connections_beyond_the_limit_wait(void **state)
{
    (void)state;
    struct sb_rpc_server_options options = {.max_connections = 1};
    struct fixture *fixture = fixture_start(&options);
    struct sb_rpc_channel *first = fixture_open(fixture);
    struct sb_rpc_channel *second = fixture_open(fixture);
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    Aisbx__Test__EchoReply *reply = NULL;
    struct probe probe = probe_new();
    struct sb_err err;
    assert_int_equal(SERVICE(echo__call)(first, &req, NULL, &reply, &err), 0);
    protobuf_c_message_free_unpacked(&reply->base, NULL);
    assert_int_equal(
        SERVICE(echo__start)(second, &req, NULL, &echo_callbacks, &probe, &probe.stream, &err), 0);
    (void)wait_still(second, &seen.started);
    assert_false(probe.is_done);
    sb_rpc_channel_free(first);
    wait_done(second, &probe);
    assert_int_equal(probe.status.code, SB_OK);
    sb_rpc_channel_free(second);
    fixture_stop(fixture);
}

static void dead_server_is_unavailable(void **state)
{
    (void)state;
    struct sb_rpc_server_options options = {0};
    struct fixture *fixture = fixture_start(&options);
    struct sb_rpc_channel *channel = fixture_open(fixture);
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    Aisbx__Test__EchoReply *reply = NULL;
    struct sb_err err;
    fixture_stop(fixture);
    assert_int_equal(SERVICE(echo__call)(channel, &req, NULL, &reply, &err), -1);
    assert_int_equal(err.code, SB_UNAVAILABLE);
    sb_rpc_channel_free(channel);
}

static void channel_finds_the_next_server(void **state)
{
    (void)state;
    struct sb_rpc_server_options options = {0};
    struct fixture *fixture = fixture_start(&options);
    struct sb_rpc_channel *channel = fixture_open(fixture);
    struct probe lost = probe_new();
    struct probe unread = probe_new();
    struct probe later = probe_new();
    struct sb_err err;
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    Aisbx__Test__CountRequest count = AISBX__TEST__COUNT_REQUEST__INIT;
    count.count = 100;
    count.size = 1000;
    req.hold = true;
    assert_int_equal(
        SERVICE(echo__start)(channel, &req, NULL, &echo_callbacks, &lost, &lost.stream, &err), 0);
    assert_int_equal(SERVICE(count__start)(channel, &count, NULL, &count_callbacks, &unread,
                                           &unread.stream, &err),
                     0);
    wait_for(channel, &seen.sent, 100);
    fixture_restart(fixture);
    wait_done(channel, &lost);
    assert_int_equal(lost.status.code, SB_UNAVAILABLE);

    req.hold = false;
    assert_int_equal(
        SERVICE(echo__start)(channel, &req, NULL, &echo_callbacks, &later, &later.stream, &err), 0);
    wait_done(channel, &later);
    assert_int_equal(later.status.code, SB_OK);
    /* What had arrived in full before the loss is still to be had. */
    sb_rpc_stream_read(unread.stream);
    wait_done(channel, &unread);
    assert_int_equal(unread.status.code, SB_OK);
    assert_int_equal(unread.n_messages, 100);
    sb_rpc_channel_free(channel);
    fixture_stop(fixture);
}

int test_listen(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {
        TEST(socket_left_by_the_dead_is_replaced),
        TEST(second_server_is_refused),
        TEST(other_kind_of_file_is_left_alone),
        TEST(socket_has_exactly_the_mode_asked_for),
        TEST(socket_is_gone_when_the_server_is),
        TEST(bad_addresses_are_refused),
        TEST(nobody_there_is_unavailable),
        cmocka_unit_test(a_client_that_lends_nothing_has_a_name),
        cmocka_unit_test(connections_beyond_the_limit_wait),
        cmocka_unit_test(dead_server_is_unavailable),
        cmocka_unit_test(channel_finds_the_next_server),
    };
    return cmocka_run_group_tests_name("listen", tests, NULL, NULL);
}
