#include "service/worker/auth/auth.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mutate.h"
#include "base/sha256.h"
#include "base/utf8.h"
#include "proto/rpc/rpc.h"
#include "service/worker/auth/methods.h"

enum { TENANTS_MAX = 4096 };

#define NEXT_KEY                                                                                   \
    "ask the worker's operator for a key (aisbx-security keys create) and give it as "             \
    "AISBX_API_KEY, "                                                                              \
    "x-api-key or Authorization: Bearer"

void sb_auth_init(struct sb_auth *auth, uid_t start_uid)
{
    *auth = (struct sb_auth){.start_uid = start_uid};
    sb_keys_init(&auth->keys);
    sb_keys_init(&auth->links);
    sb_throttle_init(&auth->throttle);
    sb_map_init(&auth->tenants, TENANTS_MAX);
}

void sb_auth_done(struct sb_auth *auth)
{
    size_t at = 0;
    for (void *bucket = NULL; (bucket = sb_map_next(&auth->tenants, &at, NULL)) != NULL;) {
        free(bucket);
    }
    sb_map_done(&auth->tenants);
    sb_keys_done(&auth->keys);
    sb_keys_done(&auth->links);
}

/* ---- what a call says ---- */

static bool is_unix(const struct sb_rpc_peer *peer)
{
    return strcmp(peer->transport, "local") == 0 || strcmp(peer->transport, "unix") == 0;
}

static bool is_operator(const struct sb_auth *auth, const struct sb_auth_call *call)
{
    return is_unix(call->peer) && (call->peer->uid == auth->start_uid || call->peer->uid == 0);
}

/* Over the network a certificate says which program it is; only those that are named count. */
static bool is_gateway(const struct sb_auth_config *config, const struct sb_auth_call *call)
{
    return !is_unix(call->peer) && sb_auth_config_is_gateway(config, call->peer->identity);
}

/* The gateway speaks for somebody else, and may: what it says of that one is believed. */
static bool is_passed_on(const struct sb_auth *auth,
                         const struct sb_auth_config *config,
                         const struct sb_auth_call *call)
{
    return (call->via != NULL || call->identity != NULL) &&
           (is_operator(auth, call) || is_gateway(config, call));
}

static const char *protocol_of(const struct sb_auth_call *call)
{
    static const char *const known[] = {"rest", "mcp", "grpc"};
    for (size_t i = 0; call->protocol != NULL && i < sizeof known / sizeof *known; i++) {
        if (strcmp(call->protocol, known[i]) == 0) {
            return known[i];
        }
    }
    return strcmp(call->peer->transport, "local") == 0 ? "local" : "grpc";
}

static bool is_address(struct sb_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') ||
              c == '.' || c == ':' || c == '[' || c == ']' || c == '%')) {
            return false;
        }
    }
    return text.len > 0 && text.len < SB_CALLER_PEER_SIZE;
}

static void set_peer(const struct sb_auth *auth,
                     const struct sb_auth_config *config,
                     const struct sb_auth_call *call,
                     struct sb_caller *caller)
{
    bool is_believed = is_passed_on(auth, config, call);
    if (is_believed && is_gateway(config, call)) {
        (void)snprintf(caller->gateway, sizeof caller->gateway, "%s", call->peer->identity);
    }
    if (is_believed && call->from != NULL && is_address(sb_str_from(call->from))) {
        (void)snprintf(caller->peer, sizeof caller->peer, "%s", call->from);
    } else if (is_unix(call->peer)) {
        (void)snprintf(caller->peer, sizeof caller->peer, "uid:%u", (unsigned)call->peer->uid);
    } else {
        const char *address = call->peer->address == NULL ? "" : call->peer->address;
        bool has_scheme = strncmp(address, "ipv4:", 5) == 0 || strncmp(address, "ipv6:", 5) == 0;
        (void)snprintf(caller->peer, sizeof caller->peer, "%s", address + (has_scheme ? 5 : 0));
    }
}

