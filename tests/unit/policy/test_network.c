#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "service/shared/network.h"

static void reads_each_form_of_a_rule(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum sb_network_kind kind;
        unsigned port;
        unsigned prefix;
    } rows[] = {
        {"example.org", SB_NETWORK_HOST, 0, 0},
        {"localhost", SB_NETWORK_HOST, 0, 0},
        {"Example.ORG:443", SB_NETWORK_HOST, 443, 0},
        {"*.example.org", SB_NETWORK_BELOW, 0, 0},
        {"*.example.org:65535", SB_NETWORK_BELOW, 65535, 0},
        {"10.0.0.1", SB_NETWORK_ADDRESS, 0, 128},
        {"10.0.0.1:80", SB_NETWORK_ADDRESS, 80, 128},
        {"10.0.0.0/8", SB_NETWORK_ADDRESS, 0, 104},
        {"0.0.0.0/0", SB_NETWORK_ADDRESS, 0, 96},
        {"::1", SB_NETWORK_ADDRESS, 0, 128},
        {"2001:db8::/32", SB_NETWORK_ADDRESS, 0, 32},
        {"[::1]", SB_NETWORK_ADDRESS, 0, 128},
        {"[::1]:8080", SB_NETWORK_ADDRESS, 8080, 128},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sb_network_rule rule;
        struct sb_err err = {0};
        if (sb_network_parse_rule(sb_str_from(rows[i].text), &rule, &err) < 0) {
            fail_msg("%s: %s", rows[i].text, err.text);
        }
        assert_int_equal(rule.kind, rows[i].kind);
        assert_int_equal(rule.port, rows[i].port);
        assert_int_equal(rule.prefix, rows[i].prefix);
    }
}

static void refuses_what_is_none_of_them(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",           "*",           "a b",
        "a..b",       ".a",          "a.",
        "-a",         "a-",          "*.",
        "**.a",       "a.*.b",       "a:0",
        "a:65536",    "a:",          "a:80:80",
        "10.0.0.1/8", "10.0.0.0/33", "::/129",
        "10.0.0.0/",  "a/8",         "[::1",
        "[a]:80",     "[::1]80",     "http://a",
        "a\nb",       "a%00b",       "2001:db8::1/32",
        "127.1",      "1.2.3:80",    "2130706433",
        "0x7f.1",     "a.0x7f",      "*.10",
        "010.0.0.1",  "a.1",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct sb_network_rule rule;
        struct sb_err err = {0};
        if (sb_network_parse_rule(sb_str_from(texts[i]), &rule, &err) == 0) {
            fail_msg("accepted \"%s\"", texts[i]);
        }
        assert_int_equal(err.code, SB_INVALID);
    }
    struct sb_network_rule rule;
    struct sb_err err = {0};
    assert_int_equal(sb_network_parse_rule(SB_STR("a\0b"), &rule, &err), -1);
}

static void says_what_to_write_instead(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *said;
    } rows[] = {
        {"https://a.org/x", "a URL; write its host and port: a.org:443"},
        {"http://a.org", "a URL; write its host and port: a.org:443"},
        {"127.1", "neither a name nor an address in its usual form, such as 192.0.2.1"},
        {"a b", "not a host name"},
        {"*", "not a host name"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sb_network_rule rule;
        struct sb_err err = {0};
        assert_int_equal(sb_network_parse_rule(sb_str_from(rows[i].text), &rule, &err), -1);
        if (strstr(err.text, rows[i].said) == NULL) {
            fail_msg("%s: %s", rows[i].text, err.text);
        }
    }
}

static bool covers(const char *wide_text, const char *narrow_text)
{
    struct sb_network_rule wide;
    struct sb_network_rule narrow;
    struct sb_err err = {0};
    assert_int_equal(sb_network_parse_rule(sb_str_from(wide_text), &wide, &err), 0);
    assert_int_equal(sb_network_parse_rule(sb_str_from(narrow_text), &narrow, &err), 0);
    return sb_network_covers(&wide, &narrow);
}

static void a_rule_covers_itself_and_what_is_narrower(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"a.org", "A.ORG"},         {"a.org", "a.org:443"},        {"a.org:443", "a.org:443"},
        {"*.a.org", "b.a.org"},     {"*.a.org", "c.b.a.org"},      {"*.a.org", "*.a.org"},
        {"*.a.org", "*.b.a.org:1"}, {"10.0.0.0/8", "10.1.0.0/16"}, {"10.0.0.0/8", "10.1.2.3:80"},
        {"::/0", "10.0.0.1"},       {"[::1]:80", "[::1]:80"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (!covers(pairs[i][0], pairs[i][1])) {
            fail_msg("%s does not cover %s", pairs[i][0], pairs[i][1]);
        }
    }
}

static void a_rule_does_not_cover_what_is_wider_or_other(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"a.org:443", "a.org"},     {"a.org:443", "a.org:80"}, {"a.org", "b.a.org"},
        {"*.a.org", "a.org"},       {"*.a.org", "ba.org"},     {"b.a.org", "*.a.org"},
        {"*.b.a.org", "*.a.org"},   {"a.org", "*.a.org"},      {"10.1.0.0/16", "10.0.0.0/8"},
        {"10.0.0.0/8", "11.0.0.1"}, {"10.0.0.0/8", "a.org"},   {"a.org", "10.0.0.1"},
        {"0.0.0.0/0", "::1"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (covers(pairs[i][0], pairs[i][1])) {
            fail_msg("%s covers %s", pairs[i][0], pairs[i][1]);
        }
    }
}

static void a_wide_rule_does_not_open_what_is_not_public(void **state)
{
    (void)state;
    static const struct {
        const char *wide;
        const char *narrow;
        bool opens;
    } rows[] = {
        {"0.0.0.0/0", "93.184.216.34:443", true},
        {"0.0.0.0/0", "8.0.0.0/8", true},
        {"0.0.0.0/0", "0.0.0.0/0", true},
        {"::/0", "2606:4700::/32", true},
        {"::/0", "0.0.0.0/0", true},
        {"0.0.0.0/0", "127.0.0.1:80", false},
        {"0.0.0.0/0", "127.0.0.0/8", false},
        {"0.0.0.0/0", "169.254.169.254", false},
        {"0.0.0.0/0", "10.0.0.0/8", false},
        {"::/0", "::1", false},
        {"::/0", "fc00::/7", false},
        {"::/0", "10.1.2.3", false},
        {"10.0.0.0/8", "10.1.2.3:80", true},
        {"169.254.0.0/16", "169.254.1.1", true},
        {"169.254.0.0/16", "169.254.169.254", false},
        {"127.0.0.1", "127.0.0.1:80", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_network_rule wide;
        struct sb_network_rule narrow;
        struct sb_err err = {0};
        assert_int_equal(sb_network_parse_rule(sb_str_from(rows[i].wide), &wide, &err), 0);
        assert_int_equal(sb_network_parse_rule(sb_str_from(rows[i].narrow), &narrow, &err), 0);
        if (sb_network_opens(&wide, &narrow) != rows[i].opens) {
            fail_msg("%s, %s", rows[i].wide, rows[i].narrow);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_each_form_of_a_rule),
        cmocka_unit_test(refuses_what_is_none_of_them),
        cmocka_unit_test(says_what_to_write_instead),
        cmocka_unit_test(a_rule_covers_itself_and_what_is_narrower),
        cmocka_unit_test(a_rule_does_not_cover_what_is_wider_or_other),
        cmocka_unit_test(a_wide_rule_does_not_open_what_is_not_public),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
