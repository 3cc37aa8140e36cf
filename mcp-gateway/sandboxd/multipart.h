#pragma once
/** multipart/form-data (RFC 7578, RFC 2046), read as it comes: the content of the first part with
 * one name. Nothing is decoded. Parts whose head is over 4 KiB are refused. Pure, for the fuzzer
 * too. */
#include <stdbool.h>

#include "base/str.h"

struct sb_err;
struct sb_multipart;

/** Whether a body is multipart/form-data. @type  Content-Type; NULL: no. */
bool sb_multipart_is(const char *type);
/** @name  static. Free with free(). Errors: SB_INVALID: there is no boundary; SB_EXHAUSTED. */
int sb_multipart_new(const char *type,
                     const char *name,
                     struct sb_multipart **ret_form,
                     struct sb_err *err);
/** Takes the next bytes of the body. @content  is given what is content of the part among them, or
 *  before. Errors: SB_INVALID: malformed, or no such part. */
int sb_multipart_feed(struct sb_multipart *form,
                      struct sb_str bytes,
                      void (*content)(void *ctx, struct sb_str piece),
                      void *ctx,
                      struct sb_err *err);
/** The body is over. Errors: as above. */
int sb_multipart_end(const struct sb_multipart *form, struct sb_err *err);
