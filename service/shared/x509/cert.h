#pragma once
/** What the worker, which makes authorities, and the proxy, which makes certificates of theirs, do
 *  alike. Nothing here asks anybody for a passphrase. All in the header: each of the two links
 *  OpenSSL in a way of its own. */
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

/** The passphrase of all that is read, the last argument of PEM_read_*: with NULL there OpenSSL
 * asks at the terminal, else at standard input, and waits. */
static char sb_cert_no_passphrase[1] = "";

/** 127 random bits. False: OpenSSL says why. */
static inline bool sb_cert_set_serial(X509 *cert)
{
    BIGNUM *number = BN_new();
    bool is_done = number != NULL && BN_rand(number, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
                   BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return is_done;
}

/** @issuer  borrowed; cert itself for one that signs itself. @value  as in openssl's x509v3_config.
 *  False: OpenSSL says why. */
static inline bool sb_cert_extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool is_done = extension != NULL && X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
    return is_done;
}

/** 0, or -1 with err, which ends it. @cert  borrowed. */
typedef int sb_cert_take(X509 *cert, void *ctx, struct sb_err *err);

/** Takes each certificate of a text, whatever stands between them. *ret_n is how many there are.
 *  @take  NULL: they are read and nothing more.
 *  Errors: SB_INVALID: one cannot be read; SB_EXHAUSTED; those of @take. */
static inline int
sb_cert_each(struct sb_str pem, sb_cert_take *take, void *ctx, size_t *ret_n, struct sb_err *err)
{
    X509 *cert = NULL;
    int rc = 0;
    *ret_n = 0;
    if (pem.len == 0) {
        return 0;
    }
    BIO *bio = pem.len > INT_MAX ? NULL : BIO_new_mem_buf(pem.ptr, (int)pem.len);
    if (bio == NULL) {
        return sb_err_oom(err);
    }
    while (rc == 0 && (cert = PEM_read_bio_X509(bio, NULL, NULL, sb_cert_no_passphrase)) != NULL) {
        rc = take == NULL ? 0 : take(cert, ctx, err);
        X509_free(cert);
        *ret_n += rc == 0;
    }
    bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    ERR_clear_error(); /* of the end of the text */
    (void)BIO_free(bio);
    return rc < 0 ? -1
           : is_end
               ? 0
               : sb_err_set(err, SB_INVALID, "certificate %zu in it cannot be read", *ret_n + 1);
}
