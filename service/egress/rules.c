#include "service/egress/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mutate.h"
#include "service/shared/network.h"

static void list_done(struct sb_rule_list *list)
{
    free(list->items);
    free((void *)list->texts);
    *list = (struct sb_rule_list){0};
}

void sb_rules_done(struct sb_rules *rules)
{
    list_done(&rules->allow);
    list_done(&rules->deny);
    free(rules->text);
    *rules = (struct sb_rules){0};
}

/* Takes n rules off *rest. */
static int take(struct sb_str *rest, size_t n, struct sb_rule_list *list, struct sb_err *err)
{
    if (n == 0) {
        return 0;
    }
    list->items = calloc(n, sizeof *list->items);
    list->texts = (const char **)calloc(n, sizeof *list->texts);
    if (list->items == NULL || list->texts == NULL) {
        return sb_err_oom(err);
    }
    for (size_t i = 0; i < n; i++) {
        struct sb_str text;
        if (!sb_str_split(*rest, '\0', &text, rest)) {
            return sb_err_set(err, SB_INVALID, "rule %zu is missing", i);
        }
        if (sb_network_parse_rule(text, &list->items[i], err) < 0) {
            return sb_err_wrap(err, "rule \"%.*s\"", SB_STR_ARG(text));
        }
        list->texts[i] = text.ptr;
        list->n = i + 1;
    }
    return 0;
}

static int read_rules(
    struct sb_str text, size_t n_allow, size_t n_deny, struct sb_rules *rules, struct sb_err *err)
{
    rules->text = malloc(text.len + 1);
    if (rules->text == NULL) {
        return sb_err_oom(err);
    }
    if (text.len > 0) {
        memcpy(rules->text, text.ptr, text.len);
    }
    struct sb_str rest = {rules->text, text.len};
    if (take(&rest, n_allow, &rules->allow, err) < 0 ||
        take(&rest, n_deny, &rules->deny, err) < 0) {
        return -1;
    }
    return rest.len == 0 ? 0 : sb_err_set(err, SB_INVALID, "%zu bytes behind the rules", rest.len);
}

int sb_rules_parse(struct sb_str text,
                   size_t n_allow,
                   size_t n_deny,
                   struct sb_rules *ret_rules,
                   struct sb_err *err)
{
    struct sb_rules rules = {0};
    if (n_allow > SB_EGRESS_MAX_RULES || n_deny > SB_EGRESS_MAX_RULES - n_allow) {
        return sb_err_set(err, SB_INVALID, "more than %d rules", SB_EGRESS_MAX_RULES);
    }
    if (read_rules(text, n_allow, n_deny, &rules, err) < 0) {
        sb_rules_done(&rules);
        return -1;
    }
    *ret_rules = rules;
    return 0;
}

/* ---- refusals ---- */

const char *sb_refusal_name(enum sb_egress_reason reason)
{
    switch (reason) {
    case SB_EGRESS_NO_RULE:
        return "no-rule";
    case SB_EGRESS_DENY_RULE:
        return "deny-rule";
    case SB_EGRESS_ADDRESS:
        return "address";
    case SB_EGRESS_SNI:
        return "sni";
    case SB_EGRESS_PROTOCOL:
        return "protocol";
    case SB_EGRESS_LIMIT:
        return "limit";
    case SB_EGRESS_SECRET_HOST:
        return "secret";
    }
    return "unknown";
}

int sb_refusal_set(struct sb_refusal *refusal,
                   enum sb_egress_reason reason,
                   const struct sb_host *host,
                   uint16_t port,
                   const char *why)
{
    *refusal = (struct sb_refusal){.reason = reason, .port = port};
    (void)snprintf(refusal->host, sizeof refusal->host, "%s", host == NULL ? "" : host->name);
    (void)snprintf(refusal->why, sizeof refusal->why, "%s", why);
    return -1;
}

int sb_refusal_set_limit(struct sb_refusal *refusal,
                         const struct sb_host *host,
                         uint16_t port,
                         const char *bound,
                         const char *why)
{
    (void)sb_refusal_set(refusal, SB_EGRESS_LIMIT, host, port, why);
    (void)snprintf(refusal->rule, sizeof refusal->rule, "%s", bound);
    return -1;
}

static int refuse_denied(struct sb_refusal *refusal,
                         const struct sb_host *host,
                         uint16_t port,
                         const char *rule)
{
    (void)sb_refusal_set(refusal, SB_EGRESS_DENY_RULE, host, port, "");
    (void)snprintf(refusal->rule, sizeof refusal->rule, "%s", rule);
    (void)snprintf(refusal->why, sizeof refusal->why, "network.deny has \"%s\"", rule);
    return -1;
}

