#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "aisbx/v1/context_service.rpc.h"
#include "aisbx/v1/file_service.rpc.h"
#include "aisbx/v1/key_service.rpc.h"
#include "aisbx/v1/port_service.rpc.h"
#include "aisbx/v1/sandbox_service.rpc.h"
#include "aisbx/v1/worker_service.rpc.h"
#include "base/clock.h"
#include "base/err.h"
#include "proto/rpc/rpc.h"
#include "service/worker/auth/auth.h"
#include "service/worker/auth/key_file.h"
#include "service/worker/auth/methods.h"

enum { OPERATOR = 1000 };

#define RUN          "/aisbx.v1.SandboxService/Run"
#define LIST         "/aisbx.v1.SandboxService/ListSandboxes"
#define SET_DRAINING "/aisbx.v1.WorkerService/SetDraining"

static struct sb_auth auth;
static struct sb_auth_config config;
static struct sb_auth_identity identities[2];
static struct sb_auth_tenant tenants[2];
static struct sb_caller caller;
static struct sb_rate rate;
static struct sb_err err;

static int setup(void **state)
{
    (void)state;
    sb_auth_init(&auth, OPERATOR);
    config = (struct sb_auth_config){.identities = identities, .tenants = tenants};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sb_auth_done(&auth);
    return 0;
}

static const struct sb_rpc_peer mine = {.transport = "local", .uid = OPERATOR, .address = "unix:"};
static const struct sb_rpc_peer other = {.transport = "unix", .uid = 1001, .address = "unix:"};
static const struct sb_rpc_peer plain = {
    .transport = "tcp", .uid = (uid_t)-1, .address = "ipv4:127.0.0.1:4711"};
static const struct sb_rpc_peer tls = {
    .transport = "tls", .uid = (uid_t)-1, .address = "ipv4:192.0.2.7:4711"};

static struct sb_auth_call call_of(const struct sb_rpc_peer *peer, const char *method)
{
    return (struct sb_auth_call){.peer = peer, .method = method, .peer_fd = 7};
}

static int admit(const struct sb_auth_call *call)
{
    return sb_auth_admit(&auth, &config, call, &caller, &rate, &err);
}

static void assert_refused(const struct sb_auth_call *call, enum sb_code code, const char *text)
{
    assert_int_equal(admit(call), -1);
    assert_int_equal(err.code, code);
    if (strstr(err.text, text) == NULL) {
        fail_msg("\"%s\" is not in: %s", text, err.text);
    }
}

static struct sb_key *
add_key(enum sb_role role, const char *tenant, char ret_text[SB_KEY_TEXT_SIZE])
{
    struct sb_key key = {.role = role, .create_ms = 1};
    struct sb_key *added = NULL;
    (void)snprintf(key.tenant, sizeof key.tenant, "%s", tenant);
    assert_int_equal(sb_key_text_make(key.id, ret_text, &err), 0);
    sb_key_text_hash(sb_str_from(ret_text), key.hash);
    assert_int_equal(sb_keys_add(&auth.keys, &key, &added, &err), 0);
    return added;
}

/* ---- who it is ---- */

