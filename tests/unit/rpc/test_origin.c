/* Which ends of a unix connection are taken for one of ours. */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "proto/rpc/local/origin.h"

struct place {
    int listener;
    struct sockaddr_un address; /* abstract, chosen by the kernel */
    socklen_t len;
};

static int setup(void **state)
{
    static struct place place;
    place = (struct place){.address = {.sun_family = AF_UNIX}, .len = sizeof place.address};
    place.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr *address = (struct sockaddr *)&place.address;
    assert_true(place.listener >= 0);
    assert_int_equal(bind(place.listener, address, sizeof(sa_family_t)), 0);
    assert_int_equal(getsockname(place.listener, address, &place.len), 0);
    assert_int_equal(listen(place.listener, 4), 0);
    *state = &place;
    return 0;
}

static int teardown(void **state)
{
    const struct place *place = *state;
    return close(place->listener);
}

static int join(const struct place *place)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&place->address, place->len) < 0) {
        _exit(EXIT_FAILURE);
    }
    return fd;
}

static void process_of_our_namespace_is_taken_from_both_sides(void **state)
{
    struct sb_err err;
    SB_CLEANUP(sb_closep) int near = join(*state);
    SB_CLEANUP(sb_closep) int far = accept(((struct place *)*state)->listener, NULL, NULL);
    assert_int_equal(sb_origin_check(far, &err), 0);
    assert_int_equal(sb_origin_check(near, &err), 0);
}

static void process_of_a_namespace_below_is_refused(void **state)
{
    const struct place *place = *state;
    struct sb_err err;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0) {
            _exit(77);
        }
        pid_t inner = fork();
        if (inner == 0) {
            char byte;
            int fd = join(place);
            _exit(read(fd, &byte, 1) == 0 ? EXIT_SUCCESS : EXIT_FAILURE); /* until it was judged */
        }
        _exit(inner > 0 && waitpid(inner, NULL, 0) == inner ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    int status = 0;
    siginfo_t info = {0};
    struct timeval wait = {.tv_sec = 10};
    assert_int_equal(setsockopt(place->listener, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), 0);
    int far = -1;
    do {
        far = accept4(place->listener, NULL, NULL, SOCK_CLOEXEC);
    } while (far < 0 && waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
             info.si_pid == 0);
    if (far >= 0) {
        assert_int_equal(sb_origin_check(far, &err), -1);
        assert_int_equal(err.code, SB_DENIED);
        close(far);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        skip();
    }
    assert_true(far >= 0);
}

static void process_that_has_ended_is_refused(void **state)
{
    const struct place *place = *state;
    struct sb_err err;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)join(place);
        _exit(EXIT_SUCCESS);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    SB_CLEANUP(sb_closep) int far = accept(place->listener, NULL, NULL);
    assert_true(far >= 0);
    assert_int_equal(sb_origin_check(far, &err), -1);
    assert_int_equal(err.code, SB_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(process_of_our_namespace_is_taken_from_both_sides, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(process_of_a_namespace_below_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(process_that_has_ended_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
