/* What programs meet inside: how they are started and counted, and files that run. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "service/shared/fileproto.h"
#include "tests/integration/spawner/fixture.h"

static struct rig_result run(const char *const *argv)
{
    struct rig_result result;
    struct sb_err err;
    const struct rig_run what = {.argv = argv};
    assert_int_equal(rig_exec(&the_box, &what, &result, &err), 0);
    return result;
}

static void returns_output_of_a_program(void **state)
{
    (void)state;
    struct rig_result result = fixture_sh(&the_box, "echo out; echo err >&2");
    assert_string_equal(sb_buf_cstr(&result.out), "out\n");
    assert_string_equal(sb_buf_cstr(&result.err), "err\n");
    assert_true(result.is_empty);
    assert_int_equal(result.empty.killed, 0);
    rig_result_done(&result);
}

static void reports_exit_status(void **state)
{
    (void)state;
    assert_int_equal(fixture_status(&the_box, "exit 42"), 42);
}

static void reports_the_signal_that_ended_it(void **state)
{
    (void)state;
    struct rig_result result = fixture_sh(&the_box, "kill -SEGV $$");
    assert_true(WIFSIGNALED(result.exited.wait_status));
    assert_int_equal(WTERMSIG(result.exited.wait_status), SIGSEGV);
    rig_result_done(&result);
}

static void says_enoent_for_a_command_that_is_not_there(void **state)
{
    (void)state;
    const char *const argv[] = {"no-such-command", NULL};
    struct rig_result result = run(argv);
    assert_true(result.is_failed);
    assert_int_equal(result.failed.error, ENOENT);
    assert_int_equal(result.failed.stage, SB_INIT_STAGE_EXEC);
    assert_false(result.is_empty);
    rig_result_done(&result);
}

static void says_eacces_for_a_file_that_cannot_be_run(void **state)
{
    (void)state;
    const char *const argv[] = {"/etc/passwd", NULL};
    struct rig_result result = run(argv);
    assert_true(result.is_failed);
    assert_int_equal(result.failed.error, EACCES);
    rig_result_done(&result);
}

static void runs_a_script_without_interpreter_line_by_sh(void **state)
{
    (void)state;
    assert_string_equal(
        fixture_out(&the_box,
                    "echo 'echo script $1' > /tmp/s; chmod +x /tmp/s; exec env /tmp/s one"),
        "script one");
    const char *const argv[] = {"/tmp/s", "two", NULL};
    struct rig_result result = run(argv);
    assert_string_equal(sb_buf_cstr(&result.out), "script two\n");
    rig_result_done(&result);
}

static void searches_path_of_the_given_environment(void **state)
{
    (void)state;
    struct rig_result result;
    struct sb_err err;
    assert_int_equal(fixture_status(&the_box, "mkdir /tmp/bin; printf '#!/bin/sh\\necho mine' > "
                                              "/tmp/bin/id; chmod +x /tmp/bin/id"),
                     0);
    const char *const argv[] = {"id", NULL};
    const char *const env[] = {"A=1", "PATH=/nowhere:/tmp/bin:/usr/bin", NULL};
    const struct rig_run what = {.argv = argv, .env = env};
    assert_int_equal(rig_exec(&the_box, &what, &result, &err), 0);
    assert_string_equal(sb_buf_cstr(&result.out), "mine\n");
    rig_result_done(&result);
}

static void has_only_the_given_environment(void **state)
{
    (void)state;
    assert_string_equal(fixture_out(&the_box, "exec env | grep -v ^PWD | sort"),
                        "HOME=/tmp\nLANG=C.UTF-8\n"
                        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
}

static void starts_where_it_is_told(void **state)
{
    (void)state;
    struct rig_result result;
    struct sb_err err;
    const char *const argv[] = {"pwd", NULL};
    const struct rig_run what = {.argv = argv, .cwd = "/usr/bin"};
    assert_string_equal(fixture_out(&the_box, "pwd"), "/workspace");
    assert_int_equal(rig_exec(&the_box, &what, &result, &err), 0);
    assert_string_equal(sb_buf_cstr(&result.out), "/usr/bin\n");
    rig_result_done(&result);
}

static void says_which_stage_failed_for_a_missing_directory(void **state)
{
    (void)state;
    struct rig_result result;
    struct sb_err err;
    const char *const argv[] = {"pwd", NULL};
    const struct rig_run what = {.argv = argv, .cwd = "/nowhere"};
    assert_int_equal(rig_exec(&the_box, &what, &result, &err), 0);
    assert_true(result.is_failed);
    assert_int_equal(result.failed.stage, SB_INIT_STAGE_CWD);
    assert_int_equal(result.failed.error, ENOENT);
    rig_result_done(&result);
}

static void opens_nothing_but_stdio(void **state)
{
    (void)state;
    /* ls itself opens the directory as 3 */
    assert_string_equal(fixture_out(&the_box, "exec ls /proc/self/fd"), "0\n1\n2\n3");
}