static void serves_its_operator_and_root_over_unix(void **state)
{
    (void)state;
    static const char *const transports[] = {"local", "unix"};
    for (size_t i = 0; i < 2; i++) {
        const struct sb_rpc_peer peer = {
            .transport = transports[i], .uid = i == 0 ? OPERATOR : 0, .address = "unix:"};
        const struct sb_auth_call call = call_of(&peer, SET_DRAINING);
        assert_int_equal(admit(&call), 0);
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
    const struct sb_auth_call call = call_of(&other, LIST);
    assert_refused(&call, SB_DENIED, "not uid 1001");
}

static void a_certificate_is_a_tenant_of_its_own_when_nothing_is_configured(void **state)
{
    (void)state;
    struct sb_rpc_peer peer = tls;
    peer.identity = "spiffe://x/agent";
    const struct sb_auth_call call = call_of(&peer, RUN);
    assert_int_equal(admit(&call), 0);
    assert_string_equal(caller.actor, "tls:spiffe://x/agent");
    assert_int_equal(caller.role, SB_ROLE_USER);
    assert_false(caller.is_here);
    const struct sb_caller first = caller;
    peer.identity = "spiffe://x/other";
    assert_int_equal(admit(&call), 0);
    assert_false(sb_caller_sees(&caller, first.tenant));
    assert_true(sb_caller_sees(&caller, caller.tenant));
    assert_false(sb_caller_sees(&caller, "local"));
}

static void a_certificate_cannot_pose_as_a_uid(void **state)
{
    (void)state;
    struct sb_rpc_peer peer = tls;
    peer.identity = "uid:0";
    const struct sb_auth_call call = call_of(&peer, SET_DRAINING);
    assert_refused(&call, SB_DENIED, "SetDraining is for role admin");
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
    struct sb_rpc_peer peer = tls;
    const struct sb_auth_call call = call_of(&peer, LIST);
    peer.identity = "spiffe://x/agent-1";
    assert_int_equal(admit(&call), 0);
    assert_int_equal(caller.role, SB_ROLE_AUDITOR);
    assert_string_equal(caller.tenant, "a");
    peer.identity = "spiffe://x/web";
    assert_int_equal(admit(&call), 0);
    assert_string_equal(caller.tenant, "b");
    peer.identity = "spiffe://x/web/deeper";
    assert_refused(&call, SB_UNAUTHENTICATED, "no row of auth.identities");
}

static void plaintext_on_loopback_needs_a_key_unless_configured(void **state)
{
    (void)state;
    const struct sb_auth_call call = call_of(&plain, RUN);
    assert_refused(&call, SB_UNAUTHENTICATED, "auth: {loopback: user}");
    config.admits_loopback = true;
    assert_int_equal(admit(&call), 0);
    assert_string_equal(caller.tenant, "loopback");
    assert_int_equal(caller.role, SB_ROLE_USER);
}

static void tls_without_a_certificate_needs_a_key_whatever_is_configured(void **state)
{
    (void)state;
    config.admits_loopback = true;
    const struct sb_auth_call call = call_of(&tls, RUN);
    assert_refused(&call, SB_UNAUTHENTICATED, "keys create");
}

/* ---- keys ---- */

static void a_key_wins_over_who_the_peer_is(void **state)
{
    (void)state;
    char text[SB_KEY_TEXT_SIZE];
    char header[SB_KEY_TEXT_SIZE + 16];
    const struct sb_key *key = add_key(SB_ROLE_USER, "a", text);
    const struct sb_rpc_peer *const peers[] = {&mine, &other, &plain, &tls};
    for (size_t i = 0; i < 4; i++) {
        struct sb_auth_call call = call_of(peers[i], RUN);
        call.key = text;
        assert_int_equal(admit(&call), 0);
        assert_memory_equal(caller.actor, "key:", 4);
        assert_string_equal(caller.actor + 4, key->id);
        assert_string_equal(caller.tenant, "a");
        call.key = NULL;
        (void)snprintf(header, sizeof header, "%s %s", i == 0 ? "bearer" : "Bearer", text);
        call.authorization = header;
        assert_int_equal(admit(&call), 0);
        assert_string_equal(caller.tenant, "a");
        call.method = SET_DRAINING;
        assert_refused(&call, SB_DENIED, "role admin; key:");
    }
    assert_true(key->last_use_ms > 0);
}

static void a_wrong_key_is_refused_though_the_peer_would_be_served(void **state)
{
    (void)state;
    char text[SB_KEY_TEXT_SIZE];
    (void)add_key(SB_ROLE_ADMIN, "a", text);
    struct sb_auth_call call = call_of(&mine, RUN);
    call.key = text;
    text[SB_KEY_TEXT_SIZE - 2] = text[SB_KEY_TEXT_SIZE - 2] == 'A' ? 'B' : 'A';
    assert_refused(&call, SB_UNAUTHENTICATED, "knows no such API key");
    assert_null(strstr(err.text, text + 40));
    text[6] = text[6] == 'a' ? 'b' : 'a';
    assert_refused(&call, SB_UNAUTHENTICATED, "knows no such API key");
    call.key = "aisbx_short";
    assert_refused(&call, SB_UNAUTHENTICATED, "has not the form");
    call.key = "";
    assert_refused(&call, SB_UNAUTHENTICATED, "has not the form");
}

static void two_different_keys_are_refused(void **state)
{
    (void)state;
    char one[SB_KEY_TEXT_SIZE];
    char two[SB_KEY_TEXT_SIZE];
    char header[SB_KEY_TEXT_SIZE + 16];
    (void)add_key(SB_ROLE_USER, "a", one);
    (void)add_key(SB_ROLE_USER, "b", two);
    (void)snprintf(header, sizeof header, "Bearer %s", two);
    struct sb_auth_call call = call_of(&tls, RUN);
    call.key = one;
    call.authorization = header;
    assert_refused(&call, SB_UNAUTHENTICATED, "two different keys");
}

static void expired_and_revoked_keys_are_told_apart(void **state)
{
    (void)state;
    char text[SB_KEY_TEXT_SIZE];
    struct sb_key *key = add_key(SB_ROLE_USER, "a", text);
    struct sb_auth_call call = call_of(&tls, RUN);
    call.key = text;
    key->expire_ms = sb_clock_real_ms() + 60000;
    assert_int_equal(admit(&call), 0);
    key->expire_ms = sb_clock_real_ms();
    assert_refused(&call, SB_UNAUTHENTICATED, "has expired");
    key->revoke_ms = 1;
    assert_refused(&call, SB_UNAUTHENTICATED, "was revoked");
    text[SB_KEY_TEXT_SIZE - 2] = text[SB_KEY_TEXT_SIZE - 2] == 'A' ? 'B' : 'A';
    assert_refused(&call, SB_UNAUTHENTICATED, "knows no such API key");
}

/* ---- the gateway ---- */

static void what_the_gateway_passes_on_is_not_its_own(void **state)
{
    (void)state;
    char text[SB_KEY_TEXT_SIZE];
    (void)add_key(SB_ROLE_USER, "a", text);
    struct sb_auth_call call = call_of(&mine, RUN);
    call.via = "http";
    call.from = "192.0.2.1:99";
    call.protocol = "mcp";
    assert_refused(&call, SB_UNAUTHENTICATED, "an API key is needed");
    call.key = text;
    assert_int_equal(admit(&call), 0);
    assert_int_equal(caller.peer_fd, -1);
    assert_false(caller.is_here);
    assert_string_equal(caller.protocol, "mcp");
    assert_string_equal(caller.peer, "192.0.2.1:99");
    call.key = NULL;
    call.identity = "spiffe://x/agent";
    assert_int_equal(admit(&call), 0);
    assert_string_equal(caller.actor, "tls:spiffe://x/agent");
    assert_int_equal(caller.role, SB_ROLE_USER);
    assert_int_equal(caller.peer_fd, -1);
}

static void nobody_else_may_speak_for_others(void **state)
{
    (void)state;
    char text[SB_KEY_TEXT_SIZE];
    (void)add_key(SB_ROLE_USER, "a", text);
    config.admits_loopback = true;
    const struct sb_rpc_peer *const peers[] = {&other, &plain, &tls};
    for (size_t i = 0; i < 3; i++) {
        struct sb_auth_call call = call_of(peers[i], RUN);
        call.identity = "spiffe://x/agent";
        assert_refused(&call, SB_UNAUTHENTICATED, "only believed from the worker's own gateway");
        call.from = "203.0.113.9:1";
        call.key = text;
        assert_int_equal(admit(&call), 0);
        assert_string_not_equal(caller.peer, "203.0.113.9:1");
    }
}

/* ---- a gateway over the network ---- */

static char named[] = "aisbx-gateway";
static char *gateways[] = {named};

static struct sb_rpc_peer with_certificate(const char *name)
{
    struct sb_rpc_peer peer = tls;
    peer.identity = name;
    return peer;
}

static void a_certificate_that_is_named_speaks_for_others(void **state)
{
    (void)state;
    char text[SB_KEY_TEXT_SIZE];
    static char any[] = "spiffe://x/*";
    static char a[] = "a";
    (void)add_key(SB_ROLE_USER, "b", text);
    identities[0] = (struct sb_auth_identity){any, SB_ROLE_USER, a};
    config.n_identities = 1;
    config.has_identities = true;
    config.gateways = gateways;
    config.n_gateways = 1;
    const struct sb_rpc_peer peer = with_certificate(named);
    struct sb_auth_call call = call_of(&peer, RUN);
    call.via = "http";
    call.from = "203.0.113.9:1";
    assert_refused(&call, SB_UNAUTHENTICATED, "an API key is needed");
    call.identity = "spiffe://x/agent";
    assert_int_equal(admit(&call), 0);
    assert_string_equal(caller.actor, "tls:spiffe://x/agent");
    assert_string_equal(caller.tenant, "a");
    assert_string_equal(caller.gateway, named);
    assert_string_equal(caller.peer, "203.0.113.9:1");
    assert_int_equal(caller.peer_fd, -1);
    assert_false(caller.is_here);
    call.key = text;
    assert_int_equal(admit(&call), 0);
    assert_string_equal(caller.tenant, "b");
    assert_string_equal(caller.gateway, named);
    call.key = NULL;
    call.identity = "uid:0";
    assert_refused(&call, SB_UNAUTHENTICATED, "no row of auth.identities");
    call.identity = "";
    assert_refused(&call, SB_UNAUTHENTICATED, "name is empty");
}

static void a_certificate_that_is_not_named_speaks_for_nobody(void **state)
{
    (void)state;
    static const char *const names[] = {"aisbx-gateway2", "aisbx-gatewa", "AISBX-GATEWAY",
                                        "spiffe://x/aisbx-gateway", ""};
    char text[SB_KEY_TEXT_SIZE];
    (void)add_key(SB_ROLE_USER, "a", text);
    config.gateways = gateways;
    config.n_gateways = 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct sb_rpc_peer peer = with_certificate(names[i]);
        struct sb_auth_call call = call_of(&peer, RUN);
        call.via = "http";
        call.from = "203.0.113.9:1";
        call.identity = "spiffe://x/agent";
        assert_refused(&call, SB_UNAUTHENTICATED, "cannot speak for \"spiffe://x/agent\"");
        call.key = text; /* which needs nobody's word */
        assert_int_equal(admit(&call), 0);
        assert_string_equal(caller.peer, "192.0.2.7:4711");
        assert_string_equal(caller.gateway, "");
    }
    /* A name alone is no certificate. */
    const struct sb_rpc_peer *const peers[] = {&other, &plain, &tls};
    for (size_t i = 0; i < 3; i++) {
        struct sb_auth_call call = call_of(peers[i], RUN);
        call.identity = named;
        assert_refused(&call, SB_UNAUTHENTICATED, "only believed from the worker's own gateway");
    }
    config.n_gateways = 0;
    const struct sb_rpc_peer peer = with_certificate(named);
    struct sb_auth_call call = call_of(&peer, RUN);
    call.identity = "spiffe://x/agent";
    assert_refused(&call, SB_UNAUTHENTICATED, "none of auth.gateways");
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
    struct sb_auth_call call = call_of(&peer, LIST);
    call.identity = ops;
    assert_refused(&call, SB_UNAUTHENTICATED, "no gateway makes \"ops\" an admin");
    const struct sb_rpc_peer itself = with_certificate(ops);
    call = call_of(&itself, SET_DRAINING);
    assert_int_equal(admit(&call), 0);
    call = call_of(&mine, SET_DRAINING); /* who is an admin anyway */
    call.identity = ops;
    assert_int_equal(admit(&call), 0);
}

