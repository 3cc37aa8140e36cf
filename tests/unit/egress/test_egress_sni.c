#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client_hello.h"
#include "service/egress/sni.h"

static void finds_the_name_however_the_bytes_come(void **state)
{
    (void)state;
    unsigned char bytes[512];
    struct sb_host host;
    struct sb_str hello = client_hello(bytes, "A.Test", 1);
    for (size_t len = 0; len < hello.len; len++) {
        assert_int_equal(sb_sni_read(sb_str_head(hello, len), &host), SB_SNI_MORE);
    }
    assert_int_equal(sb_sni_read(hello, &host), SB_SNI_NAME);
    assert_string_equal(host.name, "a.test");
    bytes[hello.len] = 0xff; /* early data follows */
    assert_int_equal(sb_sni_read((struct sb_str){hello.ptr, hello.len + 1}, &host), SB_SNI_NAME);
}

static void joins_records(void **state)
{
    (void)state;
    unsigned char bytes[512];
    unsigned char parted[4096];
    struct sb_host host;
    struct sb_str hello = client_hello(bytes, "a.test", 1);
    size_t n = 0;
    for (size_t i = 5; i < hello.len; i++) {
        const unsigned char record[] = {22, 3, 1, 0, 1, bytes[i]};
        memcpy(parted + n, record, sizeof record);
        n += sizeof record;
    }
    assert_int_equal(sb_sni_read(sb_str_of(parted, n - 1), &host), SB_SNI_MORE);
    assert_int_equal(sb_sni_read(sb_str_of(parted, n), &host), SB_SNI_NAME);
    assert_string_equal(host.name, "a.test");
    parted[6] = 23; /* application data between the pieces */
    assert_int_equal(sb_sni_read(sb_str_of(parted, n), &host), SB_SNI_BAD);
}

static void sees_what_is_no_tls(void **state)
{
    (void)state;
    struct sb_host host;
    assert_int_equal(sb_sni_read(SB_STR(""), &host), SB_SNI_MORE);
    assert_int_equal(sb_sni_read(SB_STR("S"), &host), SB_SNI_NOT_TLS);
    assert_int_equal(sb_sni_read(SB_STR("\26"), &host), SB_SNI_MORE);
    assert_int_equal(sb_sni_read(SB_STR("\26\2"), &host), SB_SNI_NOT_TLS);
    assert_int_equal(sb_sni_read(SB_STR("\200\56\1\3\1"), &host), SB_SNI_NOT_TLS); /* SSL 2 */
}

static void refuses_a_hello_that_is_not_by_the_book(void **state)
{
    (void)state;
    unsigned char bytes[512];
    struct sb_host host;
    struct sb_str hello = client_hello(bytes, "a.test", 0);
    assert_int_equal(sb_sni_read(hello, &host), SB_SNI_NONE);
    assert_int_equal(sb_sni_read(client_hello(bytes, "a.test", 2), &host), SB_SNI_BAD);
    assert_int_equal(sb_sni_read(client_hello(bytes, "a..test", 1), &host), SB_SNI_BAD);
    assert_int_equal(sb_sni_read(client_hello(bytes, "", 1), &host), SB_SNI_BAD);
    assert_int_equal(sb_sni_read(client_hello(bytes, "127.1", 1), &host), SB_SNI_BAD);
    static const struct {
        size_t at;
        unsigned char byte;
    } rows[] = {{3, 0x40},  /* record too long */
                {5, 2},     /* another handshake message */
                {6, 1},     /* hello longer than is taken */
                {8, 9},     /* shorter than what is in it */
                {9, 2},     /* version */
                {43, 33},   /* session id too long */
                {45, 200},  /* ciphers beyond the end */
                {61, 200},  /* list of names beyond its extension */
                {62, 1},    /* a name of another type */
                {64, 200}}; /* name beyond its list */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hello = client_hello(bytes, "a.test", 1);
        bytes[rows[i].at] = rows[i].byte;
        if (sb_sni_read(hello, &host) != SB_SNI_BAD) {
            fail_msg("row %zu was taken", i);
        }
    }
}

static void a_hello_without_end_is_not_waited_for(void **state)
{
    (void)state;
    static unsigned char bytes[SB_SNI_MAX_BYTES];
    struct sb_host host;
    const unsigned char head[] = {22, 3, 1, 0x3f, 0xfb, 1, 0, 0x3f, 0xfb};
    memcpy(bytes, head, sizeof head);
    assert_int_equal(sb_sni_read(sb_str_of(bytes, sizeof bytes - 1), &host), SB_SNI_MORE);
    assert_int_equal(sb_sni_read(sb_str_of(bytes, sizeof bytes), &host), SB_SNI_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_name_however_the_bytes_come),
        cmocka_unit_test(joins_records),
        cmocka_unit_test(sees_what_is_no_tls),
        cmocka_unit_test(refuses_a_hello_that_is_not_by_the_book),
        cmocka_unit_test(a_hello_without_end_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
