/* Children that share the memory of this program, by the real table walker of sandboxes and with
 * steps of the test's own. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "service/spawner/cgroup.h"
#include "service/spawner/child.h"
#include "service/spawner/driver.h"
#include "service/spawner/identity.h"
#include "service/spawner/lane.h"
#include "service/spawner/ns.h"
#include "service/spawner/process.h"

enum { N_STEPS = 3, N_PAIR = 2, WAIT_MS = 20000 };

static struct sb_lanes lanes;
static const struct sb_cgroup no_group;
static int gate[2]; /* of one step */

/* One child. */
struct launch {
    struct sb_child child;
    pid_t pid;
    int pidfd;
    int report_fd; /* the parent's ends */
    int sync_fd;
    int ends[3]; /* the child's */
    int fails_at;
    int done; /* steps */
    int sys;  /* of a clone that failed */
};

static struct launch *of(struct sb_child *child)
{
    return (struct launch *)child; /* its first member */
}

static int work(struct sb_child *child, struct sb_err *err)
{
    struct launch *launch = of(child);
    return launch->done++ == launch->fails_at ? sb_err_set(err, SB_RANGE, "as the test wants") : 0;
}

static int hang(struct sb_child *child, struct sb_err *err)
{
    char byte = 0;
    return read(child->sync_fd, &byte, 1) == 1 ? 0 : sb_err_sys(err, errno, "read");
}

static int change_all_that_is_its_own(struct sb_child *child, struct sb_err *err)
{
    (void)child;
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t none;
    (void)sigemptyset(&none);
    if (chdir("/") < 0 || close_range(3, ~0U, 0) < 0 || setsid() < 0 ||
        sigaction(SIGUSR1, &ignore, NULL) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0) {
        return sb_err_sys(err, errno, "change");
    }
    errno = ENOTUNIQ;
    return 0;
}

/* As a spawner does that dies before the child is tied to it. */
static int untie(struct sb_child *child, struct sb_err *err)
{
    (void)child;
    return prctl(PR_SET_PDEATHSIG, 0) < 0 ? sb_err_sys(err, errno, "prctl") : 0;
}

static int pass_gate(struct sb_child *child, struct sb_err *err)
{
    (void)child;
    char byte = 0;
    return read(gate[0], &byte, 1) == 1 ? 0 : sb_err_sys(err, errno, "read");
}

static int leave(struct sb_child *child, struct sb_err *err)
{
    (void)child;
    (void)execl("/bin/true", "true", NULL);
    return sb_err_sys(err, errno, "exec");
}

static const struct sb_driver_step failing_steps[] = {
    {"one", work}, {"two", work}, {"three", work}, {"init", leave}, {NULL, NULL}};
static const struct sb_driver_step hanging_steps[] = {
    {"hang", hang}, {"init", leave}, {NULL, NULL}};
static const struct sb_driver_step changing_steps[] = {
    {"change", change_all_that_is_its_own}, {"init", leave}, {NULL, NULL}};

static const struct sb_driver_step waiting_steps[] = {
    {"wait", sb_identity_wait}, {"init", leave}, {NULL, NULL}};
static const struct sb_driver_step untied_steps[] = {
    {"untie", untie}, {"wait", sb_identity_wait}, {"init", leave}, {NULL, NULL}};
static const struct sb_driver_step late_steps[] = {
    {"untie", untie}, {"gate", pass_gate}, {"tie", sb_process_tie}, {"init", leave}, {NULL, NULL}};

static const struct sb_driver failing = {.steps = failing_steps};
static const struct sb_driver hanging = {.steps = hanging_steps};
static const struct sb_driver changing = {.steps = changing_steps};
static const struct sb_driver orphans[] = {
    {.steps = waiting_steps}, {.steps = untied_steps}, {.steps = late_steps}};

static void run(void *arg)
{
    sb_child_run(arg);
}

static void failed(void *arg, int sys)
{
    struct launch *launch = arg;
    launch->sys = sys;
    (void)!write(launch->ends[1], "-", 1);
}

static void prepare(struct launch *launch, const struct sb_driver *driver, int fails_at)
{
    int sync[2];
    int report[2];
    assert_int_equal(pipe(sync), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, report), 0);
    *launch = (struct launch){
        .child = {.driver = driver,
                  .cgroup = &no_group,
                  .sync_fd = sync[0],
                  .spawner_fd = sync[1],
                  .parent_fd = pidfd_open(getpid(), 0),
                  .report_fd = report[1]},
        .pidfd = -1,
        .report_fd = report[0],
        .sync_fd = sync[1],
        .ends = {sync[0], report[1], -1},
        .fails_at = fails_at,
    };
    assert_true(launch->child.parent_fd >= 0);
    launch->ends[2] = launch->child.parent_fd;
}

