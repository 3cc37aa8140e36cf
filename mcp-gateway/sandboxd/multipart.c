#include "mcp-gateway/sandboxd/multipart.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

/* Of RFC 2046: a boundary has at most 70 characters. */
enum { MAX_BOUNDARY = 70, MAX_HEAD = 4096 };

#define FORM "multipart/form-data"

bool sb_multipart_is(const char *type)
{
    size_t n = sizeof FORM - 1;
    return type != NULL && strncasecmp(type, FORM, n) == 0 &&
           (type[n] == '\0' || type[n] == ';' || type[n] == ' ');
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

static bool is_same(struct sb_str a, const char *b)
{
    return a.len == strlen(b) && strncasecmp(a.ptr, b, a.len) == 0;
}

/* The value of `name` among "a; b=c; d=\"e; f\""; false: it is not there. */
static bool find_param(struct sb_str text, const char *name, struct sb_str *ret_value)
{
    while (text.len > 0) {
        size_t n = 0;
        bool is_quoted = false;
        while (n < text.len && (is_quoted || text.ptr[n] != ';')) {
            is_quoted ^= text.ptr[n] == '"';
            n += text.ptr[n] == '\\' && is_quoted && n + 1 < text.len ? 2 : 1;
        }
        struct sb_str key;
        struct sb_str value;
        if (sb_str_split(sb_str_head(text, n), '=', &key, &value) && is_same(trim(key), name)) {
            value = trim(value);
            if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"') {
                value = sb_str_of(value.ptr + 1, value.len - 2);
            }
            *ret_value = value;
            return true;
        }
        text = sb_str_skip(text, n < text.len ? n + 1 : n);
    }
    return false;
}

/* Takes the bytes before `mark` off *rest, and the mark. */
static bool take_until(struct sb_str *rest, struct sb_str mark, struct sb_str *ret_before)
{
    const char *at = rest->len == 0 ? NULL : memmem(rest->ptr, rest->len, mark.ptr, mark.len);
    if (at == NULL) {
        return false;
    }
    size_t n = (size_t)(at - rest->ptr);
    *ret_before = sb_str_head(*rest, n);
    *rest = sb_str_skip(*rest, n + mark.len);
    return true;
}

static bool is_named(struct sb_str head, const char *name)
{
    struct sb_str line;
    struct sb_str key;
    struct sb_str value;
    struct sb_str found;
    while (sb_str_next(&head, '\n', &line)) {
        if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
            line.len--;
        }
        if (sb_str_split(line, ':', &key, &value) && is_same(trim(key), "content-disposition")) {
            return find_param(value, "name", &found) && sb_str_eq(found, sb_str_from(name));
        }
    }
    return false;
}

static int malformed(const char *what, struct sb_err *err)
{
    return sb_err_set(err, SB_INVALID, "invalid multipart body: %s", what);
}

int sb_multipart_find(const char *type,
                      struct sb_str body,
                      const char *name,
                      struct sb_str *ret_content,
                      struct sb_err *err)
{
    struct sb_str boundary;
    struct sb_str before;
    struct sb_str head;
    struct sb_str content;
    char text[MAX_BOUNDARY + 5];
    if (!find_param(sb_str_from(type), "boundary", &boundary) || boundary.len == 0 ||
        boundary.len > MAX_BOUNDARY) {
        return malformed("Content-Type has no boundary of 1 to 70 characters", err);
    }
    int n = snprintf(text, sizeof text, "\r\n--%.*s", SB_STR_ARG(boundary));
    const struct sb_str mark = sb_str_of(text, (size_t)n);
    if (sb_str_starts_with(body, sb_str_skip(mark, 2))) {
        body = sb_str_skip(body, mark.len - 2);
    } else if (!take_until(&body, mark, &before)) {
        return malformed("it does not begin with its boundary", err);
    }
    while (!sb_str_starts_with(body, SB_STR("--"))) {
        if (!take_until(&body, SB_STR("\r\n"), &before) || trim(before).len > 0) {
            return malformed("a boundary does not end its line", err);
        }
        if (!take_until(&body, SB_STR("\r\n\r\n"), &head) || head.len > MAX_HEAD) {
            return malformed("a part has no head, or one over 4096 bytes", err);
        }
        if (!take_until(&body, mark, &content)) {
            return malformed("the last boundary is missing", err);
        }
        if (is_named(head, name)) {
            *ret_content = content;
            return 0;
        }
    }
    return sb_err_set(err, SB_INVALID, "multipart body is missing the required \"%s\" part", name);
}
