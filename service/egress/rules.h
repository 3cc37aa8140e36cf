#pragma once
/** What a sandbox may reach: its rules, and the judgement by them.
 *
 *  A rule without a port means every port. deny wins, and what no rule of allow matches is refused.
 *  A name is judged twice: by the rules of names before it is resolved, and each address it leads
 *  to by the rules of addresses. An address that is not the public network's is permitted only by a
 *  rule of allow that lies within that block ("10.0.0.0/8" or a part of it, but not "0.0.0.0/0").
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "service/egress/host.h"
#include "service/shared/egressproto.h"

struct sb_err;
struct sb_network_rule;

struct sb_rule_list {
    struct sb_network_rule *items; /* owned; borrow from the text */
    const char **texts;            /* owned array; each NUL-terminated, in the text */
    size_t n;
};

/** Zeroed: permits nothing. */
struct sb_rules {
    char *text; /* owned */
    struct sb_rule_list allow;
    struct sb_rule_list deny;
};

/** Why something is refused, as it is told to the worker and to the program. */
struct sb_refusal {
    enum sb_egress_reason reason;
    char host[SB_HOST_MAX + 1];        /* "": not known; told as "the proxy" */
    uint16_t port;                     /* 0: not known */
    char rule[SB_HOST_MAX + 1];        /* of deny, which bound of LIMIT, or secret; "": none */
    char why[320];                     /* a sentence */
    char allow_with[SB_HOST_MAX + 16]; /* rule of allow that would let it through; "": none may */
};

/** @text  n_allow + n_deny rules, each NUL-terminated; copied.
 *  @ret_rules  for sb_rules_done. Errors: SB_INVALID, SB_EXHAUSTED. */
int sb_rules_parse(struct sb_str text,
                   size_t n_allow,
                   size_t n_deny,
                   struct sb_rules *ret_rules,
                   struct sb_err *err);
void sb_rules_done(struct sb_rules *rules);

/** May it be asked for? A name that may is resolved next, and sb_rules_check_address decides.
 *  Returns 0, or -1 with *ret_refusal. */
int sb_rules_check_host(const struct sb_rules *rules,
                        const struct sb_host *host,
                        uint16_t port,
                        struct sb_refusal *ret_refusal);

/** May this address of @host, which may be asked for, be connected to? As above. */
int sb_rules_check_address(const struct sb_rules *rules,
                           const struct sb_host *host,
                           const unsigned char address[SB_ADDR_SIZE],
                           uint16_t port,
                           struct sb_refusal *ret_refusal);

/** Fills a refusal about @host (may be NULL) for another reason than rules. Returns -1. */
int sb_refusal_set(struct sb_refusal *refusal,
                   enum sb_egress_reason reason,
                   const struct sb_host *host,
                   uint16_t port,
                   const char *why);

/** The same for a bound that is reached. @bound  "max_bytes". */
int sb_refusal_set_limit(struct sb_refusal *refusal,
                         const struct sb_host *host,
                         uint16_t port,
                         const char *bound,
                         const char *why);

/** "no-rule", "deny-rule", "address", "sni", "protocol", "limit", "secret". */
const char *sb_refusal_name(enum sb_egress_reason reason);
