#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/utf8.h"

/* Standard error is a pipe while a test runs; its size is above that of a line. */
struct capture {
    int saved;
    int out;
    char text[8192];
};

static int set_up(void **state)
{
    struct capture *c = calloc(1, sizeof *c);
    int fds[2];
    if (c == NULL || pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
        free(c);
        return -1;
    }
    c->saved = dup(STDERR_FILENO);
    (void)dup2(fds[1], STDERR_FILENO);
    (void)close(fds[1]);
    c->out = fds[0];
    *state = c;
    sb_log_init(SB_LOG_FORMAT_LOGFMT, SB_LOG_LEVEL_INFO, "prog");
    return 0;
}

static int tear_down(void **state)
{
    struct capture *c = *state;
    (void)dup2(c->saved, STDERR_FILENO);
    (void)close(c->saved);
    (void)close(c->out);
    free(c);
    return 0;
}

/* What was logged, after the time stamp and what comes before the event. */
static const char *logged(struct capture *c, const char *from)
{
    ssize_t n = read(c->out, c->text, sizeof c->text - 1);
    c->text[n < 0 ? 0 : n] = '\0';
    const char *at = strstr(c->text, from);
    return at == NULL ? "" : at;
}

static void writes_logfmt(void **state)
{
    SB_LOG_INFO("sandbox started", "id=%s pid=%d peer=%s:%u", "sb_x", -7, "host", 80U);
    assert_string_equal(logged(*state, "level="),
                        "level=info program=prog msg=\"sandbox started\" id=sb_x pid=-7 "
                        "peer=host:80\n");
}

static void writes_json_with_bare_numbers(void **state)
{
    sb_log_init(SB_LOG_FORMAT_JSON, SB_LOG_LEVEL_INFO, NULL);
    SB_LOG_WARN("x", "n=%zu s=%s hex=%x mixed=%d/%d ms=%dms", (size_t)42, "7", 255U, 1, 2, 3);
    struct capture *c = *state;
    assert_string_equal(logged(c, ",\"level\""),
                        ",\"level\":\"warn\",\"msg\":\"x\",\"n\":42,\"s\":"
                        "\"7\",\"hex\":\"ff\",\"mixed\":\"1/2\",\"ms\":\"3ms\"}\n");
    assert_memory_equal(c->text, "{\"ts\":\"20", 9);
}

static void the_stamp_is_rfc_3339_utc_with_milliseconds(void **state)
{
    SB_LOG_INFO("x");
    const char *line = logged(*state, "ts=");
    static const char shape[] = "ts=dddd-dd-ddTdd:dd:dd.dddZ level=info";
    for (size_t i = 0; i < sizeof shape - 1; i++) {
        bool is_digit = line[i] >= '0' && line[i] <= '9';
        assert_true(shape[i] == 'd' && i < 27 ? is_digit : line[i] == shape[i]);
    }
}

static void the_format_may_be_absent(void **state)
{
    SB_LOG_ERROR("draining");
    assert_string_equal(logged(*state, "msg="), "msg=draining\n");
}

static void takes_every_length(void **state)
{
    SB_LOG_INFO("x", "a=%" PRIu64 " b=%ld c=%lld d=%zd e=%jd f=%td g=%hhu h=%c i=%% j=%" PRId64,
                UINT64_MAX, -1L, -2LL, (ssize_t)-3, (intmax_t)-4, (ptrdiff_t)-5, (unsigned char)6,
                'c', INT64_MIN);
    assert_string_equal(logged(*state, "a="),
                        "a=18446744073709551615 b=-1 c=-2 d=-3 e=-4 f=-5 g=6 h=c i=% "
                        "j=-9223372036854775808\n");
}

static void strings_obey_their_precision(void **state)
{
    const char *volatile none = NULL; /* volatile: or the compiler sees it and warns */
    SB_LOG_INFO("x", "a=%.*s b=%.3s c=%s d=%.*s", 2, "abc", "abcdef", none, 0, none);
    assert_string_equal(logged(*state, "a="), "a=ab b=abc c=(null) d=\"\"\n");
}

static void quotes_values_that_would_look_like_more(void **state)
{
    SB_LOG_INFO("x", "a=%s b=%s c=%s", "1 pid=2", "say \"hi\"", "back\\slash");
    assert_string_equal(logged(*state, "a="),
                        "a=\"1 pid=2\" b=\"say \\\"hi\\\"\" c=\"back\\\\slash\"\n");
}

