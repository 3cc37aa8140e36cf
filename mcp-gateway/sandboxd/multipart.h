#pragma once
#include <stdbool.h>

#include "base/str.h"

struct sb_err;

/** Whether the body is multipart/form-data. @type  Content-Type; NULL: no. */
bool sb_multipart_is(const char *type);
/** The content of the first part with that name, within the body (RFC 7578, RFC 2046). Parts whose
 *  head is over 4 KiB are refused; nothing is decoded.
 *  Errors: SB_INVALID: malformed, or no such part. */
int sb_multipart_find(const char *type,
                      struct sb_str body,
                      const char *name,
                      struct sb_str *ret_content,
                      struct sb_err *err);
