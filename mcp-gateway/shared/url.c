#include "mcp-gateway/shared/url.h"

#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/utf8.h"

#define FORMS "redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH?db=DB is wanted"

static int wrong(struct sb_err *err, const char *what)
{
    return sb_err_set(err, SB_INVALID, "shared store: %s (" FORMS ")", what);
}

static int hex_of(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);
    return at == NULL ? -1 : (int)(at - digits);
}

/* Without %XX. False: it does not fit, or holds what no name has. */
static bool decode(struct sb_str text, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex_of(text.ptr[i + 1]) : -1;
            int low = high < 0 ? -1 : hex_of(text.ptr[i + 2]);
            if (low < 0) {
                return false;
            }
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (n + 1 >= size || (unsigned char)c < ' ' || c == 0x7f) {
            return false;
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return sb_utf8_valid(out, n);
}

static int set_db(struct sb_url *url, struct sb_str text, struct sb_err *err)
{
    return sb_num_u64(text, 0, SB_URL_DB_MAX, &url->db, err) < 0
               ? wrong(err, "the database is a number, 0 to 65535")
               : 0;
}

static int set_user(struct sb_url *url, struct sb_str text, struct sb_err *err)
{
    struct sb_str user = text;
    struct sb_str password = sb_str_of(text.ptr, 0);
    (void)sb_str_split(text, ':', &user, &password);
    return decode(user, url->user, sizeof url->user) &&
                   decode(password, url->password, sizeof url->password)
               ? 0
               : wrong(err, "user and password: too long, or what is not %XX after a %");
}

static bool is_host(struct sb_str text, bool is_six)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_name = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_';
        if (is_six ? hex_of(c) < 0 && c != ':' && c != '.' : !is_name) {
            return false;
        }
    }
    return text.len > 0;
}

static int set_host(struct sb_url *url, struct sb_str text, struct sb_err *err)
{
    struct sb_str host = text;
    struct sb_str port = sb_str_of(text.ptr, 0);
    uint64_t number = SB_URL_PORT;
    bool is_six = sb_str_starts_with(text, SB_STR("["));
    bool has_port = false;
    if (is_six) {
        if (!sb_str_split(sb_str_skip(text, 1), ']', &host, &port)) {
            return wrong(err, "an address that begins with [ ends with ]");
        }
        has_port = port.len > 0;
        if (has_port && port.ptr[0] != ':') {
            return wrong(err, "only a port may come after ]");
        }
        port = sb_str_skip(port, has_port);
    } else {
        has_port = sb_str_split(text, ':', &host, &port);
    }
    if (!is_host(host, is_six) || !decode(host, url->host, sizeof url->host)) {
        return wrong(err, "no host, or none that is a name or an address");
    }
    if (has_port && sb_num_u64(port, 1, UINT16_MAX, &number, err) < 0) {
        return wrong(err, "the port is a number, 1 to 65535");
    }
    url->port = (uint16_t)number;
    return 0;
}

static int parse_tcp(struct sb_url *url, struct sb_str rest, struct sb_err *err)
{
    struct sb_str where = rest;
    struct sb_str db;
    size_t at = rest.len; /* a password may have an @ */
    while (at > 0 && rest.ptr[at - 1] != '@') {
        at--;
    }
    if (at > 0) {
        where = sb_str_skip(rest, at);
        if (set_user(url, sb_str_head(rest, at - 1), err) < 0) {
            return -1;
        }
    }
    if (sb_str_split(where, '/', &where, &db) && db.len > 0 && set_db(url, db, err) < 0) {
        return -1;
    }
    return set_host(url, where, err);
}

static int parse_unix(struct sb_url *url, struct sb_str rest, struct sb_err *err)
{
    static const struct sb_str db_is = {"db=", 3};
    struct sb_str path = rest;
    struct sb_str query;
    size_t at = 0; /* where the path begins */
    while (at < rest.len && rest.ptr[at] != '/') {
        at++;
    }
    if (at > 0) {
        if (rest.ptr[at - 1] != '@') {
            return wrong(err, "the path of a socket is absolute");
        }
        if (set_user(url, sb_str_head(rest, at - 1), err) < 0) {
            return -1;
        }
        rest = sb_str_skip(rest, at);
        path = rest;
    }
    if (sb_str_split(rest, '?', &path, &query)) {
        if (!sb_str_starts_with(query, db_is)) {
            return wrong(err, "only ?db=DB may come after the path");
        }
        if (set_db(url, sb_str_skip(query, db_is.len), err) < 0) {
            return -1;
        }
    }
    if (path.len < 2 || path.ptr[0] != '/' || !decode(path, url->path, sizeof url->path)) {
        return wrong(err, "the path of a socket is absolute and at most 107 bytes long");
    }
    return 0;
}

int sb_url_parse(struct sb_str text, struct sb_url *ret_url, struct sb_err *err)
{
    static const struct {
        struct sb_str scheme;
        enum sb_url_kind kind;
        int (*parse)(struct sb_url *url, struct sb_str rest, struct sb_err *err);
    } schemes[] = {
        {SB_STR("redis://"), SB_URL_TCP, parse_tcp},
        {SB_STR("rediss://"), SB_URL_TLS, parse_tcp},
        {SB_STR("unix://"), SB_URL_UNIX, parse_unix},
    };
    struct sb_url url = {.port = SB_URL_PORT};
    if (text.len > SB_URL_MAX) {
        return wrong(err, "longer than 1024 bytes");
    }
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (sb_str_starts_with(text, schemes[i].scheme)) {
            url.kind = schemes[i].kind;
            if (schemes[i].parse(&url, sb_str_skip(text, schemes[i].scheme.len), err) < 0) {
                return -1;
            }
            *ret_url = url;
            return 0;
        }
    }
    return wrong(err, "no such scheme");
}
