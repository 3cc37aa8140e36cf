/* How programs end, with all that they started: by signals, by being killed, with their stub. */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "tests/integration/spawner/fixture.h"

static long count_sleeps(void)
{
    return strtol(fixture_out(&the_box, "pgrep -c sleep || true"), NULL, 10);
}

/* A program is "sleep" from its execve on, not from when its parent forked it. */
static void await_sleeps(long at_least, long at_most)
{
    uint64_t deadline = sb_clock_mono_ms() + RIG_WAIT_MS;
    for (long n = -1; n < at_least || n > at_most;) {
        assert_true(sb_clock_mono_ms() < deadline);
        n = count_sleeps();
    }
}

static void sends_a_signal_to_the_main_process(void **state)
{
    (void)state;
    struct sb_init_exited exited;
    int sock = fixture_start_sh(&the_box, 0, "exec sleep 1000");
    struct sb_init_signal request = {SB_INIT_SIGNAL, SIGTERM, 0};
    assert_true(send(sock, &request, sizeof request, 0) > 0);
    fixture_await(sock, SB_INIT_EXITED, &exited, sizeof exited);
    assert_int_equal(WTERMSIG(exited.wait_status), SIGTERM);
    (void)close(sock);
}

static void sends_a_signal_to_the_whole_tree(void **state)
{
    (void)state;
    struct sb_init_empty empty;
    int sock = fixture_start_sh(&the_box, 0, "setsid sleep 1000 & setsid sleep 1000 & wait");
    await_sleeps(2, 2);
    struct sb_init_signal request = {SB_INIT_SIGNAL, SIGTERM, 1};
    assert_true(send(sock, &request, sizeof request, 0) > 0);
    fixture_await(sock, SB_INIT_EMPTY, &empty, sizeof empty);
    assert_int_equal(empty.killed, 0);
    (void)close(sock);
}

/* Of many daemons the last one is a parent, which ends while the others are looked at: its child
 * must not get lost. */
static void sends_a_signal_to_the_children_of_those_that_die_of_it(void **state)
{
    (void)state;
    struct sb_init_empty empty;
    int sock = fixture_start_sh(&the_box, 0,
                                "i=0; while [ $i -lt 300 ]; do i=$((i + 1)); (sleep 1000 &); done; "
                                "(sh -c 'sleep 1000 & wait' &); exec sleep 1000");
    await_sleeps(302, 302);
    struct sb_init_signal request = {SB_INIT_SIGNAL, SIGTERM, 1};
    assert_true(send(sock, &request, sizeof request, 0) > 0);
    fixture_await(sock, SB_INIT_EMPTY, &empty, sizeof empty);
    assert_int_equal(empty.killed, 0);
    (void)close(sock);
}

/* A daemon as they come: forked twice, a session of its own, deaf to signals. */
#define DAEMON                                                                                     \
    "(trap '' TERM HUP INT; setsid sh -c 'trap \"\" TERM HUP INT; (sleep 1000 & echo up > "        \
    "/tmp/up; sleep 1000) & exit' & exit); until [ -e /tmp/up ]; do :; done; rm /tmp/up"

static void leaves_daemons_alive_after_the_main_process(void **state)
{
    (void)state;
    struct sb_init_exited exited;
    int sock = fixture_start_sh(&the_box, 0, DAEMON);
    fixture_await(sock, SB_INIT_EXITED, &exited, sizeof exited);
    assert_int_equal(exited.wait_status, 0);
    await_sleeps(2, 2);
    (void)close(sock);
}

static void kills_daemons_that_were_detached(void **state)
{
    (void)state;
    struct sb_init_exited exited;
    struct sb_init_empty empty;
    int sock = fixture_start_sh(&the_box, 0, DAEMON);
    fixture_await(sock, SB_INIT_EXITED, &exited, sizeof exited);
    fixture_kill_exec(sock);
    fixture_await(sock, SB_INIT_EMPTY, &empty, sizeof empty);
    assert_true(empty.killed >= 2);
    assert_string_equal(fixture_out(&the_box, "pgrep -c sleep || true"), "0");
    (void)close(sock);
}

static void kills_the_tree_when_its_socket_is_closed(void **state)
{
    (void)state;
    int sock = fixture_start_sh(&the_box, 0, DAEMON "; sleep 1000");
    await_sleeps(3, 3);
    (void)close(sock);
    await_sleeps(0, 0);
}

static struct rig_box box_with_processes(uint64_t n)
{
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    Spawn__V1__Rlimit limit = SPAWN__V1__RLIMIT__INIT;
    Spawn__V1__Rlimit *limits[] = {&limit};
    limit.resource = RLIMIT_NPROC;
    limit.value = n;
    plan.rlimits = limits;
    plan.n_rlimits = 1;
    return fixture_box_of(&plan);
}

#define STORM                                                                                      \
    "python3 -c 'import os, signal, sys\n"                                                         \
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"                                              \
    "while True:\n"                                                                                \
    "  try:\n"                                                                                     \
    "    if os.fork() == 0: os.setsid(), os.write(1, b\"x\")\n"                                    \
    "  except OSError: pass\n"                                                                     \
    "'"

static void await_bytes(int fd, size_t n)
{
    char bytes[64];
    for (size_t got = 0; got < n;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, RIG_WAIT_MS), 1);
        ssize_t len = read(fd, bytes, sizeof bytes);
        assert_true(len > 0);
        got += (size_t)len;
    }
}

