#include "service/worker/policy/network_policy.h"

#include <stddef.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/shared/initproto.h"
#include "service/shared/network.h"
#include "service/shared/shown.h"
#include "service/worker/policy/network_limits.h"
#include "service/worker/policy/policy.h"

void sb_network_policy_done(struct sb_network *network)
{
    sb_strings_done(&network->allow);
    sb_strings_done(&network->deny);
}

static bool is_opened(const struct sb_strings *rules, const char *text)
{
    struct sb_err err;
    struct sb_network_rule narrow;
    if (sb_network_parse_rule(sb_str_from(text), &narrow, &err) < 0) {
        return false;
    }
    for (size_t i = 0; i < rules->n; i++) {
        struct sb_network_rule wide;
        if (sb_network_parse_rule(sb_str_from(rules->items[i]), &wide, &err) == 0 &&
            sb_network_opens(&wide, &narrow)) {
            return true;
        }
    }
    return false;
}

bool sb_network_policy_gives(const struct sb_policy *policy, const char *rule)
{
    return policy->ceiling.mode == SB_NETWORK_LIMITED && is_opened(&policy->ceiling.allow, rule);
}

static bool is_without_port(const char *text)
{
    struct sb_err err;
    struct sb_network_rule rule = {0};
    return sb_network_parse_rule(sb_str_from(text), &rule, &err) == 0 && rule.port == 0;
}

static int check_allow(const struct sb_policy *policy,
                       const struct sb_strings *asked,
                       const char *field,
                       struct sb_err *err)
{
    for (size_t i = 0; i < asked->n; i++) {
        if (!is_opened(&policy->ceiling.allow, asked->items[i])) {
            return sb_err_set(
                err, SB_INVALID,
                "%s.allow[%zu]: profile \"%s\" does not allow \"%.100s\"%s (%.80s); to have it: "
                "network: {allow: [\"%.100s\"]} beside the rules that are there",
                field, i, policy->profile, asked->items[i],
                is_without_port(asked->items[i]) ? ", which without a port means all ports" : "",
                policy->allow_said, asked->items[i]);
        }
    }
    return 0;
}

int sb_network_policy_narrow(const struct sb_policy *policy,
                             const struct sb_network *asked,
                             const char *field,
                             struct sb_network *ret_network,
                             struct sb_err *err)
{
    const struct sb_network *most = &policy->ceiling;
    SB_CLEANUP(sb_network_policy_done) struct sb_network made = {.mode = SB_NETWORK_NONE};
    if (most->mode == SB_NETWORK_NONE &&
        (asked->mode == SB_NETWORK_LIMITED || asked->allow.n > 0)) {
        return sb_err_set(
            err, SB_INVALID,
            "%s: profile \"%s\" has no network (%.120s); to have it: network: "
            "{enabled: true, allow: [\"%.120s\"]}, in it or in a profile that extends "
            "it",
            field, policy->profile, policy->mode_said,
            asked->allow.n > 0 ? asked->allow.items[0] : "HOST");
    }
    if (most->mode == SB_NETWORK_LIMITED && asked->mode != SB_NETWORK_NONE) {
        made.mode = SB_NETWORK_LIMITED;
        sb_network_limits_inherit(&made, most);
        if (check_allow(policy, &asked->allow, field, err) < 0 ||
            sb_strings_copy(&made.allow, asked->allow.n > 0 ? &asked->allow : &most->allow, err) <
                0 ||
            sb_strings_copy(&made.deny, &most->deny, err) < 0 ||
            sb_strings_copy(&made.deny, &asked->deny, err) < 0) {
            return -1;
        }
        if (made.deny.n > SB_NETWORK_RULES_MAX) {
            return sb_err_set(err, SB_INVALID,
                              "%s.deny: more than %d rules with those of the profile", field,
                              SB_NETWORK_RULES_MAX);
        }
    }
    *ret_network = made;
    // NOLINTNEXTLINE(clang-analyzer-deadcode.DeadStores): what ends made looks at it
    made = (struct sb_network){.mode = SB_NETWORK_NONE};
    return 0;
}

#define PROXY "http://127.0.0.1:3128"
_Static_assert(SB_INIT_EGRESS_PORT == 3128, "as in PROXY");

/* Both cases of each name are read by somebody. ALL_PROXY names HTTP although SOCKS5 is spoken on
 * the same port: programs try each URL they find here when they start, and many cannot do SOCKS. */
static const struct {
    enum sb_network_mode mode;
    struct sb_str name;
    struct sb_str value;
} variables[] = {
    {SB_NETWORK_LIMITED, SB_STR("HTTP_PROXY"), SB_STR(PROXY)},
    {SB_NETWORK_LIMITED, SB_STR("HTTPS_PROXY"), SB_STR(PROXY)},
    {SB_NETWORK_LIMITED, SB_STR("ALL_PROXY"), SB_STR(PROXY)},
    {SB_NETWORK_LIMITED, SB_STR("NO_PROXY"), SB_STR("localhost,127.0.0.1,::1")},
    {SB_NETWORK_LIMITED, SB_STR("http_proxy"), SB_STR(PROXY)},
    {SB_NETWORK_LIMITED, SB_STR("https_proxy"), SB_STR(PROXY)},
    {SB_NETWORK_LIMITED, SB_STR("all_proxy"), SB_STR(PROXY)},
    {SB_NETWORK_LIMITED, SB_STR("no_proxy"), SB_STR("localhost,127.0.0.1,::1")},
    {SB_NETWORK_LIMITED, SB_STR("NODE_USE_ENV_PROXY"), SB_STR("1")}, /* fetch() of Node 24 */
    {SB_NETWORK_NONE, SB_STR("CARGO_NET_OFFLINE"), SB_STR("true")},
    {SB_NETWORK_NONE, SB_STR("GOPROXY"), SB_STR("off")},
    {SB_NETWORK_NONE, SB_STR("GOSUMDB"), SB_STR("off")},
    {SB_NETWORK_NONE, SB_STR("PIP_RETRIES"), SB_STR("0")},
    {SB_NETWORK_NONE, SB_STR("npm_config_offline"), SB_STR("true")},
};

/* Where programs look for who vouches for servers; Java keeps that in a form of its own. */
static const struct sb_str trust_variables[] = {
    SB_STR("SSL_CERT_FILE"),      SB_STR("CURL_CA_BUNDLE"),
    SB_STR("REQUESTS_CA_BUNDLE"), SB_STR("NODE_EXTRA_CA_CERTS"),
    SB_STR("GIT_SSL_CAINFO"),     SB_STR("CARGO_HTTP_CAINFO"),
    SB_STR("PIP_CERT"),
};

static int trust_env(const struct sb_policy *policy, struct sb_pairs *to, struct sb_err *err)
{
    bool is_needed = false;
    for (size_t i = 0; i < policy->secrets.n; i++) {
        is_needed = is_needed || policy->secrets.items[i].tls.n > 0;
    }
    for (size_t i = 0; is_needed && i < sizeof trust_variables / sizeof *trust_variables; i++) {
        if (sb_pairs_set(to, trust_variables[i], SB_STR(SB_SHOWN_TRUST), err) < 0) {
            return -1;
        }
    }
    return 0;
}

int sb_network_policy_env(const struct sb_policy *policy, struct sb_pairs *to, struct sb_err *err)
{
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        if (policy->ceiling.mode == SB_NETWORK_LIMITED &&
            variables[i].mode == policy->network.mode &&
            sb_pairs_set(to, variables[i].name, variables[i].value, err) < 0) {
            return -1;
        }
    }
    return trust_env(policy, to, err);
}
