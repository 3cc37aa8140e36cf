/** The form of records, and what of a request goes into them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "aisbx/v1/sandbox_service.pb-c.h"
#include "base/err.h"
#include "base/json.h"
#include "base/json_scan.h"
#include "base/out.h"
#include "service/worker/trail/detail.h"
#include "trail/record.h"

static void hash(const struct sb_trail_record *record, char hex[SB_TRAIL_HEX_SIZE])
{
    static const uint8_t none[SB_TRAIL_HASH_BYTES];
    uint8_t bytes[SB_TRAIL_HASH_BYTES];
    struct sb_err err;
    assert_int_equal(sb_trail_hash(none, record, bytes, &err), 0);
    sb_trail_hex(bytes, hex);
}

/* Made by: printf 'aisbx audit 1\n' and the numbers and lengths by hand, behind 32 zero bytes, with
 * sha256sum. Whoever changes this breaks every chain there is. */
static void canonical_form_is_for_ever(void **state)
{
    (void)state;
    char hex[SB_TRAIL_HEX_SIZE];
    const struct sb_trail_record record = {
        .sequence = 1,
        .time_ms = 1700000000123,
        .actor = SB_STR("uid:0"),
        .tenant = SB_STR("local"),
        .action = SB_STR("exec.start"),
        .outcome = SB_STR("allowed"),
        .detail = SB_STR("{}"),
    };
    hash(&record, hex);
    assert_string_equal(hex, "8fe44c4b848aaf642c621557c0a213ae9df1762d93d42c8424b9a13090e03c53");
}

static void text_cannot_move_from_one_part_to_the_next(void **state)
{
    (void)state;
    char one[SB_TRAIL_HEX_SIZE];
    char other[SB_TRAIL_HEX_SIZE];
    const struct sb_trail_record left = {
        .sequence = 1, .actor = SB_STR("ab"), .tenant = SB_STR("c")};
    const struct sb_trail_record right = {
        .sequence = 1, .actor = SB_STR("a"), .tenant = SB_STR("bc")};
    hash(&left, one);
    hash(&right, other);
    assert_string_not_equal(one, other);
}

static void hostile_texts_stay_on_one_line(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "x\n{\"sequence\":9,\"action\":\"forged\"}",
        "\"}\r\n{\"a\":1",
        "\x1b[2J\x07",
        "\xff\xfe\xc0\x80",
        "{\"a\":1}\n{\"b\":2}",
        "{\"a\":1,\"a\":2}",
        "\xe2\x80\xa8",
    };
    static const struct sb_json_scan_limits limits = {1 << 20, 16, 1000};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct sb_err err;
        struct sb_out out;
        sb_out_init(&out, -1);
        const struct sb_trail_record record = {
            .sequence = 1,
            .actor = sb_str_from(texts[i]),
            .action = sb_str_from(texts[i]),
            .detail = sb_str_from(texts[i]),
        };
        sb_trail_write_json(&record, &out);
        struct sb_str text = sb_buf_str(&out.buf);
        assert_ptr_equal(memchr(text.ptr, '\n', text.len), text.ptr + text.len - 1);
        assert_int_equal(sb_json_scan(text, &limits, &err), 0);
        sb_out_done(&out);
    }
}

static void part_that_is_too_long_is_refused(void **state)
{
    (void)state;
    static char text[SB_TRAIL_PART_MAX + 1];
    static const uint8_t none[SB_TRAIL_HASH_BYTES];
    uint8_t bytes[SB_TRAIL_HASH_BYTES];
    struct sb_err err;
    const struct sb_trail_record record = {.detail = {text, sizeof text}};
    assert_int_equal(sb_trail_hash(none, &record, bytes, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
}

static void write_detail(const ProtobufCMessage *msg, const char *paths, char *text, size_t size)
{
    struct sb_out out;
    sb_out_init(&out, -1);
    struct sb_json json = {.out = &out};
    sb_json_open(&json, NULL, '{');
    sb_detail_write(&json, msg, paths);
    sb_json_close(&json, '}');
    (void)snprintf(text, size, "%s", sb_buf_cstr(&out.buf));
    sb_out_done(&out);
}

static void detail_names_what_was_asked_for(void **state)
{
    (void)state;
    char text[512];
    char texts[3][16] = {"sh", "-c", "echo \"\n\""};
    char *args[] = {texts[0], texts[1], texts[2]};
    Aisbx__V1__Command command = AISBX__V1__COMMAND__INIT;
    Aisbx__V1__ExecSpec exec = AISBX__V1__EXEC_SPEC__INIT;
    Aisbx__V1__RunRequest req = AISBX__V1__RUN_REQUEST__INIT;
    command.args = args;
    command.n_args = 3;
    exec.program_case = AISBX__V1__EXEC_SPEC__PROGRAM_COMMAND;
    exec.command = &command;
    exec.wall_ms = 5000;
    req.exec = &exec;
    req.stdin.data = (uint8_t *)(void *)args;
    req.stdin.len = 7;
    write_detail(&req.base,
                 "request_id exec.command.args exec.script.language exec.wall_ms stdin "
                 "target.sandbox_id no.such.field",
                 text, sizeof text);
    assert_string_equal(text, "{\"exec.command.args\":[\"sh\",\"-c\",\"echo \\\"\\n\\\"\"],"
                              "\"exec.wall_ms\":5000,\"stdin\":7}");
}

static void detail_is_bounded(void **state)
{
    (void)state;
    enum { N = 5000 };
    static char *args[N];
    static char text[64 << 10];
    static char one[4096];
    memset(one, 'x', sizeof one - 1);
    for (int i = 0; i < N; i++) {
        args[i] = one;
    }
    Aisbx__V1__Command command = AISBX__V1__COMMAND__INIT;
    command.args = args;
    command.n_args = N;
    write_detail(&command.base, "args", text, sizeof text);
    assert_true(strlen(text) < SB_DETAIL_MAX);
    assert_non_null(strstr(text, "\"args.more\":5000"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_form_is_for_ever),
        cmocka_unit_test(text_cannot_move_from_one_part_to_the_next),
        cmocka_unit_test(hostile_texts_stay_on_one_line),
        cmocka_unit_test(part_that_is_too_long_is_refused),
        cmocka_unit_test(detail_names_what_was_asked_for),
        cmocka_unit_test(detail_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
