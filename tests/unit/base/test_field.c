#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/field.h"
#include "fail_alloc.h"

enum level { LEVEL_UNSET, LEVEL_LOW, LEVEL_HIGH };

struct config {
    bool is_on;
    uint64_t count;
    uint64_t mem_bytes;
    uint64_t wall_ms;
    uint64_t cpu_millis;
    char *path;
    enum level level;
};

#define AT(member) offsetof(struct config, member)

static const char *const level_names[] = {
    [LEVEL_UNSET] = "", [LEVEL_LOW] = "low", [LEVEL_HIGH] = "high", NULL};

static const struct sb_field fields[] = {
    {SB_STR("enabled"), SB_FIELD_BOOL, AT(is_on), 0, 0, NULL, "switch", NULL},
    {SB_STR("count"), SB_FIELD_U64, AT(count), 1, 10, NULL, "how many", NULL},
    {SB_STR("memory"), SB_FIELD_BYTES, AT(mem_bytes), 1 << 20, 1 << 30, "bytes", "memory", NULL},
    {SB_STR("wall"), SB_FIELD_MILLIS, AT(wall_ms), 1, 86400000, NULL, "time", NULL},
    {SB_STR("cpus"), SB_FIELD_CPU, AT(cpu_millis), 10, 64000, NULL, "CPUs", NULL},
    {SB_STR("path"), SB_FIELD_STRING, AT(path), 1, 8, NULL, "where", NULL},
    {SB_STR("level"), SB_FIELD_ENUM, AT(level), 0, 0, NULL, "how much", level_names},
};
#define N (sizeof fields / sizeof fields[0])

static int set(struct config *c, const char *key, const char *value, struct sb_err *err)
{
    return sb_field_set(fields, N, sb_str_from(key), sb_str_from(value), c, err);
}

static void each_kind_reaches_its_member_and_reads_back(void **state)
{
    (void)state;
    struct config c = {0};
    struct sb_err err;
    static const struct {
        const char *key;
        const char *value;
        const char *shown;
    } rows[] = {
        {"enabled", "yes", "true"}, {"count", "7", "7"},     {"memory", "512m", "512MiB"},
        {"wall", "90s", "1m30s"},   {"cpus", "1.50", "1.5"}, {"path", "/a/b", "/a/b"},
        {"level", "high", "high"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[64];
        assert_int_equal(set(&c, rows[i].key, rows[i].value, &err), 0);
        const struct sb_field *f = sb_field_find(fields, N, sb_str_from(rows[i].key));
        assert_string_equal(sb_field_format(f, &c, out, sizeof out), rows[i].shown);
    }
    assert_true(c.is_on);
    assert_int_equal(c.count, 7);
    assert_int_equal(c.mem_bytes, 512 << 20);
    assert_int_equal(c.wall_ms, 90000);
    assert_int_equal(c.cpu_millis, 1500);
    assert_string_equal(c.path, "/a/b");
    assert_int_equal(c.level, LEVEL_HIGH);
    sb_field_free(fields, N, &c);
    assert_null(c.path);
    sb_field_free(fields, N, &c);
}

static void booleans_have_several_spellings(void **state)
{
    (void)state;
    struct config c = {0};
    struct sb_err err;
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(set(&c, "enabled", yes[i], &err), 0);
        assert_true(c.is_on);
        assert_int_equal(set(&c, "enabled", no[i], &err), 0);
        assert_false(c.is_on);
    }
    assert_int_equal(set(&c, "enabled", "maybe", &err), -1);
    assert_string_equal(err.text, "enabled: \"maybe\" is neither true nor false");
}

static void an_unknown_key_gets_a_suggestion_or_the_list(void **state)
{
    (void)state;
    struct config c = {0};
    struct sb_err err;
    assert_int_equal(set(&c, "memroy", "1m", &err), -1);
    assert_int_equal(err.code, SB_INVALID);
    assert_string_equal(err.text, "there is no \"memroy\"; did you mean \"memory\"?");
    assert_int_equal(set(&c, "zzz", "1m", &err), -1);
    assert_string_equal(
        err.text,
        "there is no \"zzz\"; known are: enabled, count, memory, wall, cpus, path, level");
}

static void bad_values_name_the_key_and_change_nothing(void **state)
{
    (void)state;
    struct config c = {.count = 3, .level = LEVEL_LOW};
    struct sb_err err;
    assert_int_equal(set(&c, "path", "/kept", &err), 0);
    static const struct {
        const char *key;
        const char *value;
        const char *text;
    } rows[] = {
        {"count", "11", "count: \"11\" is too large; the maximum is 10"},
        {"wall", "30",
         "wall: \"30\" is not a duration; write a unit (ms, s, m, h): 250ms, 30s, "
         "1h30m"},
        {"path", "", "path: text of 0 bytes; 1 to 8 are permitted"},
        {"path", "/too/long", "path: text of 9 bytes; 1 to 8 are permitted"},
        {"level", "middle", "level: \"middle\" is not one of: low, high"},
        {"level", "", "level: \"\" is not one of: low, high"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(set(&c, rows[i].key, rows[i].value, &err), -1);
        assert_int_equal(err.code, SB_INVALID);
        assert_string_equal(err.text, rows[i].text);
    }
    assert_int_equal(c.count, 3);
    assert_int_equal(c.level, LEVEL_LOW);
    assert_string_equal(c.path, "/kept");
    sb_field_free(fields, N, &c);
}

static void strings_refuse_a_nul_inside(void **state)
{
    (void)state;
    struct config c = {0};
    struct sb_err err;
    assert_int_equal(sb_field_set(fields, N, SB_STR("path"), SB_STR("a\0b"), &c, &err), -1);
    assert_null(c.path);
}

static void a_new_string_replaces_the_old(void **state)
{
    (void)state;
    struct config c = {0};
    struct sb_err err;
    assert_int_equal(set(&c, "path", "/a", &err), 0);
    assert_int_equal(set(&c, "path", "/b", &err), 0);
    assert_string_equal(c.path, "/b");
    sb_fail_alloc_at(1);
    assert_int_equal(set(&c, "path", "/c", &err), -1);
    assert_int_equal(err.code, SB_EXHAUSTED);
    assert_string_equal(c.path, "/b");
    sb_field_free(fields, N, &c);
}

static void formatting_is_cut_to_fit(void **state)
{
    (void)state;
    struct config c = {.path = NULL};
    char out[4] = "xxx";
    assert_string_equal(sb_field_format(&fields[5], &c, out, sizeof out), "");
    c.mem_bytes = 512 << 20;
    assert_string_equal(sb_field_format(&fields[2], &c, out, sizeof out), "512");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_reaches_its_member_and_reads_back),
        cmocka_unit_test(booleans_have_several_spellings),
        cmocka_unit_test(an_unknown_key_gets_a_suggestion_or_the_list),
        cmocka_unit_test(bad_values_name_the_key_and_change_nothing),
        cmocka_unit_test(strings_refuse_a_nul_inside),
        cmocka_unit_test(a_new_string_replaces_the_old),
        cmocka_unit_test(formatting_is_cut_to_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
