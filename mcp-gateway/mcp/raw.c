#include "mcp-gateway/mcp/raw.h"

static struct sb_str skip_blanks(struct sb_str s)
{
    while (s.len > 0 &&
           (s.ptr[0] == ' ' || s.ptr[0] == '\t' || s.ptr[0] == '\r' || s.ptr[0] == '\n')) {
        s = sb_str_skip(s, 1);
    }
    return s;
}

/* Bytes of the string that s begins with, quotes included. */
static size_t string_len(struct sb_str s)
{
    size_t at = 1;
    while (at < s.len && s.ptr[at] != '"') {
        at += s.ptr[at] == '\\' ? 2 : 1;
    }
    return at < s.len ? at + 1 : s.len;
}

static size_t nested_len(struct sb_str s)
{
    size_t depth = 0;
    size_t at = 0;
    while (at < s.len) {
        char c = s.ptr[at];
        if (c == '"') {
            at += string_len(sb_str_skip(s, at));
            continue;
        }
        at++;
        depth += c == '{' || c == '[' ? 1U : 0U;
        if ((c == '}' || c == ']') && --depth == 0) {
            break;
        }
    }
    return at;
}

/* Bytes of the value that s begins with. */
static size_t value_len(struct sb_str s)
{
    if (s.len == 0) {
        return 0;
    }
    if (s.ptr[0] == '"') {
        return string_len(s);
    }
    if (s.ptr[0] == '{' || s.ptr[0] == '[') {
        return nested_len(s);
    }
    size_t at = 0;
    while (at < s.len && memchr(",]} \t\r\n", s.ptr[at], 7) == NULL) {
        at++;
    }
    return at;
}

/* Takes one value off the front; blanks and one of ',' or ':' behind it go as well. */
static struct sb_str take(struct sb_str *rest)
{
    struct sb_str s = skip_blanks(*rest);
    struct sb_str value = sb_str_head(s, value_len(s));
    s = skip_blanks(sb_str_skip(s, value.len));
    if (s.len > 0 && (s.ptr[0] == ',' || s.ptr[0] == ':')) {
        s = sb_str_skip(s, 1);
    }
    *rest = s;
    return value;
}

struct sb_str sb_raw_member(struct sb_str object, struct sb_str key)
{
    struct sb_str rest = skip_blanks(object);
    if (rest.len == 0 || rest.ptr[0] != '{') {
        return (struct sb_str){NULL, 0};
    }
    rest = skip_blanks(sb_str_skip(rest, 1));
    while (rest.len > 0 && rest.ptr[0] == '"') {
        struct sb_str name = take(&rest);
        struct sb_str value = take(&rest);
        if (name.len == key.len + 2 && memcmp(name.ptr + 1, key.ptr, key.len) == 0) {
            return value;
        }
        rest = skip_blanks(rest);
    }
    return (struct sb_str){NULL, 0};
}

struct sb_str sb_raw_elements(struct sb_str array)
{
    return sb_str_skip(skip_blanks(array), 1);
}

bool sb_raw_next(struct sb_str *rest, struct sb_str *ret_element)
{
    struct sb_str s = skip_blanks(*rest);
    if (s.len == 0 || s.ptr[0] == ']') {
        return false;
    }
    *ret_element = take(&s);
    *rest = s;
    return true;
}
