#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "cli/streams.h"
#include "testing.h"

/* Descriptors 0, 1, 2 are replaced during a test and put back after it. */
struct world {
    int saved[3];
    struct sb_streams streams;
    struct sb_err err;
};

static int setup(void **state)
{
    static struct world world;
    world = (struct world){0};
    for (int i = 0; i < 3; i++) {
        world.saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 100);
    }
    sb_streams_init(&world.streams);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    sb_streams_done(&world->streams);
    for (int i = 0; i < 3; i++) {
        (void)dup2(world->saved[i], i);
        (void)close(world->saved[i]);
    }
    return 0;
}

/* An unlinked file that holds text, read from its start. */
static int file_with(const char *text, int flags)
{
    char path[] = "/tmp/aisbx-test-streams.XXXXXX";
    int writer = mkstemp(path);
    assert_true(writer >= 0);
    assert_int_equal(write(writer, text, strlen(text)), strlen(text));
    int fd = open(path, O_RDWR | O_CLOEXEC | flags);
    (void)close(writer);
    (void)unlink(path);
    assert_true(fd >= 0);
    return fd;
}

static void use(int fd, int as)
{
    (void)fflush(NULL);
    assert_int_equal(dup2(fd, as), as);
    (void)close(fd);
}

static void turn(struct world *world)
{
    struct pollfd fds[SB_STREAMS_POLL_MAX];
    int timeout_ms = 1000;
    size_t n = sb_streams_prepare(&world->streams, fds, &timeout_ms);
    assert_true(poll(fds, n, timeout_ms) >= 0);
    sb_streams_step(&world->streams, fds, n);
}

static void flags_of_our_pipes_are_not_the_programs_to_change(void **state)
{
    struct world *world = *state;
    int in[2];
    int out[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    use(in[0], STDIN_FILENO);
    use(out[1], STDOUT_FILENO);
    assert_int_equal(sb_streams_plan(&world->streams, false, &world->err), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fcntl(world->streams.passed[i], F_SETFL, O_NONBLOCK), 0);
        assert_int_equal(fcntl(i, F_GETFL) & O_NONBLOCK, 0);
    }
    /* As root what is not read stays in our pipe. */
    assert_int_equal(world->streams.pumps[0].from == -1, geteuid() == 0);
    (void)close(in[1]);
    (void)close(out[0]);
}

static void both_outputs_to_one_pipe_keep_their_order(void **state)
{
    struct world *world = *state;
    char got[16] = "";
    int out[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(dup2(out[1], STDERR_FILENO), STDERR_FILENO);
    use(out[1], STDOUT_FILENO);
    assert_int_equal(sb_streams_plan(&world->streams, true, &world->err), 0);
    assert_int_equal(write(world->streams.passed[1], "a", 1), 1);
    assert_int_equal(write(world->streams.passed[2], "b", 1), 1);
    assert_int_equal(write(world->streams.passed[1], "c", 1), 1);
    sb_streams_drain(&world->streams, true, -1);
    assert_int_equal(read(out[0], got, sizeof got), 3);
    assert_string_equal(got, "abc");
    (void)close(out[0]);
}

static void what_is_over_the_limit_is_counted_and_left_out(int ends[2], void **state)
{
    struct world *world = *state;
    char got[16] = "";
    use(ends[1], STDOUT_FILENO);
    assert_int_equal(sb_streams_plan(&world->streams, true, &world->err), 0);
    sb_streams_limit(&world->streams, 5);
    assert_int_equal(write(world->streams.passed[1], "123456789", 9), 9);
    sb_streams_drain(&world->streams, true, -1);
    assert_int_equal(read(ends[0], got, sizeof got), 5);
    assert_string_equal(got, "12345");
    assert_int_equal(world->streams.pumps[1].dropped, 4);
    (void)close(ends[0]);
}

static void a_pipe_gets_no_more_than_the_limit(void **state)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    what_is_over_the_limit_is_counted_and_left_out(ends, state);
}

static void a_socket_gets_no_more_than_the_limit(void **state)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    what_is_over_the_limit_is_counted_and_left_out(ends, state);
}

static void a_file_gets_no_more_than_the_limit(void **state)
{
    int file = file_with("", O_APPEND);
    int ends[2] = {fcntl(file, F_DUPFD_CLOEXEC, 50), fcntl(file, F_DUPFD_CLOEXEC, 50)};
    (void)close(file);
    int look = open("/proc/self/fd/50", O_RDONLY | O_CLOEXEC);
    assert_true(look >= 0);
    (void)close(ends[0]);
    ends[0] = look;
    what_is_over_the_limit_is_counted_and_left_out(ends, state);
}

/* Fills our pipe, so that its reader would have to come first. */
static void a_slow_reader_can_be_given_up(void **state)
{
    struct world *world = *state;
    static char block[64 << 10];
    int out[2];
    int stop[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(stop, O_CLOEXEC), 0);
    assert_int_equal(write(out[1], block, sizeof block), sizeof block);
    use(out[1], STDOUT_FILENO);
    assert_int_equal(sb_streams_plan(&world->streams, true, &world->err), 0);
    assert_int_equal(write(world->streams.passed[1], "x", 1), 1);
    assert_int_equal(write(stop[1], "x", 1), 1);
    sb_streams_drain(&world->streams, true, stop[0]);
    assert_int_equal(world->streams.pumps[1].from, -1);
    (void)close(out[0]);
    (void)close(stop[0]);
    (void)close(stop[1]);
}

