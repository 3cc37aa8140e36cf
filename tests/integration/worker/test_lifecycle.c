/** The life of sandboxes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "proto/rpc/rpc.h"
#include "rig.h"

static Aisbx__V1__ListSandboxesResponse *
list(const struct rig *rig, unsigned size, const char *token, struct sb_err *err)
{
    Aisbx__V1__ListSandboxesRequest request = AISBX__V1__LIST_SANDBOXES_REQUEST__INIT;
    Aisbx__V1__ListSandboxesResponse *reply = NULL;
    request.page_size = size;
    request.page_token = rig_text(token);
    (void)aisbx__v1__sandbox_service__list_sandboxes__call(rig->channel, &request, NULL, &reply,
                                                           err);
    return reply;
}

static int destroy(const struct rig *rig, const char *id, struct sb_err *err)
{
    Aisbx__V1__DestroySandboxRequest request = AISBX__V1__DESTROY_SANDBOX_REQUEST__INIT;
    Aisbx__V1__DestroySandboxResponse *reply = NULL;
    request.sandbox_id = rig_text(id);
    if (aisbx__v1__sandbox_service__destroy_sandbox__call(rig->channel, &request, NULL, &reply,
                                                          err) < 0) {
        return -1;
    }
    int reason = (int)reply->sandbox->destroy_reason;
    assert_int_equal(reply->sandbox->state, AISBX__V1__SANDBOX_STATE__SANDBOX_STATE_DESTROYED);
    aisbx__v1__destroy_sandbox_response__free_unpacked(reply, NULL);
    return reason;
}

static void a_sandbox_lives_from_create_to_destroy(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    char id[40];
    rig_create(rig->channel, id, 0, 0);
    Aisbx__V1__GetSandboxResponse *got = rig_get(rig->channel, id);
    assert_int_equal(got->sandbox->state, AISBX__V1__SANDBOX_STATE__SANDBOX_STATE_RUNNING);
    assert_string_equal(got->sandbox->profile, "minimal");
    assert_string_equal(got->sandbox->driver, "native");
    assert_int_equal(strlen(got->sandbox->policy_hash), 64);
    assert_true(got->sandbox->n_controls > 5);
    assert_true(got->sandbox->init_pid > 0);
    assert_non_null(got->sandbox->create_time);
    assert_true(got->sandbox->limits->wall_ms > 0);
    aisbx__v1__get_sandbox_response__free_unpacked(got, NULL);

    const struct rig_spec spec = {.args = {"sh", "-c", "echo hello; exit 5"}, .sandbox_id = id};
    Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
    assert_int_equal(run->exec->verdict->exit_code, 5);
    assert_int_equal(run->stdout.len, 6);
    aisbx__v1__run_response__free_unpacked(run, NULL);

    assert_int_equal(destroy(rig, id, &err), AISBX__V1__DESTROY_REASON__DESTROY_REASON_REQUESTED);
    assert_int_equal(destroy(rig, id, &err), AISBX__V1__DESTROY_REASON__DESTROY_REASON_REQUESTED);
    Aisbx__V1__ListSandboxesResponse *page = list(rig, 0, "", &err);
    assert_int_equal(page->n_sandboxes, 0);
    aisbx__v1__list_sandboxes_response__free_unpacked(page, NULL);
}

static void destroy_kills_what_runs_and_says_why(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    char id[40];
    char marker[24];
    rig_create(rig->channel, id, 0, 0);
    struct rig_stream stream = {0};
    char script[128];
    (void)rig_marker(marker);
    (void)snprintf(script, sizeof script, "(setsid sh -c 'sleep %s &' >/dev/null 2>&1 &); sleep %s",
                   marker, marker);
    const struct rig_spec spec = {.args = {"sh", "-c", script}, .sandbox_id = id};
    struct sb_rpc_channel *other = rig_connect(rig);
    rig_start(&stream, other, &spec, false, NULL);
    assert_true(rig_until_started(&stream));
    assert_true(rig_wait_count(marker, 3)); /* a double-forked daemon, and the shell's arguments */

    assert_true(destroy(rig, id, &err) > 0);
    assert_int_equal(rig_count(marker), 0); /* at once: destroy returns when nothing is left */
    assert_true(rig_until_done(&stream));
    assert_int_equal(stream.ended->verdict->kind, AISBX__V1__VERDICT_KIND__VERDICT_KIND_CANCELLED);
    assert_non_null(strstr(stream.ended->verdict->message, "destroyed"));
    rig_stream_free(&stream);
    sb_rpc_channel_free(other);
}

