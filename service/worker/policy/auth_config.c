#include "service/worker/policy/auth_config.h"

#include <stdlib.h>
#include <string.h>

void sb_auth_config_done(struct sb_auth_config *config)
{
    for (size_t i = 0; i < config->n_identities; i++) {
        free(config->identities[i].match);
        free(config->identities[i].tenant);
    }
    for (size_t i = 0; i < config->n_tenants; i++) {
        free(config->tenants[i].name);
    }
    for (size_t i = 0; i < config->n_gateways; i++) {
        free(config->gateways[i]);
    }
    free((void *)config->gateways);
    free(config->identities);
    free(config->tenants);
    *config = (struct sb_auth_config){0};
}

/* Stars cannot pass a "/", so parts between slashes fit one by one, and within a part only the last
 * star has to be tried at another length. */
bool sb_auth_config_fits(struct sb_str pattern, struct sb_str name)
{
    size_t p = 0;
    size_t n = 0;
    size_t star = SIZE_MAX; /* behind the last star, and where it began to fit */
    size_t from = 0;
    while (n < name.len || p < pattern.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = ++p;
            from = n;
        } else if (p < pattern.len && n < name.len && pattern.ptr[p] == name.ptr[n]) {
            p++;
            n++;
        } else if (star != SIZE_MAX && from < name.len && name.ptr[from] != '/') {
            p = star;
            n = ++from;
        } else {
            return false;
        }
    }
    return true;
}

const struct sb_auth_identity *sb_auth_config_identity(const struct sb_auth_config *config,
                                                       struct sb_str name)
{
    for (size_t i = 0; i < config->n_identities; i++) {
        if (sb_auth_config_fits(sb_str_from(config->identities[i].match), name)) {
            return &config->identities[i];
        }
    }
    return NULL;
}

bool sb_auth_config_is_gateway(const struct sb_auth_config *config, const char *name)
{
    for (size_t i = 0; name != NULL && i < config->n_gateways; i++) {
        if (config->gateways[i] != NULL && strcmp(config->gateways[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static const struct sb_tenant_limits *row_of(const struct sb_auth_config *config, const char *name)
{
    static const struct sb_tenant_limits none = {0};
    for (size_t i = 0; i < config->n_tenants; i++) {
        if (strcmp(config->tenants[i].name, name) == 0) {
            return &config->tenants[i].limits;
        }
    }
    return &none;
}

static uint64_t said(uint64_t own, uint64_t all)
{
    return own != 0 ? own : all;
}

struct sb_tenant_limits sb_auth_config_limits(const struct sb_auth_config *config,
                                              const char *tenant)
{
    const struct sb_tenant_limits *all = row_of(config, SB_TENANT_ALL);
    const struct sb_tenant_limits *own = row_of(config, tenant);
    struct sb_tenant_limits limits = {
        .max_sandboxes = said(own->max_sandboxes, all->max_sandboxes),
        .mem_bytes = said(own->mem_bytes, all->mem_bytes),
        .cpu_millis = said(own->cpu_millis, all->cpu_millis),
        .rate = said(own->rate, all->rate),
        .key_rate = said(own->key_rate, all->key_rate),
    };
    /* A burst belongs to the rate beside which it is said. */
    uint64_t burst = own->rate != 0 ? own->burst : said(own->burst, all->burst);
    uint64_t key_burst = own->key_rate != 0 ? own->key_burst : said(own->key_burst, all->key_burst);
    limits.burst = said(burst, limits.rate);
    limits.key_burst = said(key_burst, limits.key_rate);
    return limits;
}
