#pragma once
#include <stddef.h>

#include "base/str.h"
#include "spawn/v1/spawn.pb-c.h"

struct sb_err;

#define SB_SECCOMP_JSON_MAX (1u << 20) /* bytes of text */

/** A filter in OCI's terms, as the spawner takes it. Shared by reference; not thread-safe. */
struct sb_filter {
    unsigned refs;
    char hash[65];                  /* SHA-256 of the packed message, hexadecimal: key for caches */
    Spawn__V1__LoadFilter *message; /* owned; never changes */
};

/** Reads a seccomp profile in OCI or Docker form (Docker's and containers-common's load).
 *  A sandbox has no capability, so rules included for one are left out, and rules excluded for one
 *  stay. Rules for other architectures or newer kernels are left out.
 *  @name  for the spawner's messages.
 *  @ret_filter  one reference; give it back with sb_filter_unref.
 *  Errors: SB_INVALID; the text names the JSON path: "syscalls[3].action: unknown action ...". */
int sb_seccomp_json_parse(const char *name,
                          struct sb_str json,
                          struct sb_filter **ret_filter,
                          struct sb_err *err);

/** Adds a reference and returns filter. */
struct sb_filter *sb_filter_ref(struct sb_filter *filter);
/** Drops a reference; NULL is fine. */
void sb_filter_unref(struct sb_filter *filter);
