#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "service/worker/auth/auth.h"

static bool is_loopback(struct sb_str address)
{
    char host[64];
    struct in_addr four;
    struct in6_addr six;
    struct sb_str rest = address;
    if (sb_str_starts_with(address, SB_STR("ipv4:")) ||
        sb_str_starts_with(address, SB_STR("ipv6:"))) {
        rest = sb_str_skip(address, 5);
    }
    size_t end = rest.len;
    while (end > 0 && rest.ptr[end - 1] != ':') {
        end--;
    }
    rest = sb_str_head(rest, end == 0 ? 0 : end - 1);
    if (rest.len >= 2 && rest.ptr[0] == '[' && rest.ptr[rest.len - 1] == ']') {
        rest = sb_str_of(rest.ptr + 1, rest.len - 2);
    }
    if (rest.len >= sizeof host) {
        return false;
    }
    (void)snprintf(host, sizeof host, "%.*s", SB_STR_ARG(rest));
    if (inet_pton(AF_INET, host, &four) == 1) {
        return ntohl(four.s_addr) >> 24 == 127;
    }
    return inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

int sb_auth_check_listen(const char *address, bool has_tls, struct sb_err *err)
{
    struct sb_str text = sb_str_from(address);
    if (sb_str_starts_with(text, SB_STR("unix:")) || has_tls || is_loopback(text)) {
        return 0;
    }
    if (memchr(text.ptr, ':', text.len) == NULL) {
        return sb_err_set(err, SB_INVALID,
                          "--listen \"%s\" is none of unix:/path, ipv4:HOST:PORT, "
                          "ipv6:[HOST]:PORT (all but unix: need --tls-cert beyond loopback)",
                          address);
    }
    return sb_err_set(
        err, SB_INVALID,
        "--listen %s: beyond 127.0.0.1 and ::1 nobody may listen to keys on their way: "
        "give --tls-cert and --tls-key, and --tls-ca where clients have certificates",
        address);
}
