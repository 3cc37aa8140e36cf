/* The spawner's protocol, and that nothing outlives what it should not. */

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/integration/spawner/fixture.h"

/* Sends a request to a spawner that was told nothing, and expects it to end over it. */
static void is_fatal_first(Spawn__V1__Request *request)
{
    struct rig rig;
    struct sb_err err;
    SB_CLEANUP(sb_frame_done) struct sb_frame frame = SB_FRAME_INIT;
    assert_int_equal(rig_start_silent(&rig, &err), 0);
    assert_int_equal(rig_call(&rig, request, NULL, 0, &frame, &err), -1);
    assert_int_equal(err.code, SB_UNAVAILABLE);
    int status = rig_stop(&rig);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

static void ends_when_anything_comes_before_hello(void **state)
{
    (void)state;
    Spawn__V1__Request request = SPAWN__V1__REQUEST__INIT;
    Spawn__V1__Kill body = SPAWN__V1__KILL__INIT;
    request.body_case = SPAWN__V1__REQUEST__BODY_KILL;
    request.kill = &body;
    is_fatal_first(&request);
}

static void ends_when_a_request_has_no_body(void **state)
{
    (void)state;
    Spawn__V1__Request request = SPAWN__V1__REQUEST__INIT;
    is_fatal_first(&request);
}

static void ends_when_hello_comes_twice(void **state)
{
    (void)state;
    struct rig rig;
    struct sb_err err;
    Spawn__V1__Hello hello = SPAWN__V1__HELLO__INIT;
    Spawn__V1__Request request = SPAWN__V1__REQUEST__INIT;
    SB_CLEANUP(sb_frame_done) struct sb_frame frame = SB_FRAME_INIT;
    assert_int_equal(rig_start(&rig, &err), 0);
    hello.version = 1;
    request.body_case = SPAWN__V1__REQUEST__BODY_HELLO;
    request.hello = &hello;
    assert_int_equal(rig_call(&rig, &request, NULL, 0, &frame, &err), -1);
    assert_int_equal(WEXITSTATUS(rig_stop(&rig)), 1);
}

static void ends_when_bytes_are_no_message(void **state)
{
    (void)state;
    struct rig rig;
    struct sb_err err;
    assert_int_equal(rig_start_silent(&rig, &err), 0);
    assert_true(send(rig.sock, "\xff\xff\xff", 3, 0) == 3);
    char byte;
    assert_int_equal(recv(rig.sock, &byte, 1, 0), 0);
    assert_int_equal(WEXITSTATUS(rig_stop(&rig)), 1);
}

static void ends_when_a_request_brings_descriptors_it_may_not(void **state)
{
    (void)state;
    struct rig rig;
    struct sb_err err;
    Spawn__V1__Probe probe = SPAWN__V1__PROBE__INIT;
    Spawn__V1__Request request = SPAWN__V1__REQUEST__INIT;
    SB_CLEANUP(sb_frame_done) struct sb_frame frame = SB_FRAME_INIT;
    const int fds[] = {0};
    assert_int_equal(rig_start(&rig, &err), 0);
    request.body_case = SPAWN__V1__REQUEST__BODY_PROBE;
    request.probe = &probe;
    assert_int_equal(rig_call(&rig, &request, fds, 1, &frame, &err), -1);
    assert_int_equal(WEXITSTATUS(rig_stop(&rig)), 1);
}

static void refuses_a_worker_of_another_build(void **state)
{
    (void)state;
    struct rig rig;
    struct sb_err err;
    Spawn__V1__Hello hello = SPAWN__V1__HELLO__INIT;
    Spawn__V1__Request request = SPAWN__V1__REQUEST__INIT;
    SB_CLEANUP(sb_frame_done) struct sb_frame frame = SB_FRAME_INIT;
    assert_int_equal(rig_start_silent(&rig, &err), 0);
    hello.version = 99;
    request.body_case = SPAWN__V1__REQUEST__BODY_HELLO;
    request.hello = &hello;
    assert_int_equal(rig_call(&rig, &request, NULL, 0, &frame, &err), -1);
    assert_int_equal(err.code, SB_PRECONDITION);
    (void)rig_stop(&rig);
}

static void refuses_a_bad_plan_and_goes_on(void **state)
{
    (void)state;
    struct rig_box box;
    struct sb_err err;
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    plan.inodes = 1;
    assert_int_equal(rig_spawn(fixture_rig(), &plan, -1, &box, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
    assert_non_null(strstr(err.text, "inodes"));
    box = fixture_box();
    fixture_end(&box);
}

static void refuses_an_unknown_filter(void **state)
{
    (void)state;
    struct rig_box box;
    struct sb_err err;
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    plan.filter_id = 999;
    assert_int_equal(rig_spawn(fixture_rig(), &plan, -1, &box, &err), -1);
    assert_int_equal(err.code, SB_NOT_FOUND);
}

static void says_not_found_for_a_sandbox_that_is_gone(void **state)
{
    (void)state;
    struct sb_err err;
    assert_int_equal(rig_kill(fixture_rig(), 424242, &err), -1);
    assert_int_equal(err.code, SB_NOT_FOUND);
}

static void compiles_a_filter_once(void **state)
{
    (void)state;
    struct sb_err err;
    uint64_t id = fixture_rig()->filter_id;
    assert_int_equal(rig_load_open_filter(fixture_rig(), &err), 0);
    assert_int_equal(fixture_rig()->filter_id, id);
}

static void tells_when_a_sandbox_is_gone_and_what_it_used(void **state)
{
    (void)state;
    struct sb_err err;
    Spawn__V1__Gone gone;
    struct rig_box box = fixture_box();
    (void)fixture_status(&box, "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done");
    assert_int_equal(rig_kill(fixture_rig(), box.slot, &err), 0);
    assert_int_equal(rig_wait_gone(fixture_rig(), box.slot, &gone, &err), 0);
    assert_true(WIFSIGNALED(gone.wait_status));
    assert_int_equal(WTERMSIG(gone.wait_status), SIGKILL);
    assert_true(gone.cpu_user_us > 10000);
    assert_true(gone.max_rss_bytes > 0);
    rig_box_done(&box);
}

static void ends_a_sandbox_when_its_control_socket_is_closed(void **state)
{
    (void)state;
    struct sb_err err;
    struct rig_box box = fixture_box();
    int sock = fixture_start_sh(&box, 0, "sleep 1000");
    (void)close(box.ctl_fd);
    box.ctl_fd = -1;
    assert_int_equal(rig_wait_gone(fixture_rig(), box.slot, NULL, &err), 0);
    (void)close(sock);
    rig_box_done(&box);
}

static void leaves_nothing_when_the_spawner_is_killed(void **state)
{
    (void)state;
    struct rig rig = *fixture_rig();
    struct sb_err err;
    struct rig mine;
    assert_int_equal(rig_start(&mine, &err), 0);
    *fixture_rig() = mine;
    struct rig_box box = fixture_box();
    int sock = fixture_start_sh(&box, 0, "setsid sleep 1000 & sleep 1000");
    *fixture_rig() = rig;
    assert_int_equal(kill(mine.pid, SIGKILL), 0);
    fixture_await_death(&box);
    (void)rig_stop(&mine);
    (void)close(sock);
    rig_box_done(&box);
}

static void leaves_nothing_when_the_worker_dies(void **state)
{
    (void)state;
    int pids[2];
    pid_t seen[2];
    assert_int_equal(pipe(pids), 0);
    pid_t worker = fork();
    if (worker == 0) {
        struct rig mine;
        struct sb_err err;
        struct rig_box box;
        if (rig_start(&mine, &err) < 0) {
            _exit(1);
        }
        Spawn__V1__Plan plan = rig_plan(&mine);
        if (rig_spawn(&mine, &plan, -1, &box, &err) < 0) {
            _exit(1);
        }
        seen[0] = mine.pid;
        seen[1] = box.pid;
        (void)!write(pids[1], seen, sizeof seen);
        for (;;) {
            (void)pause();
        }
    }
    assert_int_equal(read(pids[0], seen, sizeof seen), sizeof seen);
    assert_int_equal(kill(worker, SIGKILL), 0);
    assert_int_equal(waitpid(worker, NULL, 0), worker);
    uint64_t deadline = sb_clock_mono_ms() + RIG_WAIT_MS;
    while (fixture_is_alive(seen[0]) || fixture_is_alive(seen[1])) {
        assert_true(sb_clock_mono_ms() < deadline);
        (void)usleep(1000);
    }
    (void)close(pids[0]);
    (void)close(pids[1]);
}

/* Entries of a directory of the spawner's /proc; -1: not ours to see. */
static int count_entries(const char *name)
{
    char path[64];
    int n = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/%s", fixture_rig()->pid, name);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return -1;
    }
    while (readdir(dir) != NULL) {
        n++;
    }
    (void)closedir(dir);
    return n;
}

/* Words and lines of a file of the spawner's /proc. */
static size_t count_file(const char *name, char what)
{
    char path[64];
    size_t n = 0;
    int c = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/%s", fixture_rig()->pid, name);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while ((c = fgetc(file)) != EOF) {
        n += c == what;
    }
    (void)fclose(file);
    return n;
}

/* Children of the spawner: each of its threads has its own. @ret_last  may be NULL. */
static size_t count_children(pid_t *ret_last)
{
    char path[64];
    size_t n = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task", fixture_rig()->pid);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        int pid = 0;
        (void)snprintf(path, sizeof path, "/proc/%d/task/%.16s/children", fixture_rig()->pid,
                       entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
        for (; file != NULL && fscanf(file, "%d", &pid) == 1; n++) {
            if (ret_last != NULL) {
                *ret_last = pid;
            }
        }
        if (file != NULL) {
            (void)fclose(file);
        }
    }
    (void)closedir(dir);
    return n;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void leaves_no_process_mount_or_descriptor_after_200_sandboxes(void **state)
{
    (void)state;
    enum { N = 200 };
    static uint64_t took[N];
    struct sb_err err;
    int fds = count_entries("fd");
    size_t mounts = count_file("mountinfo", '\n');
    for (int i = 0; i < N; i++) {
        uint64_t start = sb_clock_mono_ns();
        struct rig_box box = fixture_box();
        int sock = fixture_start_sh(&box, SB_INIT_ONLY, ":");
        took[i] = (sb_clock_mono_ns() - start) / 1000;
        assert_true(rig_kill(fixture_rig(), box.slot, &err) == 0 || err.code == SB_NOT_FOUND);
        fixture_await_death(&box);
        (void)close(sock);
        rig_box_done(&box);
    }
    struct rig_box last = fixture_box(); /* when this one is gone, so are those before it */
    assert_int_equal(rig_kill(fixture_rig(), last.slot, &err), 0);
    assert_int_equal(rig_wait_gone(fixture_rig(), last.slot, NULL, &err), 0);
    rig_box_done(&last);
    uint64_t deadline = sb_clock_mono_ms() + RIG_WAIT_MS;
    while (count_entries("fd") != fds && sb_clock_mono_ms() < deadline) {
        (void)usleep(10000); /* told first, closed then */
    }
    assert_int_equal(count_entries("fd"), fds);
    assert_true(count_file("mountinfo", '\n') < mounts + N / 2); /* others mount things here, too */
    assert_int_equal(count_children(NULL), 0);
    qsort(took, N, sizeof *took, compare);
    print_message("spawn to STARTED: min %llu us, p50 %llu us, p90 %llu us\n",
                  (unsigned long long)took[0], (unsigned long long)took[N / 2],
                  (unsigned long long)took[N * 9 / 10]);
}

static void starts_sandboxes_side_by_side(void **state)
{
    (void)state;
    enum { N = 16 };
    struct rig *rig = fixture_rig();
    struct sb_err err;
    Spawn__V1__Plan plan = rig_plan(rig);
    Spawn__V1__Spawn body = SPAWN__V1__SPAWN__INIT;
    Spawn__V1__Request request = SPAWN__V1__REQUEST__INIT;
    body.plan = &plan;
    request.body_case = SPAWN__V1__REQUEST__BODY_SPAWN;
    request.spawn = &body;
    for (int i = 0; i < N; i++) {
        request.tag = ++rig->last_tag;
        assert_int_equal(sb_frame_send(rig->sock, &request.base, NULL, 0, &err), 0);
    }
    int spawned = 0;
    while (spawned < N) {
        SB_CLEANUP(sb_frame_done) struct sb_frame frame = SB_FRAME_INIT;
        assert_int_equal(rig_event(rig, &frame, &err), 0);
        const Spawn__V1__Reply *reply = (Spawn__V1__Reply *)frame.msg;
        if (reply->body_case == SPAWN__V1__REPLY__BODY_SPAWNED) {
            spawned++;
        } else {
            assert_int_equal(reply->body_case, SPAWN__V1__REPLY__BODY_GONE);
        }
        /* the frame ends, and with it the control socket, and with that the sandbox */
    }
}

enum standing { RUNS, CAUGHT, TOO_LATE };

/* How a child stands that was told to stop: on its way, or as the program that it became. */
static enum standing look_at(pid_t pid)
{
    char path[64];
    char stat[64] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    (void)!(file == NULL ? NULL : fgets(stat, sizeof stat, file));
    if (file != NULL) {
        (void)fclose(file);
    }
    return strstr(stat, ") T") == NULL               ? RUNS
           : strstr(stat, "(aisbx-spawner)") == NULL ? TOO_LATE
                                                     : CAUGHT;
}

static uint64_t send_spawn(Spawn__V1__Plan *plan)
{
    struct rig *rig = fixture_rig();
    struct sb_err err;
    Spawn__V1__Spawn body = SPAWN__V1__SPAWN__INIT;
    Spawn__V1__Request request = SPAWN__V1__REQUEST__INIT;
    body.plan = plan;
    request.body_case = SPAWN__V1__REQUEST__BODY_SPAWN;
    request.spawn = &body;
    request.tag = ++rig->last_tag;
    assert_int_equal(sb_frame_send(rig->sock, &request.base, NULL, 0, &err), 0);
    return request.tag;
}

/* The answer to a spawn; a box when it worked, else the failure's text is in @ret_err. */
static bool receive_spawned(uint64_t tag, struct rig_box *ret_box, struct sb_err *ret_err)
{
    for (;;) {
        SB_CLEANUP(sb_frame_done) struct sb_frame frame = SB_FRAME_INIT;
        assert_int_equal(rig_event(fixture_rig(), &frame, ret_err), 0);
        const Spawn__V1__Reply *reply = (const Spawn__V1__Reply *)frame.msg;
        if (reply->tag != tag) {
            continue;
        }
        if (reply->body_case == SPAWN__V1__REPLY__BODY_FAILURE) {
            (void)sb_err_set(ret_err, (enum sb_code)reply->failure->code, "%s",
                             reply->failure->text);
            return false;
        }
        *ret_box = (struct rig_box){.slot = reply->spawned->slot,
                                    .pid = (pid_t)reply->spawned->init_pid,
                                    .ctl_fd = sb_frame_take_fd(&frame, 0),
                                    .pidfd = sb_frame_take_fd(&frame, 1)};
        return true;
    }
}

/* Stops a child before it is init: whoever is stopped too late is ended, and another one started. A
 * machine on which none is met in time shows nothing, nor does a spawner for the sanitizers: it has
 * no lanes, and waits for the first word of a child. Returns its tag. */
static uint64_t catch_child(Spawn__V1__Plan *plan, pid_t *ret_pid)
{
#ifdef SB_SANITIZED
    skip();
#endif
    const uint64_t deadline = sb_clock_mono_ms() + RIG_WAIT_MS;
    while (sb_clock_mono_ms() < deadline) {
        struct rig_box box;
        struct sb_err err;
        pid_t pid = 0;
        uint64_t tag = send_spawn(plan);
        struct pollfd answer = {.fd = fixture_rig()->sock, .events = POLLIN};
        while (count_children(&pid) == 0 && poll(&answer, 1, 0) == 0) {
        }
        bool is_stopped = pid > 0 && kill(pid, SIGSTOP) == 0;
        enum standing standing = RUNS;
        while (is_stopped && standing == RUNS && poll(&answer, 1, 1) == 0) {
            standing = look_at(pid); /* the signal may be on its way */
        }
        if (standing == CAUGHT) {
            *ret_pid = pid;
            return tag;
        }
        if (is_stopped) {
            (void)kill(pid, SIGCONT);
        }
        assert_true(receive_spawned(tag, &box, &err));
        assert_true(rig_kill(fixture_rig(), box.slot, &err) == 0);
        assert_int_equal(rig_wait_gone(fixture_rig(), box.slot, NULL, &err), 0);
        rig_box_done(&box);
    }
    skip();
    return 0;
}

/* A spawner of its own: one that has not had many children at a time has few threads to look at.
 * Its first sandbox is over before anybody is caught: that one may come with a child that looks
 * whether the driver works here. */
static int start_own(void **state)
{
    static struct rig before;
    struct rig mine;
    struct sb_err err;
    before = *fixture_rig();
    *state = &before;
    if (rig_start(&mine, &err) < 0) {
        return -1;
    }
    *fixture_rig() = mine;
    struct rig_box first = fixture_box();
    fixture_end(&first);
    return 0;
}

static int stop_own(void **state)
{
    const struct rig *before = *state;
    (void)rig_stop(fixture_rig());
    *fixture_rig() = *before;
    return 0;
}

static void starts_others_while_one_hangs(void **state)
{
    (void)state;
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    struct rig_box box;
    struct sb_err err;
    pid_t pid = 0;
    uint64_t tag = catch_child(&plan, &pid);
    for (int i = 0; i < 3; i++) {
        struct rig_box other = fixture_box();
        assert_string_equal(fixture_out(&other, "echo works"), "works");
        fixture_end(&other);
    }
    assert_int_equal(look_at(pid), CAUGHT); /* still: they did not wait for it */
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_true(receive_spawned(tag, &box, &err));
    assert_int_equal(fixture_status(&box, "exit 7"), 7);
    fixture_end(&box);
}

static void tells_of_a_child_that_is_killed_on_its_way(void **state)
{
    (void)state;
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    struct rig_box box;
    struct sb_err err;
    pid_t pid = 0;
    uint64_t tag = catch_child(&plan, &pid);
    assert_int_equal(kill(pid, SIGKILL), 0);
    if (receive_spawned(tag, &box, &err)) { /* its descriptors are gone a moment before it is */
        assert_int_equal(rig_wait_gone(fixture_rig(), box.slot, NULL, &err), 0);
        rig_box_done(&box);
    } else {
        assert_string_not_equal(err.text, ""); /* whichever step was the first to miss it */
    }
    box = fixture_box();
    assert_int_equal(fixture_status(&box, "exit 7"), 7);
    fixture_end(&box);
}

static void cannot_be_looked_into_while_it_is_idle(void **state)
{
    (void)state;
    char path[64];
    struct stat st;
    struct rig_box box = fixture_box();
    (void)snprintf(path, sizeof path, "/proc/%d/environ", fixture_rig()->pid);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, 0); /* so are those of what is not dumpable, whoever runs it */
    fixture_end(&box);
}

static void probes_what_it_then_enforces(void **state)
{
    (void)state;
    struct sb_err err;
    Spawn__V1__Probe probe = SPAWN__V1__PROBE__INIT;
    Spawn__V1__Request request = SPAWN__V1__REQUEST__INIT;
    SB_CLEANUP(sb_frame_done) struct sb_frame frame = SB_FRAME_INIT;
    request.body_case = SPAWN__V1__REQUEST__BODY_PROBE;
    request.probe = &probe;
    assert_int_equal(rig_call(fixture_rig(), &request, NULL, 0, &frame, &err), 0);
    const Spawn__V1__Probed *probed = ((Spawn__V1__Reply *)frame.msg)->probed;
    assert_true(probed->n_controls >= 12);
    for (size_t i = 0; i < probed->n_controls; i++) {
        const Spawn__V1__ProbedControl *control = probed->controls[i];
        print_message("control %u: state %u: %s %s\n", control->control, control->state,
                      control->detail, control->fix);
        assert_true(control->state >= 1 && control->state <= 3);
        assert_string_not_equal(control->detail, "");
        assert_true((control->state == 1) == (control->fix[0] == '\0'));
        if (control->control <= 9) { /* a sandbox was made here, so these hold */
            assert_int_equal(control->state, 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_when_anything_comes_before_hello),
        cmocka_unit_test(ends_when_a_request_has_no_body),
        cmocka_unit_test(ends_when_hello_comes_twice),
        cmocka_unit_test(ends_when_bytes_are_no_message),
        cmocka_unit_test(ends_when_a_request_brings_descriptors_it_may_not),
        cmocka_unit_test(refuses_a_worker_of_another_build),
        cmocka_unit_test(refuses_a_bad_plan_and_goes_on),
        cmocka_unit_test(refuses_an_unknown_filter),
        cmocka_unit_test(says_not_found_for_a_sandbox_that_is_gone),
        cmocka_unit_test(compiles_a_filter_once),
        cmocka_unit_test(tells_when_a_sandbox_is_gone_and_what_it_used),
        cmocka_unit_test(ends_a_sandbox_when_its_control_socket_is_closed),
        cmocka_unit_test(leaves_nothing_when_the_spawner_is_killed),
        cmocka_unit_test(leaves_nothing_when_the_worker_dies),
        cmocka_unit_test(leaves_no_process_mount_or_descriptor_after_200_sandboxes),
        cmocka_unit_test(starts_sandboxes_side_by_side),
        cmocka_unit_test_setup_teardown(starts_others_while_one_hangs, start_own, stop_own),
        cmocka_unit_test_setup_teardown(tells_of_a_child_that_is_killed_on_its_way, start_own,
                                        stop_own),
        cmocka_unit_test(cannot_be_looked_into_while_it_is_idle),
        cmocka_unit_test(probes_what_it_then_enforces),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
