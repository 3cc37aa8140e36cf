#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"

struct fixture {
    int pair[2];
    char dir[32];
    struct sb_buf buf;
    struct sb_err err;
};

static int set_up(void **state, int type)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (f == NULL || socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, f->pair) < 0) {
        free(f);
        return -1;
    }
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/sb-test-fd-XXXXXX");
    sb_buf_init(&f->buf, 1 << 20);
    *state = f;
    return mkdtemp(f->dir) == NULL ? -1 : 0;
}

static int set_up_seqpacket(void **state)
{
    return set_up(state, SOCK_SEQPACKET);
}

static int set_up_stream(void **state)
{
    return set_up(state, SOCK_STREAM);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char path[64];
    (void)snprintf(path, sizeof path, "%s/file", f->dir);
    (void)unlink(path);
    (void)rmdir(f->dir);
    sb_fd_close_all(f->pair, 2);
    sb_buf_done(&f->buf);
    free(f);
    return 0;
}

/* Descriptors this process has open, so that a leak shows. */
static int count_open(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++) {
        count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    }
    return count;
}

static void write_file(const struct fixture *f, const char *data, size_t len)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/file", f->dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    (void)close(fd);
}

static int open_dir(const struct fixture *f)
{
    int fd = open(f->dir, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static int read_back(struct fixture *f, const char *name, size_t max)
{
    int dir = open_dir(f);
    int result = sb_fd_read_file(dir, name, max, &f->buf, &f->err);
    (void)close(dir);
    return result;
}

static void pipes_are_closed_on_exec_and_carry_bytes(void **state)
{
    struct fixture *f = *state;
    int fds[2];
    assert_int_equal(sb_fd_pipe(fds, &f->err), 0);
    assert_true((fcntl(fds[0], F_GETFD) & FD_CLOEXEC) != 0);
    assert_true((fcntl(fds[1], F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(sb_fd_write_full(fds[1], "hello", 5, &f->err), 0);
    (void)close(fds[1]);
    char data[16];
    size_t len = 0;
    assert_int_equal(sb_fd_read_full(fds[0], data, sizeof data, &len, &f->err), 0);
    assert_int_equal(len, 5);
    assert_memory_equal(data, "hello", 5);
    (void)close(fds[0]);
}

static void read_full_stops_at_the_length(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(sb_fd_write_full(f->pair[0], "ab", 2, &f->err), 0);
    assert_int_equal(sb_fd_write_full(f->pair[0], "cdef", 4, &f->err), 0);
    char data[4];
    size_t len = 0;
    assert_int_equal(sb_fd_read_full(f->pair[1], data, sizeof data, &len, &f->err), 0);
    assert_int_equal(len, 4);
    assert_memory_equal(data, "abcd", 4);
}

static void bad_descriptors_are_errors(void **state)
{
    struct fixture *f = *state;
    char byte = 0;
    size_t len = 9;
    assert_int_equal(sb_fd_read_full(-1, &byte, 1, &len, &f->err), -1);
    assert_int_equal(f->err.sys, EBADF);
    assert_int_equal(len, 9);
    assert_int_equal(sb_fd_write_full(-1, &byte, 1, &f->err), -1);
    assert_int_equal(sb_fd_nonblock(-1, &f->err), -1);
    assert_int_equal(sb_fd_send(-1, &byte, 1, NULL, 0, &f->err), -1);
    struct sb_fd_msg msg = {.data = &byte, .cap = 1};
    assert_int_equal(sb_fd_recv(-1, &msg, 0, &f->err), -1);
    assert_int_equal(f->err.sys, EBADF);
}

static void nonblock_makes_reads_return(void **state)
{
    struct fixture *f = *state;
    char byte = 0;
    assert_int_equal(sb_fd_nonblock(f->pair[0], &f->err), 0);
    struct sb_fd_msg msg = {.data = &byte, .cap = 1};
    assert_int_equal(sb_fd_recv(f->pair[0], &msg, 0, &f->err), -1);
    assert_int_equal(f->err.sys, EAGAIN);
}

static void read_file_appends_the_contents(void **state)
{
    struct fixture *f = *state;
    char big[40000];
    memset(big, 'x', sizeof big);
    write_file(f, big, sizeof big);
    assert_int_equal(sb_buf_append_str(&f->buf, SB_STR("head:")), 0);
    assert_int_equal(read_back(f, "file", sizeof big), 0);
    assert_int_equal(f->buf.len, sizeof big + 5);
    assert_memory_equal(sb_buf_cstr(&f->buf), "head:xxx", 8);
}

static void read_file_takes_proc_files_of_size_zero(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(sb_fd_read_file(AT_FDCWD, "/proc/self/stat", 4096, &f->buf, &f->err), 0);
    assert_true(f->buf.len > 10);
}

static void read_file_refuses_a_longer_file_and_leaves_the_buffer(void **state)
{
    struct fixture *f = *state;
    write_file(f, "12345", 5);
    assert_int_equal(sb_buf_append_str(&f->buf, SB_STR("head:")), 0);
    assert_int_equal(read_back(f, "file", 4), -1);
    assert_int_equal(f->err.code, SB_EXHAUSTED);
    assert_string_equal(f->err.text, "file is longer than 4 bytes");
    assert_string_equal(sb_buf_cstr(&f->buf), "head:");
    assert_int_equal(read_back(f, "file", 5), 0);
}

static void read_file_stops_at_the_maximum_of_the_buffer(void **state)
{
    struct fixture *f = *state;
    write_file(f, "12345", 5);
    f->buf.max = 4;
    assert_int_equal(read_back(f, "file", 1000), -1);
    assert_string_equal(f->err.text, "file is longer than 4 bytes");
    f->buf.max = 5;
    assert_int_equal(read_back(f, "file", 1000), 0);
}

static void read_file_names_what_is_missing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_back(f, "absent", 10), -1);
    assert_int_equal(f->err.code, SB_NOT_FOUND);
    assert_string_equal(f->err.text, "open absent: No such file or directory");
}

static void read_file_refuses_directories_and_does_not_hang_on_a_fifo(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_back(f, ".", 10), -1);
    assert_int_equal(f->err.code, SB_INVALID);
    int dir = open_dir(f);
    assert_int_equal(mkfifoat(dir, "file", 0600), 0);
    (void)close(dir);
    assert_int_equal(read_back(f, "file", 10), -1);
    assert_int_equal(f->err.code, SB_INVALID);
}

static void descriptors_travel_and_are_closed_on_exec(void **state)
{
    struct fixture *f = *state;
    int fds[2];
    assert_int_equal(sb_fd_pipe(fds, &f->err), 0);
    assert_int_equal(sb_fd_send(f->pair[0], "hi", 2, fds, 2, &f->err), 2);
    sb_fd_close_all(fds, 2);
    assert_int_equal(fds[0], -1);

    char data[8];
    int got[3] = {-1, -1, -1};
    struct sb_fd_msg msg = {.data = data, .cap = sizeof data, .fds = got, .nfds_cap = 3};
    assert_int_equal(sb_fd_recv(f->pair[1], &msg, 0, &f->err), 1);
    assert_int_equal(msg.len, 2);
    assert_int_equal(msg.nfds, 2);
    assert_true((fcntl(got[0], F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(sb_fd_write_full(got[1], "x", 1, &f->err), 0);
    sb_fd_close_all(got, 3);
}

static void the_most_descriptors_the_kernel_passes_arrive(void **state)
{
    struct fixture *f = *state;
    int fds[SB_FD_PASS_MAX];
    for (size_t i = 0; i < SB_FD_PASS_MAX; i++) {
        fds[i] = f->pair[0];
    }
    assert_int_equal(sb_fd_send(f->pair[0], "x", 1, fds, SB_FD_PASS_MAX, &f->err), 1);
    char byte = 0;
    struct sb_fd_msg msg = {.data = &byte, .cap = 1, .fds = fds, .nfds_cap = SB_FD_PASS_MAX};
    assert_int_equal(sb_fd_recv(f->pair[1], &msg, 0, &f->err), 1);
    assert_int_equal(msg.nfds, SB_FD_PASS_MAX);
    sb_fd_close_all(fds, SB_FD_PASS_MAX);
}

static void surplus_descriptors_are_refused_and_closed(void **state)
{
    struct fixture *f = *state;
    int before = count_open();
    assert_int_equal(sb_fd_send(f->pair[0], "x", 1, f->pair, 2, &f->err), 1);
    char byte = 0;
    int got = -1;
    struct sb_fd_msg msg = {
        .data = &byte, .cap = 1, .len = 77, .fds = &got, .nfds_cap = 1, .nfds = 77};
    assert_int_equal(sb_fd_recv(f->pair[1], &msg, 0, &f->err), -1);
    assert_int_equal(f->err.code, SB_INVALID);
    assert_string_equal(f->err.text, "message with 2 descriptors, 1 are permitted");
    assert_int_equal(got, -1);
    assert_int_equal(msg.len, 77);
    assert_int_equal(msg.nfds, 77);
    assert_int_equal(count_open(), before);
}

static void a_message_too_long_is_refused_and_its_descriptors_closed(void **state)
{
    struct fixture *f = *state;
    int before = count_open();
    assert_int_equal(sb_fd_send(f->pair[0], "12345", 5, f->pair, 2, &f->err), 5);
    char data[4];
    int got[2];
    struct sb_fd_msg msg = {.data = data, .cap = sizeof data, .fds = got, .nfds_cap = 2};
    assert_int_equal(sb_fd_recv(f->pair[1], &msg, 0, &f->err), -1);
    assert_int_equal(f->err.code, SB_INVALID);
    assert_int_equal(count_open(), before);
}

static void running_out_of_descriptors_is_said_and_leaks_none(void **state)
{
    struct fixture *f = *state;
    int before = count_open();
    assert_int_equal(sb_fd_send(f->pair[0], "x", 1, f->pair, 2, &f->err), 1);
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int lowest_free = dup(0);
    (void)close(lowest_free);
    struct rlimit tight = {(rlim_t)lowest_free + 1, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    char byte = 0;
    int got[2];
    struct sb_fd_msg msg = {.data = &byte, .cap = 1, .fds = got, .nfds_cap = 2};
    int result = sb_fd_recv(f->pair[1], &msg, 0, &f->err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(result, -1);
    assert_int_equal(f->err.code, SB_EXHAUSTED);
    assert_int_equal(count_open(), before);
}

static void credentials_beside_descriptors_do_no_harm(void **state)
{
    struct fixture *f = *state;
    int on = 1;
    assert_int_equal(setsockopt(f->pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    assert_int_equal(sb_fd_send(f->pair[0], "x", 1, f->pair, 1, &f->err), 1);
    char byte = 0;
    int got = -1;
    struct sb_fd_msg msg = {.data = &byte, .cap = 1, .fds = &got, .nfds_cap = 1};
    assert_int_equal(sb_fd_recv(f->pair[1], &msg, 0, &f->err), 1);
    assert_int_equal(msg.nfds, 1);
    sb_fd_close_all(&got, 1);
}

static void a_closed_peer_is_zero_on_receive_and_an_error_on_send(void **state)
{
    struct fixture *f = *state;
    sb_fd_close_all(&f->pair[0], 1);
    char byte = 0;
    struct sb_fd_msg msg = {.data = &byte, .cap = 1, .len = 9};
    assert_int_equal(sb_fd_recv(f->pair[1], &msg, 0, &f->err), 0);
    assert_int_equal(msg.len, 0);
    assert_int_equal(sb_fd_send(f->pair[1], "x", 1, NULL, 0, &f->err), -1);
    assert_int_equal(f->err.code, SB_UNAVAILABLE);
}

static void a_full_stream_takes_a_part_then_would_block(void **state)
{
    struct fixture *f = *state;
    static char big[1 << 22];
    assert_int_equal(sb_fd_nonblock(f->pair[0], &f->err), 0);
    ssize_t n = sb_fd_send(f->pair[0], big, sizeof big, f->pair, 1, &f->err);
    assert_true(n > 0 && (size_t)n < sizeof big);
    while (n > 0) {
        n = sb_fd_send(f->pair[0], big, sizeof big, NULL, 0, &f->err);
    }
    assert_int_equal(f->err.sys, EAGAIN);
    assert_int_equal(f->err.code, SB_EXHAUSTED);
}

static void a_stream_gives_descriptors_with_its_first_bytes(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(sb_fd_send(f->pair[0], "ab", 2, f->pair, 1, &f->err), 2);
    char byte = 0;
    int got = -1;
    struct sb_fd_msg msg = {.data = &byte, .cap = 1, .fds = &got, .nfds_cap = 1};
    assert_int_equal(sb_fd_recv(f->pair[1], &msg, 0, &f->err), 1);
    assert_int_equal(msg.nfds, 1);
    sb_fd_close_all(&got, 1);
    assert_int_equal(sb_fd_recv(f->pair[1], &msg, 0, &f->err), 1);
    assert_int_equal(byte, 'b');
    assert_int_equal(msg.nfds, 0);
}

/* In a child, whose standard streams we may take away. */
static void streams_that_are_closed_become_null(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char byte = 'x';
        (void)close(STDIN_FILENO);
        (void)close(STDOUT_FILENO);
        (void)close(STDERR_FILENO);
        sb_fd_standard();
        int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
        bool is_good = next > STDERR_FILENO && read(STDIN_FILENO, &byte, 1) == 0 &&
                       write(STDOUT_FILENO, "x", 1) < 0 && write(STDERR_FILENO, "x", 1) == 1;
        _exit(is_good ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void streams_that_are_open_stay(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int ends[2];
        bool is_good = pipe2(ends, O_CLOEXEC) == 0 && dup2(ends[1], STDOUT_FILENO) >= 0 &&
                       close(STDIN_FILENO) == 0;
        sb_fd_standard();
        is_good = is_good && write(STDOUT_FILENO, "x", 1) == 1;
        _exit(is_good ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* NOLINTBEGIN(bugprone-macro-parentheses): the name becomes a string */
#define STREAM_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up_stream, tear_down)
#define PACKET_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up_seqpacket, tear_down)
/* NOLINTEND(bugprone-macro-parentheses) */

int main(void)
{
    static const struct CMUnitTest tests[] = {
        STREAM_TEST(pipes_are_closed_on_exec_and_carry_bytes),
        STREAM_TEST(read_full_stops_at_the_length),
        STREAM_TEST(bad_descriptors_are_errors),
        STREAM_TEST(nonblock_makes_reads_return),
        STREAM_TEST(read_file_appends_the_contents),
        STREAM_TEST(read_file_takes_proc_files_of_size_zero),
        STREAM_TEST(read_file_refuses_a_longer_file_and_leaves_the_buffer),
        STREAM_TEST(read_file_stops_at_the_maximum_of_the_buffer),
        STREAM_TEST(read_file_names_what_is_missing),
        STREAM_TEST(read_file_refuses_directories_and_does_not_hang_on_a_fifo),
        PACKET_TEST(descriptors_travel_and_are_closed_on_exec),
        STREAM_TEST(descriptors_travel_and_are_closed_on_exec),
        PACKET_TEST(the_most_descriptors_the_kernel_passes_arrive),
        PACKET_TEST(surplus_descriptors_are_refused_and_closed),
        PACKET_TEST(a_message_too_long_is_refused_and_its_descriptors_closed),
        PACKET_TEST(running_out_of_descriptors_is_said_and_leaks_none),
        PACKET_TEST(credentials_beside_descriptors_do_no_harm),
        PACKET_TEST(a_closed_peer_is_zero_on_receive_and_an_error_on_send),
        STREAM_TEST(a_closed_peer_is_zero_on_receive_and_an_error_on_send),
        STREAM_TEST(a_full_stream_takes_a_part_then_would_block),
        STREAM_TEST(a_stream_gives_descriptors_with_its_first_bytes),
        cmocka_unit_test(streams_that_are_closed_become_null),
        cmocka_unit_test(streams_that_are_open_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