/* ---- keys of a file ---- */

static void a_key_of_the_file_is_as_good_as_one_of_the_worker(void **state)
{
    (void)state;
    static char all[] = "*";
    char text[SB_KEY_TEXT_SIZE];
    char line[SB_KEY_LINE_SIZE];
    struct sb_keys filed;
    struct sb_key_line said = {.role = SB_ROLE_USER, .tenant = "a"};
    size_t n_wrong = 0;
    struct sb_err first;
    sb_keys_init(&filed);
    auth.filed = &filed;
    tenants[0] = (struct sb_auth_tenant){.name = all, .limits = {.key_rate = 1, .key_burst = 2}};
    config.n_tenants = 1;
    assert_int_equal(sb_key_text_make(said.id, text, &err), 0);
    sb_key_text_hash(sb_str_from(text), said.hash);
    (void)sb_key_line_format(&said, line);
    assert_int_equal(sb_key_file_parse(sb_str_from(line), "keys", &filed, &n_wrong, &first, &err),
                     0);
    assert_int_equal(n_wrong, 0);
    struct sb_auth_call call = call_of(&tls, LIST);
    call.key = text;
    assert_int_equal(admit(&call), 0);
    assert_string_equal(caller.tenant, "a");
    assert_string_equal(caller.actor + 4, said.id);
    assert_int_equal(admit(&call), 0);
    assert_refused(&call, SB_EXHAUSTED, "key ");
    call.method = SET_DRAINING;
    assert_refused(&call, SB_DENIED, "role admin");
    call.method = LIST;
    char *last = &text[SB_KEY_TEXT_SIZE - 2];
    *last = *last == 'A' ? 'B' : 'A';
    assert_refused(&call, SB_UNAUTHENTICATED, "knows no such API key");
    sb_keys_done(&filed);
    assert_refused(&call, SB_UNAUTHENTICATED, "knows no such API key");
}

