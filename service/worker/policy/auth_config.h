#pragma once
/** What a configuration says about callers: certificates, tenants, loopback. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "proto/key/role.h"

#define SB_IDENTITY_MAX      256     /* bytes of a certificate's name */
#define SB_TENANT_RATE_MAX   1000000 /* requests a second */
#define SB_AUTH_CONFIG_ITEMS 1024    /* identities, and tenants */

/** A certificate's name that fits `match` has that role and tenant. */
struct sb_auth_identity {
    char *match; /* "*" stands for any characters but "/" */
    enum sb_role role;
    char *tenant;
};

/** 0: not said. In a row of a tenant that means as in the row "*", there: no limit. */
struct sb_tenant_limits {
    uint64_t max_sandboxes; /* alive at once */
    uint64_t mem_bytes;     /* limits of all that are alive, added up */
    uint64_t cpu_millis;    /* the same */
    uint64_t rate;          /* requests a second */
    uint64_t burst;         /* requests at once; not said: as many as in a second */
    uint64_t key_rate;      /* of one key */
    uint64_t key_burst;
};

struct sb_auth_tenant {
    char *name; /* or "*" */
    struct sb_tenant_limits limits;
};

/** Zeroed: nothing is said. */
struct sb_auth_config {
    struct sb_auth_identity *identities; /* the first that fits counts */
    size_t n_identities;
    bool has_identities; /* said, even if none is in it */
    struct sb_auth_tenant *tenants;
    size_t n_tenants;
    char *
        *gateways; /* names of certificates, exactly: what they say of their callers is believed */
    size_t n_gateways;
    bool admits_loopback; /* plaintext callers without a key are users of tenant "loopback" */
};

void sb_auth_config_done(struct sb_auth_config *config);

/** NULL: a certificate with that name is nobody's. @name  any bytes. */
const struct sb_auth_identity *sb_auth_config_identity(const struct sb_auth_config *config,
                                                       struct sb_str name);
/** May who has that certificate say whom it speaks for? NULL: no. */
bool sb_auth_config_is_gateway(const struct sb_auth_config *config, const char *name);
/** True when name fits the pattern. */
bool sb_auth_config_fits(struct sb_str pattern, struct sb_str name);

/** The limits of a tenant; what its row leaves out is that of "*". */
struct sb_tenant_limits sb_auth_config_limits(const struct sb_auth_config *config,
                                              const char *tenant);