static void blocks_and_ignores_no_signal(void **state)
{
    (void)state;
    assert_string_equal(
        fixture_out(&the_box, "exec grep -E 'SigBlk|SigIgn' /proc/self/status | tr -d '\\t'"),
        "SigBlk:0000000000000000\nSigIgn:0000000000000000");
}

static void has_no_terminal(void **state)
{
    (void)state;
    assert_int_not_equal(fixture_status(&the_box, "exec 3< /dev/tty"), 0);
}

static void opens_a_pty_of_the_sandboxs_own_and_sends_its_other_side(void **state)
{
    (void)state;
    struct sb_err err;
    struct sb_init_started started;
    struct sb_init_exited exited;
    const char *const argv[] = {"sh", "-c", "exec 3< /dev/tty && tty && stty size", NULL};
    const struct rig_run what = {.argv = argv, .flags = SB_INIT_TERMINAL};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const int stdio[] = {null, null, null};
    int master = -1;
    char said[64] = "";
    int sock = rig_exec_send(&the_box, &what, stdio, &err);
    struct sb_fd_msg msg = {.data = &started, .cap = sizeof started, .fds = &master, .nfds_cap = 1};
    assert_int_equal(sb_fd_recv(sock, &msg, 0, &err), 1);
    assert_int_equal(started.type, SB_INIT_STARTED);
    assert_int_equal(msg.nfds, 1);
    fixture_await(sock, SB_INIT_EXITED, &exited, sizeof exited);
    assert_int_equal(exited.wait_status, 0);
    for (size_t len = 0; len < sizeof said - 1;) {
        ssize_t n = read(master, said + len, sizeof said - 1 - len);
        if (n <= 0) {
            break; /* EIO: nobody has the other side any more */
        }
        len += (size_t)n;
    }
    assert_string_equal(said, "/dev/pts/0\r\n0 0\r\n");
    (void)close(sock);
    (void)close(null);
    (void)close(master);
}

static void counts_what_the_whole_tree_used(void **state)
{
    (void)state;
    struct rig_result result = fixture_sh(
        &the_box, "sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'; python3 -c "
                  "'x = bytearray(50 << 20)'");
    assert_true(result.empty.user_us > 10000);
    assert_true(result.empty.max_rss_bytes > 50U << 20);
    rig_result_done(&result);
}

static void refuses_strange_packets_and_goes_on(void **state)
{
    (void)state;
#define EXEC(flags_, args_, env_)                                                                  \
    {                                                                                              \
        .type = SB_INIT_EXEC, .flags = (flags_), .n_args = (args_), .n_env = (env_)                \
    }
    static const struct {
        struct sb_init_exec head;
        const char *strings;
        size_t len;
    } rows[] = {
        {EXEC(0, 1, 0), "\0x", 2},                         /* no NUL at the end */
        {EXEC(0, 0, 0), "", 1},                            /* no command */
        {EXEC(0, 2, 0), "\0x\0", 3},                       /* one string missing */
        {EXEC(0, 1, 0), "\0x\0y\0", 5},                    /* one too many */
        {EXEC(0, 8000, 8000), "\0x", 3},                   /* too many */
        {EXEC(64, 1, 0), "\0x\0", 3},                      /* unknown flag */
        {{.type = SB_INIT_KILL, .n_args = 1}, "\0x\0", 3}, /* not an exec */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char packet[64];
        int ends[2];
        struct sb_err err;
        struct sb_init_failed failed;
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
        const int fds[] = {0, 1, 2, ends[1]};
        memcpy(packet, &rows[i].head, sizeof rows[i].head);
        memcpy(packet + sizeof rows[i].head, rows[i].strings, rows[i].len);
        assert_true(sb_fd_send(the_box.ctl_fd, packet, sizeof rows[i].head + rows[i].len, fds, 4,
                               &err) > 0);
        fixture_await(ends[0], SB_INIT_FAILED, &failed, sizeof failed);
        assert_int_equal(failed.error, EINVAL);
        (void)close(ends[0]);
        (void)close(ends[1]);
    }
    assert_string_equal(fixture_out(&the_box, "echo still here"), "still here");
}