static void a_peer_that_is_no_address_is_not_taken_over(void **state)
{
    (void)state;
    struct sb_auth_call call = call_of(&mine, RUN);
    call.identity = "x";
    call.from = "1.2.3.4 forged=yes";
    assert_int_equal(admit(&call), 0);
    assert_string_equal(caller.peer, "uid:1000");
    call.protocol = "made up";
    assert_int_equal(admit(&call), 0);
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
    const struct sb_auth_call call = call_of(&mine, "/aisbx.v1.SandboxService/Unheard");
    assert_refused(&call, SB_DENIED, "Unheard is for role nobody");
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

/* ---- rates ---- */

static void a_tenant_over_its_rate_is_told_when_to_come_back(void **state)
{
    (void)state;
    static char a[] = "a";
    char text[SB_KEY_TEXT_SIZE];
    tenants[0] = (struct sb_auth_tenant){.name = a, .limits = {.rate = 1, .burst = 3}};
    config.n_tenants = 1;
    (void)add_key(SB_ROLE_USER, "a", text);
    struct sb_auth_call call = call_of(&tls, LIST);
    call.key = text;
    for (uint64_t left = 3; left > 0; left--) {
        assert_int_equal(admit(&call), 0);
        assert_int_equal(rate.limit, 3);
        assert_int_equal(rate.remaining, left - 1);
    }
    assert_refused(&call, SB_EXHAUSTED, "tenant a has used all of its 1 requests a second");
    assert_in_range(rate.retry_ms, 1, 1000);
    assert_in_range(rate.reset_ms, 2000, 3000);
    (void)add_key(SB_ROLE_USER, "b", text);
    assert_int_equal(admit(&call), 0);
    assert_int_equal(rate.limit, 0);
}

static void one_key_cannot_use_up_the_rate_of_its_tenant(void **state)
{
    (void)state;
    static char all[] = "*";
    char first[SB_KEY_TEXT_SIZE];
    char second[SB_KEY_TEXT_SIZE];
    tenants[0] = (struct sb_auth_tenant){
        .name = all, .limits = {.rate = 1, .burst = 9, .key_rate = 1, .key_burst = 2}};
    config.n_tenants = 1;
    (void)add_key(SB_ROLE_USER, "a", first);
    (void)add_key(SB_ROLE_USER, "a", second);
    struct sb_auth_call call = call_of(&tls, LIST);
    call.key = first;
    assert_int_equal(admit(&call), 0);
    assert_int_equal(admit(&call), 0);
    assert_refused(&call, SB_EXHAUSTED, "key ");
    call.key = second;
    assert_int_equal(admit(&call), 0);
}

static void a_bucket_fills_again_with_time(void **state)
{
    (void)state;
    struct sb_bucket bucket = {0};
    const uint64_t second_ns = 1000000000;
    uint64_t now_ns = 5 * second_ns;
    for (int i = 0; i < 10; i++) {
        assert_true(sb_bucket_take(&bucket, 2, 10, now_ns, &rate));
    }
    assert_false(sb_bucket_take(&bucket, 2, 10, now_ns, &rate));
    assert_int_equal(rate.retry_ms, 500);
    assert_int_equal(rate.reset_ms, 5000);
    now_ns += second_ns / 2 - 1;
    assert_false(sb_bucket_take(&bucket, 2, 10, now_ns, &rate));
    now_ns += 1;
    assert_true(sb_bucket_take(&bucket, 2, 10, now_ns, &rate));
    assert_false(sb_bucket_take(&bucket, 2, 10, now_ns, &rate));
    assert_false(sb_bucket_take(&bucket, 2, 1, now_ns, &rate)); /* lowered: the rest is forgiven */
    assert_true(sb_bucket_take(&bucket, 2, 1, now_ns + second_ns / 2, &rate));
}

static void failures_of_one_peer_are_limited_and_good_keys_are_not(void **state)
{
    (void)state;
    char text[SB_KEY_TEXT_SIZE];
    (void)add_key(SB_ROLE_USER, "a", text);
    struct sb_rpc_peer peer = tls;
    struct sb_auth_call call = call_of(&peer, RUN);
    call.key = "aisbx_no";
    for (int i = 0; i < SB_THROTTLE_BURST; i++) {
        peer.address = i % 2 == 0 ? "ipv4:192.0.2.7:1" : "ipv4:192.0.2.7:2";
        assert_refused(&call, SB_UNAUTHENTICATED, "form");
        assert_int_equal(rate.retry_ms, 0);
    }
    assert_refused(&call, SB_EXHAUSTED, "too many failed attempts");
    assert_in_range(rate.retry_ms, 1, 1000);
    assert_int_equal(auth.counts[SB_AUTH_WRONG_KEY], SB_THROTTLE_BURST + 1);
    assert_int_equal(auth.counts[SB_AUTH_THROTTLED], 1);
    peer.address = "ipv4:192.0.2.8:1";
    assert_refused(&call, SB_UNAUTHENTICATED, "form");
    peer.address = "ipv4:192.0.2.7:3";
    call.key = text;
    assert_int_equal(admit(&call), 0);
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

/* ---- the text of a key ---- */

static void a_key_has_the_form_that_is_documented(void **state)
{
    (void)state;
    char id[SB_KEY_ID_SIZE];
    char found[SB_KEY_ID_SIZE];
    char text[SB_KEY_TEXT_SIZE];
    char again[SB_KEY_TEXT_SIZE];
    assert_int_equal(sb_key_text_make(id, text, &err), 0);
    assert_int_equal(strlen(text), 6 + 26 + 1 + 43);
    assert_memory_equal(text, "aisbx_", 6);
    assert_true(sb_key_text_parse(sb_str_from(text), found));
    assert_string_equal(found, id);
    assert_int_equal(sb_key_text_make(id, again, &err), 0);
    assert_string_not_equal(text + 33, again + 33);
    for (size_t i = 0; i < 33; i++) { /* but for those of the secret every character is checked */
        char c = text[i];
        text[i] = '!';
        assert_false(sb_key_text_parse(sb_str_from(text), found));
        text[i] = c;
    }
    text[50] = '/';
    assert_false(sb_key_text_parse(sb_str_from(text), found));
}

static void bearer_is_a_scheme_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(sb_key_text_bearer(SB_STR("Basic abc")).len, 0);
    assert_int_equal(sb_key_text_bearer(SB_STR("Bearer ")).len, 0);
    assert_int_equal(sb_key_text_bearer(SB_STR("Bearerabc")).len, 0);
    assert_int_equal(sb_key_text_bearer(SB_STR("")).len, 0);
    assert_true(sb_str_eq(sb_key_text_bearer(SB_STR("bEARER  abc ")), SB_STR("abc")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
        TEST(a_key_wins_over_who_the_peer_is),
        TEST(a_wrong_key_is_refused_though_the_peer_would_be_served),
        TEST(two_different_keys_are_refused),
        TEST(expired_and_revoked_keys_are_told_apart),
        TEST(what_the_gateway_passes_on_is_not_its_own),
        TEST(nobody_else_may_speak_for_others),
        TEST(a_certificate_that_is_named_speaks_for_others),
        TEST(a_certificate_that_is_not_named_speaks_for_nobody),
        TEST(no_gateway_over_the_network_makes_an_admin),
        TEST(a_key_of_the_file_is_as_good_as_one_of_the_worker),
        TEST(a_peer_that_is_no_address_is_not_taken_over),
        TEST(every_method_of_the_contract_has_a_row),
        TEST(an_auditor_may_look_and_not_act),
        TEST(a_method_without_a_row_is_denied_to_admins_too),
        TEST(only_an_auditor_of_all_and_admins_see_other_tenants),
        TEST(a_tenant_over_its_rate_is_told_when_to_come_back),
        TEST(one_key_cannot_use_up_the_rate_of_its_tenant),
        TEST(a_bucket_fills_again_with_time),
        TEST(failures_of_one_peer_are_limited_and_good_keys_are_not),
        TEST(listens_in_plaintext_on_loopback_only),
        TEST(a_key_has_the_form_that_is_documented),
        TEST(bearer_is_a_scheme_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
