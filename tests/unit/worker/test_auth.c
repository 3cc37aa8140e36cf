/* Who calls, for whom, and what they may; where a worker may listen. */
#include <string.h>

#include "aisbx/v1/context_service.rpc.h"
#include "aisbx/v1/file_service.rpc.h"
#include "aisbx/v1/key_service.rpc.h"
#include "aisbx/v1/port_service.rpc.h"
#include "aisbx/v1/sandbox_service.rpc.h"
#include "aisbx/v1/worker_service.rpc.h"
#include "auth_fixture.h"
#include "service/worker/auth/methods.h"

/* ---- who it is ---- */

static void serves_its_operator_and_root_over_unix(void **state)
{
    (void)state;
    static const char *const transports[] = {"local", "unix"};
    for (size_t i = 0; i < 2; i++) {
        const struct sb_rpc_peer peer = {
            .transport = transports[i], .uid = i == 0 ? OPERATOR : 0, .address = "unix:"};
        const struct sb_auth_call call = auth_call_of(&peer, SET_DRAINING);
        assert_int_equal(auth_admit(&call), 0);
        assert_string_equal(caller.actor, i == 0 ? "uid:1000" : "uid:0");
        assert_string_equal(caller.tenant, "local");
        assert_string_equal(caller.protocol, i == 0 ? "local" : "grpc");
        assert_true(sb_caller_is_admin(&caller));
        assert_true(caller.is_here);
        assert_int_equal(caller.peer_fd, 7);
    }
}

static void refuses_other_users_over_unix(void **state)
{
    (void)state;
    const struct sb_auth_call call = auth_call_of(&auth_other, LIST);
    assert_auth_refused(&call, SB_DENIED, "not uid 1001");
}

static void a_certificate_is_a_tenant_of_its_own_when_nothing_is_configured(void **state)
{
    (void)state;
    struct sb_rpc_peer peer = auth_tls;
    peer.identity = "spiffe://x/agent";
    const struct sb_auth_call call = auth_call_of(&peer, RUN);
    assert_int_equal(auth_admit(&call), 0);
    assert_string_equal(caller.actor, "tls:spiffe://x/agent");
    assert_int_equal(caller.role, SB_ROLE_USER);
    assert_false(caller.is_here);
    const struct sb_caller first = caller;
    peer.identity = "spiffe://x/other";
    assert_int_equal(auth_admit(&call), 0);
    assert_false(sb_caller_sees(&caller, first.tenant));
    assert_true(sb_caller_sees(&caller, caller.tenant));
    assert_false(sb_caller_sees(&caller, "local"));
}

static void a_certificate_cannot_pose_as_a_uid(void **state)
{
    (void)state;
    struct sb_rpc_peer peer = auth_tls;
    peer.identity = "uid:0";
    const struct sb_auth_call call = auth_call_of(&peer, SET_DRAINING);
    assert_auth_refused(&call, SB_DENIED, "SetDraining is for role admin");
}

static void the_first_row_that_fits_gives_role_and_tenant(void **state)
{
    (void)state;
    static char any[] = "spiffe://x/*";
    static char one[] = "spiffe://x/agent-*";
    static char a[] = "a";
    static char b[] = "b";
    identities[0] = (struct sb_auth_identity){one, SB_ROLE_AUDITOR, a};
    identities[1] = (struct sb_auth_identity){any, SB_ROLE_USER, b};
    config.n_identities = 2;
    config.has_identities = true;
    struct sb_rpc_peer peer = auth_tls;
    const struct sb_auth_call call = auth_call_of(&peer, LIST);
    peer.identity = "spiffe://x/agent-1";
    assert_int_equal(auth_admit(&call), 0);
    assert_int_equal(caller.role, SB_ROLE_AUDITOR);
    assert_string_equal(caller.tenant, "a");
    peer.identity = "spiffe://x/web";
    assert_int_equal(auth_admit(&call), 0);
    assert_string_equal(caller.tenant, "b");
    peer.identity = "spiffe://x/web/deeper";
    assert_auth_refused(&call, SB_UNAUTHENTICATED, "no row of auth.identities");
}