/* Whether a lane took it. */
static bool clone_it(struct launch *launch, uint64_t flags)
{
    const struct sb_lane_job job = {
        .args = sb_ns_clone_args(flags, -1, &launch->pid, &launch->pidfd),
        .run = run,
        .failed = failed,
        .arg = launch,
    };
    return sb_lanes_clone(&lanes, &job) == 0;
}

static bool
start_with(struct launch *launch, const struct sb_driver *driver, uint64_t flags, int fails_at)
{
    prepare(launch, driver, fails_at);
    return clone_it(launch, flags);
}

static bool start(struct launch *launch, const struct sb_driver *driver)
{
    return start_with(launch, driver, 0, N_STEPS);
}

static char greeting(struct launch *launch)
{
    char byte = 0;
    assert_int_equal(read(launch->report_fd, &byte, 1), 1);
    sb_fd_close_all(launch->ends, 3);
    return byte;
}

/* To the end; returns the wait status. */
static int end(struct launch *launch)
{
    int status = -1;
    if (launch->pid > 0) {
        assert_int_equal(waitpid(launch->pid, &status, 0), launch->pid);
    }
    sb_fd_close_all(launch->ends, 3);
    sb_fd_close_all(&launch->pidfd, 1);
    sb_fd_close_all(&launch->report_fd, 1);
    sb_fd_close_all(&launch->sync_fd, 1);
    return status;
}

static int stop(void **state)
{
    (void)state;
    sb_lanes_done(&lanes);
    return 0;
}

/* Where a child cannot share memory, the spawner goes another way. */
static void needs_lanes(void)
{
#ifdef SB_SANITIZED
    skip();
#endif
}

static void a_child_works_in_our_memory_until_it_is_another_program(void **state)
{
    (void)state;
    struct launch launch;
    needs_lanes();
    assert_true(start(&launch, &failing));
    assert_int_equal(greeting(&launch), SB_CHILD_IS);
    char byte = 0;
    assert_int_equal(read(launch.report_fd, &byte, 1), 0);
    assert_int_equal(launch.done, N_STEPS);
    assert_int_equal(end(&launch), 0);
}

static void a_child_tells_the_step_at_which_it_fails(void **state)
{
    (void)state;
    needs_lanes();
    for (int i = 0; i < N_STEPS; i++) {
        struct launch launch;
        struct sb_child_report report;
        size_t len = 0;
        struct sb_err err;
        assert_true(start_with(&launch, &failing, 0, i));
        assert_int_equal(greeting(&launch), SB_CHILD_IS);
        assert_int_equal(sb_fd_read_full(launch.report_fd, &report, sizeof report, &len, &err), 0);
        assert_int_equal(len, sizeof report);
        assert_string_equal(report.step, failing_steps[i].name);
        assert_int_equal(report.err.code, SB_RANGE);
        assert_int_equal(WEXITSTATUS(end(&launch)), 1);
    }
}

static void a_clone_that_fails_is_told(void **state)
{
    (void)state;
    struct launch launch;
    needs_lanes();
    assert_true(start_with(&launch, &failing, CLONE_FS | CLONE_NEWNS, N_STEPS)); /* not together */
    assert_int_equal(greeting(&launch), '-');
    assert_int_equal(launch.sys, EINVAL);
    assert_int_equal(launch.pid, 0);
    assert_int_equal(launch.done, 0);
    (void)end(&launch);
}

static void one_that_hangs_holds_up_no_other(void **state)
{
    (void)state;
    struct launch stuck;
    struct launch other;
    needs_lanes();
    assert_true(start(&stuck, &hanging));
    assert_int_equal(greeting(&stuck), SB_CHILD_IS);
    for (int i = 0; i < 3; i++) {
        assert_true(start(&other, &failing));
        assert_int_equal(greeting(&other), SB_CHILD_IS);
        assert_int_equal(end(&other), 0);
    }
    assert_int_equal(waitpid(stuck.pid, NULL, WNOHANG), 0);
    assert_int_equal(kill(stuck.pid, SIGKILL), 0);
    assert_int_equal(WTERMSIG(end(&stuck)), SIGKILL);
}

