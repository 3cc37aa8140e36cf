/** Nothing outlives what it belongs to, and the worker has nothing to lose. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/rpc/rpc.h"
#include "rig.h"

/** A shell that leaves a double-forked daemon of its own session behind, and waits. */
static const char *daemon_script(char out[128], const char *marker)
{
    (void)snprintf(out, 128, "(setsid sh -c 'sleep %s &' </dev/null >/dev/null 2>&1 &); sleep %s",
                   marker, marker);
    return out;
}

static void the_wall_limit_kills_a_double_forked_daemon(void **state)
{
    enum { WALL_MS = 3000 }; /* on a busy machine the daemon was not there yet after 500 */
    struct rig *rig = *state;
    char id[40];
    char markers[2][24];
    char scripts[2][128];
    struct rig_stream streams[2] = {{0}};
    struct sb_rpc_channel *channels[2];
    rig_create(rig->channel, id, 0, 0);
    for (size_t i = 0; i < 2; i++) { /* side by side: both wait */
        daemon_script(scripts[i], rig_marker(markers[i]));
        const struct rig_spec spec = {
            .args = {"sh", "-c", scripts[i]}, .wall_ms = WALL_MS, .sandbox_id = i == 0 ? NULL : id};
        channels[i] = rig_connect(rig);
        rig_start(&streams[i], channels[i], &spec, false, NULL);
    }
    for (size_t i = 0; i < 2; i++) {
        assert_true(rig_until_done(&streams[i]));
        const Aisbx__V1__Verdict *verdict = streams[i].ended->verdict;
        assert_int_equal(verdict->kind, AISBX__V1__VERDICT_KIND__VERDICT_KIND_TIMED_OUT);
        assert_string_equal(verdict->evidence[0]->source, "timer.wall_ms");
        assert_int_equal(verdict->evidence[0]->value, WALL_MS);
        assert_true(verdict->usage->wall_ms >= WALL_MS);
        assert_int_equal(rig_count(markers[i]), 0); /* at once */
        /* A shell whose child is killed first may end by itself before its turn comes. */
        assert_in_range(verdict->killed_processes, 2, 3);
        rig_stream_free(&streams[i]);
        sb_rpc_channel_free(channels[i]);
    }
}

static void cancel_one(struct rig *rig, const char *sandbox_id)
{
    struct sb_err err;
    struct rig_stream stream = {0};
    struct sb_rpc_channel *other = rig_connect(rig);
    char marker[24];
    char script[128];
    daemon_script(script, rig_marker(marker));
    const struct rig_spec spec = {.args = {"sh", "-c", script}, .sandbox_id = sandbox_id};
    rig_start(&stream, other, &spec, false, NULL);
    assert_true(rig_until_started(&stream));
    assert_true(rig_wait_count(marker, 3)); /* the shell's arguments hold it too */
    Aisbx__V1__CancelExecRequest cancel = AISBX__V1__CANCEL_EXEC_REQUEST__INIT;
    Aisbx__V1__CancelExecResponse *reply = NULL;
    cancel.exec_id = stream.exec_id;
    assert_int_equal(
        aisbx__v1__sandbox_service__cancel_exec__call(rig->channel, &cancel, NULL, &reply, &err),
        0);
    assert_int_equal(rig_count(marker), 0);
    assert_int_equal(reply->exec->verdict->kind, AISBX__V1__VERDICT_KIND__VERDICT_KIND_CANCELLED);
    aisbx__v1__cancel_exec_response__free_unpacked(reply, NULL);
    assert_true(rig_until_done(&stream));
    assert_int_equal(stream.ended->verdict->kind, AISBX__V1__VERDICT_KIND__VERDICT_KIND_CANCELLED);
    rig_stream_free(&stream);
    sb_rpc_channel_free(other);
}

static void cancel_ends_the_whole_tree_before_it_returns(void **state)
{
    struct rig *rig = *state;
    char id[40];
    rig_create(rig->channel, id, 0, 0);
    cancel_one(rig, NULL);
    cancel_one(rig, id);
}