static void pages_show_every_sandbox_once_newest_first(void **state)
{
    enum { COUNT = 7, PAGE = 3 };
    struct rig *rig = *state;
    struct sb_err err;
    char ids[COUNT][40];
    char token[64] = "";
    size_t seen = 0;
    for (int i = 0; i < COUNT; i++) {
        rig_create(rig->channel, ids[i], 0, 0);
    }
    do {
        Aisbx__V1__ListSandboxesResponse *page = list(rig, PAGE, token, &err);
        assert_non_null(page);
        for (size_t i = 0; i < page->n_sandboxes; i++, seen++) {
            assert_string_equal(page->sandboxes[i]->sandbox_id, ids[COUNT - 1 - seen]);
        }
        (void)snprintf(token, sizeof token, "%s", page->next_page_token);
        aisbx__v1__list_sandboxes_response__free_unpacked(page, NULL);
    } while (token[0] != '\0');
    assert_int_equal(seen, COUNT);
    assert_null(list(rig, PAGE, "00000000000000000000000000000000", &err));
    assert_int_equal(err.code, SB_INVALID);
}

static void the_ttl_ends_a_sandbox(void **state)
{
    struct rig *rig = *state;
    char id[40];
    rig_create(rig->channel, id, 100, 0);
    assert_int_equal(rig_until_destroyed(rig->channel, id),
                     AISBX__V1__DESTROY_REASON__DESTROY_REASON_TTL);
}

static void the_idle_limit_ends_a_sandbox_but_not_while_an_exec_runs(void **state)
{
    struct rig *rig = *state;
    char id[40];
    rig_create(rig->channel, id, 0, 1500); /* which the way to the exec takes part of */
    const struct rig_spec spec = {.args = {"sleep", "2"}, .sandbox_id = id};
    Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
    assert_int_equal(run->exec->verdict->kind, AISBX__V1__VERDICT_KIND__VERDICT_KIND_EXITED);
    aisbx__v1__run_response__free_unpacked(run, NULL);
    assert_int_equal(rig_until_destroyed(rig->channel, id),
                     AISBX__V1__DESTROY_REASON__DESTROY_REASON_IDLE);
}

static void update_changes_labels_and_ttl_and_nothing_else(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    char id[40];
    char *paths[] = {rig_text("labels"), rig_text("ttl_ms")};
    char *wrong[] = {rig_text("profile")};
    rig_create(rig->channel, id, 0, 0);
    Aisbx__V1__UpdateSandboxRequest request = AISBX__V1__UPDATE_SANDBOX_REQUEST__INIT;
    Aisbx__V1__UpdateSandboxResponse *reply = NULL;
    Google__Protobuf__FieldMask mask = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    Aisbx__V1__SandboxSpec__LabelsEntry label = AISBX__V1__SANDBOX_SPEC__LABELS_ENTRY__INIT;
    Aisbx__V1__SandboxSpec__LabelsEntry *labels[] = {&label};
    label.key = rig_text("team");
    label.value = rig_text("red");
    spec.labels = labels;
    spec.n_labels = 1;
    spec.ttl_ms = 3600000;
    mask.paths = paths;
    mask.n_paths = 2;
    request.sandbox_id = id;
    request.update_mask = &mask;
    request.sandbox = &spec;
    assert_int_equal(aisbx__v1__sandbox_service__update_sandbox__call(rig->channel, &request, NULL,
                                                                      &reply, &err),
                     0);
    assert_int_equal(reply->sandbox->n_labels, 1);
    assert_string_equal(reply->sandbox->labels[0]->value, "red");
    assert_non_null(reply->sandbox->expire_time);
    aisbx__v1__update_sandbox_response__free_unpacked(reply, NULL);
    mask.paths = wrong;
    mask.n_paths = 1;
    assert_int_equal(aisbx__v1__sandbox_service__update_sandbox__call(rig->channel, &request, NULL,
                                                                      &reply, &err),
                     -1);
    assert_int_equal(err.code, SB_INVALID);
}

