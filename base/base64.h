#pragma once
#include "base/str.h"

struct sb_buf;
struct sb_out;

/** Writes data as base64 (RFC 4648, with padding). */
void sb_base64_put(struct sb_out *out, struct sb_str data);

/** Appends what text stands for. Only the one canonical form is taken: padding, no blanks, no bits
 *  left over. Returns 0, or -1 with errno EINVAL, ENOBUFS or ENOMEM. */
int sb_base64_decode(struct sb_str text, struct sb_buf *buf);
