/* Limits of control groups, what the kernel counts, and what is left of them. On a host that gives
 * none: that it is said. */

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/integration/spawner/fixture.h"

enum { CONTROL_CGROUP = 10, ENFORCED = 1 };

static bool has_groups(void)
{
    struct sb_err err;
    Spawn__V1__Request request = SPAWN__V1__REQUEST__INIT;
    Spawn__V1__Probe body = SPAWN__V1__PROBE__INIT;
    SB_CLEANUP(sb_frame_done) struct sb_frame frame = SB_FRAME_INIT;
    request.body_case = SPAWN__V1__REQUEST__BODY_PROBE;
    request.probe = &body;
    assert_int_equal(rig_call(fixture_rig(), &request, NULL, 0, &frame, &err), 0);
    const Spawn__V1__Probed *probed = ((Spawn__V1__Reply *)frame.msg)->probed;
    for (size_t i = 0; i < probed->n_controls; i++) {
        if (probed->controls[i]->control == CONTROL_CGROUP) {
            return probed->controls[i]->state == ENFORCED;
        }
    }
    return false;
}

static void need_groups(void)
{
    if (!has_groups()) {
        skip();
    }
}

/* Groups in all hierarchies whose path matches, as find's -path does. */
static long count_groups(const char *pattern)
{
    char command[256];
    long n = -1;
    (void)snprintf(command, sizeof command,
                   "find /sys/fs/cgroup -type d -path '%s' 2>/dev/null | wc -l", pattern);
    FILE *out = popen(command, "r"); /* NOLINT(cert-env33-c): constant but for a number */
    assert_non_null(out);
    assert_int_equal(fscanf(out, "%ld", &n), 1); /* NOLINT(cert-err34-c) */
    (void)pclose(out);
    return n;
}

static long count_boxes(pid_t spawner)
{
    char pattern[64];
    (void)snprintf(pattern, sizeof pattern, "*/aisbx-%d/sb_*", (int)spawner);
    return count_groups(pattern);
}

static long count_bases(pid_t spawner)
{
    char pattern[64];
    (void)snprintf(pattern, sizeof pattern, "*/aisbx-%d", (int)spawner);
    return count_groups(pattern);
}

/* Runs a script in a sandbox of the plan, ends it and tells what was counted. */
static Spawn__V1__Counters counted(Spawn__V1__Plan *plan, const char *script, int *ret_status)
{
    struct sb_err err;
    Spawn__V1__Gone gone;
    struct rig_box box = fixture_box_of(plan);
    *ret_status = fixture_status(&box, script);
    assert_int_equal(rig_kill(fixture_rig(), box.slot, &err), 0);
    assert_int_equal(rig_wait_gone(fixture_rig(), box.slot, &gone, &err), 0);
    rig_box_done(&box);
    assert_non_null(gone.counters);
    return *gone.counters;
}

static void a_memory_bomb_is_killed_and_counted(void **state)
{
    (void)state;
    int status = 0;
    need_groups();
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    plan.memory_bytes = 32U << 20;
    Spawn__V1__Counters counters =
        counted(&plan, "head -c 200000000 /dev/zero | tail -c 200000000 >/dev/null", &status);
    assert_int_equal(status, 137);
    assert_in_range(counters.oom_kills, 1, 3); /* the kernel may go on before memory comes free */
    assert_in_range(counters.memory_peak_bytes, 1U << 20, 32U << 20);
}

static void files_in_memory_count(void **state)
{
    (void)state;
    int status = 0;
    need_groups();
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    plan.memory_bytes = 8U << 20; /* of 16 MiB of space */
    Spawn__V1__Counters counters =
        counted(&plan, "head -c 12000000 /dev/zero >/workspace/x", &status);
    assert_int_not_equal(status, 0);
    assert_true(counters.oom_kills > 0);
}

static void a_fork_bomb_is_refused_and_counted(void **state)
{
    (void)state;
    int status = 0;
    need_groups();
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    plan.pids = 16;
    /* The children end with the shell, whose pipe they read. */
    Spawn__V1__Counters counters = counted(&plan,
                                           "mkfifo /tmp/p; exec 3<>/tmp/p; for i in $(seq 40); do "
                                           "cat </tmp/p 3>&- & done",
                                           &status);
    assert_int_not_equal(status, 0);
    assert_true(counters.pids_refused > 0);
    assert_int_equal(counters.oom_kills, 0);
}

