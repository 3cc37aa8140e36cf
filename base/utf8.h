#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/** True for well-formed UTF-8 (Unicode 15, table 3-7): no surrogates, no overlong forms, nothing
 *  above U+10FFFF. Control characters and NUL are well-formed. */
bool sb_utf8_valid(const void *ptr, size_t len);

/** Takes one character off the front of *text, which must not be empty. Returns its code point, or
 *  -1 for a malformed sequence, of which one byte is taken. */
int32_t sb_utf8_next(struct sb_str *text);

/** True for characters that are safe to show on a terminal and in a log line: not C0, DEL or C1
 *  controls, line or paragraph separators, nor bidirectional overrides. */
bool sb_utf8_printable(int32_t code_point);
/** For each character of a text; false for what is not UTF-8. "" is. */
bool sb_utf8_all_printable(struct sb_str text);

enum sb_utf8_keep {
    SB_UTF8_ONE_LINE,   /* newline and tab are replaced as well */
    SB_UTF8_KEEP_LINES, /* newline and tab stay */
};

/** Copies text to out as valid, printable UTF-8; every malformed byte and unprintable character
 *  becomes U+FFFD. Cut between characters to fit.
 *  @cap  bytes, at least 1; out is always NUL-terminated. Returns the bytes written, less the NUL.
 */
size_t sb_utf8_sanitize(char *out, size_t cap, struct sb_str text, enum sb_utf8_keep keep);
