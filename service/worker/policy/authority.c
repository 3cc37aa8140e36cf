#include "service/worker/policy/authority.h"

#include <stdbool.h>

#include "service/worker/policy/profile_secrets.h"
#include "service/worker/x509/x509.h"

static bool is_needed(const struct sb_profile_secrets *secrets)
{
    for (size_t i = 0; i < secrets->n; i++) {
        if (secrets->items[i].tls.n > 0) {
            return true;
        }
    }
    return false;
}

int sb_authority_make(const struct sb_profile_secrets *secrets,
                      uint64_t life_ms,
                      struct sb_authority *ret_authority,
                      struct sb_err *err)
{
    if (!is_needed(secrets)) {
        return 0;
    }
    const struct sb_x509 *x509 = sb_x509(err);
    return x509 == NULL ? -1 : x509->make(secrets, life_ms, ret_authority, err);
}
