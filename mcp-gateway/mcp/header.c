#include "mcp-gateway/mcp/header.h"

#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/utf8.h"
#include "mcp-gateway/mcp/message.h"

enum { MAX_VALUE = 16 << 10, MAX_DEPTH = 8, MAX_SHOWN = 80 };

struct sb_str sb_mcp_header_value(const char *value)
{
    return value == NULL ? (struct sb_str){NULL, 0} : sb_str_trim(sb_str_from(value));
}

bool sb_mcp_header_decode(struct sb_str value, struct sb_buf *buf, struct sb_str *ret_value)
{
    const struct sb_str prefix = SB_STR("=?base64?");
    const struct sb_str suffix = SB_STR("?=");
    if (value.len < prefix.len + suffix.len || !sb_str_starts_with(value, prefix) ||
        !sb_str_ends_with(value, suffix)) {
        *ret_value = value;
        return true;
    }
    struct sb_str text = sb_str_skip(sb_str_head(value, value.len - suffix.len), prefix.len);
    sb_buf_clear(buf);
    if (sb_base64_decode(text, buf) < 0 || !sb_utf8_valid(sb_buf_cstr(buf), buf->len)) {
        return false;
    }
    *ret_value = sb_buf_str(buf);
    return true;
}

int sb_mcp_header_check_name(const struct sb_mcp_head *head,
                             const char *member,
                             struct sb_str expected,
                             struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf buf = SB_BUF_INIT(MAX_VALUE);
    struct sb_str name = sb_mcp_header_value(head->name);
    if (name.ptr == NULL) {
        return expected.ptr == NULL
                   ? 0
                   : sb_err_set(err, SB_INVALID,
                                "the Mcp-Name header is missing; the body has params.%s", member);
    }
    struct sb_str decoded;
    if (!sb_mcp_header_decode(name, &buf, &decoded)) {
        return sb_err_set(err, SB_INVALID, "the Mcp-Name header is not valid base64 of UTF-8");
    }
    if (expected.ptr != NULL && !sb_str_eq(decoded, expected)) {
        return sb_err_set(err, SB_INVALID, "the Mcp-Name header says \"%.*s\", params.%s \"%.*s\"",
                          SB_STR_ARG(sb_str_head(decoded, MAX_SHOWN)), member,
                          SB_STR_ARG(sb_str_head(expected, MAX_SHOWN)));
    }
    return 0;
}

/* -?digits[.digits] */
static bool is_decimal(struct sb_str text)
{
    size_t at = text.len > 0 && text.ptr[0] == '-' ? 1 : 0;
    size_t runs = 0;
    for (; runs < 2; runs++) {
        size_t start = at;
        while (at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9') {
            at++;
        }
        if (at == start) {
            return false;
        }
        if (at == text.len) {
            return true;
        }
        if (text.ptr[at++] != '.') {
            return false;
        }
    }
    return false;
}

static bool says_number(struct sb_str decoded, double value)
{
    char text[64];
    if (!is_decimal(decoded) || decoded.len >= sizeof text) {
        return false;
    }
    (void)snprintf(text, sizeof text, "%.*s", SB_STR_ARG(decoded));
    double said = strtod(text, NULL);
    return !(said < value) && !(said > value);
}

/* Whether the header says what the argument is, a string, number or boolean. */
static bool says(struct sb_str decoded, const cJSON *value)
{
    if (cJSON_IsString(value)) {
        return sb_str_eq(decoded, sb_str_from(value->valuestring));
    }
    if (cJSON_IsBool(value)) {
        return sb_str_eq(decoded, cJSON_IsTrue(value) ? SB_STR("true") : SB_STR("false"));
    }
    return says_number(decoded, value->valuedouble);
}

static int check_one(const struct sb_mcp_head *head,
                     struct sb_str suffix,
                     const cJSON *value,
                     struct sb_err *err)
{
    char name[128];
    SB_CLEANUP(sb_buf_done) struct sb_buf buf = SB_BUF_INIT(MAX_VALUE);
    if (!cJSON_IsString(value) && !cJSON_IsNumber(value) && !cJSON_IsBool(value)) {
        return 0; /* there is no form of it for a header */
    }
    (void)snprintf(name, sizeof name, "Mcp-Param-%.*s", SB_STR_ARG(suffix));
    struct sb_str header = sb_mcp_header_value(head->header(name, head->ctx));
    if (header.ptr == NULL) {
        return sb_err_set(err, SB_INVALID, "the %s header is missing; arguments have it as %s",
                          name, value->string);
    }
    struct sb_str decoded;
    if (!sb_mcp_header_decode(header, &buf, &decoded)) {
        return sb_err_set(err, SB_INVALID, "the %s header is not valid base64 of UTF-8", name);
    }
    if (!says(decoded, value)) {
        return sb_err_set(err, SB_INVALID,
                          "the %s header says \"%.*s\", which arguments.%s does not", name,
                          SB_STR_ARG(sb_str_head(decoded, MAX_SHOWN)), value->string);
    }
    return 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): to MAX_DEPTH */
static int check_level(const struct sb_mcp_head *head,
                       const cJSON *schema,
                       const cJSON *arguments,
                       unsigned depth,
                       struct sb_err *err)
{
    const cJSON *properties = cJSON_GetObjectItemCaseSensitive(schema, "properties");
    const cJSON *property = NULL;
    cJSON_ArrayForEach(property, properties)
    {
        struct sb_str suffix;
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(arguments, property->string);
        if (value == NULL) {
            continue;
        }
        if (sb_mcp_string(property, "x-mcp-header", &suffix) &&
            check_one(head, suffix, value, err) < 0) {
            return -1;
        }
        if (depth < MAX_DEPTH && cJSON_IsObject(value) &&
            check_level(head, property, value, depth + 1, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int sb_mcp_header_check_params(const struct sb_mcp_head *head,
                               const struct cJSON *schema,
                               const struct cJSON *arguments,
                               struct sb_err *err)
{
    return check_level(head, schema, arguments, 0, err);
}
