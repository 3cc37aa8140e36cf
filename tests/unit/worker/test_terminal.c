/** What a worker makes of the terminal that an init sends, with init played by the test. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "fake.h"
#include "service/worker/exec.h"
#include "service/worker/exec_terminal.h"
#include "service/worker/sandbox.h"

enum { SLOT = 9 };

static struct sb_exec *start(struct fake *fake, int *ret_init, struct fake_job *ret_job)
{
    static char prog[] = "prog";
    static char *const args[] = {prog, NULL};
    struct sb_err err;
    struct sb_exec_terminal terminal;
    struct sb_exec *exec = NULL;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    *ret_init = fake_spawn(fake, SLOT);
    assert_int_equal(sb_exec_terminal_check(30, 0, "", "exec.terminal", &terminal, &err), 0);
    const struct sb_exec_options options = {.args = args, .n_args = 1, .terminal = &terminal};
    assert_int_equal(sb_exec_new(sandbox, &options, false, &exec, &err), 0);
    fake_take_job(*ret_init, ret_job);
    return exec;
}

static void say_started(const struct fake_job *job, const int *fd)
{
    const struct sb_init_started packet = {.type = SB_INIT_STARTED, .pid = 2};
    struct sb_err err;
    assert_true(sb_fd_send(job->sock, &packet, sizeof packet, fd, fd == NULL ? 0 : 1, &err) > 0);
}

/* The exec is killed, and nothing of what came is kept open or read. */
static void assert_refused(struct fake *fake, const int *fd)
{
    struct fake_job job;
    int init = -1;
    struct sb_exec *exec = start(fake, &init, &job);
    say_started(&job, fd);
    fake_turn(fake);
    assert_true(fake_is_told(&job, SB_INIT_KILL));
    assert_int_equal(exec->out[0].fd, -1);
    assert_int_equal(exec->in.fd, -1);
    fake_empty(&job, 1);
    fake_turn(fake);
    assert_true(sb_exec_has_ended(exec));
    assert_int_equal(exec->verdict.kind, SB_VERDICT_SIGNALED);
    fake_job_close(&job);
    close(init);
}

static void init_is_asked_for_a_terminal_of_that_size(void **state)
{
    struct fake *fake = *state;
    struct fake_job job;
    int init = -1;
    (void)start(fake, &init, &job);
    assert_int_equal(job.head.flags, SB_INIT_TERMINAL);
    assert_int_equal(job.head.rows, 30);
    assert_int_equal(job.head.columns, 80);
    fake_job_close(&job);
    close(init);
}

static void a_start_without_a_terminal_is_refused(void **state)
{
    assert_refused(*state, NULL);
}

static void what_is_no_terminal_is_refused(void **state)
{
    int pipe[2];
    struct sb_err err;
    assert_int_equal(sb_fd_pipe(pipe, &err), 0);
    assert_refused(*state, &pipe[0]);
    sb_fd_close_all(pipe, 2);
}

static void another_device_is_refused(void **state)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_refused(*state, &fd);
    close(fd);
}

/* By whatever node it was opened. */
static void a_terminal_of_the_host_is_refused(void **state)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        skip();
    }
    assert_int_equal(unlockpt(fd), 0);
    assert_refused(*state, &fd);
    close(fd);
}

static void the_other_side_of_a_terminal_is_refused(void **state)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        skip();
    }
    assert_int_equal(unlockpt(fd), 0);
    int other = open(ptsname(fd), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_refused(*state, &other);
    close(other);
    close(fd);
}

static void a_descriptor_that_nobody_asked_for_is_closed(void **state)
{
    struct fake *fake = *state;
    struct fake_job job;
    int pipe[2];
    char byte;
    struct sb_err err;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    struct sb_exec *exec = fake_exec(sandbox, false, 0);
    fake_take_job(init, &job);
    assert_int_equal(sb_fd_pipe(pipe, &err), 0);
    say_started(&job, &pipe[1]);
    close(pipe[1]);
    fake_turn(fake);
    assert_int_equal(exec->state, SB_EXEC_RUNNING);
    assert_int_equal(read(pipe[0], &byte, 1), 0); /* nobody holds the other end */
    close(pipe[0]);
    fake_job_close(&job);
    close(init);
}

static void sizes_and_names_are_checked(void **state)
{
    (void)state;
    struct sb_err err;
    struct sb_exec_terminal terminal = {.rows = 7};
    assert_int_equal(sb_exec_terminal_check(1001, 1, NULL, "f", &terminal, &err), -1);
    assert_string_equal(err.text, "f.rows: 1001 is not in 1..1000");
    assert_int_equal(sb_exec_terminal_check(1, UINT32_MAX, NULL, "f", &terminal, &err), -1);
    assert_int_equal(sb_exec_terminal_check(1, 1, "../x", "f", &terminal, &err), -1);
    assert_int_equal(terminal.rows, 7); /* untouched */
    char name[SB_TERMINAL_MAX_NAME + 2];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_int_equal(sb_exec_terminal_check(1, 1, name, "f", &terminal, &err), -1);
    name[sizeof name - 2] = '\0';
    assert_int_equal(sb_exec_terminal_check(1000, 1, name, "f", &terminal, &err), 0);
    assert_string_equal(terminal.name, name);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(init_is_asked_for_a_terminal_of_that_size),
        TEST(a_start_without_a_terminal_is_refused),
        TEST(what_is_no_terminal_is_refused),
        TEST(another_device_is_refused),
        TEST(a_terminal_of_the_host_is_refused),
        TEST(the_other_side_of_a_terminal_is_refused),
        TEST(a_descriptor_that_nobody_asked_for_is_closed),
        cmocka_unit_test(sizes_and_names_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
