#pragma once
#include <stdbool.h>

#include "base/str.h"

struct sb_buf;
struct sb_err;

/* One member of one object of a JSON file that belongs to somebody else: everything around it stays
 * byte for byte, comments and trailing commas included, which some programs allow in theirs. */

enum { SB_JSONEDIT_MAX_BYTES = 4 << 20 };

/** The value of text[object][name], as it stands. *ret_value points into @text; false: there is
 *  none. Errors: SB_INVALID with line and column: not JSON, or not objects. */
int sb_jsonedit_find(struct sb_str text,
                     const char *object,
                     const char *name,
                     bool *ret_found,
                     struct sb_str *ret_value,
                     struct sb_err *err);

/** Appends to @out the text with text[object][name] = value, a JSON value on one line; what is not
 *  there is made. @text  may be empty or blank. */
int sb_jsonedit_set(struct sb_str text,
                    const char *object,
                    const char *name,
                    struct sb_str value,
                    struct sb_buf *out,
                    struct sb_err *err);

/** The same without text[object][name], which must be there (SB_NOT_FOUND). */
int sb_jsonedit_remove(struct sb_str text,
                       const char *object,
                       const char *name,
                       struct sb_buf *out,
                       struct sb_err *err);
