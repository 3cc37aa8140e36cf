#pragma once
/** TLS and mTLS credentials from PEM files. */

#include <grpc/grpc_security.h>

struct sb_err;
struct sb_rpc_tls;

enum { SB_GRPC_MAX_PEM_BYTES = 1 << 20 }; /* one file */

/** The files behind the credentials of one listener. Must outlive the grpc_server. */
struct sb_grpc_identity;

/** Server credentials that look at the files at each handshake and read them again when one has
 *  changed. A set that cannot be read or used is logged once, and the last good one stays.
 *  Errors: SB_INVALID (no certificate or key in a file), by errno. Loop thread. */
int sb_grpc_creds_server(const struct sb_rpc_tls *tls,
                         struct sb_grpc_identity **ret_identity,
                         grpc_server_credentials **ret_creds,
                         struct sb_err *err);
void sb_grpc_creds_identity_free(struct sb_grpc_identity *identity);

/** Whether a file changed since the identity was read last; for channels, which make new
 *  credentials then. */
_Bool sb_grpc_creds_is_stale(const struct sb_grpc_identity *identity);

/** Channel credentials; tls->ca_file NULL: the system's roots. Errors as above. */
int sb_grpc_creds_channel(const struct sb_rpc_tls *tls,
                          struct sb_grpc_identity **ret_identity,
                          grpc_channel_credentials **ret_creds,
                          struct sb_err *err);