static void plaintext_on_loopback_needs_a_key_unless_configured(void **state)
{
    (void)state;
    const struct sb_auth_call call = auth_call_of(&auth_plain, RUN);
    assert_auth_refused(&call, SB_UNAUTHENTICATED, "auth: {loopback: user}");
    config.admits_loopback = true;
    assert_int_equal(auth_admit(&call), 0);
    assert_string_equal(caller.tenant, "loopback");
    assert_int_equal(caller.role, SB_ROLE_USER);
}

static void tls_without_a_certificate_needs_a_key_whatever_is_configured(void **state)
{
    (void)state;
    config.admits_loopback = true;
    const struct sb_auth_call call = auth_call_of(&auth_tls, RUN);
    assert_auth_refused(&call, SB_UNAUTHENTICATED, "keys create");
}

/* ---- the gateway ---- */

static void what_the_gateway_passes_on_is_not_its_own(void **state)
{
    (void)state;
    char text[SB_KEY_TEXT_SIZE];
    (void)auth_add_key(SB_ROLE_USER, "a", text);
    struct sb_auth_call call = auth_call_of(&auth_mine, RUN);
    call.via = "http";
    call.from = "192.0.2.1:99";
    call.protocol = "mcp";
    assert_auth_refused(&call, SB_UNAUTHENTICATED, "an API key is needed");
    call.key = text;
    assert_int_equal(auth_admit(&call), 0);
    assert_int_equal(caller.peer_fd, -1);
    assert_false(caller.is_here);
    assert_string_equal(caller.protocol, "mcp");
    assert_string_equal(caller.peer, "192.0.2.1:99");
    call.key = NULL;
    call.identity = "spiffe://x/agent";
    assert_int_equal(auth_admit(&call), 0);
    assert_string_equal(caller.actor, "tls:spiffe://x/agent");
    assert_int_equal(caller.role, SB_ROLE_USER);
    assert_int_equal(caller.peer_fd, -1);
}

static void nobody_else_may_speak_for_others(void **state)
{
    (void)state;
    char text[SB_KEY_TEXT_SIZE];
    (void)auth_add_key(SB_ROLE_USER, "a", text);
    config.admits_loopback = true;
    const struct sb_rpc_peer *const peers[] = {&auth_other, &auth_plain, &auth_tls};
    for (size_t i = 0; i < 3; i++) {
        struct sb_auth_call call = auth_call_of(peers[i], RUN);
        call.identity = "spiffe://x/agent";
        assert_auth_refused(&call, SB_UNAUTHENTICATED,
                            "only believed from the worker's own gateway");
        call.from = "203.0.113.9:1";
        call.key = text;
        assert_int_equal(auth_admit(&call), 0);
        assert_string_not_equal(caller.peer, "203.0.113.9:1");
    }
}

/* ---- a gateway over the network ---- */

static char named[] = "aisbx-gateway";
static char *gateways[] = {named};

static struct sb_rpc_peer with_certificate(const char *name)
{
    struct sb_rpc_peer peer = auth_tls;
    peer.identity = name;
    return peer;
}

static void a_certificate_that_is_named_speaks_for_others(void **state)
{
    (void)state;
    char text[SB_KEY_TEXT_SIZE];
    static char any[] = "spiffe://x/*";
    static char a[] = "a";
    (void)auth_add_key(SB_ROLE_USER, "b", text);
    identities[0] = (struct sb_auth_identity){any, SB_ROLE_USER, a};
    config.n_identities = 1;
    config.has_identities = true;
    config.gateways = gateways;
    config.n_gateways = 1;
    const struct sb_rpc_peer peer = with_certificate(named);
    struct sb_auth_call call = auth_call_of(&peer, RUN);
    call.via = "http";
    call.from = "203.0.113.9:1";
    assert_auth_refused(&call, SB_UNAUTHENTICATED, "an API key is needed");
    call.identity = "spiffe://x/agent";
    assert_int_equal(auth_admit(&call), 0);
    assert_string_equal(caller.actor, "tls:spiffe://x/agent");
    assert_string_equal(caller.tenant, "a");
    assert_string_equal(caller.gateway, named);
    assert_string_equal(caller.peer, "203.0.113.9:1");
    assert_int_equal(caller.peer_fd, -1);
    assert_false(caller.is_here);
    call.key = text;
    assert_int_equal(auth_admit(&call), 0);
    assert_string_equal(caller.tenant, "b");
    assert_string_equal(caller.gateway, named);
    call.key = NULL;
    call.identity = "uid:0";
    assert_auth_refused(&call, SB_UNAUTHENTICATED, "no row of auth.identities");
    call.identity = "";
    assert_auth_refused(&call, SB_UNAUTHENTICATED, "name is empty");
}

