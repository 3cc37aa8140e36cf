#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "service/egress/host.h"

static void makes_one_form_of_each_name(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *name;
        unsigned port;
        bool is_address;
    } rows[] = {
        {"example.org", "example.org", 7, false},
        {"EXAMPLE.Org.", "example.org", 7, false},
        {"a_b-c.example:65535", "a_b-c.example", 65535, false},
        {"xn--bcher-kva.example:1", "xn--bcher-kva.example", 1, false},
        {"1.example", "1.example", 7, false},
        {"192.0.2.1:80", "192.0.2.1", 80, true},
        {"[2001:DB8::1]", "2001:db8::1", 7, true},
        {"[::ffff:192.0.2.1]:80", "192.0.2.1", 80, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_host host;
        struct sb_err err = {0};
        uint16_t port = 0;
        if (sb_host_parse_authority(sb_str_from(rows[i].text), 7, &host, &port, &err) < 0) {
            fail_msg("%s: %s", rows[i].text, err.text);
        }
        assert_string_equal(host.name, rows[i].name);
        assert_int_equal(host.is_address, rows[i].is_address);
        assert_int_equal(port, rows[i].port);
    }
}

static void refuses_all_other_forms(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",         ".",
        "..",       "a..b",
        ".a",       "a.b..",
        "-a.b",     "a-.b",
        "a b",      "a%62",
        "a/b",      "a\\b",
        "a@b",      "user:p@b:1",
        "127.1",    "1",
        "0x7f.1",   "a.0x1",
        "a.1",      "1.2.3.4.",
        "01.2.3.4", "1.2.3.4.5",
        "::1",      "[::1",
        "[]",       "[1.2.3.4]",
        "[::1]x",   "[fe80::1%25lo]",
        "a:",       "a:0",
        "a:65536",  "a:+1",
        "a:1x",     "a:00000000080",
        "a:1:2",    "h\xc3\xb6.de",
        "a\r\nb",   "a\tb",
        "[::1]:",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_host host;
        struct sb_err err = {0};
        uint16_t port = 0;
        if (sb_host_parse_authority(sb_str_from(rows[i]), 80, &host, &port, &err) == 0) {
            fail_msg("took \"%s\" as %s:%u", rows[i], host.name, port);
        }
        assert_int_equal(err.code, SB_INVALID);
    }
}

static void refuses_a_nul_and_what_is_too_long(void **state)
{
    (void)state;
    struct sb_host host;
    struct sb_err err;
    char text[300];
    assert_int_equal(sb_host_parse(SB_STR("a.test\0.b"), true, &host, &err), -1);
    memset(text, 'a', sizeof text);
    assert_int_equal(sb_host_parse((struct sb_str){text, 64}, true, &host, &err), -1);
    assert_int_equal(sb_host_parse((struct sb_str){text, 63}, true, &host, &err), 0);
    for (size_t i = 63; i < sizeof text; i += 64) {
        text[i] = '.';
    }
    assert_int_equal(sb_host_parse((struct sb_str){text, 253}, true, &host, &err), 0);
    assert_int_equal(sb_host_parse((struct sb_str){text, 255}, true, &host, &err), -1);
}

static void wants_a_port_where_there_is_no_usual_one(void **state)
{
    (void)state;
    struct sb_host host;
    struct sb_err err;
    uint16_t port = 0;
    assert_int_equal(sb_host_parse_authority(SB_STR("a.test"), 0, &host, &port, &err), -1);
    assert_int_equal(sb_host_parse_authority(SB_STR("a.test:9"), 0, &host, &port, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_one_form_of_each_name),
        cmocka_unit_test(refuses_all_other_forms),
        cmocka_unit_test(refuses_a_nul_and_what_is_too_long),
        cmocka_unit_test(wants_a_port_where_there_is_no_usual_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
