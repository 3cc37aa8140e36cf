#pragma once
/** Both sides of a TLS connection that secrets are put into: to the program the proxy is the host,
 *  with a certificate of the sandbox's own authority; to the host it is a client that checks. */
#include <stdint.h>

#include "base/str.h"
#include "service/egress/host.h"

struct sb_err;
struct sb_tls_authority;
struct sb_tls_trust;
struct ssl_st;

/** Loads the library before anything is locked down. Errors: SB_INTERNAL. */
int sb_tls_init(struct sb_err *err);

/** @cert, @key  PEM; @key is for its owner to write over. Errors: SB_INVALID. */
int sb_tls_authority_new(struct sb_str cert,
                         struct sb_str key,
                         struct sb_tls_authority **ret_authority,
                         struct sb_err *err);
void sb_tls_authority_free(struct sb_tls_authority *authority);

/** Who vouches for hosts. @pem  certificates; empty: the system's. Errors: SB_INVALID. */
int sb_tls_trust_new(struct sb_str pem, struct sb_tls_trust **ret_trust, struct sb_err *err);
void sb_tls_trust_free(struct sb_tls_trust *trust);

/** The server's end for a program that asked for @host; HTTP/1.1 only. Errors: SB_INTERNAL. */
int sb_tls_accept(const struct sb_tls_authority *authority,
                  const struct sb_host *host,
                  struct ssl_st **ret_ssl,
                  struct sb_err *err);
/** The client's end towards @host: nothing is sent before its certificate was found good. */
int sb_tls_connect(const struct sb_tls_trust *trust,
                   const struct sb_host *host,
                   struct ssl_st **ret_ssl,
                   struct sb_err *err);

/** What the program asked for by SNI; NULL: nothing. Valid while @ssl is. */
const char *sb_tls_asked_for(const struct ssl_st *ssl);
/** Why the host was not found good; static. NULL: that was not the reason. */
const char *sb_tls_distrust(const struct ssl_st *ssl);
