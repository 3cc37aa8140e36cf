#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/fd.h"
#include "service/shared/frame.h"
#include "spawn/v1/spawn.pb-c.h"

static int ends[2];

static int open_pair(void **state)
{
    (void)state;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
}

static int close_pair(void **state)
{
    (void)state;
    sb_fd_close_all(ends, 2);
    return 0;
}

static int receive(struct sb_frame *frame, struct sb_err *err)
{
    return sb_frame_recv(ends[1], &spawn__v1__kill__descriptor, MSG_DONTWAIT, frame, err);
}

static Spawn__V1__Kill message(void)
{
    Spawn__V1__Kill kill = SPAWN__V1__KILL__INIT;
    kill.slot = 7;
    return kill;
}

static void brings_a_message_and_its_descriptors(void **state)
{
    (void)state;
    Spawn__V1__Kill kill = message();
    struct sb_frame frame = SB_FRAME_INIT;
    struct sb_err err;
    const int fds[] = {0, 1};
    assert_int_equal(sb_frame_send(ends[0], &kill.base, fds, 2, &err), 0);
    assert_int_equal(receive(&frame, &err), 1);
    assert_int_equal(((Spawn__V1__Kill *)frame.msg)->slot, 7);
    assert_int_equal(frame.nfds, 2);
    assert_true(frame.fds[0] >= 0 && frame.fds[1] >= 0);
    assert_int_equal(frame.fds[2], -1);
    assert_int_equal(fcntl(frame.fds[0], F_GETFD), FD_CLOEXEC);
    sb_frame_done(&frame);
    sb_frame_done(&frame);
}

static void closes_descriptors_that_were_not_taken(void **state)
{
    (void)state;
    Spawn__V1__Kill kill = message();
    struct sb_frame frame = SB_FRAME_INIT;
    struct sb_err err;
    const int fds[] = {0, 1};
    assert_int_equal(sb_frame_send(ends[0], &kill.base, fds, 2, &err), 0);
    assert_int_equal(receive(&frame, &err), 1);
    int left = frame.fds[1];
    int taken = sb_frame_take_fd(&frame, 0);
    assert_int_equal(sb_frame_take_fd(&frame, 0), -1);
    assert_int_equal(sb_frame_take_fd(&frame, 99), -1);
    sb_frame_done(&frame);
    assert_int_equal(fcntl(left, F_GETFD), -1);
    assert_int_equal(close(taken), 0);
}

static void says_when_the_peer_has_closed(void **state)
{
    (void)state;
    struct sb_frame frame = SB_FRAME_INIT;
    struct sb_err err;
    (void)close(ends[0]);
    ends[0] = -1;
    assert_int_equal(receive(&frame, &err), 0);
}

static void says_when_nothing_is_there(void **state)
{
    (void)state;
    struct sb_frame frame = SB_FRAME_INIT;
    struct sb_err err;
    assert_int_equal(receive(&frame, &err), -1);
    assert_int_equal(err.sys, EAGAIN);
}

static void refuses_bytes_that_are_no_message(void **state)
{
    (void)state;
    struct sb_frame frame = SB_FRAME_INIT;
    struct sb_err err;
    const int fds[] = {0};
    assert_int_equal(sb_fd_send(ends[0], "\xff\xff", 2, fds, 1, &err), 2);
    int free_fd = dup(0);
    (void)close(free_fd);
    assert_int_equal(receive(&frame, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
    int after = dup(0);
    assert_int_equal(after, free_fd); /* what came along was closed */
    (void)close(after);
}

static void refuses_too_many_descriptors(void **state)
{
    (void)state;
    Spawn__V1__Kill kill = message();
    struct sb_frame frame = SB_FRAME_INIT;
    struct sb_err err;
    const int fds[] = {0, 0, 0, 0, 0};
    assert_int_equal(sb_frame_send(ends[0], &kill.base, fds, 5, &err), -1);
    assert_int_equal(err.code, SB_EXHAUSTED);
    assert_int_equal(sb_fd_send(ends[0], "\x08\x07", 2, fds, 5, &err), 2);
    assert_int_equal(receive(&frame, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
}

static void carries_the_largest_message_and_none_larger(void **state)
{
    (void)state;
    Spawn__V1__LoadFilter filter = SPAWN__V1__LOAD_FILTER__INIT;
    struct sb_frame frame = SB_FRAME_INIT;
    struct sb_err err;
    char *name = malloc(SB_FRAME_MAX);
    assert_non_null(name);
    memset(name, 'x', SB_FRAME_MAX);
    name[SB_FRAME_MAX - 4] = '\0'; /* tag and a length of three bytes */
    filter.name = name;
    assert_int_equal(sb_frame_send(ends[0], &filter.base, NULL, 0, &err), 0);
    assert_int_equal(
        sb_frame_recv(ends[1], &spawn__v1__load_filter__descriptor, MSG_DONTWAIT, &frame, &err), 1);
    sb_frame_done(&frame);
    name[SB_FRAME_MAX - 4] = 'x';
    name[SB_FRAME_MAX - 3] = '\0';
    assert_int_equal(sb_frame_send(ends[0], &filter.base, NULL, 0, &err), -1);
    assert_int_equal(err.code, SB_EXHAUSTED);
    free(name);
}

static void refuses_a_message_without_bytes(void **state)
{
    (void)state;
    Spawn__V1__Kill kill = SPAWN__V1__KILL__INIT;
    struct sb_err err;
    assert_int_equal(sb_frame_send(ends[0], &kill.base, NULL, 0, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
}

int main(void)
{
#define WITH_PAIR(test) cmocka_unit_test_setup_teardown(test, open_pair, close_pair)
    const struct CMUnitTest tests[] = {
        WITH_PAIR(brings_a_message_and_its_descriptors),
        WITH_PAIR(closes_descriptors_that_were_not_taken),
        WITH_PAIR(says_when_the_peer_has_closed),
        WITH_PAIR(says_when_nothing_is_there),
        WITH_PAIR(refuses_bytes_that_are_no_message),
        WITH_PAIR(refuses_too_many_descriptors),
        WITH_PAIR(carries_the_largest_message_and_none_larger),
        WITH_PAIR(refuses_a_message_without_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
