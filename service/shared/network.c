#include "service/shared/network.h"

#include <string.h>
#include <strings.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/mutate.h"
#include "base/num.h"

#define LABEL_MAX   63
#define IPV4_PREFIX 96 /* bits of ::ffff:0:0 before the IPv4 address */

/* rule->prefix becomes what comes before the bits of a CIDR range. */
static bool parse_address(struct sb_str text, struct sb_network_rule *rule)
{
    if (!sb_addr_parse(text, rule->address)) {
        return false;
    }
    rule->prefix = memchr(text.ptr, ':', text.len) == NULL ? IPV4_PREFIX : 0;
    return true;
}

static bool has_host_bits(const struct sb_network_rule *rule)
{
    for (unsigned bit = rule->prefix; bit < 128; bit++) {
        if ((rule->address[bit / 8] & (0x80U >> (bit % 8))) != 0) {
            return true;
        }
    }
    return false;
}

static int
parse_cidr(struct sb_str text, struct sb_str bits, struct sb_network_rule *rule, struct sb_err *err)
{
    if (!parse_address(text, rule)) {
        return sb_err_set(err, SB_INVALID, "\"%.*s\" is not an address", SB_STR_ARG(text));
    }
    uint64_t n = 0;
    if (sb_num_u64(bits, 0, 128 - rule->prefix, &n, err) < 0) {
        return sb_err_wrap(err, "prefix");
    }
    rule->prefix += (unsigned)n;
    rule->kind = SB_NETWORK_ADDRESS;
    if (has_host_bits(rule)) {
        return sb_err_set(err, SB_INVALID, "the address has bits set beyond its prefix");
    }
    return 0;
}

