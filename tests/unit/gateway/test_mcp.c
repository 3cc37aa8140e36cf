#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "mcp-gateway/mcp/era.h"
#include "mcp-gateway/mcp/header.h"
#include "mcp-gateway/mcp/message.h"
#include "mcp-gateway/mcp/protocol.h"
#include "mcp-gateway/mcp/raw.h"
#include "mcp-gateway/mcp/schema.h"
#include "mcp-gateway/mcp/seal.h"

#define ASSERT_STR(actual, text)                                                                   \
    do {                                                                                           \
        struct sb_str got = (actual);                                                              \
        assert_int_equal(got.len, strlen(text));                                                   \
        assert_memory_equal(got.ptr, text, got.len);                                               \
    } while (0)

/* ---- raw text ---- */

static void raw_member_is_found_as_it_is_written(void **state)
{
    (void)state;
    struct sb_str object =
        SB_STR(" { \"a\" : [1,{\"id\":2}], \"s\":\"}\\\"]\" ,\"id\" :1.0e2, \"z\":null}");
    ASSERT_STR(sb_raw_member(object, SB_STR("id")), "1.0e2");
    ASSERT_STR(sb_raw_member(object, SB_STR("a")), "[1,{\"id\":2}]");
    ASSERT_STR(sb_raw_member(object, SB_STR("s")), "\"}\\\"]\"");
    ASSERT_STR(sb_raw_member(object, SB_STR("z")), "null");
    assert_null(sb_raw_member(object, SB_STR("none")).ptr);
    assert_null(sb_raw_member(SB_STR("[1]"), SB_STR("id")).ptr);
    assert_null(sb_raw_member(SB_STR("{}"), SB_STR("id")).ptr);
    assert_null(sb_raw_member(SB_STR("{\"id\":\"cut"), SB_STR("i")).ptr);
}

static void raw_elements_are_walked(void **state)
{
    (void)state;
    static const char *const expected[] = {"[[]]", "{\"a\":\"]\"}", "\",\"", "1"};
    struct sb_str rest = sb_raw_elements(SB_STR(" [ [[]] ,{\"a\":\"]\"}, \",\",1 ]"));
    struct sb_str element;
    for (size_t i = 0; i < 4; i++) {
        assert_true(sb_raw_next(&rest, &element));
        ASSERT_STR(element, expected[i]);
    }
    assert_false(sb_raw_next(&rest, &element));
    rest = sb_raw_elements(SB_STR("[ ]"));
    assert_false(sb_raw_next(&rest, &element));
}

/* ---- messages ---- */

static enum sb_mcp_kind kind_of(const char *text, struct sb_mcp_message *message)
{
    struct sb_err err;
    cJSON *json = NULL;
    assert_int_equal(sb_mcp_message_parse(sb_str_from(text), &json, &err), 0);
    sb_mcp_message_read(json, sb_str_from(text), message);
    enum sb_mcp_kind kind = message->kind;
    cJSON_Delete(json);
    return kind;
}

static void message_kinds_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum sb_mcp_kind kind;
        const char *id;
    } rows[] = {
        {"{\"jsonrpc\":\"2.0\",\"id\":-0,\"method\":\"m\"}", SB_MCP_REQUEST, "-0"},
        {"{\"jsonrpc\":\"2.0\",\"id\":\"\",\"method\":\"m\",\"params\":{}}", SB_MCP_REQUEST,
         "\"\""},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"m\"}", SB_MCP_NOTIFICATION, ""},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", SB_MCP_RESPONSE, "1"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{}}", SB_MCP_RESPONSE, "1"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{},\"result\":{}}", SB_MCP_INVALID, "1"},
        {"{\"jsonrpc\":\"2.0\",\"id\":9007199254740992,\"method\":\"m\"}", SB_MCP_INVALID, ""},
        {"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"m\"}", SB_MCP_INVALID, ""},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":2}", SB_MCP_INVALID, "1"},
        {"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"m\"}", SB_MCP_INVALID, "1"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":null}", SB_MCP_INVALID, "1"},
        {"{\"jsonrpc\":\"2.0\",\"\\u0069d\":1,\"method\":\"m\"}", SB_MCP_NOTIFICATION, ""},
        {"[]", SB_MCP_INVALID, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_mcp_message message;
        if (strstr(rows[i].text, "u0069") !=
            NULL) { /* a key in disguise is an id that cannot be echoed */
            assert_int_equal(kind_of(rows[i].text, &message), SB_MCP_INVALID);
            continue;
        }
        assert_int_equal(kind_of(rows[i].text, &message), rows[i].kind);
        ASSERT_STR(message.id, rows[i].id);
    }
}

