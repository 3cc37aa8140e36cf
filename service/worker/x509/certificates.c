#include "service/worker/x509/certificates.h"

#include "base/err.h"
#include "service/shared/x509/cert.h"

int sb_x509_check(struct sb_str pem, struct sb_err *err)
{
    size_t n = 0;
    if (sb_cert_each(pem, NULL, NULL, &n, err) < 0) {
        return -1;
    }
    return n > 0 ? 0 : sb_err_set(err, SB_INVALID, "holds no certificate (PEM)");
}
