#include "auth_fixture.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

struct sb_auth auth;
struct sb_auth_config config;
struct sb_auth_identity identities[2];
struct sb_auth_tenant tenants[2];
struct sb_caller caller;
struct sb_rate rate;
struct sb_err err;

int auth_setup(void **state)
{
    (void)state;
    sb_auth_init(&auth, OPERATOR);
    config = (struct sb_auth_config){.identities = identities, .tenants = tenants};
    return 0;
}

int auth_teardown(void **state)
{
    (void)state;
    sb_auth_done(&auth);
    return 0;
}

const struct sb_rpc_peer auth_mine = {.transport = "local", .uid = OPERATOR, .address = "unix:"};
const struct sb_rpc_peer auth_other = {.transport = "unix", .uid = 1001, .address = "unix:"};
const struct sb_rpc_peer auth_plain = {
    .transport = "tcp", .uid = (uid_t)-1, .address = "ipv4:127.0.0.1:4711"};
const struct sb_rpc_peer auth_tls = {
    .transport = "tls", .uid = (uid_t)-1, .address = "ipv4:192.0.2.7:4711"};

struct sb_auth_call auth_call_of(const struct sb_rpc_peer *peer, const char *method)
{
    return (struct sb_auth_call){.peer = peer, .method = method, .peer_fd = 7};
}

int auth_admit(const struct sb_auth_call *call)
{
    return sb_auth_admit(&auth, &config, call, &caller, &rate, &err);
}

void assert_auth_refused(const struct sb_auth_call *call, enum sb_code code, const char *text)
{
    assert_int_equal(auth_admit(call), -1);
    assert_int_equal(err.code, code);
    if (strstr(err.text, text) == NULL) {
        fail_msg("\"%s\" is not in: %s", text, err.text);
    }
}

struct sb_key *auth_add_key(enum sb_role role, const char *tenant, char ret_text[SB_KEY_TEXT_SIZE])
{
    struct sb_key key = {.role = role, .create_ms = 1};
    struct sb_key *added = NULL;
    (void)snprintf(key.tenant, sizeof key.tenant, "%s", tenant);
    assert_int_equal(sb_key_text_make(key.id, ret_text, &err), 0);
    sb_key_text_hash(sb_str_from(ret_text), key.hash);
    assert_int_equal(sb_keys_add(&auth.keys, &key, &added, &err), 0);
    return added;
}