static void there_are_no_more_children_than_lanes(void **state)
{
    (void)state;
    static struct launch stuck[SB_LANES_MAX + 1];
    needs_lanes();
    for (int i = 0; i < SB_LANES_MAX; i++) {
        assert_true(start(&stuck[i], &hanging));
        assert_int_equal(greeting(&stuck[i]), SB_CHILD_IS);
    }
    assert_false(start(&stuck[SB_LANES_MAX], &hanging));
    (void)end(&stuck[SB_LANES_MAX]);
    for (int i = 0; i < SB_LANES_MAX; i++) {
        assert_int_equal(write(stuck[i].sync_fd, "g", 1), 1);
        assert_int_equal(end(&stuck[i]), 0);
    }
    /* A lane is free a moment after the kernel has let it go. */
    while (!start(&stuck[0], &failing)) {
        (void)end(&stuck[0]);
    }
    assert_int_equal(greeting(&stuck[0]), SB_CHILD_IS);
    assert_int_equal(end(&stuck[0]), 0);
    assert_int_equal(lanes.n, SB_LANES_MAX);
}

static void what_is_the_childs_own_stays_so(void **state)
{
    (void)state;
    struct launch launch;
    char before[4096];
    char after[4096];
    struct sigaction action;
    pid_t session = getsid(0);
    needs_lanes();
    assert_int_equal(chdir("/tmp"), 0);
    assert_non_null(getcwd(before, sizeof before));
    errno = 0;
    assert_true(start(&launch, &changing));
    assert_int_equal(greeting(&launch), SB_CHILD_IS);
    assert_int_equal(end(&launch), 0);
    assert_int_equal(errno, 0);
    assert_non_null(getcwd(after, sizeof after));
    assert_string_equal(before, after);
    assert_int_equal(getsid(0), session);
    assert_int_equal(sigaction(SIGUSR1, NULL, &action), 0);
    assert_ptr_equal(action.sa_handler, SIG_DFL);
}

/* A spawner with two children that were cloned at the same time, so that each has a copy of the end
 * that the other waits at. */
static _Noreturn void be_spawner(const struct sb_driver *driver, int tell_fd)
{
    struct launch pair[N_PAIR];
    for (int i = 0; i < N_PAIR; i++) {
        prepare(&pair[i], driver, N_STEPS);
    }
    for (int i = 0; i < N_PAIR; i++) {
        char byte = 0;
        if (!clone_it(&pair[i], 0) || read(pair[i].report_fd, &byte, 1) != 1 ||
            byte != SB_CHILD_IS || write(tell_fd, &pair[i].pid, sizeof(pid_t)) < 0) {
            _exit(1);
        }
    }
    for (;;) {
        (void)pause();
    }
}

/* Of children of ours that end in time; those that became a program count as left. */
static int count_left(const pid_t pids[N_PAIR])
{
    int left = 0;
    for (int i = 0; i < N_PAIR; i++) {
        uint64_t deadline = sb_clock_mono_ms() + WAIT_MS;
        int status = 0;
        pid_t got = 0;
        while ((got = waitpid(pids[i], &status, WNOHANG)) == 0 && sb_clock_mono_ms() < deadline) {
            (void)usleep(1000);
        }
        left += got != pids[i] || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
        if (got == 0) {
            (void)kill(pids[i], SIGKILL);
            (void)waitpid(pids[i], NULL, 0);
        }
    }
    return left;
}

static void none_outlives_a_spawner_that_is_killed(void **state)
{
    (void)state;
    needs_lanes();
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    for (size_t i = 0; i < sizeof orphans / sizeof *orphans; i++) {
        pid_t pids[N_PAIR];
        int told[2];
        assert_int_equal(pipe2(told, O_CLOEXEC), 0);
        assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
        pid_t spawner = fork();
        if (spawner == 0) {
            be_spawner(&orphans[i], told[1]);
        }
        for (int k = 0; k < N_PAIR; k++) {
            assert_int_equal(read(told[0], &pids[k], sizeof(pid_t)), sizeof(pid_t));
        }
        assert_int_equal(kill(spawner, SIGKILL), 0);
        assert_int_equal(waitpid(spawner, NULL, 0), spawner);
        assert_int_equal(write(gate[1], "go", N_PAIR), N_PAIR);
        assert_int_equal(count_left(pids), 0);
        sb_fd_close_all(told, 2);
        sb_fd_close_all(gate, 2);
    }
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_child_works_in_our_memory_until_it_is_another_program, stop),
        cmocka_unit_test_teardown(a_child_tells_the_step_at_which_it_fails, stop),
        cmocka_unit_test_teardown(a_clone_that_fails_is_told, stop),
        cmocka_unit_test_teardown(one_that_hangs_holds_up_no_other, stop),
        cmocka_unit_test_teardown(there_are_no_more_children_than_lanes, stop),
        cmocka_unit_test_teardown(what_is_the_childs_own_stays_so, stop),
        cmocka_unit_test_teardown(none_outlives_a_spawner_that_is_killed, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