static void message_refuses_what_is_no_json(void **state)
{
    (void)state;
    static const char *const texts[] = {"",      "[1",        "\"a", "{\"a\":1,\"\\u0061\":2}",
                                        "{} {}", "{\"a\":01}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct sb_err err;
        cJSON *json = NULL;
        assert_int_equal(sb_mcp_message_parse(sb_str_from(texts[i]), &json, &err), -1);
        assert_int_equal(err.code, SB_INVALID);
    }
}

/* ---- revisions ---- */

static void revisions_are_dates(void **state)
{
    (void)state;
    enum sb_mcp_revision revision = SB_MCP_2024_11_05;
    assert_true(sb_mcp_revision_from(SB_STR("2025-06-18"), &revision));
    assert_int_equal(revision, SB_MCP_2025_06_18);
    assert_false(sb_mcp_revision_from(SB_STR("2025-06-19"), &revision));
    assert_true(sb_mcp_revision_is_modern(SB_STR("2026-07-28")));
    assert_true(sb_mcp_revision_is_modern(SB_STR("2030-01-01")));
    assert_false(sb_mcp_revision_is_modern(SB_STR("2025-11-25")));
    assert_false(sb_mcp_revision_is_modern(SB_STR("2026-07-28 ")));
    assert_false(sb_mcp_revision_is_modern(SB_STR("9999")));
}

/* ---- headers ---- */

static void header_values_are_decoded(void **state)
{
    (void)state;
    struct sb_buf buf = SB_BUF_INIT(1024);
    struct sb_str value;
    assert_true(sb_mcp_header_decode(SB_STR("=?base64?SGVsbG8=?="), &buf, &value));
    ASSERT_STR(value, "Hello");
    assert_true(sb_mcp_header_decode(SB_STR("=?base64?"
                                            "?="),
                                     &buf, &value));
    assert_int_equal(value.len, 0);
    assert_true(sb_mcp_header_decode(SB_STR("=?base64?"), &buf, &value));
    ASSERT_STR(value, "=?base64?");
    static const char *const bad[] = {
        "=?base64?SGVsbG8?=", "=?base64?SGVsbG9=?=", "=?base64?gA==?=", "=?base64?SG Vs?="};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(sb_mcp_header_decode(sb_str_from(bad[i]), &buf, &value));
    }
    sb_buf_done(&buf);
}

static const char *param;

static const char *get_param(const char *name, void *ctx)
{
    (void)ctx;
    return strcmp(name, "Mcp-Param-N") == 0 ? param : NULL;
}

static int check_param(const char *value, const char *argument)
{
    struct sb_err err;
    const struct sb_mcp_head head = {.is_http = true, .header = get_param};
    cJSON *schema =
        cJSON_Parse("{\"properties\":{\"o\":{\"properties\":{\"n\":{\"x-mcp-header\":\"N\"}}}}}");
    cJSON *arguments = cJSON_Parse(argument);
    param = value;
    int rc = sb_mcp_header_check_params(&head, schema, arguments, &err);
    cJSON_Delete(schema);
    cJSON_Delete(arguments);
    return rc;
}

static void headers_repeat_arguments(void **state)
{
    (void)state;
    assert_int_equal(check_param("42.0", "{\"o\":{\"n\":42}}"), 0);
    assert_int_equal(check_param(" 42 ", "{\"o\":{\"n\":42}}"), 0);
    assert_int_equal(check_param("0x2a", "{\"o\":{\"n\":42}}"), -1);
    assert_int_equal(check_param("43", "{\"o\":{\"n\":42}}"), -1);
    assert_int_equal(check_param("true", "{\"o\":{\"n\":true}}"), 0);
    assert_int_equal(check_param("True", "{\"o\":{\"n\":true}}"), -1);
    assert_int_equal(check_param("42", "{\"o\":{\"n\":\"42\"}}"), 0);
    assert_int_equal(check_param(NULL, "{\"o\":{\"n\":\"42\"}}"), -1);
    assert_int_equal(check_param(NULL, "{\"o\":{}}"), 0);
    assert_int_equal(check_param(NULL, "{\"o\":{\"n\":null}}"), 0);
}

/* ---- schemas ---- */

