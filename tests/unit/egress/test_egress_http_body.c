#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "service/egress/http_body.h"

/* How many bytes belong to the body, given @step bytes more each time; -1: refused. @ret_done: it
 * has ended. */
static ptrdiff_t body_of(enum sb_http_body kind, struct sb_str bytes, size_t step, bool *ret_done)
{
    static struct sb_http_head head;
    struct sb_http_body_reader reader;
    struct sb_err err;
    size_t taken = 0;
    head = (struct sb_http_head){.body = kind, .body_bytes = 5};
    sb_http_body_start(&reader, &head);
    for (size_t have = 0; have <= bytes.len; have += step) {
        for (;;) {
            struct sb_str rest = sb_str_skip(sb_str_head(bytes, have), taken);
            ptrdiff_t n = sb_http_body_take(&reader, rest, &err);
            if (n < 0) {
                return -1;
            }
            if (n == 0) {
                break;
            }
            taken += (size_t)n;
        }
    }
    *ret_done = reader.state == SB_HTTP_BODY_DONE;
    return (ptrdiff_t)taken;
}

static const struct {
    struct sb_str bytes;
    ptrdiff_t taken;
    enum sb_http_body kind;
    bool is_done;
} rows[] = {
    {SB_STR("GET /"), 0, SB_HTTP_NO_BODY, true},
    {SB_STR("1234"), 4, SB_HTTP_LENGTH, false},
    {SB_STR("12345GET /"), 5, SB_HTTP_LENGTH, true},
    {SB_STR("0\r\n\r\nGET /"), 5, SB_HTTP_CHUNKED, true},
    {SB_STR("3\r\nabc\r\n0\r\n\r\nGET /"), 13, SB_HTTP_CHUNKED, true},
    {SB_STR("00A\r\n0123456789\r\n0\r\n\r\n"), 22, SB_HTTP_CHUNKED, true},
    {SB_STR("3\r\nabc\r\n"), 8, SB_HTTP_CHUNKED, false},
    {SB_STR("3;x\r\nabc\r\n0\r\n\r\n"), -1, SB_HTTP_CHUNKED, false},
    {SB_STR("0x3\r\nabc\r\n0\r\n\r\n"), -1, SB_HTTP_CHUNKED, false},
    {SB_STR("3\nabc\n0\n\n"), -1, SB_HTTP_CHUNKED, false},
    {SB_STR("3 \r\nabc\r\n"), -1, SB_HTTP_CHUNKED, false},
    {SB_STR("-3\r\nabc\r\n"), -1, SB_HTTP_CHUNKED, false},
    {SB_STR("\r\n"), -1, SB_HTTP_CHUNKED, false},
    {SB_STR("2\r\nabc\r\n"), -1, SB_HTTP_CHUNKED, false},
    {SB_STR("0\r\nX: trailer\r\n\r\n"), -1, SB_HTTP_CHUNKED, false},
    {SB_STR("10000000000000000\r\n"), -1, SB_HTTP_CHUNKED, false},
};

static void check_row(size_t i, size_t step)
{
    bool is_done = false;
    ptrdiff_t taken = body_of(rows[i].kind, rows[i].bytes, step, &is_done);
    if (taken != rows[i].taken || is_done != rows[i].is_done) {
        fail_msg("row %zu by %zu: %zd", i, step, taken);
    }
}

static void ends_where_the_book_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check_row(i, 1);
        check_row(i, rows[i].bytes.len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_where_the_book_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
