#pragma once
/** Certificates of others, as text. */
#include "base/str.h"

struct sb_err;

/** Is this PEM with at least one certificate, each of which can be read? What stands between them
 *  does not matter. The egress proxy reads them in the same way, and ends when it cannot.
 *  Errors: SB_INVALID; SB_EXHAUSTED. */
int sb_certificates_check(struct sb_str pem, struct sb_err *err);
