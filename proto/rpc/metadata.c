#include "proto/rpc/metadata.h"

#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "proto/rpc/internal.h"

static bool is_key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

int sb_metadata_check(const char *key, const char *value, size_t len, struct sb_err *err)
{
    size_t key_len = strlen(key);
    for (size_t i = 0; i < key_len; i++) {
        if (!is_key_char(key[i])) {
            return sb_err_set(err, SB_INVALID, "metadata key: not of [a-z0-9_.-]");
        }
    }
    if (key_len == 0) {
        return sb_err_set(err, SB_INVALID, "metadata key: empty");
    }
    if (sb_str_ends_with((struct sb_str){key, key_len}, SB_STR("-bin"))) {
        return 0;
    }
    for (size_t i = 0; i < len; i++) {
        if (value[i] < ' ' || value[i] > '~') {
            return sb_err_set(err, SB_INVALID, "metadata %s: not printable ASCII", key);
        }
    }
    return 0;
}

int sb_metadata_check_all(const struct sb_rpc_metadata *metadata, size_t n, struct sb_err *err)
{
    if (n > SB_RPC_MAX_METADATA) {
        return sb_err_set(err, SB_INVALID, "metadata: more than %d entries",
                          (int)SB_RPC_MAX_METADATA);
    }
    size_t left = SB_RPC_MAX_METADATA_BYTES;
    for (size_t i = 0; i < n; i++) {
        if (sb_metadata_check(metadata[i].key, metadata[i].value, metadata[i].len, err) < 0) {
            return -1;
        }
        size_t key_len = strlen(metadata[i].key);
        if (key_len > left || metadata[i].len > left - key_len) {
            return sb_err_set(err, SB_INVALID, "metadata: more than %d bytes",
                              (int)SB_RPC_MAX_METADATA_BYTES);
        }
        left -= key_len + metadata[i].len;
    }
    return 0;
}

const char *
sb_metadata_find(const struct sb_rpc_metadata *metadata, size_t n, const char *key, size_t *ret_len)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(metadata[i].key, key) == 0) {
            if (ret_len != NULL) {
                *ret_len = metadata[i].len;
            }
            return metadata[i].value;
        }
    }
    return NULL;
}