/* Of version 1, which counts them apart; version 2 counts them as memory. */
static void buffers_of_sockets_have_a_limit(void **state)
{
    (void)state;
    char command[256];
    long limit = 0;
    need_groups();
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    plan.memory_bytes = 64U << 20;
    struct rig_box box = fixture_box_of(&plan);
    (void)snprintf(command, sizeof command,
                   "find /sys/fs/cgroup -path '*/aisbx-%d/*/memory.kmem.tcp.limit_in_bytes' "
                   "-exec cat {} + 2>/dev/null | sort -n | head -n 1",
                   (int)fixture_rig()->pid);
    FILE *out = popen(command, "r"); /* NOLINT(cert-env33-c): constant but for a number */
    assert_non_null(out);
    int n = fscanf(out, "%ld", &limit); /* NOLINT(cert-err34-c) */
    (void)pclose(out);
    fixture_end(&box);
    if (n != 1) {
        skip(); /* no such file in any group */
    }
    assert_int_equal(limit, 16U << 20);
}

static void the_quota_throttles(void **state)
{
    (void)state;
    int status = 0;
    need_groups();
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    plan.cpu_quota_us = 10000;
    plan.cpu_weight = 50;
    Spawn__V1__Counters counters =
        counted(&plan, "i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done", &status);
    assert_int_equal(status, 0);
    assert_true(counters.cpu_throttled > 0);
}

static void nothing_is_counted_where_nothing_happens(void **state)
{
    (void)state;
    int status = 0;
    need_groups();
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    plan.memory_bytes = 64U << 20;
    plan.pids = 16;
    Spawn__V1__Counters counters = counted(&plan, "exit 3", &status);
    assert_int_equal(status, 3);
    assert_int_equal(counters.controllers & 7, 7);
    assert_int_equal(counters.oom_kills, 0);
    assert_int_equal(counters.pids_refused, 0);
}

static void the_group_goes_with_its_sandbox(void **state)
{
    (void)state;
    need_groups();
    pid_t spawner = fixture_rig()->pid;
    struct rig_box box = fixture_box();
    assert_true(count_boxes(spawner) > 0);
    int sock = fixture_start_sh(&box, 0, "(setsid sleep 60 &) ; sleep 60");
    fixture_end(&box);
    /* Boxes of the tests before may still be on their way out. */
    uint64_t deadline = sb_clock_mono_ms() + RIG_WAIT_MS;
    while (count_boxes(spawner) > 0) {
        assert_true(sb_clock_mono_ms() < deadline);
    }
    (void)close(sock);
}

static void a_job_sees_its_group_as_the_root(void **state)
{
    (void)state;
    struct rig_box box = fixture_box();
    assert_string_equal(fixture_out(&box, "grep -v ':/$' /proc/self/cgroup || echo none"), "none");
    fixture_end(&box);
}

static void a_spawner_that_ends_leaves_no_group(void **state)
{
    (void)state;
    struct rig rig;
    struct sb_err err;
    need_groups();
    assert_int_equal(rig_start(&rig, &err), 0);
    pid_t pid = rig.pid;
    assert_true(count_bases(pid) > 0);
    (void)rig_stop(&rig);
    assert_int_equal(count_bases(pid), 0);
}

static void groups_of_a_dead_spawner_are_removed_and_those_of_a_living_one_are_not(void **state)
{
    (void)state;
    struct rig dead;
    struct rig next;
    struct rig_box box;
    struct sb_err err;
    need_groups();
    assert_int_equal(rig_start(&dead, &err), 0);
    assert_int_equal(rig_load_open_filter(&dead, &err), 0);
    Spawn__V1__Plan plan = rig_plan(&dead);
    assert_int_equal(rig_spawn(&dead, &plan, -1, &box, &err), 0);
    pid_t pid = dead.pid;
    assert_true(count_boxes(pid) > 0); /* once it is dead, any other spawner may remove them */
    assert_int_equal(kill(pid, SIGKILL), 0);
    fixture_await_death(&box);
    (void)rig_stop(&dead);
    rig_box_done(&box);

    assert_int_equal(rig_start(&next, &err), 0);
    assert_int_equal(count_bases(pid), 0);
    assert_true(count_bases(fixture_rig()->pid) > 0);
    (void)rig_stop(&next);
}