/* Without the port, which says nothing of who it is. */
static struct sb_str host_of(const struct sb_caller *caller)
{
    struct sb_str peer = sb_str_from(caller->peer);
    const char *colon = strrchr(caller->peer, ':');
    bool is_bare_six = colon != NULL && peer.ptr[0] != '[' && strchr(peer.ptr, ':') != colon;
    return colon == NULL || is_bare_six || strncmp(peer.ptr, "uid:", 4) == 0
               ? peer
               : sb_str_head(peer, (size_t)(colon - peer.ptr));
}

/* ---- who it is ---- */

/* Who has a link to a port is anybody, and may reach that port. */
static int set_link(const struct sb_key *link, struct sb_caller *caller)
{
    (void)snprintf(caller->actor, sizeof caller->actor, "link:%s", link->id);
    (void)snprintf(caller->tenant, sizeof caller->tenant, "%s", link->tenant);
    (void)snprintf(caller->link_sandbox, sizeof caller->link_sandbox, "%s", link->sandbox_id);
    caller->link_port = link->port;
    caller->role = SB_ROLE_USER;
    return 0;
}

/* Ids are random, so no set hides a key of another one. */
static enum sb_key_fault look_up(struct sb_auth *auth,
                                 struct sb_str text,
                                 uint64_t now_ms,
                                 struct sb_key **ret_key,
                                 bool *ret_is_link)
{
    struct sb_keys *const sets[] = {&auth->keys, auth->filed, &auth->links};
    enum sb_key_fault fault = SB_KEY_WRONG;
    for (size_t i = 0; fault == SB_KEY_WRONG && i < sizeof sets / sizeof sets[0]; i++) {
        if (sets[i] != NULL) {
            fault = sb_keys_check(sets[i], text, now_ms, ret_key);
            *ret_is_link = sets[i] == &auth->links;
        }
    }
    return fault;
}

static struct sb_key *key_of(const struct sb_auth *auth, const struct sb_caller *caller)
{
    if (strncmp(caller->actor, "key:", 4) != 0) {
        return NULL;
    }
    struct sb_str id = sb_str_from(caller->actor + 4);
    struct sb_key *key = sb_keys_get(&auth->keys, id);
    return key == NULL && auth->filed != NULL ? sb_keys_get(auth->filed, id) : key;
}

static int set_key(const struct sb_auth_call *call,
                   struct sb_auth *auth,
                   const struct sb_auth_config *config,
                   struct sb_str text,
                   struct sb_caller *caller,
                   enum sb_auth_count *ret_count,
                   struct sb_err *err)
{
    struct sb_key *key = NULL;
    uint64_t now_ms = sb_clock_real_ms();
    bool is_link = false;
    *ret_count = SB_AUTH_WRONG_KEY;
    switch (look_up(auth, text, now_ms, &key, &is_link)) {
    case SB_KEY_GOOD:
        break;
    case SB_KEY_NO_KEY:
        return sb_err_set(err, SB_UNAUTHENTICATED,
                          "the API key has not the form of one (aisbx_ and 70 characters): was all "
                          "of it copied? Else " NEXT_KEY);
    case SB_KEY_EXPIRED:
        *ret_count = SB_AUTH_EXPIRED;
        return is_link
                   ? sb_err_set(err, SB_UNAUTHENTICATED,
                                "this link to a port has expired; expose it again for a new one")
                   : sb_err_set(err, SB_UNAUTHENTICATED, "API key %s has expired; " NEXT_KEY,
                                key->id);
    case SB_KEY_REVOKED:
        *ret_count = SB_AUTH_EXPIRED;
        return sb_err_set(err, SB_UNAUTHENTICATED, "API key %s was revoked; " NEXT_KEY, key->id);
    case SB_KEY_WRONG:
    default:
        return sb_err_set(err, SB_UNAUTHENTICATED, "this worker knows no such API key; " NEXT_KEY);
    }
    if (is_link) {
        return set_link(key, caller);
    }
    key->last_use_ms = now_ms;
    (void)snprintf(caller->actor, sizeof caller->actor, "key:%s", key->id);
    (void)snprintf(caller->tenant, sizeof caller->tenant, "%s", key->tenant);
    caller->role = key->role;
    caller->is_here = is_unix(call->peer) && !is_passed_on(auth, config, call);
    return 0;
}

