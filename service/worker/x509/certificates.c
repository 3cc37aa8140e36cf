#include "service/worker/x509/certificates.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>

#include "base/err.h"

int sb_x509_check(struct sb_str pem, struct sb_err *err)
{
    size_t n = 0;
    if (pem.len == 0 || pem.len > INT_MAX) {
        return sb_err_set(err, SB_INVALID, "holds no certificate (PEM)");
    }
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    if (bio == NULL) {
        return sb_err_oom(err);
    }
    for (X509 *cert = NULL; (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL; n++) {
        X509_free(cert);
    }
    bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    (void)BIO_free(bio);
    if (!is_end) {
        return sb_err_set(err, SB_INVALID, "certificate %zu in it cannot be read", n + 1);
    }
    return n > 0 ? 0 : sb_err_set(err, SB_INVALID, "holds no certificate (PEM)");
}