static void schema_names_what_is_wrong(void **state)
{
    (void)state;
    static const char schema_text[] =
        "{\"type\":\"object\",\"required\":[\"a\"],\"additionalProperties\":false,\"properties\":{"
        "\"a\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":5},\"b\":{\"enum\":[\"x\",\"y\"]},"
        "\"c\":{\"type\":\"array\",\"maxItems\":2,\"items\":{\"type\":[\"string\",\"null\"],"
        "\"minLength\":2}},"
        "\"text\":{\"type\":\"string\",\"maxLength\":2},\"k\":{\"const\":7}}}";
    static const struct {
        const char *value;
        const char *why; /* NULL: it is right */
    } rows[] = {
        {"{\"a\":1}", NULL},
        {"{\"a\":5.0,\"b\":\"y\",\"c\":[\"ab\",null],\"text\":\"\xc3\xa9\xc3\xa9\",\"k\":7}", NULL},
        {"{}", "arguments: needs \"a\""},
        {"{\"a\":\"1\"}", "arguments.a: must be of type integer"},
        {"{\"a\":1.5}", "arguments.a: must be of type integer"},
        {"{\"a\":0}", "arguments.a: must be at least 1"},
        {"{\"a\":6}", "arguments.a: must be at most 5"},
        {"{\"a\":1,\"b\":\"z\"}", "arguments.b: must be one of x, y"},
        {"{\"a\":1,\"c\":[\"ab\",\"c\"]}", "arguments.c[1]: must be at least 2 characters"},
        {"{\"a\":1,\"c\":[1]}", "arguments.c[0]: must be of type string or null"},
        {"{\"a\":1,\"c\":[null,null,null]}", "arguments.c: must be at most 2 items"},
        {"{\"a\":1,\"text\":\"abc\"}", "arguments.text: must be at most 2 characters"},
        {"{\"a\":1,\"tex\":\"\"}", "arguments: has no \"tex\"; did you mean \"text\"?"},
        {"{\"a\":1,\"A\":2}", "arguments: has no \"A\""},
        {"{\"a\":1,\"k\":8}", "arguments.k: has not the one value it may have"},
        {"[]", "arguments: must be of type object"},
    };
    cJSON *schema = cJSON_Parse(schema_text);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_err err;
        cJSON *value = cJSON_Parse(rows[i].value);
        int rc = sb_schema_check(schema, value, &err);
        cJSON_Delete(value);
        assert_int_equal(rc, rows[i].why == NULL ? 0 : -1);
        if (rows[i].why != NULL) {
            assert_memory_equal(err.text, rows[i].why, strlen(rows[i].why));
        }
    }
    cJSON_Delete(schema);
}

/* ---- seals ---- */

static void seals_open_only_as_they_were_made(void **state)
{
    (void)state;
    struct sb_err err;
    struct sb_buf text = SB_BUF_INIT(4096);
    struct sb_buf buf = SB_BUF_INIT(4096);
    struct sb_str inside;
    struct sb_str key = SB_STR("0123456789abcdef0123456789abcdef");
    struct sb_str bound = SB_STR("who:what");
    assert_int_equal(sb_seal_make(key, bound, SB_STR("state"), 1000, &text, &err), 0);
    struct sb_str sealed = sb_buf_str(&text);
    assert_true(sb_seal_open(key, bound, sealed, 1000, &buf, &inside));
    ASSERT_STR(inside, "state");
    assert_false(sb_seal_open(key, bound, sealed, 1001, &buf, &inside));
    assert_false(sb_seal_open(key, SB_STR("who:wha"), sealed, 1, &buf, &inside));
    assert_false(sb_seal_open(SB_STR("other"), bound, sealed, 1, &buf, &inside));
    assert_false(sb_seal_open(key, bound, sb_str_head(sealed, sealed.len - 4), 1, &buf, &inside));
    assert_false(sb_seal_open(key, bound, (struct sb_str){NULL, 0}, 1, &buf, &inside));
    for (size_t i = 0; i < sealed.len; i++) { /* each character matters */
        char copy[512];
        memcpy(copy, sealed.ptr, sealed.len);
        copy[i] = copy[i] == 'A' ? 'B' : 'A';
        assert_false(sb_seal_open(key, bound, sb_str_of(copy, sealed.len), 1, &buf, &inside));
    }
    sb_buf_done(&text);
    sb_buf_done(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw_member_is_found_as_it_is_written),
        cmocka_unit_test(raw_elements_are_walked),
        cmocka_unit_test(message_kinds_are_told_apart),
        cmocka_unit_test(message_refuses_what_is_no_json),
        cmocka_unit_test(revisions_are_dates),
        cmocka_unit_test(header_values_are_decoded),
        cmocka_unit_test(headers_repeat_arguments),
        cmocka_unit_test(schema_names_what_is_wrong),
        cmocka_unit_test(seals_open_only_as_they_were_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
