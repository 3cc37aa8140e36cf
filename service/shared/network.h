#pragma once
/** Rules of allow and deny lists: "host", "*.host", either with ":port", an address or CIDR. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct sb_err;

#define SB_NETWORK_RULES_MAX 256
#define SB_NETWORK_RULE_MAX  253 /* characters */

enum sb_network_kind {
    SB_NETWORK_HOST,
    SB_NETWORK_BELOW, /* "*.host": every name below, not host itself */
    SB_NETWORK_ADDRESS,
};

struct sb_network_rule {
    enum sb_network_kind kind;
    uint16_t port;             /* 0: every port */
    struct sb_str host;        /* without "*."; borrowed from the text */
    unsigned char address[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned prefix;           /* bits of address that count, 0..128 */
};

/** Errors: SB_INVALID; the text says what is wrong with the rule. */
int sb_network_parse_rule(struct sb_str text, struct sb_network_rule *ret_rule, struct sb_err *err);

/** True when everything that @narrow lets through, @wide lets through as well. */
bool sb_network_covers(const struct sb_network_rule *wide, const struct sb_network_rule *narrow);

/** The same of rules that allow. An address that is not the public network's is only opened by a
 * rule within its own block (base/addr.h), so "0.0.0.0/0" does not open what "127.0.0.1" does. */
bool sb_network_opens(const struct sb_network_rule *wide, const struct sb_network_rule *narrow);
