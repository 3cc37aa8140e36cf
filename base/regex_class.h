#pragma once
/** Classes of bytes, as ASCII has them. Private to base/regex*.c; needs no libc. */
#include <stddef.h>

/** Whether a byte is of the class. */
typedef int sb_regex_class_fn(unsigned char byte);

/** "alpha" and the like, len bytes. NULL: there is none of that name. */
sb_regex_class_fn *sb_regex_class_named(const char *name, size_t len);

/** Of "\w", "\s", "\d" and their capitals, with which *ret_is_not is 1: all bytes but those.
 *  NULL: there is none of that letter. */
sb_regex_class_fn *sb_regex_class_escaped(char letter, int *ret_is_not);

int sb_regex_class_is_digit(unsigned char byte);
int sb_regex_class_is_alpha(unsigned char byte);
