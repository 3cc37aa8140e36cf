#include "mcp-gateway/ports/field.h"

#include <stdio.h>
#include <strings.h>

#include "mcp-gateway/ports/place.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* About one hop (RFC 9110, 7.6.1). */
static const char *const of_hop[] = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "proxy-connection",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length", /* told anew, as it was read */
};

static const char *const from_server[] = {
    "authorization", "cookie", "expect",    "forwarded", "host",         "origin",
    "referer",       "via",    "x-api-key", "x-real-ip", "x-request-id",
};

static const char *const from_server_by_prefix[] = {"x-aisbx-", "x-forwarded-", "proxy-"};

/* The gateway's origin is not the sandbox's to speak for. */
static const char *const from_client[] = {
    "alt-svc",
    "clear-site-data",
    "date",
    "location",
    "content-location",
    "nel",
    "origin-trial",
    "public-key-pins",
    "report-to",
    "reporting-endpoints",
    "service-worker-allowed",
    "set-cookie",
    "set-cookie2",
    "sourcemap",
    "strict-transport-security",
    "www-authenticate",
    "x-content-type-options",
    "x-request-id",
    "speculation-rules",
    "origin-agent-cluster",
    "expect-ct",
};

static const char *const from_client_by_prefix[] = {"access-control-", "proxy-", "x-aisbx-"};

static bool is(struct sb_str text, const char *name)
{
    struct sb_str want = sb_str_from(name);
    return text.len == want.len && strncasecmp(text.ptr, want.ptr, want.len) == 0;
}

static bool begins(struct sb_str text, const char *prefix)
{
    struct sb_str want = sb_str_from(prefix);
    return text.len >= want.len && strncasecmp(text.ptr, want.ptr, want.len) == 0;
}

static bool is_one_of(struct sb_str name, const char *const *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (is(name, table[i])) {
            return true;
        }
    }
    return false;
}

static bool begins_as_one_of(struct sb_str name, const char *const *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (begins(name, table[i])) {
            return true;
        }
    }
    return false;
}

bool sb_field_list_has(struct sb_str list, struct sb_str name)
{
    struct sb_str piece;
    while (sb_str_next(&list, ',', &piece)) {
        piece = sb_str_trim(piece);
        if (piece.len == name.len && name.len > 0 &&
            strncasecmp(piece.ptr, name.ptr, name.len) == 0) {
            return true;
        }
    }
    return false;
}

bool sb_field_is_kept_from_server(struct sb_str name)
{
    return is_one_of(name, of_hop, COUNT(of_hop)) ||
           is_one_of(name, from_server, COUNT(from_server)) ||
           begins_as_one_of(name, from_server_by_prefix, COUNT(from_server_by_prefix));
}

bool sb_field_is_kept_from_client(struct sb_str name)
{
    return is_one_of(name, of_hop, COUNT(of_hop)) ||
           is_one_of(name, from_client, COUNT(from_client)) ||
           begins_as_one_of(name, from_client_by_prefix, COUNT(from_client_by_prefix));
}

/* ---- cookies ---- */

int sb_field_cookies(struct sb_str value, struct sb_buf *out)
{
    static const struct sb_str mark = {SB_FIELD_COOKIE_MARK, sizeof SB_FIELD_COOKIE_MARK - 1};
    struct sb_str piece;
    bool is_first = true;
    while (sb_str_next(&value, ';', &piece)) {
        piece = sb_str_trim(piece);
        if (!sb_str_starts_with(piece, mark)) {
            continue; /* of somebody else on this host: cookies know no ports */
        }
        if ((!is_first && sb_buf_append_str(out, SB_STR("; ")) < 0) ||
            sb_buf_append_str(out, sb_str_skip(piece, mark.len)) < 0) {
            return -1;
        }
        is_first = false;
    }
    return 0;
}

static int add(struct sb_buf *out, struct sb_str a, struct sb_str b, struct sb_str c)
{
    return sb_buf_append_str(out, a) < 0 || sb_buf_append_str(out, b) < 0 ||
                   sb_buf_append_str(out, c) < 0
               ? -1
               : 0;
}

int sb_field_set_cookie(struct sb_str value, const struct sb_port_place *place, struct sb_buf *out)
{
    struct sb_str pair;
    struct sb_str name;
    struct sb_str content;
    struct sb_str attribute;
    struct sb_str path = SB_STR("/");
    if (!sb_str_next(&value, ';', &pair) || !sb_str_split(pair, '=', &name, &content) ||
        sb_str_trim(name).len == 0) {
        return 0;
    }
    if (add(out, SB_STR(SB_FIELD_COOKIE_MARK), sb_str_trim(name), SB_STR("=")) < 0 ||
        sb_buf_append_str(out, sb_str_trim(content)) < 0) {
        return -1;
    }
    while (sb_str_next(&value, ';', &attribute)) {
        struct sb_str key = attribute;
        struct sb_str text = {NULL, 0};
        (void)sb_str_split(attribute, '=', &key, &text);
        key = sb_str_trim(key);
        if (is(key, "path")) {
            text = sb_str_trim(text);
            path = text.len > 0 && text.ptr[0] == '/' ? text : SB_STR("/");
        } else if (!is(key, "domain") &&
                   add(out, SB_STR("; "), sb_str_trim(attribute), SB_STR("")) < 0) {
            return -1;
        }
    }
    return add(out, SB_STR("; Path="), place->prefix, path);
}

/* ---- where it leads ---- */

/* "http://localhost:8080/x" -> "/x", for the names a server inside may give itself. */
static bool strip_own(struct sb_str *text, uint16_t port)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]", "0.0.0.0"};
    struct sb_str rest = *text;
    char own[32];
    if (begins(rest, "http://")) {
        rest = sb_str_skip(rest, 7);
    } else if (begins(rest, "https://")) {
        rest = sb_str_skip(rest, 8);
    } else if (begins(rest, "//")) {
        rest = sb_str_skip(rest, 2);
    } else {
        return false;
    }
    for (size_t i = 0; i < COUNT(names); i++) {
        (void)snprintf(own, sizeof own, "%s:%u", names[i], (unsigned)port);
        size_t len = begins(rest, own)                      ? sb_str_from(own).len
                     : port == 80 && begins(rest, names[i]) ? sb_str_from(names[i]).len
                                                            : 0;
        struct sb_str behind = sb_str_skip(rest, len);
        if (len > 0 && (behind.len == 0 || behind.ptr[0] == '/' || behind.ptr[0] == '?' ||
                        behind.ptr[0] == '#')) {
            *text = behind;
            return true;
        }
    }
    return false;
}

int sb_field_location(struct sb_str value, const struct sb_port_place *place, struct sb_buf *out)
{
    bool is_own = strip_own(&value, place->port);
    bool is_path = value.len > 0 && value.ptr[0] == '/' &&
                   (is_own || value.len == 1 || (value.ptr[1] != '/' && value.ptr[1] != '\\'));
    if (!is_own && !is_path) {
        return sb_buf_append_str(out, value);
    }
    return add(out, place->prefix, is_path ? SB_STR("") : SB_STR("/"), value);
}
