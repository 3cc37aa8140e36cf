#include <event2/util.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/cleanup.h"
#include "mcp-gateway/shared/wire_internal.h"

/* A passphrase for OpenSSL to try, which else asks on the terminal and waits. */
static char no_passphrase[] = "";

static void free_ctx(SSL_CTX **ctx)
{
    SSL_CTX_free(*ctx);
}

static int failed(struct sb_err *err, const char *what, const char *path)
{
    char text[160];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    ERR_clear_error();
    return sb_err_set(err, SB_INVALID, "shared store: %s %s: %s", what, path, text);
}

int sb_wire_tls_new(const struct sb_wire_options *options, SSL_CTX **ret_tls, struct sb_err *err)
{
    SB_CLEANUP(free_ctx) SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL) {
        return sb_err_oom(err);
    }
    (void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, no_passphrase);
    if (options->ca != NULL ? SSL_CTX_load_verify_locations(ctx, options->ca, NULL) != 1
                            : SSL_CTX_set_default_verify_paths(ctx) != 1) {
        return failed(err, "authority", options->ca == NULL ? "of the system" : options->ca);
    }
    if (options->cert != NULL && SSL_CTX_use_certificate_chain_file(ctx, options->cert) != 1) {
        return failed(err, "certificate", options->cert);
    }
    if (options->cert != NULL &&
        (SSL_CTX_use_PrivateKey_file(ctx, options->key, SSL_FILETYPE_PEM) != 1 ||
         SSL_CTX_check_private_key(ctx) != 1)) {
        return failed(err, "key", options->key);
    }
    *ret_tls = SB_STEAL_PTR(ctx);
    return 0;
}

SSL *sb_wire_tls_open(SSL_CTX *tls, const struct sb_url *url)
{
    unsigned char address[16];
    SSL *ssl = SSL_new(tls);
    bool is_address = evutil_inet_pton(AF_INET, url->host, address) == 1 ||
                      evutil_inet_pton(AF_INET6, url->host, address) == 1;
    if (ssl != NULL &&
        (is_address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), url->host) != 1
                    : SSL_set1_host(ssl, url->host) != 1 ||
                          SSL_set_tlsext_host_name(ssl, url->host) != 1)) {
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}
