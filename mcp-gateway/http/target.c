#include "mcp-gateway/http/target.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/utf8.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
        return (c | 0x20) - 'a' + 10;
    }
    return -1;
}

/* The byte that %XX at the front of text stands for; -1: it is none. */
static int decode_percent(struct sb_str text)
{
    int high = text.len > 2 ? hex(text.ptr[1]) : -1;
    int low = text.len > 2 ? hex(text.ptr[2]) : -1;
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

enum kind { PATH, OPEN_PATH, QUERY };

static bool is_forbidden(int byte, enum kind kind)
{
    bool is_control = byte < 0x20 || byte == 0x7f;
    return byte == 0 || (kind != QUERY && is_control) || (kind == PATH && byte == '/');
}

/* Decodes into *at, which moves on. */
static int
decode(struct sb_str text, enum kind kind, char **at, struct sb_str *ret_text, struct sb_err *err)
{
    const char *what = kind == QUERY ? "query" : "path";
    char *start = *at;
    char *out = start;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if ((unsigned char)c <= 0x20 || (unsigned char)c >= 0x7f) {
            return sb_err_set(err, SB_INVALID, "the %s has a character no URI may have", what);
        }
        if (c == '+' && kind == QUERY) {
            c = ' ';
        } else if (c == '%') {
            int byte = decode_percent(sb_str_skip(text, i));
            if (byte < 0) {
                return sb_err_set(err, SB_INVALID, "the %s has a %% without two digits", what);
            }
            if (is_forbidden(byte, kind)) {
                return sb_err_set(err, SB_INVALID, "the %s has an encoded slash or control", what);
            }
            c = (char)byte;
            i += 2;
        }
        *out++ = c;
    }
    if (!sb_utf8_valid(start, (size_t)(out - start))) {
        return sb_err_set(err, SB_INVALID, "the %s is not UTF-8", what);
    }
    *ret_text = sb_str_of(start, (size_t)(out - start));
    *at = out;
    return 0;
}

static int check_segments(struct sb_str path, struct sb_err *err)
{
    if (path.len == 0 || path.ptr[0] != '/') {
        return sb_err_set(err, SB_INVALID, "the path does not begin with a slash");
    }
    struct sb_str rest = sb_str_skip(path, 1);
    struct sb_str segment;
    if (rest.len == 0) {
        return 0;
    }
    while (sb_str_next(&rest, '/', &segment)) {
        if (segment.len == 0 || sb_str_eq(segment, SB_STR(".")) ||
            sb_str_eq(segment, SB_STR(".."))) {
            return sb_err_set(err, SB_INVALID, "the path has an empty, \".\" or \"..\" segment");
        }
    }
    return 0;
}

/* "http://host/path" -> "/path" */
static int strip_authority(struct sb_str *target, const char *host, struct sb_err *err)
{
    if (target->len > 0 && target->ptr[0] == '/') {
        return 0;
    }
    struct sb_str rest = sb_str_starts_with(*target, SB_STR("http://"))    ? sb_str_skip(*target, 7)
                         : sb_str_starts_with(*target, SB_STR("https://")) ? sb_str_skip(*target, 8)
                                                                           : SB_STR("");
    size_t n = 0;
    while (n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != '?') {
        n++;
    }
    if (n == 0 || n == rest.len || n != strlen(host) || strncasecmp(rest.ptr, host, n) != 0) {
        return sb_err_set(err, SB_INVALID, "the target is neither a path nor a URL of this Host");
    }
    *target = sb_str_skip(rest, n);
    return 0;
}

static int add_param(struct sb_target *target, struct sb_target_param param, struct sb_err *err)
{
    for (size_t i = 0; i < target->n_params; i++) {
        if (sb_str_eq(target->params[i].name, param.name)) {
            return sb_err_set(err, SB_INVALID, "query parameter %.*s is there twice",
                              SB_STR_ARG(param.name));
        }
    }
    if (target->n_params == SB_TARGET_MAX_PARAMS || param.name.len == 0) {
        return sb_err_set(err, SB_INVALID, "more than 32 query parameters, or one without name");
    }
    target->params[target->n_params++] = param;
    return 0;
}

int sb_target_parse(struct sb_str target,
                    const char *host,
                    const char *open,
                    char *room,
                    struct sb_target *ret_target,
                    struct sb_err *err)
{
    memset(ret_target, 0, sizeof *ret_target);
    if (strip_authority(&target, host, err) < 0) {
        return -1;
    }
    struct sb_str path = target;
    struct sb_str query = {NULL, 0};
    (void)sb_str_split(target, '?', &path, &query);
    char *at = room;
    bool is_open = open != NULL && sb_str_starts_with(path, sb_str_from(open));
    if (decode(path, is_open ? OPEN_PATH : PATH, &at, &ret_target->path, err) < 0 ||
        (!is_open && check_segments(ret_target->path, err) < 0)) {
        return -1;
    }
    struct sb_str piece;
    if (query.len == 0) {
        return 0;
    }
    while (sb_str_next(&query, '&', &piece)) {
        struct sb_str name = piece;
        struct sb_str value = {NULL, 0};
        struct sb_target_param param = {{NULL, 0}, {NULL, 0}};
        (void)sb_str_split(piece, '=', &name, &value);
        if (decode(name, QUERY, &at, &param.name, err) < 0 ||
            decode(value, QUERY, &at, &param.value, err) < 0 ||
            add_param(ret_target, param, err) < 0) {
            return -1;
        }
    }
    return 0;
}
