#include "proto/rpc/grpc/pair.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

/* A passphrase for OpenSSL to try, which else asks on the terminal. */
static char no_passphrase[] = "";

static X509 *read_cert(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)strlen(pem));
    X509 *cert = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, no_passphrase);
    BIO_free(bio);
    return cert;
}

static EVP_PKEY *read_key(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)strlen(pem));
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, NULL, no_passphrase);
    BIO_free(bio);
    return key;
}

enum sb_grpc_pair sb_grpc_pair_check(const char *cert_pem, const char *key_pem)
{
    X509 *cert = read_cert(cert_pem);
    EVP_PKEY *key = read_key(key_pem);
    enum sb_grpc_pair result = cert == NULL                             ? SB_GRPC_PAIR_NO_CERT
                               : key == NULL                            ? SB_GRPC_PAIR_NO_KEY
                               : X509_check_private_key(cert, key) == 1 ? SB_GRPC_PAIR_FITS
                                                                        : SB_GRPC_PAIR_DIFFERS;
    X509_free(cert);
    EVP_PKEY_free(key);
    ERR_clear_error(); /* gRPC looks at this thread's errors, too */
    return result;
}
