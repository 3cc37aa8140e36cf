#include "service/egress/hello.h"

#include <stdio.h>

#include "base/mutate.h"
#include "service/egress/sni.h"

int sb_hello_check_name(const struct sb_rules *rules,
                        const struct sb_host *host,
                        uint16_t port,
                        const struct sb_host *name,
                        struct sb_refusal *ret_refusal)
{
    struct sb_refusal other;
    if (host->is_address) { /* a rule opens the address; names that lead there may be denied */
        if (sb_rules_check_host(rules, name, port, &other) < 0 &&
            other.reason == SB_EGRESS_DENY_RULE) {
            *ret_refusal = other;
            return -1;
        }
        return 1;
    }
    if (sb_host_eq(name, host) || sb_mutated("egress.sni")) {
        return 1;
    }
    (void)sb_refusal_set(ret_refusal, SB_EGRESS_SNI, host, port, "");
    (void)snprintf(ret_refusal->why, sizeof ret_refusal->why,
                   "TLS asks for \"%.200s\", the request was for another host", name->name);
    return -1;
}

int sb_hello_check(const struct sb_rules *rules,
                   const struct sb_host *host,
                   uint16_t port,
                   struct sb_str bytes,
                   struct sb_host *ret_name,
                   struct sb_refusal *ret_refusal)
{
    *ret_name = (struct sb_host){0};
    switch (sb_sni_read(bytes, ret_name)) {
    case SB_SNI_MORE:
        return 0;
    case SB_SNI_NAME:
        return sb_hello_check_name(rules, host, port, ret_name, ret_refusal);
    case SB_SNI_NONE:
        return host->is_address || sb_mutated("egress.no-sni")
                   ? 1
                   : sb_refusal_set(ret_refusal, SB_EGRESS_SNI, host, port,
                                    "TLS names no server (SNI)");
    case SB_SNI_NOT_TLS:
        return port != SB_HELLO_TLS_PORT || sb_mutated("egress.tls-port")
                   ? 1
                   : sb_refusal_set(ret_refusal, SB_EGRESS_PROTOCOL, host, port,
                                    "port 443 takes TLS only");
    case SB_SNI_BAD:
        break;
    }
    if (sb_mutated("egress.bad-hello")) {
        return 1;
    }
    return sb_refusal_set(ret_refusal, SB_EGRESS_SNI, host, port,
                          "the ClientHello of TLS cannot be read");
}