static void runs_several_execs_at_once(void **state)
{
    (void)state;
    struct sb_init_exited exited;
    int first = fixture_start_sh(&the_box, 0, "until [ -e /tmp/go ]; do sleep 0.01; done; exit 7");
    int second = fixture_start_sh(&the_box, 0, "touch /tmp/go; exit 8");
    fixture_await(first, SB_INIT_EXITED, &exited, sizeof exited);
    assert_int_equal(WEXITSTATUS(exited.wait_status), 7);
    fixture_await(second, SB_INIT_EXITED, &exited, sizeof exited);
    assert_int_equal(WEXITSTATUS(exited.wait_status), 8);
    (void)close(first);
    (void)close(second);
}

/* ---- files that a helper has written ---- */

/* Asks for a helper that writes /tmp/tool; returns both ends, of which the helper has the second,
 * too. */
static void ask_for_writer(uint32_t flags, int ret_ends[2])
{
    struct sb_err err;
    struct sb_file_head ready;
    const struct sb_file_request request = {
        .type = SB_INIT_FILE, .op = SB_FILE_WRITE, .flags = flags, .mode = 0755};
    static const char texts[] = "/tmp/tool\0\0";
    char packet[sizeof request + sizeof texts];
    memcpy(packet, &request, sizeof request);
    memcpy(packet + sizeof request, texts, sizeof texts);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_ends), 0);
    assert_true(sb_fd_send(the_box.ctl_fd, packet, sizeof packet, &ret_ends[1], 1, &err) > 0);
    fixture_await(ret_ends[0], SB_FILE_READY, &ready, sizeof ready);
}

static void send_file(int sock, uint32_t type, const char *data)
{
    const struct sb_file_head head = {type};
    char packet[64];
    memcpy(packet, &head, sizeof head);
    memcpy(packet + sizeof head, data, strlen(data));
    assert_true(send(sock, packet, sizeof head + strlen(data), MSG_NOSIGNAL) > 0);
}

/* So that the helper waits when it wants to say that it is done. */
static void stuff(int sock)
{
    while (send(sock, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
    }
    assert_int_equal(errno, EAGAIN);
}

/* Runs it as soon as it is there with all of its content, and again while it is busy. */
static void await_tool(const char *says)
{
    const char *const argv[] = {"/tmp/tool", NULL};
    uint64_t deadline = sb_clock_mono_ms() + RIG_WAIT_MS;
    for (bool has_said = false; !has_said;) {
        struct rig_result result = run(argv);
        has_said = !result.is_failed && strcmp(sb_buf_cstr(&result.out), says) == 0;
        if (sb_clock_mono_ms() > deadline) {
            fail_msg("it cannot be run: %s", strerror(result.failed.error));
        }
        rig_result_done(&result);
    }
}

/* Who is told that a file is written runs it at once: nobody may have it open for writing then. */
static void a_written_file_can_be_run_before_it_is_said_to_be_written(void **state)
{
    (void)state;
    static const struct {
        uint32_t flags;
        const char *data;
        const char *says;
    } rows[] = {
        {0, "#!/bin/sh\necho one\n", "one\n"},
        {SB_FILE_APPEND, "echo two\n", "one\ntwo\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int ends[2];
        ask_for_writer(rows[i].flags, ends);
        stuff(ends[1]);
        send_file(ends[0], SB_FILE_DATA, rows[i].data);
        send_file(ends[0], SB_FILE_COMMIT, "");
        await_tool(rows[i].says);
        (void)close(ends[0]);
        (void)close(ends[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_BOX(returns_output_of_a_program),
        IN_BOX(reports_exit_status),
        IN_BOX(reports_the_signal_that_ended_it),
        IN_BOX(says_enoent_for_a_command_that_is_not_there),
        IN_BOX(says_eacces_for_a_file_that_cannot_be_run),
        IN_BOX(runs_a_script_without_interpreter_line_by_sh),
        IN_BOX(searches_path_of_the_given_environment),
        IN_BOX(has_only_the_given_environment),
        IN_BOX(starts_where_it_is_told),
        IN_BOX(says_which_stage_failed_for_a_missing_directory),
        IN_BOX(opens_nothing_but_stdio),
        IN_BOX(blocks_and_ignores_no_signal),
        IN_BOX(has_no_terminal),
        IN_BOX(opens_a_pty_of_the_sandboxs_own_and_sends_its_other_side),
        IN_BOX(counts_what_the_whole_tree_used),
        IN_BOX(refuses_strange_packets_and_goes_on),
        IN_BOX(runs_several_execs_at_once),
        IN_BOX(a_written_file_can_be_run_before_it_is_said_to_be_written),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
