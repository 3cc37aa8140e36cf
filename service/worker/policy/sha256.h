#pragma once
#include "base/str.h"

struct sb_err;

/** SHA-256 as lower-case hexadecimal. Errors: SB_INTERNAL when the library fails. */
int sb_sha256_hex(struct sb_str data, char ret_hex[65], struct sb_err *err);
