#pragma once
#include <stdint.h>

struct sb_authority;
struct sb_err;
struct sb_profile_secrets;

/** sb_authority_make, for secrets of which at least one has `tls: true`. */
int sb_x509_make(const struct sb_profile_secrets *secrets,
                 uint64_t life_ms,
                 struct sb_authority *ret_authority,
                 struct sb_err *err);
