#pragma once
/** TLS and mTLS credentials from PEM files. */

#include <stdbool.h>

#include <grpc/grpc_security.h>

struct sb_err;
struct sb_rpc_tls;

enum { SB_GRPC_MAX_PEM_BYTES = 1 << 20 }; /* one file */

/** The files of one identity, and how they looked when they were read last. */
struct sb_grpc_identity;

/** Copies the paths; reads nothing yet. Errors: SB_INVALID, SB_EXHAUSTED. */
struct sb_grpc_identity *sb_grpc_creds_identity_new(const struct sb_rpc_tls *tls,
                                                    struct sb_err *err);
void sb_grpc_creds_identity_free(struct sb_grpc_identity *identity);

/** Server credentials that look at the files at each handshake and read them again when one has
 *  changed. A set that cannot be read or used is logged, and the last good one stays in use.
 *  @identity  borrowed; must outlive the grpc_server; has certificate and key.
 *  Errors: SB_INVALID (no certificate or key in a file), by errno. */
int sb_grpc_creds_server(struct sb_grpc_identity *identity,
                         grpc_server_credentials **ret_creds,
                         struct sb_err *err);

/** Channel credentials of the files as they are now. Without ca_file the system's roots; without
 *  cert_file no certificate is presented. Errors: as above. */
int sb_grpc_creds_channel(struct sb_grpc_identity *identity,
                          grpc_channel_credentials **ret_creds,
                          struct sb_err *err);

/** Whether a file looks different from when it was read. */
bool sb_grpc_creds_is_stale(struct sb_grpc_identity *identity);
