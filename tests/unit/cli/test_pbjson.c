#include "aisbx/v1/sandbox_service.pb-c.h"
#include "base/json.h"
#include "base/out.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "proto/json/pbjson.h"
#include "testing.h"

static void enum_values_lose_the_name_of_their_type(void **state)
{
    char scratch[64];
    (void)state;
    assert_string_equal(sb_pbjson_enum(&aisbx__v1__verdict_kind__descriptor, 3, scratch),
                        "timed_out");
    assert_string_equal(sb_pbjson_enum(&aisbx__v1__sandbox_state__descriptor, 2, scratch),
                        "running");
}

static void unknown_enum_values_are_numbers(void **state)
{
    char scratch[64];
    (void)state;
    assert_string_equal(sb_pbjson_enum(&aisbx__v1__verdict_kind__descriptor, 4711, scratch),
                        "4711");
}

static void scalars_are_there_even_when_empty_and_messages_only_when_set(void **state)
{
    struct sb_out out;
    struct sb_json json = {.out = &out};
    Aisbx__V1__Mount mount = AISBX__V1__MOUNT__INIT;
    (void)state;
    sb_out_init(&out, -1);
    sb_pbjson_message(&json, NULL, &mount.base);
    assert_string_equal(sb_buf_cstr(&out.buf),
                        "{\"source\":\"\",\"target\":\"\",\"mode\":\"unspecified\"}");
    sb_out_done(&out);

    Aisbx__V1__ExecTarget target = AISBX__V1__EXEC_TARGET__INIT;
    sb_out_init(&out, -1);
    json = (struct sb_json){.out = &out};
    sb_pbjson_message(&json, NULL, &target.base);
    assert_string_equal(sb_buf_cstr(&out.buf), "{}");
    sb_out_done(&out);
}

static void maps_are_objects_and_timestamps_text(void **state)
{
    struct sb_out out;
    struct sb_json json = {.out = &out};
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    (void)state;
    time.seconds = 1767225599;
    time.nanos = 123456789;
    Aisbx__V1__Exec exec = AISBX__V1__EXEC__INIT;
    char *args[] = {(char[]){"a"}, (char[]){"b c"}};
    exec.args = args;
    exec.n_args = 2;
    exec.start_time = &time;
    exec.pid = -3;
    sb_out_init(&out, -1);
    sb_pbjson_message(&json, NULL, &exec.base);
    assert_string_equal(
        sb_buf_cstr(&out.buf),
        "{\"exec_id\":\"\",\"sandbox_id\":\"\",\"args\":[\"a\",\"b c\"],\"cwd\":\"\","
        "\"start_time\":\"2025-12-31T23:59:59.123Z\",\"stdout_bytes\":0,\"stderr_bytes\":0,"
        "\"pid\":-3,\"background\":false,\"open_stdin\":false}");
    sb_out_done(&out);

    Aisbx__V1__ListSandboxesRequest request = AISBX__V1__LIST_SANDBOXES_REQUEST__INIT;
    Aisbx__V1__ListSandboxesRequest__LabelsEntry entry =
        AISBX__V1__LIST_SANDBOXES_REQUEST__LABELS_ENTRY__INIT;
    Aisbx__V1__ListSandboxesRequest__LabelsEntry *entries[] = {&entry};
    entry.key = (char[]){"team"};
    entry.value = (char[]){"x\"y"};
    request.labels = entries;
    request.n_labels = 1;
    sb_out_init(&out, -1);
    json = (struct sb_json){.out = &out};
    sb_pbjson_message(&json, NULL, &request.base);
    assert_string_equal(sb_buf_cstr(&out.buf),
                        "{\"page_size\":0,\"page_token\":\"\",\"states\":[],"
                        "\"labels\":{\"team\":\"x\\\"y\"},\"profile\":\"\"}");
    sb_out_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enum_values_lose_the_name_of_their_type),
        cmocka_unit_test(unknown_enum_values_are_numbers),
        cmocka_unit_test(scalars_are_there_even_when_empty_and_messages_only_when_set),
        cmocka_unit_test(maps_are_objects_and_timestamps_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
