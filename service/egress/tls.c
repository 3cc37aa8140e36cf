#include "service/egress/tls.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/shared/x509/cert.h"

enum { LEAD_SECONDS = 3600, LIFE_SECONDS = 86400 };

struct sb_tls_authority {
    X509 *cert;
    EVP_PKEY *key;
    EVP_PKEY *leaf_key; /* of all certificates of this sandbox's hosts */
    SSL_CTX *ctx;
};

struct sb_tls_trust {
    SSL_CTX *ctx;
};

static const unsigned char http11[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

SB_CLEANUP_BY(free_cert, X509 *, X509_free)
SB_CLEANUP_BY(free_ssl, SSL *, SSL_free)
SB_CLEANUP_BY(free_bio, BIO *, BIO_free)
SB_CLEANUP_BY(free_authority, struct sb_tls_authority *, sb_tls_authority_free)
SB_CLEANUP_BY(free_trust, struct sb_tls_trust *, sb_tls_trust_free)

static int failed(struct sb_err *err, enum sb_code code, const char *what)
{
    char text[160];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    ERR_clear_error();
    return sb_err_set(err, code, "TLS: %s: %s", what, text);
}

int sb_tls_init(struct sb_err *err)
{
    return OPENSSL_init_ssl(0, NULL) == 1 ? 0 : failed(err, SB_INTERNAL, "library");
}

/* TLS 1.2 and 1.3, every connection for itself, plain text not kept in buffers. */
static SSL_CTX *new_ctx(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (ctx != NULL) {
        (void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
        (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        (void)SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
                                           SSL_OP_NO_RENEGOTIATION);
#ifdef SSL_OP_CLEANSE_PLAINTEXT
        (void)SSL_CTX_set_options(ctx, SSL_OP_CLEANSE_PLAINTEXT);
#endif
    }
    return ctx;
}

/* ---- to the program ---- */

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

static BIO *read_text(struct sb_str text)
{
    return text.len == 0 || text.len > INT_MAX ? NULL : BIO_new_mem_buf(text.ptr, (int)text.len);
}

int sb_tls_authority_new(struct sb_str cert,
                         struct sb_str key,
                         struct sb_tls_authority **ret_authority,
                         struct sb_err *err)
{
    SB_CLEANUP(free_bio) BIO *cert_bio = read_text(cert);
    SB_CLEANUP(free_bio) BIO *key_bio = read_text(key);
    SB_CLEANUP(free_authority) struct sb_tls_authority *made = calloc(1, sizeof *made);
    if (made == NULL || cert_bio == NULL || key_bio == NULL) {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): its cleanup frees what it holds
        return sb_err_oom(err);
    }
    made->cert = PEM_read_bio_X509(cert_bio, NULL, NULL, sb_cert_no_passphrase);
    made->key = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, sb_cert_no_passphrase);
    made->leaf_key = EVP_EC_gen("P-256");
    made->ctx = new_ctx(TLS_server_method());
    if (made->cert == NULL || made->key == NULL || made->leaf_key == NULL || made->ctx == NULL ||
        X509_check_private_key(made->cert, made->key) != 1) {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): its cleanup frees what it holds
        return failed(err, SB_INVALID, "authority");
    }
    SSL_CTX_set_alpn_select_cb(made->ctx, choose_http11, NULL);
    *ret_authority = SB_STEAL_PTR(made);
    return 0;
}

void sb_tls_authority_free(struct sb_tls_authority *authority)
{
    if (authority != NULL) {
        SSL_CTX_free(authority->ctx);
        X509_free(authority->cert);
        EVP_PKEY_free(authority->key);
        EVP_PKEY_free(authority->leaf_key);
        free(authority);
    }
}

