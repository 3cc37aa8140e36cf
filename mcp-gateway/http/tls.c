/* TLS 1.2 and 1.3 of the gateway, with certificates of clients where an authority is named. */
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/utf8.h"
#include "mcp-gateway/http/conn.h"

static void free_ctx(SSL_CTX **ctx)
{
    SSL_CTX_free(*ctx);
}
static void free_cert(X509 **cert)
{
    X509_free(*cert);
}

static int failed(struct sb_err *err, const char *what, const char *path)
{
    char text[160];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    ERR_clear_error();
    return sb_err_set(err, SB_INVALID, "TLS: %s %s: %s", what, path, text);
}

static const unsigned char http11[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

static int choose_http11(SSL *ssl,
                         const unsigned char **out,
                         unsigned char *out_len,
                         const unsigned char *in,
                         unsigned in_len,
                         void *ctx)
{
    unsigned char *chosen = NULL;
    (void)ssl;
    (void)ctx;
    if (SSL_select_next_proto(&chosen, out_len, http11, sizeof http11, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* A passphrase for OpenSSL to try, which else asks on the terminal and waits. */
static char no_passphrase[] = "";

int sb_http_listen_tls(struct sb_http_server *server, struct sb_err *err)
{
    const struct sb_http_options *options = &server->options;
    const char *key = options->tls_key == NULL ? options->tls_cert : options->tls_key;
    SB_CLEANUP(free_ctx) SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL) {
        return sb_err_oom(err);
    }
    (void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_options(ctx,
                              SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, no_passphrase);
    SSL_CTX_set_alpn_select_cb(ctx, choose_http11, NULL);
    if (SSL_CTX_use_certificate_chain_file(ctx, options->tls_cert) != 1) {
        return failed(err, "certificate", options->tls_cert);
    }
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(ctx) != 1) {
        return failed(err, "key", key);
    }
    if (options->tls_ca != NULL) {
        STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(options->tls_ca);
        if (names == NULL || SSL_CTX_load_verify_locations(ctx, options->tls_ca, NULL) != 1) {
            sk_X509_NAME_pop_free(names, X509_NAME_free);
            return failed(err, "authority", options->tls_ca);
        }
        SSL_CTX_set_client_CA_list(ctx, names);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    server->tls = SB_STEAL_PTR(ctx);
    return 0;
}

static char *alternative_name(X509 *cert, int type)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    char *found = NULL;
    for (int i = 0; names != NULL && found == NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == type) {
            struct sb_str text = sb_str_of(ASN1_STRING_get0_data(name->d.ia5),
                                           (size_t)ASN1_STRING_length(name->d.ia5));
            found = sb_str_has_nul(text) ? NULL : sb_str_dup(text);
        }
    }
    GENERAL_NAMES_free(names);
    return found;
}

static char *common_name(X509 *cert)
{
    char text[256];
    int n =
        X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, text, sizeof text);
    if (n <= 0 || (size_t)n >= sizeof text || strlen(text) != (size_t)n) {
        return NULL;
    }
    return sb_str_dup(sb_str_from(text));
}

char *sb_http_tls_identity(SSL *ssl)
{
    SB_CLEANUP(free_cert) X509 *cert = SSL_get1_peer_certificate(ssl);
    if (cert == NULL || SSL_get_verify_result(ssl) != X509_V_OK) {
        return NULL;
    }
    char *name = alternative_name(cert, GEN_URI);
    name = name != NULL ? name : alternative_name(cert, GEN_DNS);
    name = name != NULL ? name : common_name(cert);
    return name;
}
