#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "service/egress/socks.h"

static void reads_a_greeting_that_needs_no_password(void **state)
{
    (void)state;
    struct sb_err err;
    assert_int_equal(sb_socks_read_greeting(SB_STR("\5"), &err), 0);
    assert_int_equal(sb_socks_read_greeting(SB_STR("\5\2\2"), &err), 0);
    assert_int_equal(sb_socks_read_greeting(SB_STR("\5\2\2\0rest"), &err), 4);
    assert_int_equal(sb_socks_read_greeting(SB_STR("\5\1\2"), &err), -1);
    assert_int_equal(sb_socks_read_greeting(SB_STR("\5\0"), &err), -1);
    assert_int_equal(sb_socks_read_greeting(SB_STR("\4\1\0"), &err), -1);
}

static void reads_each_type_of_address(void **state)
{
    (void)state;
    static const struct {
        struct sb_str bytes;
        const char *host;
        unsigned port;
    } rows[] = {
        {SB_STR("\5\1\0\1\300\0\2\1\0\120"), "192.0.2.1", 80},
        {SB_STR("\5\1\0\3\6A.test\1\273"), "a.test", 443},
        {SB_STR("\5\1\0\3\011192.0.2.1\1\273"), "192.0.2.1", 443},
        {SB_STR("\5\1\0\4\0\0\0\0\0\0\0\0\0\0\377\377\300\0\2\1\0\120"), "192.0.2.1", 80},
        {SB_STR("\5\1\0\4\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1\0\120"), "2001:db8::1", 80},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_socks_request request;
        enum sb_socks_reply reply;
        struct sb_err err = {0};
        for (size_t len = 0; len < rows[i].bytes.len; len++) {
            assert_int_equal(
                sb_socks_read_request(sb_str_head(rows[i].bytes, len), &request, &reply, &err), 0);
        }
        assert_int_equal(sb_socks_read_request(rows[i].bytes, &request, &reply, &err),
                         rows[i].bytes.len);
        assert_string_equal(request.host.name, rows[i].host);
        assert_int_equal(request.port, rows[i].port);
    }
}

static void refuses_the_rest_with_a_reply(void **state)
{
    (void)state;
    static const struct {
        struct sb_str bytes;
        enum sb_socks_reply reply;
    } rows[] = {
        {SB_STR("\5\2\0\1\300\0\2\1\0\120"), SB_SOCKS_NO_COMMAND},
        {SB_STR("\5\3\0\1\300\0\2\1\0\120"), SB_SOCKS_NO_COMMAND},
        {SB_STR("\5\1\0\2\300\0\2\1\0\120"), SB_SOCKS_NO_ADDRESS_TYPE},
        {SB_STR("\4\1\0\1\300\0\2\1\0\120"), SB_SOCKS_FAILED},
        {SB_STR("\5\1\1\1\300\0\2\1\0\120"), SB_SOCKS_FAILED},
        {SB_STR("\5\1\0\1\300\0\2\1\0\0"), SB_SOCKS_NOT_ALLOWED},
        {SB_STR("\5\1\0\3\0\0\120"), SB_SOCKS_NOT_ALLOWED},
        {SB_STR("\5\1\0\3\6a\0test\0\120"), SB_SOCKS_NOT_ALLOWED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_socks_request request;
        enum sb_socks_reply reply = SB_SOCKS_OK;
        struct sb_err err;
        assert_int_equal(sb_socks_read_request(rows[i].bytes, &request, &reply, &err), -1);
        assert_int_equal(reply, rows[i].reply);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_greeting_that_needs_no_password),
        cmocka_unit_test(reads_each_type_of_address),
        cmocka_unit_test(refuses_the_rest_with_a_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