static void a_client_that_goes_away_takes_its_ephemeral_sandbox_along(void **state)
{
    struct rig *rig = *state;
    struct rig_stream stream = {0};
    struct sb_rpc_channel *other = rig_connect(rig);
    char marker[24];
    const struct rig_spec spec = {.args = {"sleep", rig_marker(marker)}};
    rig_start(&stream, other, &spec, true, NULL);
    assert_true(rig_until_started(&stream));
    assert_true(rig_wait_count(marker, 1));
    sb_rpc_channel_free(other);
    assert_int_equal(rig_until_destroyed(rig->channel, stream.sandbox_id),
                     AISBX__V1__DESTROY_REASON__DESTROY_REASON_CANCELLED);
    assert_int_equal(rig_count(marker), 0);
    rig_stream_free(&stream);
}

static void a_background_exec_survives_its_client(void **state)
{
    struct rig *rig = *state;
    struct rig_stream stream = {0};
    struct rig_stream again = {0};
    struct sb_rpc_channel *other = rig_connect(rig);
    const struct rig_spec spec = {.args = {"sh", "-c", "sleep 0.5; echo survived"},
                                  .is_background = true};
    rig_start(&stream, other, &spec, false, NULL);
    assert_true(rig_until_started(&stream));
    sb_rpc_channel_free(other);
    rig_attach(&again, rig->channel, stream.exec_id, 0);
    assert_true(rig_until_done(&again));
    assert_string_equal(sb_buf_cstr(&again.out), "survived\n");
    assert_int_equal(again.ended->verdict->exit_code, 0);
    rig_stream_free(&again);
    rig_stream_free(&stream);
}

static void a_killed_init_ends_the_sandbox_and_says_so(void **state)
{
    struct rig *rig = *state;
    struct rig_stream stream = {0};
    struct sb_rpc_channel *other = rig_connect(rig);
    char id[40];
    char marker[24];
    rig_create(rig->channel, id, 0, 0);
    const struct rig_spec spec = {.args = {"sleep", rig_marker(marker)}, .sandbox_id = id};
    rig_start(&stream, other, &spec, false, NULL);
    assert_true(rig_until_started(&stream));
    if (kill((pid_t)stream.init_pid, SIGKILL) < 0) {
        print_message("only root can kill the init of a sandbox with ids of its own\n");
        skip();
    }
    assert_int_equal(rig_until_destroyed(rig->channel, id),
                     AISBX__V1__DESTROY_REASON__DESTROY_REASON_INIT_DIED);
    assert_true(rig_until_done(&stream));
    assert_int_equal(stream.ended->verdict->kind, AISBX__V1__VERDICT_KIND__VERDICT_KIND_SIGNALED);
    assert_string_equal(stream.ended->verdict->evidence[0]->source, "init.wait_status");
    assert_int_equal(rig_count(marker), 0);
    rig_stream_free(&stream);
    sb_rpc_channel_free(other);
}

/** The spawner is the worker's only child. */
static pid_t spawner_of(pid_t worker)
{
    char path[64];
    char text[32] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)worker, (int)worker);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    (void)fclose(file);
    return (pid_t)strtol(text, NULL, 10);
}

static void without_its_spawner_the_worker_ends_and_tells_its_callers(void **state)
{
    struct rig *rig = *state;
    struct rig_stream stream = {0};
    char marker[24];
    const struct rig_spec spec = {.args = {"sleep", rig_marker(marker)}};
    rig_start(&stream, rig->channel, &spec, false, NULL);
    assert_true(rig_until_started(&stream));
    assert_int_equal(kill(spawner_of(rig->pid), SIGKILL), 0);
    assert_true(rig_until_done(&stream));
    assert_non_null(stream.ended);
    assert_int_equal(stream.ended->verdict->kind,
                     AISBX__V1__VERDICT_KIND__VERDICT_KIND_WORKER_LOST);
    int status = rig_wait(rig);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    assert_true(rig_wait_count(marker, 0));
    rig_stream_free(&stream);
}