static void a_program_meets_the_end_of_our_reader(void **state)
{
    struct world *world = *state;
    int out[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    use(out[1], STDOUT_FILENO);
    assert_int_equal(sb_streams_plan(&world->streams, true, &world->err), 0);
    int program = fcntl(world->streams.passed[1], F_DUPFD_CLOEXEC, 50);
    sb_streams_release(&world->streams);
    (void)close(out[0]);
    turn(world);
    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(write(program, "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    (void)close(program);
}

static void null_is_passed(void **state)
{
    struct world *world = *state;
    use(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
    assert_int_equal(sb_streams_plan(&world->streams, false, &world->err), 0);
    assert_int_equal(world->streams.pumps[0].from, -1);
}

static void other_devices_and_files_are_not_passed(void **state)
{
    struct world *world = *state;
    use(open("/dev/zero", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
    use(file_with("", 0), STDOUT_FILENO);
    assert_int_equal(sb_streams_plan(&world->streams, false, &world->err), 0);
    struct stat in;
    struct stat out;
    assert_int_equal(fstat(world->streams.passed[0], &in), 0);
    assert_int_equal(fstat(world->streams.passed[1], &out), 0);
    assert_true(S_ISFIFO(in.st_mode));
    assert_true(S_ISFIFO(out.st_mode));
}

static void a_closed_stream_becomes_null(void **state)
{
    struct world *world = *state;
    (void)close(STDIN_FILENO);
    assert_int_equal(sb_streams_plan(&world->streams, false, &world->err), 0);
    char byte;
    assert_int_equal(read(world->streams.passed[0], &byte, 1), 0);
}

static void a_file_reaches_the_program_and_ends(void **state)
{
    struct world *world = *state;
    char got[16] = "";
    use(file_with("hello", 0), STDIN_FILENO);
    assert_int_equal(sb_streams_plan(&world->streams, false, &world->err), 0);
    int program = dup(world->streams.passed[0]);
    sb_streams_release(&world->streams);
    while (world->streams.pumps[0].from >= 0) {
        turn(world);
    }
    assert_int_equal(read(program, got, sizeof got), 5);
    assert_string_equal(got, "hello");
    assert_int_equal(read(program, got, sizeof got), 0);
    (void)close(program);
}

static void output_reaches_our_file(int flags, void **state)
{
    struct world *world = *state;
    char got[32] = "";
    int file = file_with("old ", flags);
    int look = fcntl(file, F_DUPFD_CLOEXEC, 50);
    if (flags == 0) {
        assert_int_equal(lseek(file, 4, SEEK_SET), 4);
    }
    use(file, STDOUT_FILENO);
    assert_int_equal(sb_streams_plan(&world->streams, true, &world->err), 0);
    int program = dup(world->streams.passed[1]);
    sb_streams_release(&world->streams);
    assert_int_equal(write(program, "one ", 4), 4);
    turn(world);
    assert_int_equal(write(program, "two", 3), 3);
    sb_streams_drain(&world->streams, true, -1); /* although a writer is left */
    (void)close(program);
    assert_int_equal(pread(look, got, sizeof got - 1, 0), 11);
    assert_string_equal(got, "old one two");
    assert_int_equal(sb_streams_check(&world->streams, &world->err), 0);
    (void)close(look);
}

static void output_reaches_a_file(void **state)
{
    output_reaches_our_file(0, state);
}

static void output_reaches_a_file_in_append_mode(void **state)
{
    output_reaches_our_file(O_APPEND, state);
}

static void a_full_disk_is_reported(void **state)
{
    struct world *world = *state;
    use(open("/dev/full", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
    assert_int_equal(sb_streams_plan(&world->streams, true, &world->err), 0);
    int program = dup(world->streams.passed[1]);
    sb_streams_release(&world->streams);
    assert_int_equal(write(program, "x", 1), 1);
    sb_streams_drain(&world->streams, true, -1);
    (void)close(program);
    assert_int_equal(sb_streams_check(&world->streams, &world->err), -1);
    assert_int_equal(world->err.sys, ENOSPC);
}

static void nothing_is_read_before_the_program_has_its_streams(void **state)
{
    struct world *world = *state;
    struct pollfd fds[SB_STREAMS_POLL_MAX];
    int timeout_ms = -1;
    use(file_with("hello", 0), STDIN_FILENO);
    assert_int_equal(sb_streams_plan(&world->streams, false, &world->err), 0);
    assert_int_equal(sb_streams_prepare(&world->streams, fds, &timeout_ms), 0);
    assert_int_equal(timeout_ms, -1);
}

static void without_a_plan_nothing_of_ours_is_touched(void **state)
{
    struct world *world = *state;
    use(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
    sb_streams_drain(&world->streams, true, -1);
    sb_streams_done(&world->streams);
    assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0);
    assert_int_equal(sb_streams_check(&world->streams, &world->err), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(null_is_passed),
        TEST(flags_of_our_pipes_are_not_the_programs_to_change),
        TEST(both_outputs_to_one_pipe_keep_their_order),
        TEST(a_pipe_gets_no_more_than_the_limit),
        TEST(a_socket_gets_no_more_than_the_limit),
        TEST(a_file_gets_no_more_than_the_limit),
        TEST(a_slow_reader_can_be_given_up),
        TEST(a_program_meets_the_end_of_our_reader),
        TEST(other_devices_and_files_are_not_passed),
        TEST(a_closed_stream_becomes_null),
        TEST(a_file_reaches_the_program_and_ends),
        TEST(output_reaches_a_file),
        TEST(output_reaches_a_file_in_append_mode),
        TEST(a_full_disk_is_reported),
        TEST(without_a_plan_nothing_of_ours_is_touched),
        TEST(nothing_is_read_before_the_program_has_its_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
