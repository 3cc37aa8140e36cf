#pragma once
/** Who calls, and may they?
 *
 *  In this order, and the first that applies decides alone:
 *    a key (x-api-key, or authorization: Bearer)    its role and tenant, whoever brings it; one of
 *                                                   a link may do nothing but reach its port
 *    x-aisbx-identity, from a unix peer that is an admin by uid (the gateway), or from one whose
 *    certificate auth.gateways of the configuration names    as a certificate; by the latter no
 *                                                            admin
 *    x-aisbx-via                                    nobody: the gateway's own uid must not count
 *    unix: who started the worker, and root         admin, tenant "local"
 *    a certificate (mTLS)                           by auth.identities of the configuration; where
 *                                                   that says nothing: user, in a tenant of its own
 *    plaintext on loopback                          nobody, unless auth.loopback says user
 *  Then the method has to be one for the role (methods.c), and the tenant and the key within their
 *  rates. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/map.h"
#include "service/worker/auth/bucket.h"
#include "service/worker/auth/caller.h"
#include "service/worker/auth/keys.h"
#include "service/worker/auth/throttle.h"

struct sb_auth_config;
struct sb_err;
struct sb_rpc_peer;

enum sb_auth_count {
    SB_AUTH_NO_KEY,    /* nothing that says who calls */
    SB_AUTH_WRONG_KEY, /* no key of ours */
    SB_AUTH_EXPIRED,   /* an expired or revoked one */
    SB_AUTH_NO_MATCH,  /* a certificate or a uid that is nobody's */
    SB_AUTH_ROLE,      /* not for that role */
    SB_AUTH_RATE,      /* over a rate of a tenant or a key */
    SB_AUTH_THROTTLED, /* too many failures of one peer */
    SB_AUTH_QUOTA,     /* over a quota of a tenant */
    SB_AUTH_COUNT_END_,
};

/** One per worker; the loop thread's. */
struct sb_auth {
    uid_t start_uid; /* who started the worker */
    struct sb_keys keys;
    struct sb_keys *filed; /* of a file that workers have in common; NULL: there is none */
    struct sb_keys links;  /* to ports; gone with them */
    struct sb_throttle throttle;
    struct sb_map tenants;               /* name -> struct sb_bucket, of those with a rate */
    uint64_t counts[SB_AUTH_COUNT_END_]; /* what was refused, since the start */
};

void sb_auth_init(struct sb_auth *auth, uid_t start_uid);
void sb_auth_done(struct sb_auth *auth);

/** What a call says; NULL: nothing. Borrowed. */
struct sb_auth_call {
    const struct sb_rpc_peer *peer;
    const char *method; /* path */
    const char *key;    /* x-api-key */
    const char *authorization;
    const char *via;      /* x-aisbx-via */
    const char *identity; /* x-aisbx-identity */
    const char *from;     /* x-aisbx-peer */
    const char *protocol; /* x-aisbx-protocol */
    int peer_fd;
};

/** @config  in force now.
 *  @ret_caller  on failure what is known, for the record of it: peer, protocol and gateway; actor
 *  and tenant as well when it is only not permitted, else "".
 *  @ret_rate  how the caller's rate stands; limit 0: it has none.
 *  Errors: SB_UNAUTHENTICATED, SB_DENIED, and SB_EXHAUSTED with ret_rate; the text says what to do
 *  next, and never holds a key. */
int sb_auth_admit(struct sb_auth *auth,
                  const struct sb_auth_config *config,
                  const struct sb_auth_call *call,
                  struct sb_caller *ret_caller,
                  struct sb_rate *ret_rate,
                  struct sb_err *err);

/** May the worker listen here? Plaintext only on unix sockets and on loopback.
 *  Errors: SB_INVALID naming the options that are missing. */
int sb_auth_check_listen(const char *address, bool has_tls, struct sb_err *err);