static int create_with_id(const struct rig *rig,
                          const char *request_id,
                          const char *profile,
                          char out[40],
                          struct sb_err *err)
{
    Aisbx__V1__CreateSandboxRequest request = AISBX__V1__CREATE_SANDBOX_REQUEST__INIT;
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    Aisbx__V1__CreateSandboxResponse *reply = NULL;
    spec.profile = rig_text(profile);
    request.request_id = rig_text(request_id);
    request.sandbox = &spec;
    if (aisbx__v1__sandbox_service__create_sandbox__call(rig->channel, &request, NULL, &reply,
                                                         err) < 0) {
        return -1;
    }
    (void)snprintf(out, 40, "%s", reply->sandbox->sandbox_id);
    aisbx__v1__create_sandbox_response__free_unpacked(reply, NULL);
    return 0;
}

static void a_create_that_is_repeated_acts_once(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    char first[40];
    char second[40];
    assert_int_equal(create_with_id(rig, "job-1", "minimal", first, &err), 0);
    assert_int_equal(create_with_id(rig, "job-1", "minimal", second, &err), 0);
    assert_string_equal(first, second);
    assert_int_equal(create_with_id(rig, "job-1", "strict", second, &err), -1);
    assert_int_equal(err.code, SB_EXISTS);
    Aisbx__V1__ListSandboxesResponse *page = list(rig, 0, "", &err);
    assert_int_equal(page->n_sandboxes, 1);
    aisbx__v1__list_sandboxes_response__free_unpacked(page, NULL);
}

static void a_floor_that_does_not_hold_is_refused_by_name(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    Aisbx__V1__Control floor[] = {AISBX__V1__CONTROL__CONTROL_SECCOMP,
                                  AISBX__V1__CONTROL__CONTROL_LANDLOCK};
    Aisbx__V1__CreateSandboxRequest request = AISBX__V1__CREATE_SANDBOX_REQUEST__INIT;
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    Aisbx__V1__CreateSandboxResponse *reply = NULL;
    spec.profile = rig_text("minimal");
    spec.driver = rig_text("bwrap"); /* which never has it */
    spec.require = floor;
    spec.n_require = 2;
    request.sandbox = &spec;
    assert_int_equal(aisbx__v1__sandbox_service__create_sandbox__call(rig->channel, &request, NULL,
                                                                      &reply, &err),
                     -1);
    assert_int_equal(err.code, SB_PRECONDITION);
    assert_true(strstr(err.text, "LANDLOCK") != NULL || strstr(err.text, "bubblewrap") != NULL);
    spec.driver = rig_text("native");
    spec.n_require = 1;
    assert_int_equal(aisbx__v1__sandbox_service__create_sandbox__call(rig->channel, &request, NULL,
                                                                      &reply, &err),
                     0);
    aisbx__v1__create_sandbox_response__free_unpacked(reply, NULL);
}

static void a_draining_worker_takes_no_new_sandbox(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    char id[40];
    Aisbx__V1__SetDrainingRequest request = AISBX__V1__SET_DRAINING_REQUEST__INIT;
    Aisbx__V1__SetDrainingResponse *reply = NULL;
    request.draining = 1;
    assert_int_equal(
        aisbx__v1__worker_service__set_draining__call(rig->channel, &request, NULL, &reply, &err),
        0);
    aisbx__v1__set_draining_response__free_unpacked(reply, NULL);
    assert_int_equal(create_with_id(rig, "", "minimal", id, &err), -1);
    assert_int_equal(err.code, SB_UNAVAILABLE);
    request.draining = 0;
    assert_int_equal(
        aisbx__v1__worker_service__set_draining__call(rig->channel, &request, NULL, &reply, &err),
        0);
    aisbx__v1__set_draining_response__free_unpacked(reply, NULL);
    assert_int_equal(create_with_id(rig, "", "minimal", id, &err), 0);
}

