/* Files and directories of the host, opened with the rights of the caller. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/integration/spawner/fixture.h"

static char dir[] = "/tmp/aisbx-test-XXXXXX";
static char file[64];
static char workspace[] = "/workspace";

static int make_files(void **state)
{
    if (fixture_start(state) < 0 || mkdtemp(dir) == NULL) {
        return -1;
    }
    (void)snprintf(file, sizeof file, "%s/file", dir);
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    (void)!write(fd, "hello\n", 6);
    (void)close(fd);
    return chmod(dir, 0755);
}

static int remove_files(void **state)
{
    static const char *const names[] = {"file", "made", "secret", "suid"};
    char path[64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    return rmdir(dir) == 0 ? fixture_stop(state) : -1;
}

static Spawn__V1__Plan
plan_with(Spawn__V1__HostMount *mount, char *source, char *target, bool is_writable)
{
    static Spawn__V1__HostMount *mounts[1];
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    spawn__v1__host_mount__init(mount);
    mount->source = source;
    mount->target = target;
    mount->writable = is_writable;
    mounts[0] = mount;
    plan.mounts = mounts;
    plan.n_mounts = 1;
    if (strcmp(target, "/workspace") == 0) {
        plan.workspace = SPAWN__V1__WORKSPACE__WORKSPACE_MOUNT;
    }
    return plan;
}

static void gives_files_made_inside_to_the_owner_of_the_directory(void **state)
{
    (void)state;
    Spawn__V1__HostMount mount;
    Spawn__V1__Plan plan = plan_with(&mount, dir, workspace, true);
    struct rig_box box = fixture_box_of(&plan);
    char expected[64];
    unsigned id = fixture_job_id(&box);
    (void)snprintf(expected, sizeof expected, "hello\n%u:644\n%u:644", id, id);
    assert_string_equal(fixture_out(&box, "cat file; echo new > made; stat -c %u:%a made file"),
                        expected);
    char path[64];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/made", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, geteuid());
    assert_int_equal(st.st_gid, getegid());
    fixture_end(&box);
}

static void never_runs_as_root_of_the_host(void **state)
{
    (void)state;
    Spawn__V1__HostMount mount;
    Spawn__V1__Plan plan = plan_with(&mount, dir, workspace, true);
    struct rig_box box = fixture_box_of(&plan);
    assert_int_not_equal(box.host_uid, 0);
    assert_true(box.is_distinct == fixture_rig()->is_root || box.n_degraded > 0);
    fixture_end(&box);
}

static void keeps_a_read_only_mount_read_only(void **state)
{
    (void)state;
    Spawn__V1__HostMount mount;
    Spawn__V1__Plan plan = plan_with(&mount, dir, workspace, false);
    struct rig_box box = fixture_box_of(&plan);
    assert_int_not_equal(fixture_status(&box, "touch /workspace/x"), 0);
    assert_int_not_equal(fixture_status(&box, "echo x > /workspace/file"), 0);
    fixture_end(&box);
}

static void lets_the_plan_make_a_writable_workspace_read_only(void **state)
{
    (void)state;
    Spawn__V1__HostMount mount;
    Spawn__V1__Plan plan = plan_with(&mount, dir, workspace, true);
    plan.workspace_read_only = 1;
    struct rig_box box = fixture_box_of(&plan);
    assert_int_not_equal(fixture_status(&box, "touch /workspace/x"), 0);
    fixture_end(&box);
}

static void binds_a_single_file_deep_below(void **state)
{
    (void)state;
    char target[] = "/data/deep/er/file";
    Spawn__V1__HostMount mount;
    Spawn__V1__Plan plan = plan_with(&mount, file, target, false);
    struct rig_box box = fixture_box_of(&plan);
    assert_string_equal(fixture_out(&box, "cat /data/deep/er/file; ls /data/deep/er"),
                        "hello\nfile");
    assert_int_not_equal(fixture_status(&box, "touch /data/x"), 0);
    fixture_end(&box);
}

static void binds_below_its_own_tmp(void **state)
{
    (void)state;
    char target[] = "/tmp/in/side";
    Spawn__V1__HostMount mount;
    Spawn__V1__Plan plan = plan_with(&mount, dir, target, false);
    struct rig_box box = fixture_box_of(&plan);
    assert_string_equal(fixture_out(&box, "cat /tmp/in/side/file"), "hello");
    fixture_end(&box);
}

static void makes_no_setuid_file_on_the_host(void **state)
{
    (void)state;
    Spawn__V1__HostMount mount;
    Spawn__V1__Plan plan = plan_with(&mount, dir, workspace, true);
    struct rig_box box = fixture_box_of(&plan);
    (void)fixture_status(&box, "cp /usr/bin/id suid; chmod 4755 suid; chmod 2755 suid");
    char path[64];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/suid", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & (S_ISUID | S_ISGID), 0);
    fixture_end(&box);
}

/* Expects refusal of that mount for the peer of @peer_fd. */
static void
is_refused(char *source, bool is_writable, int peer_fd, enum sb_code code, const char *text)
{
    char target[] = "/data";
    Spawn__V1__HostMount mount;
    Spawn__V1__Plan plan = plan_with(&mount, source, target, is_writable);
    struct rig_box box;
    struct sb_err err;
    assert_int_equal(rig_spawn(fixture_rig(), &plan, peer_fd, &box, &err), -1);
    if (err.code != code || strstr(err.text, text) == NULL) {
        fail_msg("%s: %d %s", source, (int)err.code, err.text);
    }
}