static void stops_a_fork_storm(uint32_t flags)
{
    struct rig_box stormy = box_with_processes(64);
    struct sb_init_empty empty;
    struct sb_err err;
    const char *const argv[] = {"sh", "-c", STORM, NULL};
    const struct rig_run what = {.argv = argv, .flags = flags};
    int ends[2];
    assert_int_equal(sb_fd_pipe(ends, &err), 0);
    SB_CLEANUP(sb_closep) int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    const int stdio[] = {null_fd, ends[1], null_fd};
    int sock = rig_exec_send(&stormy, &what, stdio, &err);
    assert_true(sock >= 0);
    await_bytes(ends[0], 40);
    fixture_kill_exec(sock);
    fixture_await(sock, SB_INIT_EMPTY, &empty, sizeof empty);
    assert_true(empty.killed > 10);
    (void)close(ends[0]);
    (void)close(ends[1]);
    (void)close(sock);
    fixture_end(&stormy);
}

static void kills_a_fork_storm_below_a_stub(void **state)
{
    (void)state;
    stops_a_fork_storm(0);
}

static void kills_a_fork_storm_below_pid_1(void **state)
{
    (void)state;
    stops_a_fork_storm(SB_INIT_ONLY);
}

static void ends_the_sandbox_with_its_only_exec(void **state)
{
    (void)state;
    struct rig_box only = fixture_box();
    struct sb_init_empty empty;
    int sock = fixture_start_sh(&only, SB_INIT_ONLY, DAEMON);
    fixture_kill_exec(sock);
    fixture_await(sock, SB_INIT_EMPTY, &empty, sizeof empty);
    fixture_await_death(&only);
    (void)close(sock);
    fixture_end(&only);
}

static void ends_the_sandbox_when_its_only_exec_fails(void **state)
{
    (void)state;
    struct rig_box only = fixture_box();
    struct rig_result result;
    struct sb_err err;
    const char *const argv[] = {"no-such-command", NULL};
    const struct rig_run what = {.argv = argv, .flags = SB_INIT_ONLY};
    assert_int_equal(rig_exec(&only, &what, &result, &err), 0);
    assert_true(result.is_failed);
    fixture_await_death(&only);
    rig_result_done(&result);
    fixture_end(&only);
}

/* Bubblewrap maps one id only, and some users have no sub-ids. */
static bool init_has_an_id_of_its_own(void)
{
    return strcmp(fixture_out(&the_box, "awk '/^Uid/ { print $2 != $3 }' /proc/1/status"), "1") ==
           0;
}

static void lets_nobody_signal_a_stub_that_has_an_id_of_its_own(void **state)
{
    (void)state;
    if (!init_has_an_id_of_its_own()) {
        skip();
    }
    assert_string_equal(fixture_out(&the_box,
                                    "for signal in KILL STOP TERM CONT; do kill -$signal "
                                    "$PPID 2>/dev/null && echo $signal; done; echo alive"),
                        "alive");
    assert_string_equal(fixture_out(&the_box,
                                    "prlimit --pid $PPID --nofile=1 2>/dev/null && echo set; "
                                    "echo alive"),
                        "alive");
}

/* The job does something to its stub, and with the stub goes all that is below it. */
static void ends_with_its_stub(const char *script)
{
    char byte;
    struct sb_err err;
    const char *const argv[] = {"sh", "-c", script, NULL};
    const struct rig_run run = {.argv = argv};
    SB_CLEANUP(sb_closep) int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    const int stdio[] = {null_fd, null_fd, null_fd};
    if (init_has_an_id_of_its_own()) {
        skip();
    }
    int sock = rig_exec_send(&the_box, &run, stdio, &err);
    assert_true(sock >= 0);
    while (rig_exec_recv(sock, &byte, sizeof byte) >
           0) { /* it may die before it has said STARTED */
    }
    await_sleeps(0, 0);
    (void)close(sock);
}

static void survives_the_death_of_a_stub_and_cleans_up(void **state)
{
    (void)state;
    ends_with_its_stub("sleep 1000 & setsid sleep 1000 & kill -9 $PPID; wait");
}

/* No limit of the worker's would end it otherwise. */
static void kills_a_stub_that_the_job_stops(void **state)
{
    (void)state;
    ends_with_its_stub("sleep 1000 & setsid sleep 1000 & kill -STOP $PPID; wait");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_BOX(sends_a_signal_to_the_main_process),
        IN_BOX(sends_a_signal_to_the_whole_tree),
        IN_BOX(sends_a_signal_to_the_children_of_those_that_die_of_it),
        IN_BOX(leaves_daemons_alive_after_the_main_process),
        IN_BOX(kills_daemons_that_were_detached),
        IN_BOX(kills_the_tree_when_its_socket_is_closed),
        cmocka_unit_test(kills_a_fork_storm_below_a_stub),
        cmocka_unit_test(kills_a_fork_storm_below_pid_1),
        cmocka_unit_test(ends_the_sandbox_with_its_only_exec),
        cmocka_unit_test(ends_the_sandbox_when_its_only_exec_fails),
        IN_BOX(lets_nobody_signal_a_stub_that_has_an_id_of_its_own),
        IN_BOX(survives_the_death_of_a_stub_and_cleans_up),
        IN_BOX(kills_a_stub_that_the_job_stops),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