/* Without rows in the configuration each certificate is a tenant by itself. */
static void own_tenant(struct sb_str name, char ret_tenant[SB_TENANT_SIZE])
{
    char hex[SB_SHA256_HEX_SIZE];
    sb_sha256_hex(name, hex);
    (void)snprintf(ret_tenant, SB_TENANT_SIZE, "tls-%.32s", hex);
}

static int set_certificate(const struct sb_auth_config *config,
                           const char *identity,
                           struct sb_caller *caller,
                           struct sb_err *err)
{
    struct sb_str name = sb_str_from(identity);
    if (name.len == 0 || name.len > SB_IDENTITY_MAX || !sb_utf8_all_printable(name)) {
        return sb_err_set(err, SB_UNAUTHENTICATED,
                          "the certificate's name is empty, not printable or longer than %d bytes",
                          SB_IDENTITY_MAX);
    }
    (void)snprintf(caller->actor, sizeof caller->actor, "tls:%s", identity);
    if (!config->has_identities) {
        caller->role = SB_ROLE_USER;
        own_tenant(name, caller->tenant);
        return 0;
    }
    const struct sb_auth_identity *row = sb_auth_config_identity(config, name);
    if (row == NULL) {
        return sb_err_set(err, SB_UNAUTHENTICATED,
                          "no row of auth.identities in the worker's config.yaml fits certificate "
                          "\"%s\"; add one, or " NEXT_KEY,
                          identity);
    }
    caller->role = row->role;
    (void)snprintf(caller->tenant, sizeof caller->tenant, "%s", row->tenant);
    return 0;
}

/* Whom a gateway vouches for. One that comes over the network makes nobody an admin: whoever takes
 * it over has its callers' tenants, and no worker. */
static int set_vouched(const struct sb_auth *auth,
                       const struct sb_auth_config *config,
                       const struct sb_auth_call *call,
                       struct sb_caller *caller,
                       struct sb_err *err)
{
    if (!sb_mutated("auth.vouch") && !is_passed_on(auth, config, call)) {
        return call->peer->identity == NULL
                   ? sb_err_set(err, SB_UNAUTHENTICATED,
                                "x-aisbx-identity is only believed from the worker's own gateway; "
                                "leave it out, and " NEXT_KEY)
                   : sb_err_set(err, SB_UNAUTHENTICATED,
                                "certificate \"%.100s\" is none of auth.gateways in the worker's "
                                "config.yaml, so it cannot speak for \"%.100s\"",
                                call->peer->identity, call->identity);
    }
    if (set_certificate(config, call->identity, caller, err) < 0) {
        return -1;
    }
    return is_gateway(config, call) && sb_caller_is_admin(caller)
               ? sb_err_set(
                     err, SB_UNAUTHENTICATED,
                     "over the network no gateway makes \"%.100s\" an admin: call the worker "
                     "itself with that certificate, or with a key",
                     call->identity)
               : 0;
}

static int set_uid(const struct sb_auth *auth,
                   const struct sb_auth_call *call,
                   struct sb_caller *caller,
                   struct sb_err *err)
{
    unsigned uid = (unsigned)call->peer->uid;
    if (!is_operator(auth, call)) {
        return sb_err_set(err, SB_DENIED,
                          "this worker serves uid %u and root only, not uid %u; " NEXT_KEY,
                          (unsigned)auth->start_uid, uid);
    }
    (void)snprintf(caller->actor, sizeof caller->actor, "uid:%u", uid);
    (void)strcpy(caller->tenant, SB_TENANT_LOCAL);
    caller->role = SB_ROLE_ADMIN;
    caller->is_here = true;
    return 0;
}