/* The first line that a command prints; empty: none. */
static void line_of(const char *command, char *ret_line, int size)
{
    FILE *out = popen(command, "r"); /* NOLINT(cert-env33-c): constant but for a number */
    assert_non_null(out);
    if (fgets(ret_line, size, out) == NULL) {
        ret_line[0] = '\0';
    }
    ret_line[strcspn(ret_line, "\n")] = '\0';
    (void)pclose(out);
}

/* Makes a group and has a process of its own wait in it. */
static pid_t start_in_group(const char *dir)
{
    char file[PATH_MAX + 32];
    assert_int_equal(mkdir(dir, 0755), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)pause();
        _exit(0);
    }
    (void)snprintf(file, sizeof file, "%s/cgroup.procs", dir);
    FILE *procs = fopen(file, "we");
    assert_non_null(procs);
    assert_true(fprintf(procs, "%d", (int)pid) > 0);
    assert_int_equal(fclose(procs), 0);
    return pid;
}

static void end_in_group(const char *dir, pid_t pid)
{
    uint64_t deadline = sb_clock_mono_ms() + RIG_WAIT_MS;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    while (rmdir(dir) < 0) { /* the kernel lets go of it a moment later */
        assert_int_equal(errno, EBUSY);
        assert_true(sb_clock_mono_ms() < deadline);
    }
}

/* A container may be called so, by its user or by a number. */
static void groups_of_others_with_such_a_name_are_left(void **state)
{
    static const struct {
        const char *name;
        const char *below;
    } rows[] = {{"aisbx-pod", ""}, {"aisbx-4194305", ""}, {"aisbx-4194306", "/box"}};
    char command[256];
    char parent[PATH_MAX - 64];
    (void)state;
    need_groups();
    (void)snprintf(command, sizeof command,
                   "find /sys/fs/cgroup -type d -path '*/aisbx-%d' -printf '%%h\\n' 2>/dev/null",
                   (int)fixture_rig()->pid);
    line_of(command, parent, sizeof parent);
    assert_string_not_equal(parent, "");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char outer[PATH_MAX];
        char inner[PATH_MAX + 8];
        struct rig next;
        struct sb_err err;
        (void)snprintf(outer, sizeof outer, "%s/%s-%d", parent, rows[i].name, (int)getpid());
        (void)snprintf(inner, sizeof inner, "%s%s", outer, rows[i].below);
        bool is_nested = rows[i].below[0] != '\0';
        assert_int_equal(is_nested ? mkdir(outer, 0755) : 0, 0);
        pid_t pid = start_in_group(inner);
        assert_int_equal(rig_start(&next, &err), 0);
        (void)rig_stop(&next);
        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0); /* lives */
        end_in_group(inner, pid);
        assert_int_equal(is_nested ? rmdir(outer) : 0, 0);
    }
}

static void a_sandbox_without_a_group_says_so(void **state)
{
    (void)state;
    if (has_groups()) {
        skip();
    }
    struct rig_box box = fixture_box();
    assert_true(box.n_degraded > 0);
    fixture_end(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_memory_bomb_is_killed_and_counted),
        cmocka_unit_test(files_in_memory_count),
        cmocka_unit_test(a_fork_bomb_is_refused_and_counted),
        cmocka_unit_test(buffers_of_sockets_have_a_limit),
        cmocka_unit_test(the_quota_throttles),
        cmocka_unit_test(nothing_is_counted_where_nothing_happens),
        cmocka_unit_test(the_group_goes_with_its_sandbox),
        cmocka_unit_test(a_job_sees_its_group_as_the_root),
        cmocka_unit_test(a_spawner_that_ends_leaves_no_group),
        cmocka_unit_test(groups_of_a_dead_spawner_are_removed_and_those_of_a_living_one_are_not),
        cmocka_unit_test(groups_of_others_with_such_a_name_are_left),
        cmocka_unit_test(a_sandbox_without_a_group_says_so),
    };
    return cmocka_run_group_tests_name("control groups", tests, fixture_start, fixture_stop);
}