static void no_byte_can_forge_a_line(void **state)
{
    struct capture *c = *state;
    for (int format = SB_LOG_FORMAT_LOGFMT; format <= SB_LOG_FORMAT_JSON; format++) {
        sb_log_init((enum sb_log_format)format, SB_LOG_LEVEL_INFO, NULL);
        for (int byte = 1; byte < 256; byte++) {
            char value[4] = {'a', (char)byte, 'b', '\0'};
            SB_LOG_INFO("x", "v=%s", value);
            const char *line = logged(c, "v");
            size_t len = strlen(c->text);
            assert_true(strlen(line) > 0);
            assert_int_equal(strcspn(c->text, "\n"), len - 1);
            for (size_t i = 0; i < len - 1; i++) {
                assert_true((unsigned char)c->text[i] >= 0x20);
            }
            assert_true(sb_utf8_valid(c->text, len));
        }
    }
}

static void escapes_direction_overrides(void **state)
{
    static const char override[] = {'a', '\xE2', '\x80', '\xAE', 'b', '\0'};
    SB_LOG_INFO("x", "v=%s w=%s", override, "\U000E0041");
    assert_string_equal(logged(*state, "v="), "v=\"a\\u202eb\" w=\"\\ufffd\"\n");
}

static void levels_below_the_threshold_are_dropped(void **state)
{
    SB_LOG_DEBUG("quiet");
    sb_log_init(SB_LOG_FORMAT_LOGFMT, SB_LOG_LEVEL_NONE, NULL);
    SB_LOG_ERROR("quiet");
    sb_log(SB_LOG_LEVEL_NONE, "quiet", " ");
    assert_string_equal(logged(*state, ""), "");
    assert_false(sb_log_enabled(SB_LOG_LEVEL_ERROR));
}

static void long_lines_are_cut_and_say_so(void **state)
{
    struct capture *c = *state;
    char big[5000];
    memset(big, '\n', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    SB_LOG_INFO("x", "v=%s w=%s n=%d", big, big, 5);
    const char *line = logged(c, "v=");
    size_t len = strlen(c->text);
    assert_true(len <= 4096);
    assert_string_equal(c->text + len - 14, "\" is_cut=true\n");
    assert_null(strstr(line, " n=5"));

    sb_log_init(SB_LOG_FORMAT_JSON, SB_LOG_LEVEL_INFO, NULL);
    SB_LOG_INFO("x", "v=%s w=%s", big, big);
    (void)logged(c, "v");
    len = strlen(c->text);
    assert_true(len <= 4096);
    assert_string_equal(c->text + len - 17, "\",\"is_cut\":true}\n");
}

static void keeps_errno(void **state)
{
    (void)state;
    (void)close(STDERR_FILENO); /* writing the line fails with EBADF */
    errno = E2BIG;
    SB_LOG_INFO("x");
    assert_int_equal(errno, E2BIG);
}

static void a_broken_format_ends_the_line(void **state)
{
    const char *unchecked = "a=%d b=%e c=%s";
    const char *unfinished = "a=%";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
    sb_log(SB_LOG_LEVEL_INFO, "x", unchecked, 1, 2.0, "y");
    assert_string_equal(logged(*state, "a="), "a=1 b=%!\n");
    sb_log_init(SB_LOG_FORMAT_JSON, SB_LOG_LEVEL_INFO, NULL);
    sb_log(SB_LOG_LEVEL_INFO, "x", unfinished);
    assert_string_equal(logged(*state, "\"a\""), "\"a\":\"%!\"}\n");
#pragma GCC diagnostic pop
}

static void names_of_levels_and_formats(void **state)
{
    (void)state;
    enum sb_log_level level = SB_LOG_LEVEL_NONE;
    enum sb_log_format format = SB_LOG_FORMAT_LOGFMT;
    assert_true(sb_log_level_from(SB_STR("debug"), &level));
    assert_int_equal(level, SB_LOG_LEVEL_DEBUG);
    assert_false(sb_log_level_from(SB_STR("loud"), &level));
    assert_true(sb_log_format_from(SB_STR("json"), &format));
    assert_int_equal(format, SB_LOG_FORMAT_JSON);
    assert_true(sb_log_format_from(SB_STR("text"), &format));
    assert_int_equal(format, SB_LOG_FORMAT_LOGFMT);
    assert_false(sb_log_format_from(SB_STR("xml"), &format));
}

/* NOLINTNEXTLINE(bugprone-macro-parentheses): the name becomes a string */
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(writes_logfmt),
        TEST(writes_json_with_bare_numbers),
        TEST(the_stamp_is_rfc_3339_utc_with_milliseconds),
        TEST(the_format_may_be_absent),
        TEST(takes_every_length),
        TEST(strings_obey_their_precision),
        TEST(quotes_values_that_would_look_like_more),
        TEST(no_byte_can_forge_a_line),
        TEST(escapes_direction_overrides),
        TEST(levels_below_the_threshold_are_dropped),
        TEST(long_lines_are_cut_and_say_so),
        TEST(keeps_errno),
        TEST(a_broken_format_ends_the_line),
        cmocka_unit_test(names_of_levels_and_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
