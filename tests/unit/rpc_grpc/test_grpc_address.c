#include <dirent.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "fixture.h"

static int remove_scratch(void **state)
{
    (void)state;
    fixture_scratch_remove();
    return 0;
}

static const struct fixture_options on_unix = {0};
static const struct fixture_options on_tcp = {.address = "ipv4:127.0.0.1:0"};

/* ---- one address, one server ---- */

static void expect_taken(const char *address)
{
    struct event_base *base = event_base_new();
    const struct sb_rpc_server_options options = {
        .base = base, .grpc = sb_rpc_grpc_server_transport(), .grpc_threads = 1};
    struct sb_err err = {0};
    struct sb_rpc_server *server = sb_rpc_server_new(&options, &err);
    assert_non_null(server);
    assert_int_equal(sb_rpc_server_listen(server, address, 0600, NULL, NULL, &err), -1);
    assert_int_equal(err.code, SB_EXISTS);
    sb_rpc_server_free(server);
    event_base_free(base);
}

static void refuses_a_port_that_another_server_has(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_start(&on_tcp);
    expect_taken(fixture_target(fixture));
    fixture_expect_answer(fixture);
    fixture_stop(fixture);
}

static void refuses_a_unix_path_that_another_server_has(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_start(&on_unix);
    expect_taken(fixture_target(fixture) + strlen("grpc+"));
    fixture_expect_answer(fixture); /* the loser has not removed the socket */
    fixture_stop(fixture);
}

static void a_port_nobody_may_have_says_why(void **state)
{
    (void)state;
    struct event_base *base = event_base_new();
    const struct sb_rpc_server_options options = {
        .base = base, .grpc = sb_rpc_grpc_server_transport(), .grpc_threads = 1};
    struct sb_err err = {0};
    struct sb_rpc_server *server = sb_rpc_server_new(&options, &err);
    assert_non_null(server);
    assert_int_equal(sb_rpc_server_listen(server, "ipv4:192.0.2.1:7443", 0, NULL, NULL, &err), -1);
    assert_non_null(strstr(err.text, "Cannot assign requested address"));
    assert_int_equal(sb_rpc_server_listen(server, "ipv4:127.0.0.1", 0, NULL, NULL, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
    sb_rpc_server_free(server);
    event_base_free(base);
}

/* ---- who calls ---- */

static void a_caller_over_a_unix_socket_is_known_by_its_credentials(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_start(&on_unix);
    struct sb_rpc_channel *channel = fixture_channel(fixture_target(fixture), NULL);
    Probe__V1__SayRequest req = PROBE__V1__SAY_REQUEST__INIT;
    Probe__V1__SayReply *reply = NULL;
    assert_int_equal(fixture_say(channel, &req, &reply, NULL), SB_OK);
    assert_string_equal(reply->transport, "unix");
    assert_string_equal(reply->address, "unix:");
    assert_int_equal(reply->uid, getuid());
    assert_int_equal(reply->pid, getpid());
    probe__v1__say_reply__free_unpacked(reply, NULL);
    sb_rpc_channel_free(channel);
    fixture_stop(fixture);
}

/* Connections of this process that were accepted on a unix socket; those of other tests may still
 * be on their way out. */
static unsigned count_accepted(const char *path)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct sockaddr_un address = {0};
        int is_listener = 0;
        int fd = (int)strtol(entry->d_name, NULL, 10); /* "." is 0, and no socket */
        socklen_t len = sizeof address;
        socklen_t flag_len = sizeof is_listener;
        n += getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
             address.sun_family == AF_UNIX && strcmp(address.sun_path, path) == 0 &&
             getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listener, &flag_len) == 0 &&
             is_listener == 0;
    }
    (void)closedir(dir);
    return n;
}

struct held {
    struct sb_rpc_call *call;
};

static struct held held;

static void hold_on_start(struct sb_rpc_call *call, const ProtobufCMessage *req, void *svc)
{
    (void)req;
    (void)svc;
    sb_rpc_call_ref(call);
    held.call = call;
}

/** The descriptor's number is what a call is recognised by: it must not be free for the next
 *  connection while a call of a closed connection is still looked at. */
static void a_connection_keeps_its_number_while_a_call_of_it_exists(void **state)
{
    (void)state;
    struct event_base *base = event_base_new();
    const struct sb_rpc_server_options options = {
        .base = base, .grpc = sb_rpc_grpc_server_transport(), .grpc_threads = 1};
    static const struct sb_rpc_handler handler = {.start = hold_on_start};
    char address[160];
    char path[120];
    (void)snprintf(path, sizeof path, "%s", fixture_path("held.sock"));
    (void)snprintf(address, sizeof address, "unix:%s", path);
    struct sb_err err = {0};
    struct sb_rpc_server *server = sb_rpc_server_new(&options, &err);
    assert_non_null(server);
    const struct sb_rpc_method *method = &probe__v1__probe__methods[PROBE__V1__PROBE__METHOD_SAY];
    assert_int_equal(sb_rpc_server_add(server, method, &handler, NULL, &err), 0);
    assert_int_equal(sb_rpc_server_listen(server, address, 0600, NULL, NULL, &err), 0);
    assert_int_equal(sb_rpc_server_start(server, &err), 0);

    char target[170];
    (void)snprintf(target, sizeof target, "grpc+%s", address);
    struct sb_rpc_channel *channel = fixture_channel(target, NULL);
    held = (struct held){.call = NULL};
    static const struct sb_rpc_stream_callbacks ignore = {0};
    Probe__V1__SayRequest req = PROBE__V1__SAY_REQUEST__INIT;
    struct sb_rpc_stream *stream = NULL;
    assert_int_equal(
        sb_rpc_stream_start(channel, method, &req.base, NULL, &ignore, NULL, &stream, &err), 0);
    while (held.call == NULL) {
        (void)event_base_loop(base, EVLOOP_ONCE);
    }
    assert_int_equal(count_accepted(path), 1);
    sb_rpc_channel_free(channel);
    while (!sb_rpc_call_is_cancelled(held.call)) {
        (void)event_base_loop(base, EVLOOP_ONCE);
    }
    for (int i = 0; i < 50; i++) { /* core has every chance to close it */
        (void)event_base_loop(base, EVLOOP_NONBLOCK);
        (void)usleep(2000);
    }
    assert_int_equal(count_accepted(path), 1);
    sb_rpc_call_unref(held.call);
    for (int i = 0; i < 500 && count_accepted(path) != 0; i++) {
        (void)event_base_loop(base, EVLOOP_NONBLOCK);
        (void)usleep(2000);
    }
    assert_int_equal(count_accepted(path), 0);
    sb_rpc_server_free(server);
    event_base_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_a_port_that_another_server_has),
        cmocka_unit_test(refuses_a_unix_path_that_another_server_has),
        cmocka_unit_test(a_port_nobody_may_have_says_why),
        cmocka_unit_test(a_caller_over_a_unix_socket_is_known_by_its_credentials),
        cmocka_unit_test(a_connection_keeps_its_number_while_a_call_of_it_exists),
    };
    return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