static void is_refused_for_me(char *source, enum sb_code code, const char *text)
{
    int other = -1;
    SB_CLEANUP(sb_closep) int peer = rig_peer(&other);
    is_refused(source, false, peer, code, text);
    (void)close(other);
}

static void refuses_mounts_without_a_caller(void **state)
{
    (void)state;
    is_refused(dir, false, -1, SB_INVALID, "connection");
}

static void refuses_a_caller_that_is_no_unix_socket(void **state)
{
    (void)state;
    SB_CLEANUP(sb_closep) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    is_refused(dir, false, fd, SB_INVALID, "unix socket");
}

/* ---- connections that are not a caller's ---- */

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return address;
}

/* As code does that may write where the worker's socket would lie: binds while it is away. */
static void take_the_place_of_the_socket(int sock)
{
    char away[128];
    struct sockaddr_un address = address_of(rig_socket());
    (void)snprintf(away, sizeof away, "%s.away", rig_socket());
    assert_int_equal(rename(rig_socket(), away), 0);
    assert_int_equal(bind(sock, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(rename(away, rig_socket()), 0);
}

static void refuses_an_end_of_a_pair(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    is_refused(dir, false, ends[0], SB_DENIED, "none of the worker's sockets");
    is_refused(dir, false, fixture_rig()->sock, SB_INVALID, "that somebody connected to");
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void refuses_an_end_of_a_pair_that_got_the_name_of_the_socket(void **state)
{
    (void)state;
    int ends[2];
    if (!fixture_rig()->is_root) {
        skip(); /* nobody lends more than one has */
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    take_the_place_of_the_socket(ends[0]);
    is_refused(dir, false, ends[0], SB_DENIED, "with another");
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void refuses_what_the_worker_did_not_accept_itself(void **state)
{
    (void)state;
    if (!fixture_rig()->is_root) {
        skip();
    }
    int client = rig_connect(rig_socket());
    assert_int_equal(seteuid(65534), 0);
    int peer = rig_accept();
    assert_int_equal(seteuid(0), 0);
    is_refused(dir, false, peer, SB_DENIED, "did not accept");
    (void)close(peer);
    (void)close(client);
}

static void refuses_a_socket_that_listens(void **state)
{
    (void)state;
    char path[64];
    (void)snprintf(path, sizeof path, "%s/sock", dir);
    SB_CLEANUP(sb_closep) int listener = rig_listen(path);
    is_refused(dir, false, listener, SB_INVALID, "that somebody connected to");
    assert_int_equal(unlink(path), 0);
}

static void refuses_a_connection_to_another_socket(void **state)
{
    (void)state;
    char path[64];
    (void)snprintf(path, sizeof path, "%s/sock", dir);
    SB_CLEANUP(sb_closep) int listener = rig_listen(path);
    SB_CLEANUP(sb_closep) int client = rig_connect(path);
    SB_CLEANUP(sb_closep) int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    is_refused(dir, false, accepted, SB_DENIED, "none of the worker's sockets");
    assert_int_equal(unlink(path), 0);
}

static void refuses_a_client_of_any_server(void **state)
{
    (void)state;
    char path[64];
    (void)snprintf(path, sizeof path, "%s/sock", dir);
    SB_CLEANUP(sb_closep) int listener = rig_listen(path);
    SB_CLEANUP(sb_closep) int client = rig_connect(path);
    is_refused(dir, false, client, SB_DENIED, "has a name");
    take_the_place_of_the_socket(client);
    is_refused(dir, false, client, SB_DENIED, "has a name");
    SB_CLEANUP(sb_closep) int own = rig_connect(rig_socket());
    SB_CLEANUP(sb_closep) int accepted = rig_accept();
    is_refused(dir, false, own, SB_DENIED, "has a name");
    assert_int_equal(unlink(path), 0);
}

static void takes_nothing_from_a_client_that_has_bound_its_end(void **state)
{
    (void)state;
    struct sockaddr_un address = address_of(rig_socket());
    const struct sockaddr none = {.sa_family = AF_UNIX};
    SB_CLEANUP(sb_closep) int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(client, &none, sizeof none.sa_family), 0);
    assert_int_equal(connect(client, (const struct sockaddr *)&address, sizeof address), 0);
    SB_CLEANUP(sb_closep) int accepted = rig_accept();
    is_refused(dir, false, accepted, SB_DENIED, "has a name");
}

static void refuses_interfaces_of_the_kernel(void **state)
{
    (void)state;
    char proc[] = "/proc/self";
    char sys[] = "/sys";
    char dev[] = "/dev/null";
    is_refused_for_me(proc, SB_DENIED, "interface of the kernel");
    is_refused_for_me(sys, SB_DENIED, "interface of the kernel");
    is_refused_for_me(dev, SB_INVALID, "neither a directory nor a regular file");
}

static void refuses_what_is_not_there(void **state)
{
    (void)state;
    char path[] = "/no/such/thing";
    is_refused_for_me(path, SB_NOT_FOUND, path);
}

static void refuses_what_the_caller_may_not_open(void **state)
{
    (void)state;
    if (!fixture_rig()->is_root) {
        char path[] = "/etc/shadow";
        is_refused_for_me(path, SB_DENIED, path);
        return;
    }
    char secret[64];
    int other = -1;
    (void)snprintf(secret, sizeof secret, "%s/secret", dir);
    (void)close(open(secret, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    assert_int_equal(setegid(65534) | seteuid(65534), 0);
    other = rig_connect(rig_socket()); /* the kernel notes who does */
    assert_int_equal(seteuid(0) | setegid(0), 0);
    int peer = rig_accept();
    is_refused(secret, false, peer, SB_DENIED, "Permission denied");
    is_refused(dir, true, peer, SB_DENIED, "Permission denied");
    (void)close(peer);
    (void)close(other);
}

static void shows_a_directory_of_the_worker_to_be_read_only(void **state)
{
    (void)state;
    char target[] = "/packages";
    Spawn__V1__HostMount mount;
    Spawn__V1__Plan plan = plan_with(&mount, dir, target, false);
    struct rig_box box;
    struct sb_err err;
    mount.of_worker = true;
    /* By its permissions anybody might write. */
    assert_int_equal(chmod(dir, 0777) | chmod(file, 0666), 0);
    SB_CLEANUP(sb_closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (rig_spawn(fixture_rig(), &plan, fd, &box, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_string_equal(fixture_out(&box, "cat /packages/file; touch /packages/new 2>/dev/null || "
                                          "rm -f /packages/file 2>/dev/null || "
                                          "{ echo x >>/packages/file; } 2>/dev/null || echo no"),
                        "hello\nno");
    fixture_end(&box);
    assert_int_equal(chmod(dir, 0755) | chmod(file, 0644), 0);
}

/* @source  what the plan calls it. */
static void
is_refused_of_worker(char *source, int fd, bool is_writable, enum sb_code code, const char *text)
{
    char target[] = "/packages";
    Spawn__V1__HostMount mount;
    Spawn__V1__Plan plan = plan_with(&mount, source, target, is_writable);
    struct rig_box box;
    struct sb_err err;
    mount.of_worker = true;
    assert_int_equal(rig_spawn(fixture_rig(), &plan, fd, &box, &err), -1);
    if (err.code != code || strstr(err.text, text) == NULL) {
        fail_msg("%s: %d %s", source, (int)err.code, err.text);
    }
}

static void refuses_of_the_worker_what_is_no_directory_that_it_has_open(void **state)
{
    (void)state;
    char other[] = "/usr";
    char proc[] = "/proc";
    SB_CLEANUP(sb_closep) int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    SB_CLEANUP(sb_closep) int file_fd = open(file, O_RDONLY | O_CLOEXEC);
    SB_CLEANUP(sb_closep) int proc_fd = open(proc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    is_refused_of_worker(dir, -1, false, SB_INVALID, "descriptors came");
    is_refused_of_worker(dir, dir_fd, true, SB_INVALID, "can only be read");
    is_refused_of_worker(file, file_fd, false, SB_INVALID, "not a directory");
    is_refused_of_worker(proc, proc_fd, false, SB_DENIED, "interface of the kernel");
    if (!fixture_rig()->is_root) { /* else the path is only a name for what the descriptor is */
        is_refused_of_worker(other, dir_fd, false, SB_DENIED, "not the directory");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_files_made_inside_to_the_owner_of_the_directory),
        cmocka_unit_test(never_runs_as_root_of_the_host),
        cmocka_unit_test(keeps_a_read_only_mount_read_only),
        cmocka_unit_test(lets_the_plan_make_a_writable_workspace_read_only),
        cmocka_unit_test(binds_a_single_file_deep_below),
        cmocka_unit_test(binds_below_its_own_tmp),
        cmocka_unit_test(shows_a_directory_of_the_worker_to_be_read_only),
        cmocka_unit_test(refuses_of_the_worker_what_is_no_directory_that_it_has_open),
        cmocka_unit_test(makes_no_setuid_file_on_the_host),
        cmocka_unit_test(refuses_mounts_without_a_caller),
        cmocka_unit_test(refuses_a_caller_that_is_no_unix_socket),
        cmocka_unit_test(refuses_an_end_of_a_pair),
        cmocka_unit_test(refuses_an_end_of_a_pair_that_got_the_name_of_the_socket),
        cmocka_unit_test(refuses_what_the_worker_did_not_accept_itself),
        cmocka_unit_test(refuses_a_socket_that_listens),
        cmocka_unit_test(refuses_a_connection_to_another_socket),
        cmocka_unit_test(refuses_a_client_of_any_server),
        cmocka_unit_test(takes_nothing_from_a_client_that_has_bound_its_end),
        cmocka_unit_test(refuses_interfaces_of_the_kernel),
        cmocka_unit_test(refuses_what_is_not_there),
        cmocka_unit_test(refuses_what_the_caller_may_not_open),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
