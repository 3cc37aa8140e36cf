#pragma once
/** A certificate authority of one sandbox, for the hosts into whose TLS the egress proxy puts
 *  secrets. Only programs of that sandbox trust it, and for these hosts alone. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct sb_err;
struct sb_profile_secrets;

struct sb_authority {
    char *cert; /* PEM; NULL: none is needed */
    char *key;  /* PEM of its private key, ECDSA P-256; written over when it goes */
};

/** Makes one that is limited by name constraints to the hosts of the secrets that have `tls: true`;
 *  nothing when there are none. @life_ms  how long the sandbox may live; 0: not known.
 *  Errors: SB_INTERNAL. */
int sb_authority_make(const struct sb_profile_secrets *secrets,
                      uint64_t life_ms,
                      struct sb_authority *ret_authority,
                      struct sb_err *err);

static inline void sb_authority_done(struct sb_authority *authority)
{
    free(authority->cert);
    if (authority->key != NULL) {
        explicit_bzero(authority->key, strlen(authority->key));
        free(authority->key);
    }
    *authority = (struct sb_authority){0};
}