static int set_loopback(const struct sb_auth_config *config,
                        const struct sb_auth_call *call,
                        struct sb_caller *caller,
                        struct sb_err *err)
{
    bool is_plaintext = strcmp(call->peer->transport, "tcp") == 0; /* only listened for there */
    if (!is_plaintext || !config->admits_loopback) {
        return sb_err_set(err, SB_UNAUTHENTICATED, "an API key is needed: " NEXT_KEY "%s",
                          is_plaintext ? " (or the operator lets this machine in without: auth: "
                                         "{loopback: user} in config.yaml)"
                                       : "");
    }
    (void)strcpy(caller->actor, "tcp:loopback");
    (void)strcpy(caller->tenant, "loopback");
    caller->role = SB_ROLE_USER;
    caller->is_here = true;
    return 0;
}

static int identify(struct sb_auth *auth,
                    const struct sb_auth_config *config,
                    const struct sb_auth_call *call,
                    struct sb_caller *caller,
                    enum sb_auth_count *ret_count,
                    struct sb_err *err)
{
    struct sb_str key = sb_str_from(call->key);
    struct sb_str bearer = sb_key_text_bearer(sb_str_from(call->authorization));
    if (call->key != NULL || bearer.len > 0) {
        if (call->key != NULL && bearer.len > 0 && !sb_str_eq(key, bearer)) {
            *ret_count = SB_AUTH_WRONG_KEY;
            return sb_err_set(err, SB_UNAUTHENTICATED,
                              "x-api-key and authorization have two different keys; send one");
        }
        return set_key(call, auth, config, call->key != NULL ? key : bearer, caller, ret_count,
                       err);
    }
    *ret_count = SB_AUTH_NO_MATCH;
    if (call->identity != NULL) {
        return set_vouched(auth, config, call, caller, err);
    }
    if (call->via != NULL) {
        *ret_count = SB_AUTH_NO_KEY;
        return sb_err_set(err, SB_UNAUTHENTICATED, "an API key is needed: " NEXT_KEY);
    }
    if (is_unix(call->peer)) {
        return set_uid(auth, call, caller, err);
    }
    if (call->peer->identity != NULL) {
        return set_certificate(config, call->peer->identity, caller, err);
    }
    *ret_count = SB_AUTH_NO_KEY;
    return set_loopback(config, call, caller, err);
}

/* ---- failures ---- */

static int fail(struct sb_auth *auth,
                const struct sb_caller *caller,
                enum sb_auth_count count,
                struct sb_rate *ret_rate,
                struct sb_err *err)
{
    auth->counts[count]++;
    if (!sb_throttle_fail(&auth->throttle, host_of(caller), sb_clock_mono_ns(), ret_rate)) {
        auth->counts[SB_AUTH_THROTTLED]++;
        return sb_err_set(err, SB_EXHAUSTED,
                          "too many failed attempts from here (%d at once, then one a second); a "
                          "good key is taken all the same",
                          SB_THROTTLE_BURST);
    }
    *ret_rate = (struct sb_rate){0};
    SB_LOG_WARN("caller refused", "peer=%s protocol=%s why=%s", caller->peer, caller->protocol,
                err->text);
    return -1;
}

/* ---- rates ---- */

