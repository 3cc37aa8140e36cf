#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "proto/rpc/rpc.h"

struct sb_err;

/** gRPC's rules, kept by both transports: a key of [a-z0-9_.-], a value of printable ASCII, or of
 * any bytes when the key ends in "-bin". Errors: SB_INVALID. */
int sb_metadata_check(const char *key, const char *value, size_t len, struct sb_err *err);
/** All of a call: also their number and total size (SB_RPC_MAX_METADATA_BYTES). */
int sb_metadata_check_all(const struct sb_rpc_metadata *metadata, size_t n, struct sb_err *err);
/** The value of the first entry with this key, or NULL. @ret_len may be NULL. */
const char *sb_metadata_find(const struct sb_rpc_metadata *metadata,
                             size_t n,
                             const char *key,
                             size_t *ret_len);
