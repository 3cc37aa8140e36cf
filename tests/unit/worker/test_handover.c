#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/fd.h"
#include "service/worker/handover.h"

struct rig {
    int ours;
    int theirs;
    struct sb_handover handover;
};

static int set_up(void **state)
{
    static struct rig rig;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    rig.ours = pair[0];
    rig.theirs = pair[1];
    sb_handover_init(&rig.handover);
    *state = &rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    sb_handover_done(&rig->handover);
    (void)close(rig->ours);
    if (rig->theirs >= 0) {
        (void)close(rig->theirs);
    }
    return 0;
}

static void give(const struct rig *rig, uint32_t type, uint32_t kind, size_t n_fds)
{
    const struct sb_init_handover packet = {.type = type, .kind = kind};
    struct sb_err err;
    int pipes[2];
    assert_int_equal(sb_fd_pipe(pipes, &err), 0);
    assert_int_equal(sb_fd_send(rig->theirs, &packet, sizeof packet, pipes, n_fds, &err),
                     sizeof packet);
    sb_fd_close_all(pipes, 2);
}

static void nothing_need_be_there(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    assert_int_equal(sb_handover_read(&rig->handover, rig->ours, &err), 0);
    (void)close(rig->theirs);
    rig->theirs = -1;
    assert_int_equal(sb_handover_read(&rig->handover, rig->ours, &err), 0);
    assert_int_equal(sb_handover_take(&rig->handover, SB_HANDOVER_NOTIFY), -1);
}

static void each_kind_is_taken_once(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    give(rig, SB_INIT_HANDOVER, SB_HANDOVER_EGRESS, 1);
    give(rig, SB_INIT_HANDOVER, SB_HANDOVER_NOTIFY, 1);
    assert_int_equal(sb_handover_read(&rig->handover, rig->ours, &err), 0);
    int egress = sb_handover_take(&rig->handover, SB_HANDOVER_EGRESS);
    assert_true(fcntl(egress, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(sb_handover_take(&rig->handover, SB_HANDOVER_EGRESS), -1);
    int left = rig->handover.fds[SB_HANDOVER_NOTIFY];
    assert_true(left >= 0);
    sb_handover_done(&rig->handover);
    assert_int_equal(fcntl(left, F_GETFD), -1);
    (void)close(egress);
}

static void nonsense_is_refused(void **state)
{
    static const struct {
        uint32_t type, kind;
        size_t n_fds;
    } rows[] = {
        {SB_INIT_EXEC, SB_HANDOVER_NOTIFY, 1},     {SB_INIT_HANDOVER, 0, 1},
        {SB_INIT_HANDOVER, SB_HANDOVER_KINDS, 1},  {SB_INIT_HANDOVER, SB_HANDOVER_NOTIFY, 0},
        {SB_INIT_HANDOVER, SB_HANDOVER_NOTIFY, 2},
    };
    struct rig *rig = *state;
    struct sb_err err;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        give(rig, rows[i].type, rows[i].kind, rows[i].n_fds);
        assert_int_equal(sb_handover_read(&rig->handover, rig->ours, &err), -1);
        assert_int_equal(sb_handover_take(&rig->handover, SB_HANDOVER_NOTIFY), -1);
    }
}

static void a_kind_that_comes_twice_is_refused(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    give(rig, SB_INIT_HANDOVER, SB_HANDOVER_NOTIFY, 1);
    give(rig, SB_INIT_HANDOVER, SB_HANDOVER_NOTIFY, 1);
    assert_int_equal(sb_handover_read(&rig->handover, rig->ours, &err), -1);
    assert_int_equal(err.code, SB_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_need_be_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_kind_is_taken_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nonsense_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_kind_that_comes_twice_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