static struct sb_bucket *tenant_bucket(struct sb_auth *auth, const char *tenant, struct sb_err *err)
{
    struct sb_str name = sb_str_from(tenant);
    struct sb_bucket *bucket = sb_map_get(&auth->tenants, name);
    if (bucket != NULL) {
        return bucket;
    }
    if (sb_map_count(&auth->tenants) >= TENANTS_MAX) { /* full buckets are as good as none */
        size_t at = 0;
        struct sb_str key;
        uint64_t now_ns = sb_clock_mono_ns();
        for (void *item = NULL; (item = sb_map_next(&auth->tenants, &at, &key)) != NULL;) {
            if (((struct sb_bucket *)item)->full_ns <= now_ns) {
                (void)sb_map_remove(&auth->tenants, key);
                free(item);
            }
        }
    }
    bucket = calloc(1, sizeof *bucket);
    if (bucket == NULL || sb_map_put(&auth->tenants, name, bucket, err) < 0) {
        free(bucket);
        (void)sb_err_set(err, SB_EXHAUSTED, "too many tenants at once");
        return NULL;
    }
    return bucket;
}

static int limited(struct sb_auth *auth,
                   const char *kind,
                   const char *name,
                   uint64_t rate,
                   const struct sb_rate *now,
                   struct sb_err *err)
{
    auth->counts[SB_AUTH_RATE]++;
    return sb_err_set(err, SB_EXHAUSTED,
                      "%s %s has used all of its %ju requests a second (%ju at once); one more is "
                      "free in %ju ms",
                      kind, name, (uintmax_t)rate, (uintmax_t)now->limit, (uintmax_t)now->retry_ms);
}

static int take_token(struct sb_auth *auth,
                      const struct sb_auth_config *config,
                      const struct sb_caller *caller,
                      struct sb_rate *ret_rate,
                      struct sb_err *err)
{
    struct sb_tenant_limits limits = sb_auth_config_limits(config, caller->tenant);
    struct sb_key *key = key_of(auth, caller);
    uint64_t now_ns = sb_clock_mono_ns();
    if (key != NULL && limits.key_rate != 0 &&
        !sb_bucket_take(&key->bucket, limits.key_rate, limits.key_burst, now_ns, ret_rate)) {
        return limited(auth, "key", key->id, limits.key_rate, ret_rate, err);
    }
    if (limits.rate == 0) {
        return 0;
    }
    struct sb_bucket *bucket = tenant_bucket(auth, caller->tenant, err);
    if (bucket == NULL) {
        return -1;
    }
    struct sb_rate of_key = *ret_rate;
    if (!sb_bucket_take(bucket, limits.rate, limits.burst, now_ns, ret_rate)) {
        return limited(auth, "tenant", caller->tenant, limits.rate, ret_rate, err);
    }
    if (of_key.limit != 0 && of_key.remaining < ret_rate->remaining) {
        *ret_rate = of_key; /* what is nearer is told */
    }
    return 0;
}

int sb_auth_admit(struct sb_auth *auth,
                  const struct sb_auth_config *config,
                  const struct sb_auth_call *call,
                  struct sb_caller *ret_caller,
                  struct sb_rate *ret_rate,
                  struct sb_err *err)
{
    struct sb_caller caller = {.protocol = protocol_of(call)};
    enum sb_auth_count count = SB_AUTH_NO_MATCH;
    *ret_rate = (struct sb_rate){0};
    caller.peer_fd = is_passed_on(auth, config, call) ? -1 : call->peer_fd;
    set_peer(auth, config, call, &caller);
    *ret_caller = caller; /* what a refusal can tell */
    if (identify(auth, config, call, &caller, &count, err) < 0) {
        return fail(auth, &caller, count, ret_rate, err);
    }
    *ret_caller = caller;
    if (!sb_methods_allow(call->method, caller.role)) {
        const char *slash = strrchr(call->method, '/');
        auth->counts[SB_AUTH_ROLE]++;
        return sb_err_set(err, SB_DENIED, "%s is for role %s; %s has role %s",
                          slash == NULL ? call->method : slash + 1, sb_methods_who(call->method),
                          caller.actor, sb_role_names[caller.role]);
    }
    if (caller.link_port != 0 && !sb_methods_is_of_links(call->method)) {
        auth->counts[SB_AUTH_ROLE]++;
        return sb_err_set(err, SB_DENIED, "a link to a port opens that port alone");
    }
    return take_token(auth, config, &caller, ret_rate, err);
}
