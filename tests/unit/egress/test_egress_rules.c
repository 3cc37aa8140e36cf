#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "service/egress/rules.h"

#define PUBLIC "93.184.216.34"

static struct sb_rules rules_of(struct sb_str text, size_t n_allow, size_t n_deny)
{
    struct sb_rules rules;
    struct sb_err err = {0};
    if (sb_rules_parse(text, n_allow, n_deny, &rules, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return rules;
}

static struct sb_host host_of(const char *text)
{
    struct sb_host host;
    struct sb_err err;
    assert_int_equal(sb_host_parse(sb_str_from(text), true, &host, &err), 0);
    return host;
}

/* 0, or the reason. */
static int asks(const struct sb_rules *rules, const char *host, uint16_t port)
{
    struct sb_refusal refusal = {0};
    struct sb_host wanted = host_of(host);
    return sb_rules_check_host(rules, &wanted, port, &refusal) == 0 ? 0 : (int)refusal.reason;
}

static int leads(const struct sb_rules *rules, const char *host, const char *to, uint16_t port)
{
    struct sb_refusal refusal = {0};
    struct sb_host wanted = host_of(host);
    unsigned char address[SB_ADDR_SIZE];
    assert_true(sb_addr_parse(sb_str_from(to), address));
    return sb_rules_check_address(rules, &wanted, address, port, &refusal) == 0
               ? 0
               : (int)refusal.reason;
}

static void no_rule_permits_nothing(void **state)
{
    (void)state;
    const struct sb_rules none = {0};
    assert_int_equal(asks(&none, "a.test", 80), SB_EGRESS_NO_RULE);
    assert_int_equal(asks(&none, PUBLIC, 80), SB_EGRESS_NO_RULE);
}

static void names_ports_and_deny_decide(void **state)
{
    (void)state;
    struct sb_rules rules =
        rules_of(SB_STR("a.test:443\0*.b.test\0c.test\0bad.b.test\0c.test:22\0"), 3, 2);
    assert_int_equal(asks(&rules, "a.test", 443), 0);
    assert_int_equal(asks(&rules, "a.test", 80), SB_EGRESS_NO_RULE);
    assert_int_equal(asks(&rules, "x.a.test", 443), SB_EGRESS_NO_RULE);
    assert_int_equal(asks(&rules, "x.y.b.test", 1), 0);
    assert_int_equal(asks(&rules, "b.test", 1), SB_EGRESS_NO_RULE);
    assert_int_equal(asks(&rules, "xb.test", 1), SB_EGRESS_NO_RULE);
    assert_int_equal(asks(&rules, "BAD.b.test.", 1), SB_EGRESS_DENY_RULE);
    assert_int_equal(asks(&rules, "c.test", 80), 0);
    assert_int_equal(asks(&rules, "c.test", 22), SB_EGRESS_DENY_RULE);
    sb_rules_done(&rules);
}

static void a_name_opens_no_address_and_an_address_no_name(void **state)
{
    (void)state;
    struct sb_rules rules = rules_of(SB_STR("a.test\0" PUBLIC ":80\0"), 2, 0);
    assert_int_equal(asks(&rules, PUBLIC, 80), 0);
    assert_int_equal(asks(&rules, PUBLIC, 81), SB_EGRESS_NO_RULE);
    assert_int_equal(asks(&rules, "b.test", 80), SB_EGRESS_NO_RULE);
    assert_int_equal(leads(&rules, "a.test", "8.8.8.8", 80), 0);
    sb_rules_done(&rules);
}

static void other_than_public_addresses_need_a_rule_within_their_block(void **state)
{
    (void)state;
    struct sb_rules wide = rules_of(SB_STR("a.test\0000.0.0.0/0\0::/0\0"), 3, 0);
    struct sb_rules exact = rules_of(SB_STR("a.test\00010.1.0.0/16\000127.0.0.1:80\000"
                                            "169.254.0.0/16\0000.0.0.0/8\0::/96\0"),
                                     6, 0);
    assert_int_equal(leads(&wide, "a.test", "10.1.2.3", 80), SB_EGRESS_ADDRESS);
    assert_int_equal(leads(&wide, "a.test", "::1", 80), SB_EGRESS_ADDRESS);
    assert_int_equal(asks(&wide, "127.0.0.1", 80), SB_EGRESS_ADDRESS);
    assert_int_equal(asks(&wide, PUBLIC, 80), 0);
    assert_int_equal(leads(&exact, "a.test", "10.1.2.3", 80), 0);
    assert_int_equal(leads(&exact, "a.test", "64:ff9b::10.1.2.3", 80), 0);
    assert_int_equal(leads(&exact, "a.test", "10.2.2.3", 80), SB_EGRESS_ADDRESS);
    assert_int_equal(leads(&exact, "a.test", "64:ff9b::10.2.2.3", 80), SB_EGRESS_ADDRESS);
    assert_int_equal(asks(&exact, "127.0.0.1", 80), 0);
    assert_int_equal(asks(&exact, "127.0.0.1", 81), SB_EGRESS_ADDRESS);
    assert_int_equal(asks(&exact, "169.254.1.1", 80), 0);
    assert_int_equal(asks(&exact, "169.254.169.254", 80), SB_EGRESS_ADDRESS);
    assert_int_equal(asks(&exact, "0.0.0.0", 80), SB_EGRESS_ADDRESS);
    assert_int_equal(asks(&exact, "[::7f00:1]", 80), SB_EGRESS_ADDRESS);
    sb_rules_done(&wide);
    sb_rules_done(&exact);
}

static void denied_addresses_stay_denied_behind_names_and_wrappers(void **state)
{
    (void)state;
    struct sb_rules rules = rules_of(SB_STR("a.test\0" PUBLIC "\0008.8.0.0/16\0"), 2, 1);
    assert_int_equal(leads(&rules, "a.test", "8.8.8.8", 80), SB_EGRESS_DENY_RULE);
    assert_int_equal(leads(&rules, "a.test", "::ffff:8.8.8.8", 80), SB_EGRESS_DENY_RULE);
    assert_int_equal(leads(&rules, "a.test", "64:ff9b::8.8.8.8", 80), SB_EGRESS_DENY_RULE);
    sb_rules_done(&rules);
}

static void a_refusal_names_the_smallest_change(void **state)
{
    (void)state;
    struct sb_rules rules = rules_of(SB_STR("a.test\0*.bad.test\0"), 1, 1);
    struct sb_refusal refusal;
    struct sb_host host = host_of("B.test");
    unsigned char address[SB_ADDR_SIZE];
    assert_int_equal(sb_rules_check_host(&rules, &host, 80, &refusal), -1);
    assert_string_equal(refusal.allow_with, "b.test:80");
    host = host_of("[2606:4700::1]");
    assert_int_equal(sb_rules_check_host(&rules, &host, 80, &refusal), -1);
    assert_string_equal(refusal.allow_with, "[2606:4700::1]:80");
    host = host_of("a.test");
    assert_true(sb_addr_parse(SB_STR("10.0.0.1"), address));
    assert_int_equal(sb_rules_check_address(&rules, &host, address, 80, &refusal), -1);
    assert_string_equal(refusal.allow_with, "10.0.0.1:80");
    host = host_of("x.bad.test");
    assert_int_equal(sb_rules_check_host(&rules, &host, 80, &refusal), -1);
    assert_string_equal(refusal.rule, "*.bad.test");
    assert_string_equal(refusal.allow_with, "");
    sb_rules_done(&rules);
}

static void refuses_text_that_is_not_that_many_rules(void **state)
{
    (void)state;
    static const struct {
        struct sb_str text;
        size_t n;
    } rows[] = {
        {SB_STR(""), 1},          {SB_STR("a.test"), 1},          {SB_STR("a.test\0"), 2},
        {SB_STR("a.test\0x"), 1}, {SB_STR("a..test\0"), 1},       {SB_STR("\0"), 1},
        {SB_STR("a.test\0"), 0},  {SB_STR("a.test\0"), SIZE_MAX},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_rules rules;
        struct sb_err err;
        assert_int_equal(sb_rules_parse(rows[i].text, rows[i].n, 0, &rules, &err), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_rule_permits_nothing),
        cmocka_unit_test(names_ports_and_deny_decide),
        cmocka_unit_test(a_name_opens_no_address_and_an_address_no_name),
        cmocka_unit_test(other_than_public_addresses_need_a_rule_within_their_block),
        cmocka_unit_test(denied_addresses_stay_denied_behind_names_and_wrappers),
        cmocka_unit_test(a_refusal_names_the_smallest_change),
        cmocka_unit_test(refuses_text_that_is_not_that_many_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
