#pragma once
/** Who may do what, until there are keys.
 *
 *  unix callers: the user who started the worker, and root; nobody else. mTLS callers: whoever has
 * a certificate. Plaintext TCP: only listened for on loopback. A sandbox belongs to its owner
 *  ("uid:1000", "tls:agent-7", "tcp:loopback") and does not exist for others, except for admins:
 * root and the user who started the worker. */
#include <stdbool.h>
#include <sys/types.h>

struct sb_err;
struct sb_rpc_call;
struct sb_rpc_peer;

#define SB_ACCESS_OWNER_SIZE 272 /* bytes, with the NUL */

struct sb_caller {
    char owner[SB_ACCESS_OWNER_SIZE];
    bool is_admin;
    bool is_here; /* on this machine, so process ids mean something */
    int peer_fd;  /* its unix connection; borrowed; -1 for TCP */
};

/** @start_uid  who started the worker. Errors: SB_DENIED; SB_UNAUTHENTICATED. */
int sb_access_identify(const struct sb_rpc_peer *peer,
                       uid_t start_uid,
                       struct sb_caller *ret_caller,
                       struct sb_err *err);

bool sb_access_sees(const struct sb_caller *caller, const char *owner);

/** May the worker listen here? Plaintext, or TLS that asks for no certificate, only on loopback.
 *  Errors: SB_INVALID naming the options that are missing. */
int sb_access_check_listen(const char *address, bool has_mtls, struct sb_err *err);
