#include "service/worker/x509/authority.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "service/shared/network.h"
#include "service/shared/x509/cert.h"
#include "service/worker/policy/authority.h"
#include "service/worker/policy/profile_secrets.h"

enum { CONSTRAINTS_MAX = 16 << 10, PEM_MAX = 32 << 10, LEAD_SECONDS = 3600 };
#define DAY_SECONDS     86400L
#define DEFAULT_LIFE_MS UINT64_C(31622400000) /* the longest a sandbox may ask for */

SB_CLEANUP_BY(free_key, EVP_PKEY *, EVP_PKEY_free)
SB_CLEANUP_BY(free_cert, X509 *, X509_free)
SB_CLEANUP_BY(free_bio, BIO *, BIO_free)

static int failed(struct sb_err *err, const char *what)
{
    char text[160];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    ERR_clear_error();
    return sb_err_set(err, SB_INTERNAL, "certificate authority: %s: %s", what, text);
}

/* ---- name constraints ---- */

static int put_host(struct sb_buf *out, const char *host, bool *has_address, struct sb_err *err)
{
    struct sb_network_rule rule;
    char shown[SB_ADDR_TEXT_SIZE];
    if (sb_network_parse_rule(sb_str_from(host), &rule, err) < 0) {
        return -1;
    }
    if (rule.kind != SB_NETWORK_ADDRESS) {
        return sb_buf_printf(out, ",permitted;DNS:%.*s", SB_STR_ARG(rule.host));
    }
    *has_address = true;
    (void)sb_addr_format(shown, rule.address);
    return sb_buf_printf(out, ",permitted;IP:%s/%s", shown,
                         strchr(shown, ':') == NULL ? "255.255.255.255"
                                                    : "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

/* One kind of name that is not constrained would be free, so each has at least one. */
static int
write_constraints(const struct sb_profile_secrets *secrets, struct sb_buf *out, struct sb_err *err)
{
    bool has_address = false;
    int rc = sb_buf_printf(out, "critical,permitted;DNS:aisbx.invalid");
    for (size_t i = 0; rc == 0 && i < secrets->n; i++) {
        const struct sb_strings *hosts = &secrets->items[i].tls;
        for (size_t k = 0; rc == 0 && k < hosts->n; k++) {
            rc = put_host(out, hosts->items[k], &has_address, err);
        }
    }
    if (rc == 0 && !has_address) {
        rc = sb_buf_printf(out, ",permitted;IP:0.0.0.0/255.255.255.255");
    }
    return rc < 0 ? sb_err_set(err, SB_INTERNAL, "certificate authority: its hosts") : 0;
}

/* ---- the certificate ---- */

static bool set_name(X509 *cert)
{
    X509_NAME *name = X509_get_subject_name(cert);
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                      (const unsigned char *)"aisbx: secrets of one sandbox", -1,
                                      -1, 0) &&
           X509_set_issuer_name(cert, name);
}

static bool fill(X509 *cert, EVP_PKEY *key, uint64_t life_ms, const char *constraints)
{
    long seconds = (long)((life_ms == 0 ? DEFAULT_LIFE_MS : life_ms) / 1000) + DAY_SECONDS;
    return X509_set_version(cert, X509_VERSION_3) && sb_cert_set_serial(cert) &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -LEAD_SECONDS) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(cert), seconds) != NULL &&
           X509_set_pubkey(cert, key) && set_name(cert) &&
           sb_cert_extend(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           sb_cert_extend(cert, cert, NID_key_usage, "critical,keyCertSign") &&
           sb_cert_extend(cert, cert, NID_subject_key_identifier, "hash") &&
           sb_cert_extend(cert, cert, NID_name_constraints, constraints) &&
           X509_sign(cert, key, EVP_sha256()) > 0;
}

/* ---- as text ---- */

static char *text_of(BIO *bio)
{
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);
    return len <= 0 || len > PEM_MAX ? NULL : sb_str_dup((struct sb_str){bytes, (size_t)len});
}

static int write_texts(X509 *cert, EVP_PKEY *key, struct sb_authority *made, struct sb_err *err)
{
    SB_CLEANUP(free_bio) BIO *cert_bio = BIO_new(BIO_s_mem());
    SB_CLEANUP(free_bio) BIO *key_bio = BIO_new(BIO_s_secmem());
    if (cert_bio == NULL || key_bio == NULL || !PEM_write_bio_X509(cert_bio, cert) ||
        !PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL)) {
        return failed(err, "PEM");
    }
    made->cert = text_of(cert_bio);
    made->key = text_of(key_bio);
    char *bytes = NULL;
    long len = BIO_get_mem_data(key_bio, &bytes);
    if (len > 0) {
        OPENSSL_cleanse(bytes, (size_t)len);
    }
    return made->cert == NULL || made->key == NULL ? failed(err, "PEM") : 0;
}

int sb_x509_make(const struct sb_profile_secrets *secrets,
                 uint64_t life_ms,
                 struct sb_authority *ret_authority,
                 struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf constraints = SB_BUF_INIT(CONSTRAINTS_MAX);
    SB_CLEANUP(sb_authority_done) struct sb_authority made = {0};
    if (write_constraints(secrets, &constraints, err) < 0) {
        return -1;
    }
    SB_CLEANUP(free_key) EVP_PKEY *key = EVP_EC_gen("P-256");
    SB_CLEANUP(free_cert) X509 *cert = X509_new();
    if (key == NULL || cert == NULL || !fill(cert, key, life_ms, sb_buf_cstr(&constraints))) {
        return failed(err, "cannot be made");
    }
    if (write_texts(cert, key, &made, err) < 0) {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): its cleanup frees what it holds
        return -1;
    }
    *ret_authority = made;
    made = (struct sb_authority){0};
    return 0;
}