static bool is_label(struct sb_str label)
{
    if (label.len == 0 || label.len > LABEL_MAX || label.ptr[0] == '-' ||
        label.ptr[label.len - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < label.len; i++) {
        char c = label.ptr[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alnum && c != '-' && c != '_') {
            return false;
        }
    }
    return true;
}

/* inet_aton(3) and URL parsers read a name as an address when its last label is a number, the proxy
 * refuses it: a rule for it would never match. */
static bool is_number(struct sb_str label)
{
    bool is_hex = label.len >= 2 && label.ptr[0] == '0' && (label.ptr[1] | 0x20) == 'x';
    for (size_t i = is_hex ? 2 : 0; i < label.len; i++) {
        char c = (char)(label.ptr[i] | 0x20);
        bool is_digit = label.ptr[i] >= '0' && label.ptr[i] <= '9';
        if (!is_digit && !(is_hex && c >= 'a' && c <= 'f')) {
            return false;
        }
    }
    return true;
}

static int parse_host(struct sb_str text, struct sb_network_rule *rule, struct sb_err *err)
{
    rule->kind = SB_NETWORK_HOST;
    if (sb_str_starts_with(text, SB_STR("*."))) {
        rule->kind = SB_NETWORK_BELOW;
        text = sb_str_skip(text, 2);
    }
    struct sb_str rest = text;
    struct sb_str label = {0};
    bool is_name = text.len > 0;
    while (is_name && sb_str_next(&rest, '.', &label)) {
        is_name = is_label(label);
    }
    if (!is_name) {
        return sb_err_set(err, SB_INVALID,
                          "not a host name, \"*.\" and a host name, an address or a CIDR range");
    }
    if (is_number(label)) {
        return sb_err_set(err, SB_INVALID,
                          "neither a name nor an address in its usual form, such as 192.0.2.1");
    }
    rule->host = text;
    return 0;
}

static int parse_port(struct sb_str text, struct sb_network_rule *rule, struct sb_err *err)
{
    uint64_t port = 0;
    if (sb_num_u64(text, 1, 65535, &port, err) < 0) {
        return sb_err_wrap(err, "port");
    }
    rule->port = (uint16_t)port;
    return 0;
}

/* "[address]" or "[address]:port" */
static int parse_bracketed(struct sb_str text, struct sb_network_rule *rule, struct sb_err *err)
{
    struct sb_str address;
    struct sb_str tail;
    if (!sb_str_split(sb_str_skip(text, 1), ']', &address, &tail) ||
        !parse_address(address, rule)) {
        return sb_err_set(err, SB_INVALID, "not \"[address]:port\"");
    }
    rule->kind = SB_NETWORK_ADDRESS;
    rule->prefix = 128;
    if (tail.len == 0) {
        return 0;
    }
    if (tail.ptr[0] != ':') {
        return sb_err_set(err, SB_INVALID, "not \"[address]:port\"");
    }
    return parse_port(sb_str_skip(tail, 1), rule, err);
}

/* What people paste. @scheme  where "://" is in it */
static int refuse_url(struct sb_str text, const char *scheme, struct sb_err *err)
{
    struct sb_str host = sb_str_skip(text, (size_t)(scheme - text.ptr) + 3);
    struct sb_str path;
    (void)sb_str_split(host, '/', &host, &path);
    bool has_port = host.len > 0 && memchr(host.ptr, ':', host.len) != NULL;
    return sb_err_set(err, SB_INVALID, "a URL; write its host and port: %.*s%s", SB_STR_ARG(host),
                      has_port ? "" : ":443");
}

int sb_network_parse_rule(struct sb_str text, struct sb_network_rule *ret_rule, struct sb_err *err)
{
    struct sb_network_rule rule = {0};
    struct sb_str head;
    struct sb_str tail;
    int rc = 0;
    if (text.len == 0 || text.len > SB_NETWORK_RULE_MAX) {
        return sb_err_set(err, SB_INVALID, "empty, or longer than %d", SB_NETWORK_RULE_MAX);
    }
    const char *scheme = memmem(text.ptr, text.len, "://", 3);
    if (scheme != NULL) {
        return refuse_url(text, scheme, err);
    }
    if (sb_str_split(text, '/', &head, &tail)) {
        rc = parse_cidr(head, tail, &rule, err);
    } else if (text.ptr[0] == '[') {
        rc = parse_bracketed(text, &rule, err);
    } else if (parse_address(text, &rule)) {
        rule.kind = SB_NETWORK_ADDRESS;
        rule.prefix = 128;
    } else if (sb_str_split(text, ':', &head, &tail)) {
        rc = parse_port(tail, &rule, err);
        if (rc == 0 && parse_address(head, &rule)) {
            rule.kind = SB_NETWORK_ADDRESS;
            rule.prefix = 128;
        } else if (rc == 0) {
            rc = parse_host(head, &rule, err);
        }
    } else {
        rc = parse_host(text, &rule, err);
    }
    if (rc < 0) {
        return -1;
    }
    *ret_rule = rule;
    return 0;
}

static bool is_below(struct sb_str host, struct sb_str parent)
{
    return host.len > parent.len && host.ptr[host.len - parent.len - 1] == '.' &&
           strncasecmp(host.ptr + (host.len - parent.len), parent.ptr, parent.len) == 0;
}

static bool is_same(struct sb_str a, struct sb_str b)
{
    return a.len == b.len && strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

bool sb_network_covers(const struct sb_network_rule *wide, const struct sb_network_rule *narrow)
{
    if (wide->port != 0 && wide->port != narrow->port && !sb_mutated("egress.port")) {
        return false;
    }
    switch (wide->kind) {
    case SB_NETWORK_ADDRESS:
        return narrow->kind == SB_NETWORK_ADDRESS && narrow->prefix >= wide->prefix &&
               sb_addr_same_prefix(wide->address, narrow->address, wide->prefix);
    case SB_NETWORK_HOST:
        return narrow->kind == SB_NETWORK_HOST && is_same(wide->host, narrow->host);
    case SB_NETWORK_BELOW:
        return (narrow->kind != SB_NETWORK_ADDRESS && is_below(narrow->host, wide->host)) ||
               (narrow->kind == SB_NETWORK_BELOW && is_same(wide->host, narrow->host));
    }
    return false;
}

bool sb_network_opens(const struct sb_network_rule *wide, const struct sb_network_rule *narrow)
{
    const struct sb_addr_block *block = narrow->kind == SB_NETWORK_ADDRESS
                                            ? sb_addr_block_around(narrow->address, narrow->prefix)
                                            : NULL;
    return sb_network_covers(wide, narrow) && (block == NULL || wide->prefix >= block->prefix);
}
