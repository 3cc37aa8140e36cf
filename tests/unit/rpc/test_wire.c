#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "echo.pb-c.h"
#include "proto/rpc/rpc.h"
#include "proto/rpc/wire.h"

enum { PLENTY = 1 << 20 };

#define DESC                (&aisbx__test__echo_request__descriptor)
#define CHECK(literal, err) sb_wire_check(DESC, literal, sizeof(literal) - 1, PLENTY, err)

static void refused(int result, const struct sb_err *err, enum sb_code code, const char *text)
{
    assert_int_equal(result, -1);
    assert_int_equal(err->code, code);
    assert_string_equal(err->text, text);
}

static void accepts_an_empty_message(void **state)
{
    (void)state;
    struct sb_err err;
    assert_int_equal(sb_wire_check(DESC, NULL, 0, PLENTY, &err), 0);
    ProtobufCMessage *msg = NULL;
    assert_int_equal(sb_rpc_unpack(DESC, NULL, 0, &msg, &err), 0);
    protobuf_c_message_free_unpacked(msg, NULL);
}

static void accepts_unknown_fields_of_every_wire_type(void **state)
{
    (void)state;
    struct sb_err err;
    assert_int_equal(CHECK("\xf8\x06\x01\xf9\x06"
                           "12345678"
                           "\xfa\x06\x02zz\xfd\x06"
                           "1234",
                           &err),
                     0);
}

static void accepts_numbers_packed_and_single(void **state)
{
    (void)state;
    struct sb_err err;
    assert_int_equal(CHECK("\x5a\x03\x01\x80\x01\x58\x07", &err), 0);
}

static void names_the_field_of_bad_text(void **state)
{
    (void)state;
    struct sb_err err;
    refused(CHECK("\x0a\x01\xff", &err), &err, SB_INVALID, "text: not UTF-8");
    refused(CHECK("\x0a\x03\xed\xa0\x80", &err), &err, SB_INVALID, "text: not UTF-8");
    refused(CHECK("\x0a\x03"
                  "a\0b",
                  &err),
            &err, SB_INVALID, "text: holds a NUL byte");
}

static void names_the_element_of_a_list(void **state)
{
    (void)state;
    struct sb_err err;
    refused(CHECK("\x2a\x01"
                  "a\x0a\x01x\x2a\x01"
                  "b\x2a\x01\xff",
                  &err),
            &err, SB_INVALID, "names[2]: not UTF-8");
}

static void names_the_way_down(void **state)
{
    (void)state;
    struct sb_err err;
    refused(CHECK("\x32\x05\x0a\x03\x12\x01\xff", &err), &err, SB_INVALID,
            "nested.inner.text: not UTF-8");
    refused(CHECK("\x52\x05\x0a\x01k\x12\x00\x52\x05\x0a\x00\x12\x01\xff", &err), &err, SB_INVALID,
            "env[1].value: not UTF-8");
}

static void refuses_what_is_cut_off(void **state)
{
    (void)state;
    struct sb_err err;
    refused(CHECK("\x0a", &err), &err, SB_INVALID, "text: malformed");
    refused(CHECK("\x0a\x05"
                  "abc",
                  &err),
            &err, SB_INVALID, "text: malformed");
    refused(CHECK("\x18\x80", &err), &err, SB_INVALID, "fail_code: malformed");
    refused(CHECK("\x80", &err), &err, SB_INVALID, "EchoRequest: malformed");
}

static void refuses_lengths_that_overflow(void **state)
{
    (void)state;
    struct sb_err err;
    refused(CHECK("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", &err), &err, SB_INVALID,
            "text: malformed");
}

static void refuses_groups_and_field_zero(void **state)
{
    (void)state;
    struct sb_err err;
    assert_int_equal(CHECK("\x0b\x0c", &err), -1);
    assert_int_equal(CHECK("\x00\x00", &err), -1);
    assert_int_equal(CHECK("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", &err), -1);
}

static void refuses_another_wire_type(void **state)
{
    (void)state;
    struct sb_err err;
    refused(CHECK("\x08\x01", &err), &err, SB_INVALID, "text: not of the declared type");
    refused(CHECK("\x1a\x01x", &err), &err, SB_INVALID, "fail_code: not of the declared type");
    refused(CHECK("\x5a\x01\x80", &err), &err, SB_INVALID, "numbers[0]: malformed");
}

