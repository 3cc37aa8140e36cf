#include "mcp-gateway/http/head.h"

#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/num.h"

static const struct {
    const char *name;
    enum sb_http_method method;
} methods[] = {
    {"GET", SB_HTTP_GET},         {"HEAD", SB_HTTP_HEAD},   {"POST", SB_HTTP_POST},
    {"PUT", SB_HTTP_PUT},         {"PATCH", SB_HTTP_PATCH}, {"DELETE", SB_HTTP_DELETE},
    {"OPTIONS", SB_HTTP_OPTIONS},
};

/* Two of these could be understood differently by whoever stands before us. */
static const char *const once[] = {
    "authorization",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "if-range",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "origin",
    "range",
    "traceparent",
    "transfer-encoding",
    "x-api-key",
    "x-request-id",
};

const char *sb_http_method_name(enum sb_http_method method)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (methods[i].method == method) {
            return methods[i].name;
        }
    }
    return method == SB_HTTP_OTHER ? "OTHER" : "?";
}

int sb_head_find_end(struct sb_str bytes, size_t *from)
{
    for (;;) {
        const char *lf = *from < bytes.len
                             ? (const char *)memchr(bytes.ptr + *from, '\n', bytes.len - *from)
                             : NULL;
        if (lf == NULL) {
            return 0;
        }
        size_t at = (size_t)(lf - bytes.ptr);
        if (at == 0 || bytes.ptr[at - 1] != '\r') {
            return -1;
        }
        bool is_empty_line = at - 1 == *from && *from > 0;
        *from = at + 1;
        if (is_empty_line) {
            return (int)*from;
        }
    }
}

/* tchar of RFC 9110 */
static bool is_token(struct sb_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (c == 0 || (!is_alnum && strchr("!#$%&'*+-.^_`|~", c) == NULL)) {
            return false;
        }
    }
    return text.len > 0;
}

/* Visible characters, bytes from 0x80 on, and blanks within. */
static bool is_field_value(struct sb_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

static struct sb_str trim(struct sb_str text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text = sb_str_skip(text, 1);
    }
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

static int refuse(int *ret_status, int status, struct sb_err *err, const char *why)
{
    *ret_status = status;
    return sb_err_set(err, status == 501 ? SB_UNIMPLEMENTED : SB_INVALID, "%s", why);
}

static int
parse_request_line(struct sb_str line, struct sb_head *head, int *ret_status, struct sb_err *err)
{
    struct sb_str method;
    struct sb_str target;
    struct sb_str version;
    if (!sb_str_split(line, ' ', &method, &target) ||
        !sb_str_split(target, ' ', &target, &version) || !is_token(method) || target.len == 0) {
        return refuse(ret_status, 400, err, "the request line is not METHOD TARGET VERSION");
    }
    for (size_t i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.ptr[i];
        if (c <= 0x20 || c >= 0x7f || c == '#' || c == '\\') {
            return refuse(ret_status, 400, err, "the target has a character no URI may have");
        }
    }
    if (!sb_str_starts_with(version, SB_STR("HTTP/")) || version.len != 8) {
        return refuse(ret_status, 400, err, "the request line does not end with HTTP/1.1");
    }
    head->is_http10 = sb_str_eq(version, SB_STR("HTTP/1.0"));
    if (!head->is_http10 && !sb_str_eq(version, SB_STR("HTTP/1.1"))) {
        return refuse(ret_status, 505, err, "this server speaks HTTP/1.1");
    }
    head->target = target;
    head->method_text = method;
    head->method = SB_HTTP_OTHER;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (sb_str_eq(method, sb_str_from(methods[i].name))) {
            head->method = methods[i].method;
        }
    }
    return 0;
}

