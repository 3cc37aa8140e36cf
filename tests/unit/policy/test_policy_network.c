/* What a request may do about the network of its profile. */
#include <string.h>

#include "policy_fixture.h"

static void network_can_be_switched_off_but_not_on(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *off = policy_request("p");
    off->network.mode = SB_NETWORK_NONE;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = policy_make(off);
    assert_int_equal(policy->network.mode, SB_NETWORK_NONE);
    assert_int_equal(policy->network.allow.n, 0);
    assert_int_equal(policy->notices.n, 0);
    SB_CLEANUP(sb_request_freep) struct sb_request *on = policy_request("n");
    on->network.mode = SB_NETWORK_LIMITED;
    assert_policy_refused(
        on, SB_INVALID,
        "sandbox.network: profile \"n\" has no network (c.yaml:12); to have it: "
        "network: {enabled: true, allow: [\"HOST\"]}, in it or in a profile that extends it");
}

static void network_rules_can_only_narrow(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_request_freep) struct sb_request *request = policy_request("p");
    assert_int_equal(sb_strings_add(&request->network.allow, SB_STR("x.example.org:443"), &err), 0);
    assert_int_equal(sb_strings_add(&request->network.deny, SB_STR("c.org"), &err), 0);
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = policy_make(request);
    assert_int_equal(policy->network.allow.n, 1);
    assert_string_equal(policy->network.allow.items[0], "x.example.org:443");
    assert_int_equal(policy->network.deny.n, 2);
    assert_int_equal(sb_strings_add(&request->network.allow, SB_STR("x.example.org"), &err), 0);
    assert_policy_refused(
        request, SB_INVALID,
        "sandbox.network.allow[1]: profile \"p\" does not allow \"x.example.org\", "
        "which without a port means all ports (c.yaml:5); to have it: network: {allow: "
        "[\"x.example.org\"]} beside the rules that are there");
}

static void a_request_keeps_the_bounds_of_the_network(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_request_freep) struct sb_request *request = policy_request("p");
    assert_int_equal(sb_strings_add(&request->network.allow, SB_STR("x.example.org:443"), &err), 0);
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = policy_make(request);
    assert_int_equal(policy->network.max_bytes, 2 << 20);
    assert_int_equal(policy->network.max_connections, 0);
    assert_string_equal(policy->network_said.items[1], "c.yaml:6");
}

static void tools_of_a_limited_network_find_the_proxy(void **state)
{
    (void)state;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = policy_make_plain("python-dev");
    assert_int_equal(policy->notices.n, 0);
    static const char *const names[] = {"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = sb_pairs_get(&policy->env, sb_str_from(names[i]));
        assert_non_null(value);
        assert_string_equal(value, "http://127.0.0.1:3128");
    }
    assert_string_equal(sb_pairs_get(&policy->env, SB_STR("NO_PROXY")), "localhost,127.0.0.1,::1");
    assert_null(sb_pairs_get(&policy->env, SB_STR("GOPROXY")));
}

static void a_proxy_that_the_caller_names_wins(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_request_freep) struct sb_request *request = policy_request("python-dev");
    assert_int_equal(
        sb_pairs_set(&request->env, SB_STR("HTTP_PROXY"), SB_STR("http://own:1"), &err), 0);
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = policy_make(request);
    assert_string_equal(sb_pairs_get(&policy->env, SB_STR("HTTP_PROXY")), "http://own:1");
}

static void tools_know_of_a_network_that_was_taken_away(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *off = policy_request("go-dev");
    off->network.mode = SB_NETWORK_NONE;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = policy_make(off);
    assert_string_equal(sb_pairs_get(&policy->env, SB_STR("GOPROXY")), "off");
    assert_null(sb_pairs_get(&policy->env, SB_STR("HTTP_PROXY")));
    SB_CLEANUP(sb_policy_freep) struct sb_policy *strict = policy_make_plain("strict");
    assert_null(sb_pairs_get(&strict->env, SB_STR("GOPROXY")));
}

/* A network as an update would ask for it. */
static struct sb_network asked_for(const char *allow)
{
    struct sb_err err = {0};
    struct sb_network network = {.mode = SB_NETWORK_LIMITED};
    if (allow != NULL) {
        assert_int_equal(sb_strings_add(&network.allow, sb_str_from(allow), &err), 0);
    }
    return network;
}

static void a_network_can_change_within_the_profile_both_ways(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = policy_make_plain("p");
    size_t most = policy->network.allow.n;
    char first[SB_POLICY_HASH_SIZE];
    memcpy(first, policy->hash, sizeof first);
    struct sb_network less = asked_for("x.example.org:443");
    assert_int_equal(sb_policy_set_network(policy, &less, &err), 0);
    assert_int_equal(policy->network.allow.n, 1);
    assert_string_not_equal(policy->hash, first);
    struct sb_network none = {.mode = SB_NETWORK_NONE};
    assert_int_equal(sb_policy_set_network(policy, &none, &err), 0);
    assert_int_equal(policy->network.mode, SB_NETWORK_NONE);
    struct sb_network all = asked_for(NULL);
    assert_int_equal(sb_policy_set_network(policy, &all, &err), 0);
    assert_int_equal(policy->network.allow.n, most);
    assert_string_equal(policy->hash, first);
    sb_strings_done(&less.allow);
}

static void a_network_stays_when_more_is_asked_for_than_the_profile_gives(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = policy_make_plain("p");
    size_t most = policy->network.allow.n;
    struct sb_network more = asked_for("elsewhere.org");
    assert_int_equal(sb_policy_set_network(policy, &more, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
    assert_string_equal(
        err.text, "network.allow[0]: profile \"p\" does not allow "
                  "\"elsewhere.org\", which without a port means all ports (c.yaml:5); to have it: "
                  "network: {allow: [\"elsewhere.org\"]} beside the rules that are there");
    assert_int_equal(policy->network.allow.n, most);
    sb_strings_done(&more.allow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(network_can_be_switched_off_but_not_on),
        cmocka_unit_test(network_rules_can_only_narrow),
        cmocka_unit_test(a_request_keeps_the_bounds_of_the_network),
        cmocka_unit_test(tools_of_a_limited_network_find_the_proxy),
        cmocka_unit_test(a_proxy_that_the_caller_names_wins),
        cmocka_unit_test(tools_know_of_a_network_that_was_taken_away),
        cmocka_unit_test(a_network_can_change_within_the_profile_both_ways),
        cmocka_unit_test(a_network_stays_when_more_is_asked_for_than_the_profile_gives),
    };
    return cmocka_run_group_tests(tests, policy_load, policy_unload);
}
