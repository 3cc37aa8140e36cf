#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "client_hello.h"
#include "service/egress/hello.h"

static int check(const char *to, uint16_t port, struct sb_str bytes)
{
    struct sb_rules rules;
    struct sb_refusal refusal = {0};
    struct sb_host host;
    struct sb_host name;
    struct sb_err err;
    assert_int_equal(
        sb_rules_parse(SB_STR("a.test\000198.51.100.0/24\0bad.test\0"), 2, 1, &rules, &err), 0);
    assert_int_equal(sb_host_parse(sb_str_from(to), true, &host, &err), 0);
    int rc = sb_hello_check(&rules, &host, port, bytes, &name, &refusal);
    sb_rules_done(&rules);
    return rc < 0 ? -(int)refusal.reason : rc;
}

static void tls_asks_for_the_host_of_the_tunnel(void **state)
{
    (void)state;
    unsigned char bytes[512];
    assert_int_equal(check("a.test", 443, client_hello(bytes, "A.test", 1)), 1);
    assert_int_equal(check("a.test", 443, client_hello(bytes, "b.test", 1)), -SB_EGRESS_SNI);
    assert_int_equal(check("a.test", 8443, client_hello(bytes, "b.test", 1)), -SB_EGRESS_SNI);
    assert_int_equal(check("a.test", 443, client_hello(bytes, "x", 0)), -SB_EGRESS_SNI);
    assert_int_equal(check("a.test", 443, client_hello(bytes, "a.test", 2)), -SB_EGRESS_SNI);
    assert_int_equal(check("a.test", 443, SB_STR("\26\3")), 0);
}

static void port_443_takes_tls_alone(void **state)
{
    (void)state;
    assert_int_equal(check("a.test", 443, SB_STR("SSH-2.0")), -SB_EGRESS_PROTOCOL);
    assert_int_equal(check("a.test", 22, SB_STR("SSH-2.0")), 1);
}

static void an_address_may_be_asked_for_any_name_that_is_not_denied(void **state)
{
    (void)state;
    unsigned char bytes[512];
    assert_int_equal(check("198.51.100.1", 443, client_hello(bytes, "x", 0)), 1);
    assert_int_equal(check("198.51.100.1", 443, client_hello(bytes, "b.test", 1)), 1);
    assert_int_equal(check("198.51.100.1", 443, client_hello(bytes, "bad.test", 1)),
                     -SB_EGRESS_DENY_RULE);
    assert_int_equal(check("198.51.100.1", 443, SB_STR("GET /")), -SB_EGRESS_PROTOCOL);
}

static void the_name_is_kept_for_other_rules(void **state)
{
    (void)state;
    unsigned char bytes[512];
    struct sb_rules rules;
    struct sb_refusal refusal;
    struct sb_host host;
    struct sb_host name;
    struct sb_err err;
    assert_int_equal(sb_host_parse(SB_STR("198.51.100.1"), true, &host, &err), 0);
    assert_int_equal(sb_rules_parse(SB_STR("198.51.100.0/24\0"), 1, 0, &rules, &err), 0);
    struct sb_str hello = client_hello(bytes, "Later.test", 1);
    assert_int_equal(sb_hello_check(&rules, &host, 443, hello, &name, &refusal), 1);
    assert_string_equal(name.name, "later.test");
    sb_rules_done(&rules);
    assert_int_equal(sb_rules_parse(SB_STR("198.51.100.0/24\0later.test\0"), 1, 1, &rules, &err),
                     0);
    assert_int_equal(sb_hello_check_name(&rules, &host, 443, &name, &refusal), -1);
    assert_int_equal(refusal.reason, SB_EGRESS_DENY_RULE);
    hello = client_hello(bytes, "x", 0);
    assert_int_equal(sb_hello_check(&rules, &host, 443, hello, &name, &refusal), 1);
    assert_string_equal(name.name, "");
    sb_rules_done(&rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_asks_for_the_host_of_the_tunnel),
        cmocka_unit_test(port_443_takes_tls_alone),
        cmocka_unit_test(an_address_may_be_asked_for_any_name_that_is_not_denied),
        cmocka_unit_test(the_name_is_kept_for_other_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
