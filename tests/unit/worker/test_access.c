/** Who may do what, and where the worker may listen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "proto/rpc/rpc.h"
#include "service/worker/access.h"

enum { OPERATOR = 1000 };

static void serves_its_operator_and_root_over_unix(void **state)
{
    (void)state;
    static const uid_t welcome[] = {OPERATOR, 0};
    for (size_t i = 0; i < 2; i++) {
        struct sb_err err;
        struct sb_caller caller;
        const struct sb_rpc_peer peer = {.transport = i == 0 ? "local" : "unix", .uid = welcome[i]};
        assert_int_equal(sb_access_identify(&peer, OPERATOR, &caller, &err), 0);
        assert_string_equal(caller.owner, i == 0 ? "uid:1000" : "uid:0");
        assert_true(caller.is_admin);
        assert_true(caller.is_here);
    }
}

static void refuses_other_users_over_unix(void **state)
{
    (void)state;
    struct sb_err err;
    struct sb_caller caller;
    const struct sb_rpc_peer peer = {.transport = "local", .uid = 1001};
    assert_int_equal(sb_access_identify(&peer, OPERATOR, &caller, &err), -1);
    assert_int_equal(err.code, SB_DENIED);
}

static void a_certificate_owns_what_it_makes_and_sees_nothing_else(void **state)
{
    (void)state;
    struct sb_err err;
    struct sb_caller caller;
    const struct sb_rpc_peer peer = {
        .transport = "tls", .uid = (uid_t)-1, .identity = "spiffe://x/agent"};
    assert_int_equal(sb_access_identify(&peer, OPERATOR, &caller, &err), 0);
    assert_string_equal(caller.owner, "tls:spiffe://x/agent");
    assert_false(caller.is_admin);
    assert_false(caller.is_here);
    assert_true(sb_access_sees(&caller, "tls:spiffe://x/agent"));
    assert_false(sb_access_sees(&caller, "tls:spiffe://x/other"));
    assert_false(sb_access_sees(&caller, "uid:1000"));
}

static void a_tcp_caller_is_no_admin(void **state)
{
    (void)state;
    struct sb_err err;
    struct sb_caller caller;
    const struct sb_rpc_peer peer = {.transport = "tcp", .uid = (uid_t)-1};
    assert_int_equal(sb_access_identify(&peer, 0, &caller, &err), 0);
    assert_false(caller.is_admin);
    assert_false(sb_access_sees(&caller, "uid:0"));
}

static void a_certificate_cannot_pose_as_a_uid(void **state)
{
    (void)state;
    struct sb_err err;
    struct sb_caller caller;
    const struct sb_rpc_peer peer = {.transport = "tls", .uid = (uid_t)-1, .identity = "uid:0"};
    assert_int_equal(sb_access_identify(&peer, OPERATOR, &caller, &err), 0);
    assert_false(sb_access_sees(&caller, "uid:0"));
}

static void listens_without_certificates_on_loopback_only(void **state)
{
    (void)state;
    static const char *const good[] = {"unix:/run/w.sock", "ipv4:127.0.0.1:0", "127.9.9.9:7443",
                                       "ipv6:[::1]:7443", "[::1]:7443"};
    static const char *const bad[] = {"ipv4:0.0.0.0:7443",
                                      "0.0.0.0:7443",
                                      "ipv4:10.0.0.1:7443",
                                      "ipv6:[::]:7443",
                                      "localhost:7443", /* a name can be made to mean anything */
                                      "127.0.0.1.evil.example:7443",
                                      "ipv4:127.0.0.1",
                                      ":7443",
                                      ""};
    struct sb_err err;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(sb_access_check_listen(good[i], false, &err), 0);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(sb_access_check_listen(bad[i], false, &err), -1);
        assert_non_null(strstr(err.text, "--tls-ca"));
        assert_int_equal(sb_access_check_listen(bad[i], true, &err), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serves_its_operator_and_root_over_unix),
        cmocka_unit_test(refuses_other_users_over_unix),
        cmocka_unit_test(a_certificate_owns_what_it_makes_and_sees_nothing_else),
        cmocka_unit_test(a_tcp_caller_is_no_admin),
        cmocka_unit_test(a_certificate_cannot_pose_as_a_uid),
        cmocka_unit_test(listens_without_certificates_on_loopback_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
