/* The second wall inside a sandbox: descriptors of the host's that should never have come in lead
 * no further, where neither a mount nor an owner's mode stands in the way. */

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/integration/spawner/fixture.h"

static char dir[] = "/tmp/aisbx-test-XXXXXX";
static char file[64];

static int start(void **state)
{
    if (fixture_start(state) < 0) {
        return -1;
    }
    /* The kernel is asked here, not the probe, which is under test as well. */
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 6) {
        (void)fixture_stop(state);
        (void)printf("this kernel has no landlock of version 6\n");
        exit(77);
    }
    if (mkdtemp(dir) == NULL || chmod(dir, 0755) < 0) {
        return -1;
    }
    (void)snprintf(file, sizeof file, "%s/file", dir);
    SB_CLEANUP(sb_closep) int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    return fchmod(fd, 0666) < 0 || write(fd, "hello\n", 6) != 6 ? -1 : 0;
}

static int stop(void **state)
{
    (void)unlink(file);
    return rmdir(dir) < 0 ? -1 : fixture_stop(state);
}

/* Runs Python with that descriptor of the host's as its number 3; returns its exit status. */
static int python_with(int fd, const char *script)
{
    struct sb_err err;
    struct sb_init_exited exited;
    const char *const argv[] = {"sh", "-c", "exec 3<&0 </dev/null; exec python3 -c \"$0\"", script,
                                NULL};
    const struct rig_run run = {.argv = argv};
    SB_CLEANUP(sb_closep) int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    const int stdio[] = {fd, null_fd, STDERR_FILENO};
    SB_CLEANUP(sb_closep) int sock = rig_exec_send(&the_box, &run, stdio, &err);
    assert_true(sock >= 0);
    fixture_await(sock, SB_INIT_EXITED, &exited, sizeof exited);
    return WIFEXITED(exited.wait_status) ? WEXITSTATUS(exited.wait_status) : 255;
}

static void is_found_in_force_by_the_probe(void **state)
{
    (void)state;
    Spawn__V1__Probe probe = SPAWN__V1__PROBE__INIT;
    Spawn__V1__Request request = SPAWN__V1__REQUEST__INIT;
    SB_CLEANUP(sb_frame_done) struct sb_frame frame = SB_FRAME_INIT;
    struct sb_err err;
    uint32_t said = 0;
    request.body_case = SPAWN__V1__REQUEST__BODY_PROBE;
    request.probe = &probe;
    assert_int_equal(rig_call(fixture_rig(), &request, NULL, 0, &frame, &err), 0);
    const Spawn__V1__Probed *probed = ((Spawn__V1__Reply *)frame.msg)->probed;
    for (size_t i = 0; i < probed->n_controls; i++) {
        if (probed->controls[i]->control == 11) { /* aisbx.v1.CONTROL_LANDLOCK */
            said = probed->controls[i]->state;
        }
    }
    assert_int_equal(said, 1); /* aisbx.v1.CONTROL_STATE_ENFORCED */
}

static void cannot_open_below_a_directory_of_the_host(void **state)
{
    (void)state;
    SB_CLEANUP(sb_closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* It is in reach, and nobody's mode forbids it. */
    assert_int_equal(
        python_with(fd, "import os, sys; sys.exit(os.stat('file', dir_fd=3).st_mode & 0o777)"),
        0666 & 0377); /* as an exit status */
    assert_int_equal(python_with(fd, "import os, sys\n"
                                     "try: os.open('file', os.O_RDONLY, dir_fd=3)\n"
                                     "except OSError as e: sys.exit(e.errno)"),
                     EACCES);
    assert_int_equal(python_with(fd, "import os, sys\n"
                                     "try: os.open('/proc/self/fd/3/../../etc/passwd', 0)\n"
                                     "except OSError as e: sys.exit(e.errno)"),
                     EACCES);
}

static void cannot_open_a_file_of_the_host_again_for_writing(void **state)
{
    (void)state;
    SB_CLEANUP(sb_closep) int fd = open(file, O_RDONLY | O_CLOEXEC);
    assert_int_equal(python_with(fd, "import os, sys; sys.exit(os.read(3, 5) != b'hello')"), 0);
    assert_int_equal(python_with(fd, "import os, sys\n"
                                     "try: os.open('/proc/self/fd/3', os.O_WRONLY)\n"
                                     "except OSError as e: sys.exit(e.errno)"),
                     EACCES);
}

static void cannot_connect_a_socket_of_the_host_to_an_abstract_name(void **state)
{
    (void)state;
    char script[512];
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t len = sizeof name;
    SB_CLEANUP(sb_closep) int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SB_CLEANUP(sb_closep) int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&name, sizeof name.sun_family), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *)&name, &len), 0);
    assert_int_equal(listen(server, 1), 0);
    (void)snprintf(script, sizeof script,
                   "import socket, sys\n"
                   "try: socket.socket(fileno=3).connect(b'\\x00%.*s')\n"
                   "except OSError as e: sys.exit(e.errno)",
                   (int)(len - sizeof name.sun_family - 1), name.sun_path + 1);
    assert_int_equal(python_with(client, script), EPERM);
}

static void connects_to_an_abstract_name_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(fixture_status(&the_box,
                                    "python3 -c '\n"
                                    "import socket\n"
                                    "s = socket.socket(socket.AF_UNIX)\n"
                                    "s.bind(b\"\\0mine\"); s.listen()\n"
                                    "socket.socket(socket.AF_UNIX).connect(b\"\\0mine\")'"),
                     0);
}

static void moves_and_links_between_its_directories(void **state)
{
    (void)state;
    assert_string_equal(
        fixture_out(&the_box,
                    "for d in /tmp /workspace /dev/shm; do cd $d; mkdir a b; echo $d > a/f; "
                    "ln a/f b/g; python3 -c 'import os; os.rename(\"a/f\", \"b/f\"); "
                    "os.rename(\"a\", \"b/a\")'; ls b | tr '\\n' ' '; cat b/f; done"),
        "a f g /tmp\na f g /workspace\na f g /dev/shm");
}

static void writes_to_its_own_files_of_proc(void **state)
{
    (void)state;
    assert_string_equal(fixture_out(&the_box,
                                    "echo 500 > /proc/self/oom_score_adj; printf renamed > "
                                    "/proc/$$/comm; cat /proc/$$/comm"),
                        "renamed");
}

static void tells_a_null_device_from_a_terminal(void **state)
{
    (void)state;
    assert_string_equal(fixture_out(&the_box, "python3 -c 'import fcntl, os, termios\n"
                                              "try: termios.tcgetattr(os.open(\"/dev/null\", 2))\n"
                                              "except termios.error as e: print(e.args[0])'"),
                        "25"); /* ENOTTY, not EACCES */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_found_in_force_by_the_probe),
        IN_BOX(cannot_open_below_a_directory_of_the_host),
        IN_BOX(cannot_open_a_file_of_the_host_again_for_writing),
        IN_BOX(cannot_connect_a_socket_of_the_host_to_an_abstract_name),
        IN_BOX(connects_to_an_abstract_name_of_its_own),
        IN_BOX(moves_and_links_between_its_directories),
        IN_BOX(writes_to_its_own_files_of_proc),
        IN_BOX(tells_a_null_device_from_a_terminal),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
