/* The wall alone: no namespace, no mount and no filter is between a child and the host. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/spawner/child.h"
#include "service/spawner/landlock.h"

enum { SETUP_FAILED = 200, ALLOWED = 0 };

/* Not below /tmp, which every plan opens. */
static char base[] = "/var/tmp/aisbx-test-XXXXXX";
static struct sb_plan plan;
static struct sb_child child;
static struct sockaddr_un abstract_name = {.sun_family = AF_UNIX};
static socklen_t abstract_len = sizeof(sa_family_t);
static int abstract_sock = -1;

static void make_file(const char *path, mode_t mode)
{
    SB_CLEANUP(sb_closep) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "#!/bin/sh\nexit 0\n", 17), 17);
}

static int make_host(void **state)
{
    (void)state;
    static char targets[2][64];
    static const char *const dirs[] = {"closed", "fixed", "open", "open/a", "open/b"};
    if (sb_landlock_version() == 0) {
        (void)printf("this kernel has no landlock that sandboxes can use\n");
        exit(77);
    }
    if (mkdtemp(base) == NULL || chdir(base) < 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        assert_int_equal(mkdir(dirs[i], 0755), 0);
    }
    make_file("closed/f", 0755);
    make_file("fixed/f", 0755);
    make_file("open/a/f", 0755);
    (void)snprintf(targets[0], sizeof targets[0], "%s/fixed", base);
    (void)snprintf(targets[1], sizeof targets[1], "%s/open", base);
    plan.mounts[0] = (struct sb_plan_mount){.target = targets[0]};
    plan.mounts[1] = (struct sb_plan_mount){.target = targets[1], .is_writable = true};
    plan.n_mounts = 2;
    child = (struct sb_child){
        .plan = &plan, .landlock = sb_landlock_version(), .mount_is_dir = {true, true}};
    abstract_sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(abstract_sock, (struct sockaddr *)&abstract_name, abstract_len) < 0) {
        return -1;
    }
    abstract_len = sizeof abstract_name;
    return getsockname(abstract_sock, (struct sockaddr *)&abstract_name, &abstract_len) < 0
               ? -1
               : listen(abstract_sock, 100);
}

static int remove_host(void **state)
{
    (void)state;
    static const char *const left[] = {
        "open/a/f", "open/a/new", "open/a/pipe", "open/b/f", "open/b/new", "closed/f", "closed/new",
        "fixed/f",  "fixed/new",  "open/b",      "open/a",   "open",       "fixed",    "closed"};
    (void)close(abstract_sock);
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        (void)remove(left[i]);
    }
    return chdir("/") < 0 ? -1 : rmdir(base);
}

/* errno of what a child behind the wall does, 0 when it may. */
static int behind(int version, int (*act)(const char *), const char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct sb_err err;
        child.landlock = version;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || sb_landlock_apply(&child, &err) < 0) {
            _exit(SETUP_FAILED);
        }
        _exit(act(path) < 0 ? errno : ALLOWED);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int may(int (*act)(const char *), const char *path)
{
    return behind(sb_landlock_version(), act, path);
}

static int read_it(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC);
}

static int write_it(const char *path)
{
    return open(path, O_WRONLY | O_CLOEXEC);
}

