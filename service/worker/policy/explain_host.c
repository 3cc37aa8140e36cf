#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/err.h"
#include "service/shared/network.h"
#include "service/worker/policy/explain.h"
#include "service/worker/policy/profile.h"

enum { DEFAULT_PORT = 443 };

typedef bool test(const struct sb_network_rule *wide, const struct sb_network_rule *narrow);

/* The first rule that has it; NULL: none. */
static const char *
find_rule(const struct sb_strings *rules, test *has, const struct sb_network_rule *asked)
{
    for (size_t i = 0; i < rules->n; i++) {
        struct sb_err ignored;
        struct sb_network_rule rule;
        if (sb_network_parse_rule(sb_str_from(rules->items[i]), &rule, &ignored) == 0 &&
            has(&rule, asked)) {
            return rules->items[i];
        }
    }
    return NULL;
}

static int read_destination(const char *text, struct sb_network_rule *ret_asked, struct sb_err *err)
{
    struct sb_network_rule asked = {.kind = SB_NETWORK_HOST};
    bool is_range = strchr(text, '/') != NULL;
    if (sb_network_parse_rule(sb_str_from(text), &asked, err) < 0) {
        return -1;
    }
    if (is_range || asked.kind == SB_NETWORK_BELOW) {
        return sb_err_set(err, SB_INVALID, "one host or address is expected, with its port");
    }
    asked.port = asked.port == 0 ? DEFAULT_PORT : asked.port;
    *ret_asked = asked;
    return 0;
}

static void decided_by_rule(const struct sb_profile *profile,
                            const char *key,
                            const char *rule,
                            struct sb_answer *answer)
{
    char where[256];
    (void)snprintf(answer->decided_by, sizeof answer->decided_by, "network.%s: \"%s\", %s", key,
                   rule, sb_explain_where(profile, NULL, sb_str_from(key), where, sizeof where));
}

/* The rule that would be enough, as it was asked for. */
static void offer_rule(const char *text,
                       const struct sb_network_rule *asked,
                       bool has_network,
                       struct sb_answer *answer)
{
    bool has_port = strrchr(text, ':') != NULL && strchr(text, ']') == NULL &&
                    strchr(text, ':') == strrchr(text, ':');
    has_port = has_port || strstr(text, "]:") != NULL;
    char port[8] = "";
    bool is_bare_v6 = !has_port && text[0] != '[' && strchr(text, ':') != NULL;
    if (!has_port) {
        (void)snprintf(port, sizeof port, ":%u", asked->port);
    }
    (void)snprintf(answer->allow_with, sizeof answer->allow_with,
                   "network: {%sallow: [\"%s%.260s%s%s\"]} beside the rules that are there",
                   has_network ? "" : "enabled: true, ", is_bare_v6 ? "[" : "", text,
                   is_bare_v6 ? "]" : "", port);
}

int sb_explain_host(const struct sb_profile *profile,
                    const char *text,
                    struct sb_answer *ret_answer,
                    struct sb_err *err)
{
    struct sb_network_rule asked = {.kind = SB_NETWORK_HOST};
    char where[256];
    const struct sb_network *network = &profile->network;
    if (read_destination(text, &asked, err) < 0) {
        return -1;
    }
    *ret_answer = (struct sb_answer){.word = "refused"};
    if (network->mode != SB_NETWORK_LIMITED) {
        (void)snprintf(ret_answer->decided_by, sizeof ret_answer->decided_by,
                       "network.mode: none, %s",
                       sb_explain_where(profile, NULL, SB_STR("mode"), where, sizeof where));
        (void)snprintf(ret_answer->detail, sizeof ret_answer->detail,
                       "there is no network but loopback: ENETUNREACH");
        offer_rule(text, &asked, false, ret_answer);
        return 0;
    }
    const char *rule = find_rule(&network->deny, sb_network_covers, &asked);
    if (rule != NULL) {
        decided_by_rule(profile, "deny", rule, ret_answer);
        (void)snprintf(ret_answer->allow_with, sizeof ret_answer->allow_with,
                       "network.deny without \"%s\"", rule);
        return 0;
    }
    const struct sb_addr_block *block =
        asked.kind == SB_NETWORK_ADDRESS ? sb_addr_block_of(asked.address) : NULL;
    if (block != NULL && block->is_never) {
        (void)snprintf(ret_answer->decided_by, sizeof ret_answer->decided_by,
                       "egress proxy: no rule can allow it");
        (void)snprintf(ret_answer->detail, sizeof ret_answer->detail, "it is %s", block->name);
        return 0;
    }
    rule = find_rule(&network->allow, sb_network_opens, &asked);
    if (rule != NULL) {
        ret_answer->word = "allowed";
        decided_by_rule(profile, "allow", rule, ret_answer);
        if (asked.kind == SB_NETWORK_HOST) {
            (void)snprintf(ret_answer->detail, sizeof ret_answer->detail,
                           "through the egress proxy, where the worker has one (aisbx worker info: "
                           "egress); unless the name leads to an address of this machine, of its "
                           "network or of a cloud's metadata");
        }
        return 0;
    }
    (void)snprintf(ret_answer->decided_by, sizeof ret_answer->decided_by,
                   "network.allow: none of %zu rules matches, %s", network->allow.n,
                   sb_explain_where(profile, NULL, SB_STR("allow"), where, sizeof where));
    if (block != NULL) {
        (void)snprintf(ret_answer->detail, sizeof ret_answer->detail,
                       "it is %s, which only a rule within that range opens", block->name);
    }
    offer_rule(text, &asked, true, ret_answer);
    return 0;
}
