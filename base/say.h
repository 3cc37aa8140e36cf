#pragma once
#include <stdbool.h>

struct sb_err;

/* What the program itself says to the person, on stderr: one write(2) per line, so that lines of
 * the program in the sandbox cannot be torn; colours only on a terminal and without NO_COLOR. */

/** "aisbx: text" (the name it was started by) and, with a hint, "  hint: hint". @hint  NULL or "":
 * none. */
void sb_say_error(const struct sb_err *err, const char *hint);

/** "aisbx: text": something the person should know. */
void sb_say_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** The bare line, dimmed; for --verbose. */
void sb_say_detail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** "  hint: text". */
void sb_say_hint(const char *text);
