/* The one way out of a sandbox with a limited network, and that there is no other. */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/integration/spawner/fixture.h"

enum { PORT = SB_INIT_EGRESS_PORT };

#define CONNECT "exec 5<>/dev/tcp/"

static Spawn__V1__Plan limited_plan(void)
{
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    plan.egress_port = PORT;
    return plan;
}

/* What the child left in the control socket; -1: nothing. */
static int take_listener(const struct rig_box *box)
{
    struct sb_err err;
    struct sb_init_handover packet = {0};
    int fd = -1;
    struct sb_fd_msg msg = {.data = &packet, .cap = sizeof packet, .fds = &fd, .nfds_cap = 1};
    if (sb_fd_recv(box->ctl_fd, &msg, MSG_DONTWAIT, &err) <= 0) {
        return -1;
    }
    assert_int_equal(msg.len, sizeof packet);
    assert_int_equal(packet.type, SB_INIT_HANDOVER);
    assert_int_equal(packet.kind, SB_HANDOVER_EGRESS);
    return fd;
}

static void a_connection_from_inside_arrives_at_the_socket_that_was_handed_over(void **state)
{
    (void)state;
    Spawn__V1__Plan plan = limited_plan();
    struct rig_box box = fixture_box_of(&plan);
    SB_CLEANUP(sb_closep) int listener = take_listener(&box);
    assert_true(listener >= 0);
    assert_string_equal(
        fixture_out(&box, "bash -c '" CONNECT "127.0.0.1/3128 && echo ping >&5 && echo there'"),
        "there");
    struct pollfd wait = {.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, RIG_WAIT_MS), 1);
    SB_CLEANUP(sb_closep) int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    char text[8] = "";
    assert_int_equal(read(peer, text, sizeof text), 5);
    assert_memory_equal(text, "ping\n", 5);
    fixture_end(&box);
}

static void a_job_can_neither_accept_nor_take_the_port(void **state)
{
    (void)state;
    Spawn__V1__Plan plan = limited_plan();
    struct rig_box box = fixture_box_of(&plan);
    SB_CLEANUP(sb_closep) int listener = take_listener(&box);
    (void)listener;
    assert_string_equal(fixture_out(&box, "for fd in /proc/self/fd/*; do readlink $fd; done "
                                          "| grep -c socket || true"),
                        "0");
    static const char *const addresses[] = {"127.0.0.1", "0.0.0.0"};
    for (size_t i = 0; i < 2; i++) {
        char script[512];
        (void)snprintf(script, sizeof script,
                       "python3 -c 'import socket, errno\n"
                       "s = socket.socket()\n"
                       "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
                       "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)\n"
                       "try: s.bind((\"%s\", 3128)); print(\"bound\")\n"
                       "except OSError as e: print(errno.errorcode[e.errno])'",
                       addresses[i]);
        assert_string_equal(fixture_out(&box, script), "EADDRINUSE");
    }
    fixture_end(&box);
}