static void a_certificate_that_is_not_named_speaks_for_nobody(void **state)
{
    (void)state;
    static const char *const names[] = {"aisbx-gateway2", "aisbx-gatewa", "AISBX-GATEWAY",
                                        "spiffe://x/aisbx-gateway", ""};
    char text[SB_KEY_TEXT_SIZE];
    (void)auth_add_key(SB_ROLE_USER, "a", text);
    config.gateways = gateways;
    config.n_gateways = 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct sb_rpc_peer peer = with_certificate(names[i]);
        struct sb_auth_call call = auth_call_of(&peer, RUN);
        call.via = "http";
        call.from = "203.0.113.9:1";
        call.identity = "spiffe://x/agent";
        assert_auth_refused(&call, SB_UNAUTHENTICATED, "cannot speak for \"spiffe://x/agent\"");
        call.key = text; /* which needs nobody's word */
        assert_int_equal(auth_admit(&call), 0);
        assert_string_equal(caller.peer, "192.0.2.7:4711");
        assert_string_equal(caller.gateway, "");
    }
    /* A name alone is no certificate. */
    const struct sb_rpc_peer *const peers[] = {&auth_other, &auth_plain, &auth_tls};
    for (size_t i = 0; i < 3; i++) {
        struct sb_auth_call call = auth_call_of(peers[i], RUN);
        call.identity = named;
        assert_auth_refused(&call, SB_UNAUTHENTICATED,
                            "only believed from the worker's own gateway");
    }
    config.n_gateways = 0;
    const struct sb_rpc_peer peer = with_certificate(named);
    struct sb_auth_call call = auth_call_of(&peer, RUN);
    call.identity = "spiffe://x/agent";
    assert_auth_refused(&call, SB_UNAUTHENTICATED, "none of auth.gateways");
}

static void no_gateway_over_the_network_makes_an_admin(void **state)
{
    (void)state;
    static char ops[] = "ops";
    static char local[] = "local";
    identities[0] = (struct sb_auth_identity){ops, SB_ROLE_ADMIN, local};
    config.n_identities = 1;
    config.has_identities = true;
    config.gateways = gateways;
    config.n_gateways = 1;
    const struct sb_rpc_peer peer = with_certificate(named);
    struct sb_auth_call call = auth_call_of(&peer, LIST);
    call.identity = ops;
    assert_auth_refused(&call, SB_UNAUTHENTICATED, "no gateway makes \"ops\" an admin");
    const struct sb_rpc_peer itself = with_certificate(ops);
    call = auth_call_of(&itself, SET_DRAINING);
    assert_int_equal(auth_admit(&call), 0);
    call = auth_call_of(&auth_mine, SET_DRAINING); /* who is an admin anyway */
    call.identity = ops;
    assert_int_equal(auth_admit(&call), 0);
}

static void a_peer_that_is_no_address_is_not_taken_over(void **state)
{
    (void)state;
    struct sb_auth_call call = auth_call_of(&auth_mine, RUN);
    call.identity = "x";
    call.from = "1.2.3.4 forged=yes";
    assert_int_equal(auth_admit(&call), 0);
    assert_string_equal(caller.peer, "uid:1000");
    call.protocol = "made up";
    assert_int_equal(auth_admit(&call), 0);
    assert_string_equal(caller.protocol, "local");
}

/* ---- roles ---- */

static const struct {
    const struct sb_rpc_method *methods;
    size_t n;
} services[] = {
    {aisbx__v1__sandbox_service__methods, AISBX__V1__SANDBOX_SERVICE__N_METHODS},
    {aisbx__v1__worker_service__methods, AISBX__V1__WORKER_SERVICE__N_METHODS},
    {aisbx__v1__file_service__methods, AISBX__V1__FILE_SERVICE__N_METHODS},
    {aisbx__v1__key_service__methods, AISBX__V1__KEY_SERVICE__N_METHODS},
    {aisbx__v1__context_service__methods, AISBX__V1__CONTEXT_SERVICE__N_METHODS},
    {aisbx__v1__port_service__methods, AISBX__V1__PORT_SERVICE__N_METHODS},
};

