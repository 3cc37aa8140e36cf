#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "mcp-gateway/fleet/rates.h"
#include "mcp-gateway/shared/resp.h"
#include "mcp-gateway/shared/shared.h"
#include "mcp-gateway/shared/url.h"

/* ---- where it is ---- */

static void reads_where_a_store_is(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct sb_url url;
    } rows[] = {
        {"redis://store", {SB_URL_TCP, "store", 6379, "", 0, "", ""}},
        {"redis://10.0.0.1:7000/3", {SB_URL_TCP, "10.0.0.1", 7000, "", 3, "", ""}},
        {"redis://[fe80::1]:7000", {SB_URL_TCP, "fe80::1", 7000, "", 0, "", ""}},
        {"rediss://:pass@store/", {SB_URL_TLS, "store", 6379, "", 0, "", "pass"}},
        {"rediss://me:p%40s%3as@store", {SB_URL_TLS, "store", 6379, "", 0, "me", "p@s:s"}},
        {"redis://me:a@b@store", {SB_URL_TCP, "store", 6379, "", 0, "me", "a@b"}},
        {"unix:///run/valkey.sock", {SB_URL_UNIX, "", 6379, "/run/valkey.sock", 0, "", ""}},
        {"unix:///run/v.sock?db=2", {SB_URL_UNIX, "", 6379, "/run/v.sock", 2, "", ""}},
        {"unix://me@/run/v@.sock", {SB_URL_UNIX, "", 6379, "/run/v@.sock", 0, "me", ""}},
        {"unix://me:p%2fw@/v", {SB_URL_UNIX, "", 6379, "/v", 0, "me", "p/w"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_err err;
        struct sb_url got;
        const struct sb_url *want = &rows[i].url;
        if (sb_url_parse(sb_str_from(rows[i].text), &got, &err) < 0) {
            fail_msg("%s: %s", rows[i].text, err.text);
        }
        assert_int_equal(got.kind, want->kind);
        assert_string_equal(got.host, want->host);
        assert_int_equal(got.port, want->port);
        assert_string_equal(got.path, want->path);
        assert_int_equal(got.db, want->db);
        assert_string_equal(got.user, want->user);
        assert_string_equal(got.password, want->password);
    }
}

static void refuses_what_is_no_such_url_and_tells_no_password(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "store:6379",
        "http://store",
        "redis://",
        "redis://:6379",
        "redis://store:0",
        "redis://store:65536",
        "redis://store:",
        "redis://store:1x",
        "redis://store/x",
        "redis://store/65536",
        "redis://store/1/2",
        "redis://store?db=1",
        "redis://st ore",
        "redis://[::1",
        "redis://[::1]x",
        "redis://[::g]",
        "redis://user:SECRET%zz@store",
        "redis://user:SECRET%4@store",
        "redis://user:SECRET%00@store",
        "redis://user:SECRET%0a@store",
        "redis://user:SECRET%ff@store",
        "redis://user:SECRET@",
        "unix://run/v.sock",
        "unix:///",
        "unix://@",
        "unix://me@run/v.sock",
        "unix:///run/v.sock?x=1",
        "unix:///run/v.sock?db=",
    };
    struct sb_url got;
    struct sb_err err;
    char path[200] = "unix:///";
    memset(path + 8, 'a', sizeof path - 9);
    path[sizeof path - 1] = '\0';
    assert_int_equal(sb_url_parse(sb_str_from(path), &got, &err), -1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (sb_url_parse(sb_str_from(rows[i]), &got, &err) == 0) {
            fail_msg("taken: %s", rows[i]);
        }
        assert_int_equal(err.code, SB_INVALID);
        assert_non_null(strstr(err.text, "redis://HOST"));
        assert_null(strstr(err.text, "SECRET"));
    }
}

/* ---- what it says ---- */

static void free_resp(struct sb_resp **resp)
{
    sb_resp_free(*resp);
}

static void reads_answers_however_they_are_cut(void **state)
{
    (void)state;
    static const char said[] = "+PONG\r\n$5\r\nwk_ab\r\n:42\r\n$-1\r\n-NOSCRIPT no\r\n$0\r\n\r\n";
    static const struct {
        enum sb_resp_kind kind;
        const char *text;
        long long number;
    } rows[] = {
        {SB_RESP_TEXT_IS, "PONG", 0},         {SB_RESP_TEXT_IS, "wk_ab", 0},
        {SB_RESP_NUMBER_IS, NULL, 42},        {SB_RESP_NOTHING_IS, NULL, 0},
        {SB_RESP_ERROR_IS, "NOSCRIPT no", 0}, {SB_RESP_TEXT_IS, "", 0},
    };
    for (size_t piece = 1; piece < sizeof said; piece++) {
        SB_CLEANUP(free_resp) struct sb_resp *resp = sb_resp_new();
        struct sb_resp_answer got;
        struct sb_err err;
        size_t n = 0;
        for (size_t at = 0; at < sizeof said - 1; at += piece) {
            size_t len = sizeof said - 1 - at < piece ? sizeof said - 1 - at : piece;
            assert_int_equal(sb_resp_feed(resp, said + at, len, &err), 0);
            while (sb_resp_next(resp, &got, &err) == 1) {
                assert_int_equal(got.kind, rows[n].kind);
                if (rows[n].text != NULL) {
                    assert_true(sb_str_eq(got.text, sb_str_from(rows[n].text)));
                } else if (got.kind == SB_RESP_NUMBER_IS) {
                    assert_int_equal(got.number, rows[n].number);
                }
                n++;
            }
        }
        assert_int_equal(n, sizeof rows / sizeof *rows);
    }
}

