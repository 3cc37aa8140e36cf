#include "base/say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/utf8.h"

enum { LINE_BYTES = 2048 };

static bool wants_color(void)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return (no_color == NULL || *no_color == '\0') && (term == NULL || strcmp(term, "dumb") != 0) &&
           isatty(STDERR_FILENO) == 1;
}

static void put_line(const char *color, const char *label, const char *text)
{
    char safe[LINE_BYTES];
    char line[LINE_BYTES + 64];
    struct sb_err ignored;
    bool colored = wants_color();
    (void)sb_utf8_sanitize(safe, sizeof safe, sb_str_from(text), SB_UTF8_ONE_LINE);
    int len = snprintf(line, sizeof line, "%s%s%s%s\n", colored ? color : "", label,
                       colored ? "\x1b[0m" : "", safe);
    /* Nobody to tell when stderr is gone. */
    (void)sb_fd_write_full(STDERR_FILENO, line, (size_t)len, &ignored);
}

/* @out  "aisbx: " */
static const char *own_label(char out[64])
{
    (void)snprintf(out, 64, "%s: ", program_invocation_short_name);
    return out;
}

void sb_say_error(const struct sb_err *err, const char *hint)
{
    char label[64];
    put_line("\x1b[1;31m", own_label(label), err->text);
    if (hint != NULL && *hint != '\0') {
        sb_say_hint(hint);
    }
}

void sb_say_hint(const char *text)
{
    put_line("\x1b[1m", "  hint: ", text);
}

#define SAY(color, label)                                                                          \
    do {                                                                                           \
        char text_[LINE_BYTES];                                                                    \
        va_list ap_;                                                                               \
        va_start(ap_, fmt);                                                                        \
        (void)vsnprintf(text_, sizeof text_, fmt, ap_);                                            \
        va_end(ap_);                                                                               \
        put_line((color), (label), text_);                                                         \
    } while (0)

void sb_say_note(const char *fmt, ...)
{
    char label[64];
    SAY("\x1b[1m", own_label(label));
}

void sb_say_detail(const char *fmt, ...)
{
    SAY("", "");
}