/* Names are canonical (host.c): nothing in them means something to the parser of extensions. */
static bool
fill_leaf(X509 *cert, const struct sb_tls_authority *authority, const struct sb_host *host)
{
    char name[SB_HOST_MAX + 8];
    (void)snprintf(name, sizeof name, "%s:%s", host->is_address ? "IP" : "DNS", host->name);
    return X509_set_version(cert, X509_VERSION_3) && sb_cert_set_serial(cert) &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -LEAD_SECONDS) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(cert), LIFE_SECONDS) != NULL &&
           X509_set_pubkey(cert, authority->leaf_key) &&
           X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                                      (const unsigned char *)"aisbx: for a secret", -1, -1, 0) &&
           X509_set_issuer_name(cert, X509_get_subject_name(authority->cert)) &&
           sb_cert_extend(cert, authority->cert, NID_basic_constraints, "critical,CA:FALSE") &&
           sb_cert_extend(cert, authority->cert, NID_key_usage, "critical,digitalSignature") &&
           sb_cert_extend(cert, authority->cert, NID_ext_key_usage, "serverAuth") &&
           sb_cert_extend(cert, authority->cert, NID_subject_alt_name, name) &&
           sb_cert_extend(cert, authority->cert, NID_subject_key_identifier, "hash") &&
           sb_cert_extend(cert, authority->cert, NID_authority_key_identifier, "keyid") &&
           X509_sign(cert, authority->key, EVP_sha256()) > 0;
}

int sb_tls_accept(const struct sb_tls_authority *authority,
                  const struct sb_host *host,
                  struct ssl_st **ret_ssl,
                  struct sb_err *err)
{
    SB_CLEANUP(free_cert) X509 *leaf = X509_new();
    SB_CLEANUP(free_ssl) SSL *ssl = SSL_new(authority->ctx);
    if (leaf == NULL || ssl == NULL || !fill_leaf(leaf, authority, host) ||
        SSL_use_certificate(ssl, leaf) != 1 || SSL_use_PrivateKey(ssl, authority->leaf_key) != 1) {
        return failed(err, SB_INTERNAL, "certificate");
    }
    *ret_ssl = SB_STEAL_PTR(ssl);
    return 0;
}

const char *sb_tls_asked_for(const struct ssl_st *ssl)
{
    return SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
}

/* ---- to the host ---- */

static int add_certificate(X509 *cert, void *store, struct sb_err *err)
{
    return X509_STORE_add_cert(store, cert) == 1 ? 0 : failed(err, SB_INVALID, "certificates");
}

static int add_certificates(X509_STORE *store, struct sb_str pem, struct sb_err *err)
{
    size_t n = 0;
    if (sb_cert_each(pem, add_certificate, store, &n, err) < 0) {
        return -1;
    }
    return n > 0 ? 0 : sb_err_set(err, SB_INVALID, "TLS: no certificate");
}

int sb_tls_trust_new(struct sb_str pem, struct sb_tls_trust **ret_trust, struct sb_err *err)
{
    SB_CLEANUP(free_trust) struct sb_tls_trust *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return sb_err_oom(err);
    }
    made->ctx = new_ctx(TLS_client_method());
    if (made->ctx == NULL) {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): its cleanup frees what it holds
        return failed(err, SB_INTERNAL, "client");
    }
    SSL_CTX_set_verify(made->ctx, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_set_alpn_protos(made->ctx, http11, sizeof http11) != 0) {
        return failed(err, SB_INTERNAL, "ALPN");
    }
    if (pem.len > 0) {
        if (add_certificates(SSL_CTX_get_cert_store(made->ctx), pem, err) < 0) {
            return -1;
        }
    } else if (SSL_CTX_set_default_verify_paths(made->ctx) != 1) {
        return failed(err, SB_INTERNAL, "certificates of the system");
    }
    *ret_trust = SB_STEAL_PTR(made);
    return 0;
}

void sb_tls_trust_free(struct sb_tls_trust *trust)
{
    if (trust != NULL) {
        SSL_CTX_free(trust->ctx);
        free(trust);
    }
}

static bool expect(SSL *ssl, const struct sb_host *host)
{
    if (host->is_address) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host->name) == 1;
    }
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host->name) == 1 && SSL_set_tlsext_host_name(ssl, host->name) == 1;
}

int sb_tls_connect(const struct sb_tls_trust *trust,
                   const struct sb_host *host,
                   struct ssl_st **ret_ssl,
                   struct sb_err *err)
{
    SB_CLEANUP(free_ssl) SSL *ssl = SSL_new(trust->ctx);
    if (ssl == NULL || !expect(ssl, host)) {
        return failed(err, SB_INTERNAL, "client");
    }
    *ret_ssl = SB_STEAL_PTR(ssl);
    return 0;
}

const char *sb_tls_distrust(const struct ssl_st *ssl)
{
    long result = SSL_get_verify_result(ssl);
    return result == X509_V_OK ? NULL : X509_verify_cert_error_string(result);
}
