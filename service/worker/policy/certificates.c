#include "service/worker/policy/certificates.h"

#include "service/worker/x509/x509.h"

int sb_certificates_check(struct sb_str pem, struct sb_err *err)
{
    const struct sb_x509 *x509 = sb_x509(err);
    return x509 == NULL ? -1 : x509->check(pem, err);
}