/* Of RESP3, which nobody asked for: an older hiredis refuses it, a newer one makes no text of it.
 */
static void no_answer_is_heard_twice(void **state)
{
    (void)state;
    static const char *const rows[] = {",1.5\r\n", "#t\r\n"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        SB_CLEANUP(free_resp) struct sb_resp *resp = sb_resp_new();
        struct sb_resp_answer got;
        struct sb_err err;
        assert_int_equal(sb_resp_feed(resp, "$5\r\nwk_ab\r\n", 11, &err), 0);
        assert_int_equal(sb_resp_next(resp, &got, &err), 1);
        assert_int_equal(sb_resp_feed(resp, rows[i], strlen(rows[i]), &err), 0);
        assert_int_equal(sb_resp_next(resp, &got, &err), -1);
        assert_int_equal(err.code, SB_INVALID);
    }
}

/* How a server that says that ends, when it says it again and again: after how many bytes. */
static size_t hears(const char *said)
{
    SB_CLEANUP(free_resp) struct sb_resp *resp = sb_resp_new();
    struct sb_resp_answer got;
    struct sb_err err;
    for (size_t n = 0; n < 1U << 20; n += strlen(said)) {
        int rc = sb_resp_feed(resp, said, strlen(said), &err);
        while (rc == 0 && (rc = sb_resp_next(resp, &got, &err)) == 1) {
            rc = 0;
        }
        if (rc < 0) {
            assert_int_equal(err.code, SB_INVALID);
            return n + strlen(said);
        }
    }
    fail_msg("is heard for ever: %s", said);
    return 0;
}

static void ends_with_who_says_what_is_no_answer(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "HTTP/1.1 400 Bad Request\r\n",
        "\r\n",
        "*1\r\n$2\r\nab\r\n",
        "*1000000000\r\n", /* nothing is allocated for it */
        "*-2\r\n",
        "$-2\r\n",
        "$x\r\n",
        ":99999999999999999999999\r\n",
        "%1\r\n",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_in_range(hears(rows[i]), 1, 2 * strlen(rows[i]));
    }
    assert_in_range(hears("$2000000000\r\n"), 1, 3 * SB_RESP_PENDING); /* that never comes whole */
    assert_in_range(hears("+aaaaaaaa"), 1, 3 * SB_RESP_PENDING);
    char much[SB_RESP_TEXT + 16] = "+";
    memset(much + 1, 'a', SB_RESP_TEXT + 1);
    (void)strcpy(much + SB_RESP_TEXT + 2, "\r\n");
    assert_int_equal(hears(much), strlen(much));
}

/* ---- names and rates ---- */

static void a_claim_is_of_one_caller_method_and_request(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"a", "Run", "1"}, {"b", "Run", "1"}, {"a", "StartExec", "1"}, {"a", "Run", "2"},
        {"aR", "un", "1"}, {"", "aRun", "1"}, {"a", "Run1", ""},
    };
    enum { N = sizeof rows / sizeof *rows };
    char hashes[N][SB_SHARED_HASH_SIZE];
    struct sb_err err;
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(sb_shared_hash(rows[i][0], rows[i][1], rows[i][2], hashes[i], &err), 0);
        assert_int_equal(strlen(hashes[i]), SB_SHARED_HASH_SIZE - 1);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(hashes[i], hashes[k]);
        }
    }
}

static void reads_which_rates_a_caller_has(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *key;
        size_t n;
        struct sb_shared_bucket buckets[SB_SHARED_BUCKETS];
    } rows[] = {
        {"5 10 0 0 acme", "", 1, {{"tenant:acme", 5, 10}}},
        {"5 10 2 3 acme", "", 1, {{"tenant:acme", 5, 10}}},
        {"5 10 2 3 acme", "k", 2, {{"key:k", 2, 3}, {"tenant:acme", 5, 10}}},
        {"0 0 2 3 acme", "k", 1, {{"key:k", 2, 3}}},
        {"0 0 0 0 acme", "k", 0, {{"", 0, 0}}},
        {"5 10 2 acme", "k", 0, {{"", 0, 0}}},
        {"5 10 2 3 ", "k", 0, {{"", 0, 0}}},
        {"5 10 2 3 a b", "k", 0, {{"", 0, 0}}},
        {"5 10 2 3 a:b", "k", 0, {{"", 0, 0}}},
        {"-5 10 2 3 acme", "k", 0, {{"", 0, 0}}},
        {"5 1000001 2 3 acme", "k", 0, {{"", 0, 0}}},
        {"", "k", 0, {{"", 0, 0}}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_shared_bucket got[SB_SHARED_BUCKETS];
        size_t n = sb_rates_read(sb_str_from(rows[i].text), rows[i].key, got);
        assert_int_equal(n, rows[i].n);
        for (size_t k = 0; k < n; k++) {
            assert_string_equal(got[k].name, rows[i].buckets[k].name);
            assert_int_equal(got[k].rate, rows[i].buckets[k].rate);
            assert_int_equal(got[k].burst, rows[i].buckets[k].burst);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_where_a_store_is),
        cmocka_unit_test(refuses_what_is_no_such_url_and_tells_no_password),
        cmocka_unit_test(reads_answers_however_they_are_cut),
        cmocka_unit_test(no_answer_is_heard_twice),
        cmocka_unit_test(ends_with_who_says_what_is_no_answer),
        cmocka_unit_test(a_claim_is_of_one_caller_method_and_request),
        cmocka_unit_test(reads_which_rates_a_caller_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
