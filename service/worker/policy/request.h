#pragma once
/** What a caller asks a sandbox to be: every value checked, nothing filled in yet. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aisbx/v1/sandbox.pb-c.h"
#include "service/worker/policy/collections.h"
#include "service/worker/policy/limits.h"
#include "service/worker/policy/profile.h"

struct sb_err;

#define SB_REQUEST_HOSTNAME "sandbox"

struct sb_request {
    char field[64];          /* what messages call it: "sandbox" */
    char *profile;           /* NULL: the default */
    enum sb_driver driver;   /* UNSET: what the profile says */
    struct sb_limits limits; /* 0: what the profile says */
    struct sb_network network;
    struct sb_mounts mounts;
    struct sb_pairs env;
    struct sb_pairs labels;
    uint64_t ttl_ms;  /* 0: never */
    uint64_t idle_ms; /* 0: never */
    uint64_t require; /* bit n: aisbx.v1.Control number n must be enforced */
    char *hostname;   /* never NULL */
    struct sb_strings without_secrets;
    struct sb_strings packages; /* as written */
    bool is_install;            /* of packages: nothing of the host is bound */
    bool learns;                /* notes the calls that are allowed */
    uint8_t *spec;              /* packed, as it was asked for */
    size_t spec_len;
};

/** Checks a SandboxSpec (NULL: an empty one).
 *  @field  what messages call it: "sandbox" gives "sandbox.limits.memory_bytes: ...".
 *  Errors: SB_INVALID naming the field; SB_EXHAUSTED. */
int sb_request_make(const Aisbx__V1__SandboxSpec *spec,
                    const char *field,
                    struct sb_request **ret_request,
                    struct sb_err *err);
void sb_request_free(struct sb_request *request);
void sb_request_freep(struct sb_request **request); /* for SB_CLEANUP */

/** Checks rules. @to  zeroed; the caller's to end, in every case.
 *  Errors: SB_INVALID naming the field: "network" gives "network.allow[0]: ..."; SB_EXHAUSTED. */
int sb_request_network(const Aisbx__V1__Network *network,
                       const char *field,
                       struct sb_network *to,
                       struct sb_err *err);

/** Checks one environment variable, and keeps count of all of them.
 *  @field  "exec.env".   @total_bytes  of the variables before; increased.
 *  Errors: SB_INVALID naming the field. */
int sb_request_check_env(struct sb_str name,
                         struct sb_str value,
                         const char *field,
                         size_t *total_bytes,
                         struct sb_err *err);
