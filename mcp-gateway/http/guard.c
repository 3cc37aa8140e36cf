#include "mcp-gateway/http/guard.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"

/* "name", "name:port", "[v6]:port" -> name; false for what is no host. */
static bool split_port(struct sb_str host, struct sb_str *ret_name)
{
    struct sb_str port = {NULL, 0};
    if (host.len > 0 && host.ptr[0] == '[') {
        struct sb_str inner;
        struct sb_str rest;
        if (!sb_str_split(sb_str_skip(host, 1), ']', &inner, &rest) ||
            (rest.len > 0 && rest.ptr[0] != ':')) {
            return false;
        }
        *ret_name = inner;
        port = sb_str_skip(rest, 1);
        if (rest.len == 1) {
            return false;
        }
    } else {
        *ret_name = host;
        if (sb_str_split(host, ':', ret_name, &port) && port.len == 0) {
            return false;
        }
    }
    struct sb_err ignored;
    uint64_t number = 0;
    return ret_name->len > 0 && ret_name->len <= 253 &&
           (port.len == 0 || sb_num_u64(port, 1, 65535, &number, &ignored) == 0);
}

static bool is_loopback_name(struct sb_str name)
{
    char text[64];
    struct in_addr v4;
    struct in6_addr v6;
    if (name.len >= sizeof text) {
        return false;
    }
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    if (strcasecmp(text, "localhost") == 0) {
        return true;
    }
    if (inet_pton(AF_INET, text, &v4) == 1) {
        return ntohl(v4.s_addr) >> 24 == 127;
    }
    return inet_pton(AF_INET6, text, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool eq_nocase(struct sb_str a, struct sb_str b)
{
    return a.len == b.len && strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

static bool is_host_text(struct sb_str host)
{
    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.ptr[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_alnum && strchr("-._~:[]%", c) == NULL) {
            return false;
        }
    }
    return true;
}

int sb_guard_check_host(const struct sb_guard *guard, const char *host, struct sb_err *err)
{
    struct sb_str whole = sb_str_from(host);
    struct sb_str name;
    if (!is_host_text(whole) || !split_port(whole, &name)) {
        return sb_err_set(err, SB_INVALID, "Host is no host");
    }
    if (is_loopback_name(name) || (!guard->is_loopback && guard->n_hosts == 0)) {
        return 0;
    }
    for (size_t i = 0; i < guard->n_hosts; i++) {
        struct sb_str listed = sb_str_from(guard->hosts[i]);
        if (eq_nocase(listed, whole) || eq_nocase(listed, name)) {
            return 0;
        }
    }
    return sb_err_set(err, SB_DENIED, "this server does not answer to Host %s", host);
}

bool sb_guard_is_listed(const struct sb_guard *guard, const char *origin)
{
    for (size_t i = 0; i < guard->n_origins; i++) {
        if (strcasecmp(guard->origins[i], origin) == 0) {
            return true;
        }
    }
    return false;
}

int sb_guard_check_origin(const struct sb_guard *guard, const char *origin, struct sb_err *err)
{
    if (origin == NULL || sb_guard_is_listed(guard, origin)) {
        return 0;
    }
    struct sb_str rest = sb_str_from(origin);
    struct sb_str name;
    bool is_web = true;
    if (sb_str_starts_with(rest, SB_STR("http://"))) {
        rest = sb_str_skip(rest, 7);
    } else if (sb_str_starts_with(rest, SB_STR("https://"))) {
        rest = sb_str_skip(rest, 8);
    } else {
        is_web = false;
    }
    if (is_web && is_host_text(rest) && split_port(rest, &name) && is_loopback_name(name)) {
        return 0;
    }
    return sb_err_set(err, SB_DENIED, "pages of origin %s may not call this server", origin);
}
