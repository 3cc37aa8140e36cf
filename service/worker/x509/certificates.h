#pragma once
#include "base/str.h"

struct sb_err;

/** sb_certificates_check. */
int sb_x509_check(struct sb_str pem, struct sb_err *err);