static void limits_depth(void **state)
{
    (void)state;
    struct sb_err err;
    uint8_t data[256];
    for (unsigned depth = 1; depth < 30; depth++) {
        /* depth - 1 nested messages in the request: field 6 holds them, field 1 the next. */
        size_t len = 0;
        for (unsigned i = depth - 1; i > 0; i--) {
            memmove(data + 2, data, len);
            data[0] = i == 1 ? 0x32 : 0x0a;
            data[1] = (uint8_t)len;
            len += 2;
        }
        int want = depth <= SB_RPC_MAX_DEPTH ? 0 : -1;
        assert_int_equal(sb_wire_check(DESC, data, len, PLENTY, &err), want);
    }
    assert_int_equal(err.code, SB_INVALID);
}

static void limits_memory(void **state)
{
    (void)state;
    struct sb_err err;
    enum { N = 1000 };
    uint8_t data[2 * N];
    for (size_t i = 0; i < N; i++) {
        data[2 * i] = 0x2a;
        data[2 * i + 1] = 0;
    }
    assert_int_equal(sb_wire_check(DESC, data, sizeof data, PLENTY, &err), 0);
    assert_int_equal(sb_wire_check(DESC, data, sizeof data, 10000, &err), -1);
    assert_int_equal(err.code, SB_EXHAUSTED);
    assert_non_null(strstr(err.text, "names["));
}

static void unpacked_message_is_freed_without_our_allocator(void **state)
{
    (void)state;
    struct sb_err err;
    ProtobufCMessage *msg = NULL;
    static const char data[] = "\x0a\x02hi\x2a\x01"
                               "a\x2a\x01"
                               "b\x32\x04\x12\x02ho";
    assert_int_equal(sb_rpc_unpack(DESC, data, sizeof data - 1, &msg, &err), 0);
    const Aisbx__Test__EchoRequest *req = (const void *)msg;
    assert_string_equal(req->text, "hi");
    assert_int_equal(req->n_names, 2);
    assert_string_equal(req->nested->text, "ho");
    protobuf_c_message_free_unpacked(msg, NULL);
}

static void repeated_single_message_is_merged(void **state)
{
    (void)state;
    struct sb_err err;
    ProtobufCMessage *msg = NULL;
    static const char data[] = "\x32\x04\x12\x02ho\x32\x06\x0a\x04\x12\x02hu\x0a\x01x\x0a\x01y";
    assert_int_equal(sb_rpc_unpack(DESC, data, sizeof data - 1, &msg, &err), 0);
    const Aisbx__Test__EchoRequest *req = (const void *)msg;
    assert_string_equal(req->text, "y");
    assert_string_equal(req->nested->text, "ho");
    assert_string_equal(req->nested->inner->text, "hu");
    protobuf_c_message_free_unpacked(msg, NULL);
}

static void packs_up_to_the_maximum(void **state)
{
    (void)state;
    struct sb_err err;
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    char text[] = "0123456789";
    req.text = text;
    struct sb_buf exact = SB_BUF_INIT(12);
    assert_int_equal(sb_rpc_pack(&req.base, &exact, &err), 0);
    assert_memory_equal(sb_buf_cstr(&exact),
                        "\x0a\x0a"
                        "0123456789",
                        12);
    sb_buf_done(&exact);
    struct sb_buf small = SB_BUF_INIT(11);
    assert_int_equal(sb_rpc_pack(&req.base, &small, &err), -1);
    assert_int_equal(err.code, SB_EXHAUSTED);
    sb_buf_done(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_an_empty_message),
        cmocka_unit_test(accepts_unknown_fields_of_every_wire_type),
        cmocka_unit_test(accepts_numbers_packed_and_single),
        cmocka_unit_test(names_the_field_of_bad_text),
        cmocka_unit_test(names_the_element_of_a_list),
        cmocka_unit_test(names_the_way_down),
        cmocka_unit_test(refuses_what_is_cut_off),
        cmocka_unit_test(refuses_lengths_that_overflow),
        cmocka_unit_test(refuses_groups_and_field_zero),
        cmocka_unit_test(refuses_another_wire_type),
        cmocka_unit_test(limits_depth),
        cmocka_unit_test(limits_memory),
        cmocka_unit_test(unpacked_message_is_freed_without_our_allocator),
        cmocka_unit_test(repeated_single_message_is_merged),
        cmocka_unit_test(packs_up_to_the_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
