#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/utf8.h"
#include "proto/rpc/rpc.h"
#include "service/worker/auth/auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PARTS = 5, PART_MAX = 600 };

/* Metadata is NUL-terminated and has no NUL inside: the input is cut at newlines. */
static void cut(struct sb_str rest, char parts[PARTS][PART_MAX], const char *ret_parts[PARTS])
{
    for (int i = 0; i < PARTS; i++) {
        struct sb_str part = {NULL, 0};
        if (!sb_str_next(&rest, '\n', &part) || part.len >= PART_MAX || sb_str_has_nul(part)) {
            continue;
        }
        if (part.len > 0) {
            memcpy(parts[i], part.ptr, part.len);
        }
        parts[i][part.len] = '\0';
        ret_parts[i] = parts[i];
    }
}

/* Nobody who has no key of ours becomes anybody but a certificate, and that only by the gateway;
 * what goes into records is one line; a pattern always ends. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sb_auth auth;
    static char parts[PARTS][PART_MAX];
    static char match[] = "spiffe://x/*-*";
    static char tenant[] = "a";
    static struct sb_auth_identity row = {match, SB_ROLE_USER, tenant};
    const struct sb_auth_config config = {
        .identities = &row, .n_identities = 1, .has_identities = size % 2 == 0};
    const char *at[PARTS] = {NULL};
    struct sb_caller caller;
    struct sb_rate rate;
    struct sb_err err;
    char id[SB_KEY_ID_SIZE];
    sb_log_init(SB_LOG_FORMAT_LOGFMT, SB_LOG_LEVEL_NONE, "fuzz");
    sb_auth_init(&auth, 1000);
    cut(sb_str_of(data, size), parts, at);
    const struct sb_rpc_peer peer = {
        .transport = "local", .uid = size % 3 == 0 ? 1001 : 1000, .address = "unix:"};
    const struct sb_auth_call call = {
        .peer = &peer,
        .method = "/aisbx.v1.SandboxService/Run",
        .key = at[0],
        .authorization = at[1],
        .via = "http",
        .identity = at[2],
        .from = at[3],
        .protocol = at[4],
        .peer_fd = 3,
    };
    if (sb_auth_admit(&auth, &config, &call, &caller, &rate, &err) == 0) {
        struct sb_str text = sb_str_from(caller.actor);
        if (at[2] == NULL || at[0] != NULL || peer.uid != 1000 || caller.peer_fd != -1 ||
            strncmp(caller.actor, "tls:", 4) != 0 || caller.role != SB_ROLE_USER) {
            abort();
        }
        while (text.len > 0) {
            if (!sb_utf8_printable(sb_utf8_next(&text))) {
                abort();
            }
        }
    }
    if (sb_key_text_parse(sb_str_of(data, size), id) &&
        (size != SB_KEY_TEXT_SIZE - 1 || memcmp(id, data + 6, 26) != 0)) {
        abort();
    }
    if (at[0] != NULL && at[1] != NULL) {
        (void)sb_auth_config_fits(sb_str_from(at[0]), sb_str_from(at[1]));
    }
    sb_auth_done(&auth);
    return 0;
}