static bool is_one_of_once(const char *name)
{
    for (size_t i = 0; i < sizeof once / sizeof *once; i++) {
        if (strcasecmp(once[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* There is room for a NUL, as CR LF follows. */
int sb_head_read_field(char *line, size_t len, struct sb_head_field *ret_field, struct sb_err *err)
{
    struct sb_str name;
    struct sb_str value;
    if (!sb_str_split(sb_str_of(line, len), ':', &name, &value) || !is_token(name)) {
        return sb_err_set(
            err, SB_INVALID, "%s",
            "a header line is not NAME: VALUE (no blank before the colon, no folding)");
    }
    value = trim(value);
    if (!is_field_value(value)) {
        return sb_err_set(err, SB_INVALID, "%s", "a header value has a control character");
    }
    line[name.len] = '\0';
    line[value.len == 0 ? len : (size_t)(value.ptr + value.len - line)] = '\0';
    *ret_field = (struct sb_head_field){line, value.len == 0 ? line + len : value.ptr};
    return 0;
}

static int
parse_field(char *line, size_t len, struct sb_head *head, int *ret_status, struct sb_err *err)
{
    struct sb_head_field field;
    *ret_status = 400;
    if (sb_head_read_field(line, len, &field, err) < 0) {
        return -1;
    }
    if (head->n_fields == SB_HEAD_MAX_FIELDS) {
        return refuse(ret_status, 431, err, "more than 64 header lines");
    }
    if (is_one_of_once(field.name) && sb_head_get(head, field.name) != NULL) {
        return sb_err_set(err, SB_INVALID, "header %s is there twice", field.name);
    }
    head->fields[head->n_fields++] = field;
    return 0;
}

const char *sb_head_get(const struct sb_head *head, const char *name)
{
    for (size_t i = 0; i < head->n_fields; i++) {
        if (strcasecmp(head->fields[i].name, name) == 0) {
            return head->fields[i].value;
        }
    }
    return NULL;
}

static bool list_has(const char *list, const char *word)
{
    struct sb_str rest = sb_str_from(list);
    struct sb_str piece;
    while (list != NULL && sb_str_next(&rest, ',', &piece)) {
        piece = sb_str_trim(piece);
        if (piece.len == strlen(word) && strncasecmp(piece.ptr, word, piece.len) == 0) {
            return true;
        }
    }
    return false;
}

static int read_framing(struct sb_head *head, int *ret_status, struct sb_err *err)
{
    const char *length = sb_head_get(head, "content-length");
    const char *coding = sb_head_get(head, "transfer-encoding");
    if (length != NULL && coding != NULL) {
        return refuse(ret_status, 400, err, "both Content-Length and Transfer-Encoding");
    }
    if (coding != NULL) {
        if (head->is_http10) {
            return refuse(ret_status, 400, err, "Transfer-Encoding in HTTP/1.0");
        }
        if (strcasecmp(coding, "chunked") != 0) {
            return refuse(ret_status, 501, err, "the only Transfer-Encoding here is chunked");
        }
        head->is_chunked = true;
    }
    struct sb_err ignored;
    if (length != NULL &&
        sb_num_u64(sb_str_from(length), 0, UINT64_MAX >> 1, &head->body_bytes, &ignored) < 0) {
        return refuse(ret_status, 400, err, "Content-Length is not a decimal number");
    }
    return 0;
}

static int read_meaning(struct sb_head *head, int *ret_status, struct sb_err *err)
{
    head->host = sb_head_get(head, "host");
    if (head->host == NULL || *head->host == '\0') {
        return refuse(ret_status, 400, err, "no Host");
    }
    const char *expect = sb_head_get(head, "expect");
    if (expect != NULL && strcasecmp(expect, "100-continue") != 0) {
        return refuse(ret_status, 417, err, "the only Expect here is 100-continue");
    }
    head->wants_continue = expect != NULL && !head->is_http10;
    head->wants_close = list_has(sb_head_get(head, "connection"), "close") || head->is_http10;
    return read_framing(head, ret_status, err);
}

int sb_head_parse(
    char *text, size_t len, struct sb_head *ret_head, int *ret_status, struct sb_err *err)
{
    memset(ret_head, 0, sizeof *ret_head);
    bool is_first = true;
    char *at = text;
    while (at < text + len) {
        char *lf = memchr(at, '\n', (size_t)(text + len - at));
        if (lf == NULL || lf == at || lf[-1] != '\r') {
            return refuse(ret_status, 400, err, "a line of the head does not end with CR LF");
        }
        size_t line_len = (size_t)(lf - 1 - at);
        if (line_len == 0) {
            break;
        }
        int failed = is_first
                         ? parse_request_line(sb_str_of(at, line_len), ret_head, ret_status, err)
                         : parse_field(at, line_len, ret_head, ret_status, err);
        if (failed < 0) {
            return -1;
        }
        is_first = false;
        at = lf + 1;
    }
    if (is_first) {
        return refuse(ret_status, 400, err, "no request line");
    }
    return read_meaning(ret_head, ret_status, err);
}
