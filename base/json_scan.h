#pragma once
#include <stddef.h>

#include "base/str.h"

struct sb_err;

/** What a JSON text may be at most. */
struct sb_json_scan_limits {
    size_t bytes;
    unsigned depth; /* of arrays and objects */
    size_t values;  /* of any kind */
};

/** Strict RFC 8259: one value, valid UTF-8, no U+0000, no lone surrogates, no key twice in one
 *  object. What passes is safe to give to cJSON, which is laxer and recursive.
 *  Errors: SB_INVALID with line and column; SB_EXHAUSTED for memory. */
int sb_json_scan(struct sb_str text, const struct sb_json_scan_limits *limits, struct sb_err *err);
