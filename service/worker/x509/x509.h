#pragma once
/** What of a policy needs X.509, and with it OpenSSL, whose relocations would be a fifth of the
 * page faults of a worker's start. So it is a module, loaded for the first profile that has a
 *  certificate or a secret for hosts with TLS. */
#include <stdint.h>

#include "base/str.h"

struct sb_authority;
struct sb_err;
struct sb_profile_secrets;

#define SB_X509_FILE   "aisbx-x509.so"
#define SB_X509_SYMBOL "sb_x509_here"

/** See policy/certificates.h and policy/authority.h. */
struct sb_x509 {
    const char *version; /* of the program and of the module: the same */
    int (*check)(struct sb_str pem, struct sb_err *err);
    int (*make)(const struct sb_profile_secrets *secrets,
                uint64_t life_ms,
                struct sb_authority *ret_authority,
                struct sb_err *err);
};

/** Either of sb_x509, which has it all in the program, or of who links x509/load.c. Returns NULL
 *  with *err. On the loop's thread. */
const struct sb_x509 *sb_x509(struct sb_err *err);

/** In library sb_x509, and all that the module shows. */
const struct sb_x509 *sb_x509_here(void);

/** Of load.c: opens the module, so that it can be loaded later. That it is not there is said by who
 *  needs it. */
void sb_x509_find(void);