/* ---- WatchSandboxes ---- */

struct watch {
    int kinds[16];
    size_t n;
};

static void
on_watch(struct sb_rpc_stream *stream, const Aisbx__V1__WatchSandboxesResponse *msg, void *user)
{
    struct watch *watch = user;
    if (watch->n < 16) {
        watch->kinds[watch->n++] = (int)msg->kind;
    }
    sb_rpc_stream_read(stream);
}

static void a_watcher_is_told_of_the_whole_life(void **state)
{
    static const struct aisbx__v1__sandbox_service__watch_sandboxes__callbacks callbacks = {
        .message = on_watch};
    static const int expected[] = {SB_OK,
                                   AISBX__V1__SANDBOX_EVENT_KIND__SANDBOX_EVENT_KIND_EXISTING,
                                   AISBX__V1__SANDBOX_EVENT_KIND__SANDBOX_EVENT_KIND_CREATED,
                                   AISBX__V1__SANDBOX_EVENT_KIND__SANDBOX_EVENT_KIND_EXEC_STARTED,
                                   AISBX__V1__SANDBOX_EVENT_KIND__SANDBOX_EVENT_KIND_EXEC_ENDED,
                                   AISBX__V1__SANDBOX_EVENT_KIND__SANDBOX_EVENT_KIND_CHANGED,
                                   AISBX__V1__SANDBOX_EVENT_KIND__SANDBOX_EVENT_KIND_DESTROYED};
    struct rig *rig = *state;
    struct sb_err err;
    struct watch watch = {0};
    char existing[40];
    char id[40];
    rig_create(rig->channel, existing, 0, 0);
    Aisbx__V1__WatchSandboxesRequest request = AISBX__V1__WATCH_SANDBOXES_REQUEST__INIT;
    struct sb_rpc_channel *other = rig_connect(rig);
    struct sb_rpc_stream *stream = NULL;
    request.include_existing = 1;
    assert_int_equal(aisbx__v1__sandbox_service__watch_sandboxes__start(
                         other, &request, NULL, &callbacks, &watch, &stream, &err),
                     0);
    sb_rpc_stream_read(stream);
    rig_turn(other, 200);
    rig_create(rig->channel, id, 0, 0);
    const struct rig_spec spec = {.args = {"true"}, .sandbox_id = id};
    aisbx__v1__run_response__free_unpacked(rig_run(rig->channel, &spec, NULL), NULL);
    assert_true(destroy(rig, id, &err) > 0);
    for (int i = 0; i < 100 && watch.n < 6; i++) {
        rig_turn(other, 50);
    }
    assert_int_equal(watch.n, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(watch.kinds[i], expected[i + 1]);
    }
    sb_rpc_channel_free(other);
}

const struct CMUnitTest lifecycle_tests[] = {
    RIG_ALONE(a_sandbox_lives_from_create_to_destroy),
    RIG_SHARED(destroy_kills_what_runs_and_says_why),
    RIG_ALONE(pages_show_every_sandbox_once_newest_first),
    RIG_SHARED(the_ttl_ends_a_sandbox),
    RIG_SHARED(the_idle_limit_ends_a_sandbox_but_not_while_an_exec_runs),
    RIG_SHARED(update_changes_labels_and_ttl_and_nothing_else),
    RIG_ALONE(a_create_that_is_repeated_acts_once),
    RIG_SHARED(a_floor_that_does_not_hold_is_refused_by_name),
    RIG_ALONE(a_draining_worker_takes_no_new_sandbox),
    RIG_ALONE(a_watcher_is_told_of_the_whole_life),
};
const size_t lifecycle_tests_n = sizeof lifecycle_tests / sizeof *lifecycle_tests;