static void every_method_of_the_contract_has_a_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        for (size_t k = 0; k < services[i].n; k++) {
            const char *path = services[i].methods[k].path;
            if (!sb_methods_allow(path, SB_ROLE_ADMIN)) {
                fail_msg("%s has no row in methods.c", path);
            }
            assert_false(sb_methods_allow(path, SB_ROLE_NONE));
        }
    }
}

static void an_auditor_may_look_and_not_act(void **state)
{
    (void)state;
    static const char *const looks[] = {
        "GetSandbox",     "ListSandboxes", "WatchSandboxes",   "ListSnapshots", "GetExec",
        "ListExecs",      "GetInfo",       "WatchLoad",        "ListProfiles",  "GetProfile",
        "ExplainProfile", "GetMetrics",    "ListAuditRecords", "ListPackages"};
    size_t n = 0;
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        for (size_t k = 0; k < services[i].n; k++) {
            const struct sb_rpc_method *method = &services[i].methods[k];
            bool may_look = false;
            for (size_t j = 0; j < sizeof looks / sizeof *looks; j++) {
                may_look = may_look || strcmp(looks[j], method->name) == 0;
            }
            n += may_look;
            if (sb_methods_allow(method->path, SB_ROLE_AUDITOR) != may_look) {
                fail_msg("%s", method->path);
            }
        }
    }
    assert_int_equal(n, sizeof looks / sizeof *looks);
}

static void a_method_without_a_row_is_denied_to_admins_too(void **state)
{
    (void)state;
    const struct sb_auth_call call = auth_call_of(&auth_mine, "/aisbx.v1.SandboxService/Unheard");
    assert_auth_refused(&call, SB_DENIED, "Unheard is for role nobody");
}

static void only_an_auditor_of_all_and_admins_see_other_tenants(void **state)
{
    (void)state;
    struct sb_caller one = {.role = SB_ROLE_AUDITOR, .tenant = "a"};
    assert_true(sb_caller_sees(&one, "a"));
    assert_false(sb_caller_sees(&one, "b"));
    (void)strcpy(one.tenant, "*");
    assert_true(sb_caller_sees(&one, "b"));
    one.role = SB_ROLE_USER;
    assert_false(sb_caller_sees(&one, "b"));
    one.role = SB_ROLE_ADMIN;
    assert_true(sb_caller_sees(&one, "b"));
}

/* ---- listening ---- */

static void listens_in_plaintext_on_loopback_only(void **state)
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
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(sb_auth_check_listen(good[i], false, &err), 0);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(sb_auth_check_listen(bad[i], false, &err), -1);
        assert_non_null(strstr(err.text, "--tls-cert"));
        assert_int_equal(sb_auth_check_listen(bad[i], true, &err), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(serves_its_operator_and_root_over_unix),
        TEST(refuses_other_users_over_unix),
        TEST(a_certificate_is_a_tenant_of_its_own_when_nothing_is_configured),
        TEST(a_certificate_cannot_pose_as_a_uid),
        TEST(the_first_row_that_fits_gives_role_and_tenant),
        TEST(plaintext_on_loopback_needs_a_key_unless_configured),
        TEST(tls_without_a_certificate_needs_a_key_whatever_is_configured),
        TEST(what_the_gateway_passes_on_is_not_its_own),
        TEST(nobody_else_may_speak_for_others),
        TEST(a_certificate_that_is_named_speaks_for_others),
        TEST(a_certificate_that_is_not_named_speaks_for_nobody),
        TEST(no_gateway_over_the_network_makes_an_admin),
        TEST(a_peer_that_is_no_address_is_not_taken_over),
        TEST(every_method_of_the_contract_has_a_row),
        TEST(an_auditor_may_look_and_not_act),
        TEST(a_method_without_a_row_is_denied_to_admins_too),
        TEST(only_an_auditor_of_all_and_admins_see_other_tenants),
        TEST(listens_in_plaintext_on_loopback_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
