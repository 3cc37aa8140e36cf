#include "service/worker/access.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "proto/rpc/rpc.h"

int sb_access_identify(const struct sb_rpc_peer *peer,
                       uid_t start_uid,
                       struct sb_caller *ret_caller,
                       struct sb_err *err)
{
    struct sb_caller caller = {.peer_fd = -1};
    bool is_unix = strcmp(peer->transport, "local") == 0 || strcmp(peer->transport, "unix") == 0;
    if (is_unix) {
        if (peer->uid != start_uid && peer->uid != 0) {
            return sb_err_set(err, SB_DENIED, "this worker serves uid %u and root only, not uid %u",
                              (unsigned)start_uid, (unsigned)peer->uid);
        }
        (void)snprintf(caller.owner, sizeof caller.owner, "uid:%u", (unsigned)peer->uid);
        caller.is_admin = true;
        caller.is_here = true;
    } else if (strcmp(peer->transport, "tls") == 0) {
        if (peer->identity != NULL) {
            int n = snprintf(caller.owner, sizeof caller.owner, "tls:%s", peer->identity);
            if (n < 0 || (size_t)n >= sizeof caller.owner) {
                return sb_err_set(err, SB_UNAUTHENTICATED, "the certificate's name is too long");
            }
        } else {
            (void)strcpy(caller.owner, "tcp:loopback");
        }
    } else {
        (void)strcpy(caller.owner, "tcp:loopback");
        caller.is_here = true;
    }
    *ret_caller = caller;
    return 0;
}

bool sb_access_sees(const struct sb_caller *caller, const char *owner)
{
    return caller->is_admin || strcmp(caller->owner, owner) == 0;
}

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

int sb_access_check_listen(const char *address, bool has_mtls, struct sb_err *err)
{
    struct sb_str text = sb_str_from(address);
    if (sb_str_starts_with(text, SB_STR("unix:")) || has_mtls || is_loopback(text)) {
        return 0;
    }
    return sb_err_set(err, SB_INVALID,
                      "--listen %s: beyond 127.0.0.1 and ::1 clients must prove who they are: give "
                      "--tls-cert, --tls-key and --tls-ca",
                      address);
}
