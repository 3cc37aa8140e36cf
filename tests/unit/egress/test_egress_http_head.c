#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "service/egress/http_head.h"

#define TO_A "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"

static struct sb_http_head parsed; /* large */

static int read_text(struct sb_str text, struct sb_err *err)
{
    int len = sb_http_head_length(text, err);
    assert_int_equal(len, text.len);
    return sb_http_head_read_request(text, &parsed, err);
}

static void check_written(struct sb_str in, const char *out)
{
    struct sb_err err = {0};
    SB_CLEANUP(sb_buf_done) struct sb_buf written = SB_BUF_INIT(4096);
    if (read_text(in, &err) < 0 || sb_http_head_write_request(&parsed, &written, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_string_equal(sb_buf_cstr(&written), out);
}

static void writes_a_request_anew(void **state)
{
    (void)state;
    check_written(SB_STR(TO_A "\r\n"),
                  "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    check_written(SB_STR("POST http://A.test:8080/x?y HTTP/1.1\r\nHost:a.test.:8080 \r\n"
                         "X-a:\t b c \r\nContent-Length: 07\r\n\r\n"),
                  "POST /x?y HTTP/1.1\r\nHost: a.test:8080\r\nX-a: b c\r\nContent-Length: 7\r\n"
                  "Connection: close\r\n\r\n");
    check_written(SB_STR("PUT http://[2001:db8::1]?q HTTP/1.1\r\nHost: [2001:DB8::1]:80\r\n"
                         "transfer-encoding: CHUNKED\r\n\r\n"),
                  "PUT /?q HTTP/1.1\r\nHost: [2001:db8::1]\r\nTransfer-Encoding: chunked\r\n"
                  "Connection: close\r\n\r\n");
    check_written(SB_STR("GET http://a.test HTTP/1.0\r\n\r\n"),
                  "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: close\r\n\r\n");
}

static void keeps_fields_of_this_hop_here(void **state)
{
    (void)state;
    check_written(SB_STR(TO_A "Connection: X-Mine, close, Content-Length\r\nX-Mine: 1\r\n"
                              "Content-Length: 2\r\nProxy-Authorization: secret\r\nTE: trailers\r\n"
                              "Upgrade: websocket\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\n"
                              "X-Other: 2\r\n\r\n"),
                  "GET / HTTP/1.1\r\nHost: a.test\r\nX-Other: 2\r\nContent-Length: 2\r\n"
                  "Connection: close\r\n\r\n");
}

static void reads_connect(void **state)
{
    (void)state;
    struct sb_err err = {0};
    assert_int_equal(read_text(SB_STR("CONNECT A.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n"), &err),
                     0);
    assert_true(parsed.is_connect);
    assert_string_equal(parsed.host.name, "a.test");
    assert_int_equal(parsed.port, 443);
}

static void refuses_what_two_readers_could_read_differently(void **state)
{
    (void)state;
    static const struct sb_str rows[] = {
        SB_STR("\r\n\r\n"),
        SB_STR("GET http://a.test/ HTTP/1.1\r\n\r\n"),
        SB_STR("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        SB_STR("GET http:///x HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        SB_STR("GET http://a.test/ HTTP/1.2\r\nHost: a.test\r\n\r\n"),
        SB_STR("GET http://a.test/ HTTP/1.1 \r\nHost: a.test\r\n\r\n"),
        SB_STR("GET  http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        SB_STR("G@T http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        SB_STR("GET http://a.test/\0 HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        SB_STR("GET http://a.test/\xff HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        SB_STR("GET http://a.test/#x HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        SB_STR("GET http://u@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        SB_STR("GET http://a.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n"),
        SB_STR("GET http://a.test/ HTTP/1.1\r\nHost: a.test:81\r\n\r\n"),
        SB_STR("CONNECT a.test HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        SB_STR("CONNECT http://a.test:1/ HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        SB_STR(TO_A "Host: a.test\r\n\r\n"),
        SB_STR(TO_A "X : 1\r\n\r\n"),
        SB_STR(TO_A " X: 1\r\n\r\n"),
        SB_STR(TO_A "X: 1\n\r\n\r\n"),
        SB_STR(TO_A "X: 1\n Y: 2\r\n\r\n"),
        SB_STR(TO_A "X: 1\rY: 2\r\n\r\n"),
        SB_STR(TO_A "X: 1\0\r\n\r\n"),
        SB_STR(TO_A "X\r\n\r\n"),
        SB_STR(TO_A "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"),
        SB_STR(TO_A "Content-Length: 1, 1\r\n\r\n"),
        SB_STR(TO_A "Content-Length: -1\r\n\r\n"),
        SB_STR(TO_A "Content-Length:\r\n\r\n"),
        SB_STR(TO_A "Content-Length: 0x1\r\n\r\n"),
        SB_STR(TO_A "Content-Length: 99999999999999999999\r\n\r\n"),
        SB_STR(TO_A "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        SB_STR(TO_A "Transfer-Encoding: gzip\r\n\r\n"),
        SB_STR(TO_A "Transfer-Encoding: chunked, chunked\r\n\r\n"),
        SB_STR(TO_A "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
        SB_STR(TO_A "Transfer-Encoding: \vchunked\r\n\r\n"),
        SB_STR("CONNECT a.test:1 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n"),
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_err err = {0};
        if (read_text(rows[i], &err) == 0) {
            fail_msg("row %zu was taken", i);
        }
        assert_int_equal(err.code, SB_INVALID);
    }
}

static void a_head_has_a_largest_size(void **state)
{
    (void)state;
    static char text[SB_HTTP_MAX_HEAD + 4];
    struct sb_err err;
    memset(text, 'a', sizeof text);
    assert_int_equal(sb_http_head_length((struct sb_str){text, SB_HTTP_MAX_HEAD - 1}, &err), 0);
    assert_int_equal(sb_http_head_length((struct sb_str){text, SB_HTTP_MAX_HEAD}, &err), -1);
    memcpy(text + SB_HTTP_MAX_HEAD - 4, "\r\n\r\n", 4);
    assert_int_equal(sb_http_head_length((struct sb_str){text, sizeof text}, &err),
                     SB_HTTP_MAX_HEAD);
}

static void an_answer_keeps_its_framing_and_ends_the_connection(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_buf_done) struct sb_buf written = SB_BUF_INIT(4096);
    assert_int_equal(
        sb_http_head_read_response(SB_STR("HTTP/1.1 200 All Right\r\nContent-Length: 3\r\n"
                                          "Connection: keep-alive, X-Gone\r\nX-Gone: 1\r\n\r\n"),
                                   &parsed, &err),
        0);
    assert_int_equal(parsed.status, 200);
    assert_int_equal(sb_http_head_write_response(&parsed, &written, &err), 0);
    assert_string_equal(sb_buf_cstr(&written), "HTTP/1.1 200 All Right\r\nContent-Length: 3\r\n"
                                               "Connection: close\r\n\r\n");
    static const struct sb_str bad[] = {SB_STR("HTTP/1.1 20 x\r\n\r\n"),
                                        SB_STR("SSH-2.0-x\r\n\r\n"),
                                        SB_STR("HTTP/1.1 200x\r\n\r\n"), SB_STR("HTTP/1.1\r\n\r\n"),
                                        SB_STR("HTTP/1.1 099 x\r\n\r\n")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(sb_http_head_read_response(bad[i], &parsed, &err), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_a_request_anew),
        cmocka_unit_test(keeps_fields_of_this_hop_here),
        cmocka_unit_test(reads_connect),
        cmocka_unit_test(refuses_what_two_readers_could_read_differently),
        cmocka_unit_test(a_head_has_a_largest_size),
        cmocka_unit_test(an_answer_keeps_its_framing_and_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
