#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "aisbx/v1/sandbox_service.pb-c.h"
#include "aisbx/v1/worker_service.pb-c.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "google/protobuf/field_mask.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "proto/client/message.h"
#include "proto/json/pbread.h"
#include "proto/json/when.h"

static char pointer[SB_PBREAD_POINTER_SIZE];

static void *make(const ProtobufCMessageDescriptor *type)
{
    struct sb_err err;
    ProtobufCMessage *message = sb_pbread_new(type, &err);
    assert_non_null(message);
    return message;
}

static void reads_every_kind_of_field(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_message_freep)
    Aisbx__V1__RunRequest *run = make(&aisbx__v1__run_request__descriptor);
    struct sb_str text = SB_STR(
        "{\"request_id\":\"r\",\"target\":{\"new_sandbox\":{\"limits\":{\"memory_bytes\":"
        "9007199254740991},\"env\":{\"A\":\"1\",\"B\":\"\"},\"require\":[\"seccomp\",\"cgroup\"],"
        "\"network\":{\"mode\":\"none\"}}},\"exec\":{\"command\":{\"args\":[\"a\",\"\"]},"
        "\"background\":true},\"stdin\":\"\\u00e4\",\"max_output_bytes\":4294967295}");
    if (sb_pbread_text(text, &run->base, pointer, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_string_equal(run->request_id, "r");
    const Aisbx__V1__SandboxSpec *spec = run->target->new_sandbox;
    assert_int_equal(run->target->sandbox_case, AISBX__V1__EXEC_TARGET__SANDBOX_NEW_SANDBOX);
    assert_true(spec->limits->memory_bytes == 9007199254740991U);
    assert_int_equal(spec->n_env, 2);
    assert_string_equal(spec->env[1]->key, "B");
    assert_int_equal(spec->require[1], AISBX__V1__CONTROL__CONTROL_CGROUP);
    assert_int_equal(spec->network->mode, AISBX__V1__NETWORK_MODE__NETWORK_MODE_NONE);
    assert_int_equal(run->exec->command->n_args, 2);
    assert_true(run->exec->background);
    assert_memory_equal(run->stdin.data, "\xc3\xa4", 2);
    assert_true(run->max_output_bytes == UINT32_MAX);
}

static void names_the_place_of_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *pointer;
    } rows[] = {
        {"{\"exec\":{\"command\":{\"args\":[\"a\",1]}}}", "/exec/command/args/1"},
        {"{\"target\":{\"new_sandbox\":{\"env\":{\"A/~\":1}}}}", "/target/new_sandbox/env/A~1~0"},
        {"{\"exec\":{\"command\":{},\"script\":{}}}", "/exec/script"},
        {"{\"max_output_bytes\":-1}", "/max_output_bytes"},
        {"[]", ""},
        {"{", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_err err = {0};
        SB_CLEANUP(sb_message_freep)
        ProtobufCMessage *run = make(&aisbx__v1__run_request__descriptor);
        assert_int_equal(sb_pbread_text(sb_str_from(rows[i].text), run, pointer, &err), -1);
        assert_int_equal(err.code, SB_INVALID);
        assert_string_equal(pointer, rows[i].pointer);
    }
}

static void takes_nothing_twice_that_the_path_says(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_message_freep)
    Aisbx__V1__StartExecRequest *start = make(&aisbx__v1__start_exec_request__descriptor);
    assert_int_equal(sb_pbread_bind(&start->base, SB_STR("target.sandbox_id"), SB_STR("x"), &err),
                     0);
    assert_int_equal(start->target->sandbox_case, AISBX__V1__EXEC_TARGET__SANDBOX_SANDBOX_ID);
    assert_string_equal(start->target->sandbox_id, "x");
    assert_int_equal(sb_pbread_text(SB_STR("{\"target\":{}}"), &start->base, pointer, &err), -1);
    assert_string_equal(pointer, "/target");
}

static void reads_parameters(void **state)
{
    (void)state;
    struct sb_err err = {0};
    const ProtobufCMessageDescriptor *type = &aisbx__v1__list_audit_records_request__descriptor;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ListAuditRecordsRequest *list = make(type);
    assert_true(sb_pbread_has_param(type, SB_STR("start_time")));
    assert_false(sb_pbread_has_param(type, SB_STR("nothing")));
    assert_int_equal(sb_pbread_param(&list->base, SB_STR("page_size"), SB_STR("7"), &err), 0);
    assert_int_equal(sb_pbread_param(&list->base, SB_STR("start_time"),
                                     SB_STR("1970-01-02T00:00:01.25+01:00"), &err),
                     0);
    assert_int_equal(list->page_size, 7);
    assert_true(list->start_time->seconds == 86401 - 3600);
    assert_int_equal(list->start_time->nanos, 250000000);
    assert_int_equal(sb_pbread_param(&list->base, SB_STR("page_size"), SB_STR("-1"), &err), -1);
    assert_int_equal(sb_pbread_param(&list->base, SB_STR("end_time"), SB_STR("now"), &err), -1);

    SB_CLEANUP(sb_message_freep)
    Aisbx__V1__ListSandboxesRequest *boxes = make(&aisbx__v1__list_sandboxes_request__descriptor);
    assert_int_equal(
        sb_pbread_param(&boxes->base, SB_STR("states"), SB_STR("running,paused"), &err), 0);
    assert_int_equal(boxes->n_states, 2);
    assert_int_equal(sb_pbread_param(&boxes->base, SB_STR("labels"), SB_STR("a=b,c="), &err), 0);
    assert_string_equal(boxes->labels[1]->key, "c");
    assert_int_equal(boxes->n_labels, 2);
}

static void reads_masks(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_message_freep)
    Aisbx__V1__UpdateSandboxRequest *update = make(&aisbx__v1__update_sandbox_request__descriptor);
    struct sb_str text = SB_STR("{\"update_mask\":[\"ttl_ms\",\"labels\"]}");
    assert_int_equal(sb_pbread_text(text, &update->base, pointer, &err), 0);
    assert_int_equal(update->update_mask->n_paths, 2);
    assert_string_equal(update->update_mask->paths[1], "labels");
}

static void knows_which_days_there_are(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "2026-02-29T00:00:00Z",  "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z",
        "2026-01-01 00:00:00Z",  "2026-01-01T00:00:00",  "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00Zx", "1969-12-31T23:59:59Z", ""};
    int64_t seconds = 7;
    int32_t nanos = 7;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(sb_when_parse(sb_str_from(bad[i]), &seconds, &nanos));
    }
    assert_true(seconds == 7 && nanos == 7);
    assert_true(sb_when_parse(SB_STR("2028-02-29T12:00:00.000000001Z"), &seconds, &nanos));
    assert_true(seconds == 1835438400 && nanos == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_kind_of_field),
        cmocka_unit_test(names_the_place_of_what_is_wrong),
        cmocka_unit_test(takes_nothing_twice_that_the_path_says),
        cmocka_unit_test(reads_parameters),
        cmocka_unit_test(reads_masks),
        cmocka_unit_test(knows_which_days_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