static void set_allow_with(struct sb_refusal *refusal, const char *host, uint16_t port)
{
    bool is_v6 = strchr(host, ':') != NULL;
    (void)snprintf(refusal->allow_with, sizeof refusal->allow_with, "%s%s%s:%u", is_v6 ? "[" : "",
                   host, is_v6 ? "]" : "", port);
}

/* ---- the judgement ---- */

static struct sb_network_rule of_name(const struct sb_host *host, uint16_t port)
{
    return (struct sb_network_rule){
        .kind = SB_NETWORK_HOST,
        .port = port,
        .host = sb_str_from(host->name),
    };
}

static struct sb_network_rule of_address(const unsigned char address[SB_ADDR_SIZE], uint16_t port)
{
    struct sb_network_rule wanted = {.kind = SB_NETWORK_ADDRESS, .port = port, .prefix = 128};
    memcpy(wanted.address, address, sizeof wanted.address);
    return wanted;
}

/* The first rule that lets all of @wanted through; NULL: none. */
static const char *find(const struct sb_rule_list *list, const struct sb_network_rule *wanted)
{
    for (size_t i = 0; i < list->n; i++) {
        if (sb_network_covers(&list->items[i], wanted)) {
            return list->texts[i];
        }
    }
    return NULL;
}

/* A rule of allow for exactly this kind of address. */
static bool is_opened(const struct sb_rules *rules,
                      const struct sb_network_rule *wanted,
                      const struct sb_addr_block *block)
{
    for (size_t i = 0; i < rules->allow.n; i++) {
        const struct sb_network_rule *rule = &rules->allow.items[i];
        if (sb_network_covers(rule, wanted) && rule->prefix >= block->prefix) {
            return !block->is_never;
        }
    }
    return false;
}

int sb_rules_check_host(const struct sb_rules *rules,
                        const struct sb_host *host,
                        uint16_t port,
                        struct sb_refusal *ret_refusal)
{
    if (host->is_address) {
        return sb_rules_check_address(rules, host, host->address, port, ret_refusal);
    }
    struct sb_network_rule wanted = of_name(host, port);
    const char *denied = find(&rules->deny, &wanted);
    if (denied != NULL && !sb_mutated("egress.deny")) {
        return refuse_denied(ret_refusal, host, port, denied);
    }
    if (find(&rules->allow, &wanted) == NULL && !sb_mutated("egress.allow")) {
        (void)sb_refusal_set(ret_refusal, SB_EGRESS_NO_RULE, host, port,
                             "no rule of network.allow matches");
        set_allow_with(ret_refusal, host->name, port);
        return -1;
    }
    return 0;
}

static int refuse_block(const struct sb_host *host,
                        const unsigned char address[SB_ADDR_SIZE],
                        uint16_t port,
                        const struct sb_addr_block *block,
                        struct sb_refusal *ret_refusal)
{
    char shown[SB_ADDR_TEXT_SIZE];
    (void)sb_addr_format(shown, address);
    (void)sb_refusal_set(ret_refusal, SB_EGRESS_ADDRESS, host, port, "");
    if (block->is_never) {
        (void)snprintf(ret_refusal->why, sizeof ret_refusal->why,
                       "%s is %s, to which nothing may connect", shown, block->name);
        return -1;
    }
    (void)snprintf(ret_refusal->why, sizeof ret_refusal->why,
                   "%s is %s, which needs a rule of its own in network.allow", shown, block->name);
    set_allow_with(ret_refusal, shown, port);
    return -1;
}

int sb_rules_check_address(const struct sb_rules *rules,
                           const struct sb_host *host,
                           const unsigned char address[SB_ADDR_SIZE],
                           uint16_t port,
                           struct sb_refusal *ret_refusal)
{
    unsigned char inner[SB_ADDR_SIZE];
    struct sb_network_rule wanted = of_address(address, port);
    const char *denied = find(&rules->deny, &wanted);
    if (denied == NULL && !sb_mutated("egress.unwrap") &&
        sb_addr_unwrap(address, inner)) { /* where it leads to is what counts */
        address = inner;
        wanted = of_address(address, port);
        denied = find(&rules->deny, &wanted);
    }
    if (denied != NULL && !sb_mutated("egress.deny")) {
        return refuse_denied(ret_refusal, host, port, denied);
    }
    const struct sb_addr_block *block = sb_addr_block_of(address);
    if (block != NULL && !sb_mutated("egress.block") && !is_opened(rules, &wanted, block)) {
        return refuse_block(host, address, port, block, ret_refusal);
    }
    if (host->is_address && find(&rules->allow, &wanted) == NULL && !sb_mutated("egress.allow")) {
        (void)sb_refusal_set(ret_refusal, SB_EGRESS_NO_RULE, host, port,
                             "no rule of network.allow has this address");
        set_allow_with(ret_refusal, host->name, port);
        return -1;
    }
    return 0;
}