static int make_it(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

static int truncate_it(const char *path)
{
    return truncate(path, 17);
}

/* As an interpreter's argument it would only be read. */
static int run_it(const char *path)
{
    char *argv[] = {(char[]){"f"}, NULL};
    return execv(path, argv);
}

static int make_pipe(const char *path)
{
    return mkfifo(path, 0600);
}

static int make_device(const char *path)
{
    return mknod(path, S_IFCHR | 0600, 0);
}

static int move_there_and_back(const char *path)
{
    return rename("open/a/f", path) < 0 ? -1 : rename(path, "open/a/f");
}

static int link_it(const char *path)
{
    return link("open/a/f", path) < 0 ? -1 : unlink(path);
}

static int mount_there(const char *path)
{
    /* A wall that does not stand must not leave it there. */
    return mount("none", path, "tmpfs", 0, NULL) < 0 ? -1 : umount2(path, MNT_DETACH);
}

static int signal_parent(const char *unused)
{
    (void)unused;
    return kill(getppid(), 0);
}

static int signal_own_child(const char *unused)
{
    (void)unused;
    pid_t pid = fork();
    if (pid == 0) {
        (void)pause();
    }
    return kill(pid, SIGKILL) < 0 || waitpid(pid, NULL, 0) < 0 ? -1 : 0;
}

static int connect_abstract(const char *unused)
{
    (void)unused;
    SB_CLEANUP(sb_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (struct sockaddr *)&abstract_name, abstract_len);
}

static void opens_only_what_the_plan_names(void **state)
{
    (void)state;
    assert_int_equal(may(read_it, "closed/f"), EACCES);
    assert_int_equal(may(write_it, "closed/f"), EACCES);
    assert_int_equal(may(make_it, "closed/new"), EACCES);
    assert_int_equal(may(run_it, "closed/f"), EACCES);
}

static void reads_and_runs_what_is_read_only(void **state)
{
    (void)state;
    assert_int_equal(may(read_it, "fixed/f"), ALLOWED);
    assert_int_equal(may(run_it, "fixed/f"), ALLOWED);
    assert_int_equal(may(write_it, "fixed/f"), EACCES);
    assert_int_equal(may(make_it, "fixed/new"), EACCES);
}

static void truncates_only_what_is_writable(void **state)
{
    (void)state;
    if (sb_landlock_version() < 3) {
        skip();
    }
    assert_int_equal(may(truncate_it, "open/a/f"), ALLOWED);
    assert_int_equal(may(truncate_it, "fixed/f"), EACCES);
}

static void changes_what_is_writable(void **state)
{
    (void)state;
    assert_int_equal(may(write_it, "open/a/f"), ALLOWED);
    assert_int_equal(may(make_it, "open/a/new"), ALLOWED);
    assert_int_equal(may(make_pipe, "open/a/pipe"), ALLOWED);
    assert_int_equal(may(run_it, "open/a/f"), ALLOWED);
}

static void moves_and_links_between_directories(void **state)
{
    (void)state;
    assert_int_equal(may(move_there_and_back, "open/b/f"), ALLOWED);
    assert_int_equal(may(link_it, "open/b/f"), ALLOWED);
    assert_int_equal(may(move_there_and_back, "closed/new"), EACCES);
    assert_int_equal(may(link_it, "fixed/new"), EACCES);
}

static void makes_no_device_anywhere(void **state)
{
    (void)state;
    assert_int_equal(may(make_device, "open/a/new2"), EACCES);
    assert_int_equal(may(make_device, "/tmp/aisbx-test-device"), EACCES);
}

static void mounts_nothing(void **state)
{
    (void)state;
    assert_int_equal(may(mount_there, "open/b"), EPERM);
}

static void signals_nobody_outside(void **state)
{
    (void)state;
    if (sb_landlock_lacks(sb_landlock_version()) != NULL) {
        skip();
    }
    assert_int_equal(may(signal_parent, NULL), EPERM);
    assert_int_equal(may(signal_own_child, NULL), ALLOWED);
}

static void reaches_no_abstract_socket_outside(void **state)
{
    (void)state;
    if (sb_landlock_lacks(sb_landlock_version()) != NULL) {
        skip();
    }
    assert_int_equal(may(connect_abstract, NULL), EPERM);
}

static void asks_older_kernels_for_no_more_than_they_know(void **state)
{
    (void)state;
    for (int version = 2; version <= sb_landlock_version(); version++) {
        assert_int_equal(behind(version, read_it, "closed/f"), EACCES);
        assert_int_equal(behind(version, read_it, "fixed/f"), ALLOWED);
        assert_int_equal(behind(version, signal_parent, NULL), version < 6 ? ALLOWED : EPERM);
    }
}

static void does_nothing_where_there_is_none(void **state)
{
    (void)state;
    assert_int_equal(behind(0, read_it, "closed/f"), ALLOWED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_only_what_the_plan_names),
        cmocka_unit_test(reads_and_runs_what_is_read_only),
        cmocka_unit_test(truncates_only_what_is_writable),
        cmocka_unit_test(changes_what_is_writable),
        cmocka_unit_test(moves_and_links_between_directories),
        cmocka_unit_test(makes_no_device_anywhere),
        cmocka_unit_test(mounts_nothing),
        cmocka_unit_test(signals_nobody_outside),
        cmocka_unit_test(reaches_no_abstract_socket_outside),
        cmocka_unit_test(asks_older_kernels_for_no_more_than_they_know),
        cmocka_unit_test(does_nothing_where_there_is_none),
    };
    return cmocka_run_group_tests(tests, make_host, remove_host);
}