static void a_killed_worker_leaves_nothing_behind(void **state)
{
    enum { COUNT = 8 };
    struct rig *rig = *state;
    struct rig_stream streams[COUNT] = {{0}};
    char marker[24];
    char script[128];
    daemon_script(script, rig_marker(marker));
    const struct rig_spec spec = {.args = {"sh", "-c", script}};
    for (int i = 0; i < COUNT; i++) {
        rig_start(&streams[i], rig->channel, &spec, false, NULL);
        assert_true(rig_until_started(&streams[i]));
    }
    pid_t spawner = spawner_of(rig->pid);
    assert_int_equal(kill(rig->pid, SIGKILL), 0);
    (void)rig_wait(rig);
    assert_true(rig_wait_count(marker, 0));
    for (int i = 0; i < 2000 && kill(spawner, 0) == 0; i++) {
        rig_turn(rig->channel, 10);
        char path[64];
        (void)snprintf(path, sizeof path, "/proc/%d/exe", (int)spawner);
        char target[16];
        if (readlink(path, target, sizeof target) < 0) {
            break; /* a zombie that somebody else must reap */
        }
    }
    for (int i = 0; i < COUNT; i++) {
        assert_true(rig_until_done(&streams[i]));
        assert_int_equal(streams[i].status.code, SB_UNAVAILABLE);
        rig_stream_free(&streams[i]);
    }
}

static void sigterm_lets_calls_end_destroys_the_rest_and_exits_with_zero(void **state)
{
    struct rig *rig = *state;
    struct rig_stream quick = {0};
    struct rig_stream endless = {0};
    char marker[24];
    const struct rig_spec short_spec = {.args = {"sh", "-c", "sleep 0.2; echo done"}};
    const struct rig_spec long_spec = {.args = {"sleep", rig_marker(marker)}};
    rig_start(&quick, rig->channel, &short_spec, false, NULL);
    rig_start(&endless, rig->channel, &long_spec, false, NULL);
    assert_true(rig_until_started(&quick));
    assert_true(rig_until_started(&endless));
    assert_int_equal(kill(rig->pid, SIGTERM), 0);
    assert_true(rig_until_done(&quick));
    assert_string_equal(sb_buf_cstr(&quick.out), "done\n");
    assert_true(rig_until_done(&endless));
    assert_non_null(endless.ended);
    assert_int_equal(endless.ended->verdict->kind,
                     AISBX__V1__VERDICT_KIND__VERDICT_KIND_WORKER_LOST);
    int status = rig_wait(rig);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(rig_count(marker), 0);
    rig_stream_free(&quick);
    rig_stream_free(&endless);
}

static void status_line(pid_t pid, const char *key, char out[128])
{
    char path[64];
    char line[256];
    size_t len = strlen(key);
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    out[0] = '\0';
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, len) == 0 && line[len] == ':') {
            (void)sscanf(line + len + 1, " %127[^\n]", out);
        }
    }
    (void)fclose(file);
}

static void the_worker_has_no_privilege_at_all(void **state)
{
    static const struct {
        const char *key;
        const char *value;
    } rows[] = {
        {"CapInh", "0000000000000000"},
        {"CapPrm", "0000000000000000"},
        {"CapEff", "0000000000000000"},
        {"CapAmb", "0000000000000000"},
        {"NoNewPrivs", "1"},
        {"Seccomp", "2"},
    };
    struct rig *rig = *state;
    char value[128];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        status_line(rig->pid, rows[i].key, value);
        assert_string_equal(value, rows[i].value);
    }
    char *rest = NULL;
    status_line(rig->pid, "Uid", value);
    unsigned long real = strtoul(value, &rest, 10);
    unsigned long effective = strtoul(rest, NULL, 10);
    assert_int_not_equal(real, 0);
    assert_int_equal(real, effective);
    if (geteuid() == 0) {
        status_line(rig->pid, "Groups", value);
        assert_string_equal(value, "");
    }
}

const struct CMUnitTest end_tests[] = {
    RIG_SHARED(the_wall_limit_kills_a_double_forked_daemon),
    RIG_SHARED(cancel_ends_the_whole_tree_before_it_returns),
    RIG_SHARED(a_client_that_goes_away_takes_its_ephemeral_sandbox_along),
    RIG_SHARED(a_background_exec_survives_its_client),
    RIG_SHARED(a_killed_init_ends_the_sandbox_and_says_so),
    RIG_ALONE(without_its_spawner_the_worker_ends_and_tells_its_callers),
    RIG_ALONE(a_killed_worker_leaves_nothing_behind),
    RIG_ALONE(sigterm_lets_calls_end_destroys_the_rest_and_exits_with_zero),
    RIG_SHARED(the_worker_has_no_privilege_at_all),
};
const size_t end_tests_n = sizeof end_tests / sizeof *end_tests;