static void nothing_else_can_be_reached(void **state)
{
    (void)state;
    Spawn__V1__Plan plan = limited_plan();
    struct rig_box box = fixture_box_of(&plan);
    SB_CLEANUP(sb_closep) int listener = take_listener(&box);
    (void)listener;
    static const char *const others[] = {"192.0.2.1", "169.254.169.254", "10.0.0.1"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char script[256];
        (void)snprintf(script, sizeof script,
                       "bash -c '" CONNECT "%s/80' 2>&1 | head -1 | grep "
                       "-o 'Network is unreachable'",
                       others[i]);
        assert_string_equal(fixture_out(&box, script), "Network is unreachable");
    }
    assert_string_equal(fixture_out(&box, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '"),
                        "lo");
    fixture_end(&box);
}

static void nothing_listens_where_the_plan_has_no_port(void **state)
{
    (void)state;
    struct rig_box box = fixture_box();
    assert_int_equal(take_listener(&box), -1);
    assert_int_not_equal(fixture_status(&box, "bash -c '" CONNECT "127.0.0.1/3128' 2>/dev/null"),
                         0);
    fixture_end(&box);
}

/* ---- the proxy's process ---- */

static int ask_for_proxy(struct sb_err *err)
{
    Spawn__V1__Request request = SPAWN__V1__REQUEST__INIT;
    Spawn__V1__StartEgress body = SPAWN__V1__START_EGRESS__INIT;
    SB_CLEANUP(sb_frame_done) struct sb_frame frame = SB_FRAME_INIT;
    request.body_case = SPAWN__V1__REQUEST__BODY_START_EGRESS;
    request.start_egress = &body;
    return rig_call(fixture_rig(), &request, NULL, 0, &frame, err) < 0
               ? -1
               : sb_frame_take_fd(&frame, 0);
}

/* Its socket, when the one before has ended; a host without the program skips. */
static int start_proxy(void)
{
    struct sb_err err;
    for (int i = 0; i < RIG_WAIT_MS / 10; i++) {
        int sock = ask_for_proxy(&err);
        if (sock >= 0) {
            return sock;
        }
        if (err.code == SB_NOT_FOUND) {
            skip();
        }
        assert_int_equal(err.code, SB_UNAVAILABLE);
        (void)usleep(10000);
    }
    fail_msg("%s", err.text);
    return -1;
}

/* The child of the spawner that is called aisbx-egress; 0: there is none. */
static long find_proxy(void)
{
    char command[128];
    long pid = 0;
    (void)snprintf(command, sizeof command, "pgrep -P %d -f '^aisbx-egress' | tail -1",
                   (int)fixture_rig()->pid);
    FILE *out = popen(command, "r"); /* NOLINT(cert-env33-c): constant but for a number */
    assert_non_null(out);
    if (fscanf(out, "%ld", &pid) != 1) { /* NOLINT(cert-err34-c) */
        pid = 0;
    }
    (void)pclose(out);
    return pid;
}

static long await_proxy(void)
{
    for (int i = 0; i < RIG_WAIT_MS / 10; i++) {
        long pid = find_proxy();
        if (pid > 0) {
            return pid;
        }
        (void)usleep(10000);
    }
    fail_msg("the proxy does not start");
    return 0;
}

static void status_of(long pid, const char *key, char text[64])
{
    char path[64];
    char line[256];
    text[0] = '\0';
    (void)snprintf(path, sizeof path, "/proc/%ld/status", pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0) {
            (void)snprintf(text, 64, "%.63s", line + strlen(key));
        }
    }
    (void)fclose(file);
}

static void the_proxy_has_no_rights_and_an_id_of_its_own(void **state)
{
    (void)state;
    char text[64];
    SB_CLEANUP(sb_closep) int sock = start_proxy();
    (void)sock;
    long pid = await_proxy();
    static const char *const sets[] = {"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        status_of(pid, sets[i], text);
        assert_int_equal(strtoull(text, NULL, 16), 0);
    }
    status_of(pid, "NoNewPrivs:", text);
    assert_int_equal(strtol(text, NULL, 10), 1);
    status_of(pid, "Uid:", text);
    assert_int_not_equal(strtoul(text, NULL, 10), 0);
    if (fixture_rig()->is_root) {
        assert_int_equal(strtoul(text, NULL, 10), 0x6ffffffe);
    }
}

/* Waits for the end of file that tells of its death. */
static void await_end(int sock)
{
    char byte = 0;
    struct pollfd wait = {.fd = sock, .events = POLLIN};
    do {
        assert_int_equal(poll(&wait, 1, RIG_WAIT_MS), 1);
    } while (recv(sock, &byte, sizeof byte, 0) > 0);
}

static void a_second_proxy_waits_for_the_end_of_the_first(void **state)
{
    (void)state;
    struct sb_err err;
    SB_CLEANUP(sb_closep) int first = start_proxy();
    (void)await_proxy();
    assert_int_equal(ask_for_proxy(&err), -1);
    assert_int_equal(err.code, SB_UNAVAILABLE);
    await_end(first); /* it was told to */
    SB_CLEANUP(sb_closep) int second = start_proxy();
    struct pollfd still = {.fd = second, .events = POLLIN};
    (void)poll(&still, 1, 0);
    assert_int_equal(still.revents & POLLHUP, 0);
}

static void the_end_of_the_proxy_leaves_sandboxes_alone(void **state)
{
    (void)state;
    Spawn__V1__Plan plan = limited_plan();
    struct rig_box box = fixture_box_of(&plan);
    int sock = start_proxy();
    (void)await_proxy();
    (void)close(sock); /* it ends by itself */
    SB_CLEANUP(sb_closep) int again = start_proxy();
    (void)again;
    assert_int_equal(fixture_status(&box, "true"), 0);
    SB_CLEANUP(sb_closep) int listener = take_listener(&box);
    (void)listener;
    fixture_end(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_from_inside_arrives_at_the_socket_that_was_handed_over),
        cmocka_unit_test(a_job_can_neither_accept_nor_take_the_port),
        cmocka_unit_test(nothing_else_can_be_reached),
        cmocka_unit_test(nothing_listens_where_the_plan_has_no_port),
        cmocka_unit_test(the_proxy_has_no_rights_and_an_id_of_its_own),
        cmocka_unit_test(a_second_proxy_waits_for_the_end_of_the_first),
        cmocka_unit_test(the_end_of_the_proxy_leaves_sandboxes_alone),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
