#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

/* Theory of operation: the format is read one field at a time by a small printf of our own, since
 * only then is it known where each value begins and ends, and a blank, quote or newline inside a
 * value can be told from one in the format. A field goes format -> struct value (raw bytes) ->
 * struct line (escaped). The line always keeps room to close a string and the line itself. */

#define LINE_SIZE  4096U /* PIPE_BUF: a write of this size is not torn apart on a pipe */
#define VALUE_SIZE 2048U
#define TAIL_SIZE  32U

struct line {
    char bytes[LINE_SIZE];
    size_t len;
    bool is_cut;
};

struct value {
    char bytes[VALUE_SIZE];
    size_t len;
    bool is_number; /* one decimal directive and nothing else */
};

/* The arguments left, behind a struct so that functions can pass them on by pointer. */
struct args {
    va_list ap;
    bool is_broken; /* an unknown directive: what follows cannot be told */
};

static struct {
    enum sb_log_format format;
    enum sb_log_level level;
    const char *program;
} sink = {SB_LOG_FORMAT_LOGFMT, SB_LOG_LEVEL_INFO, NULL};

static const char *const level_names[] = {
    [SB_LOG_LEVEL_DEBUG] = "debug", [SB_LOG_LEVEL_INFO] = "info", [SB_LOG_LEVEL_WARN] = "warn",
    [SB_LOG_LEVEL_ERROR] = "error", [SB_LOG_LEVEL_NONE] = "none",
};

static const struct {
    const char *name;
    enum sb_log_format format;
} format_names[] = {
    {"logfmt", SB_LOG_FORMAT_LOGFMT},
    {"text", SB_LOG_FORMAT_LOGFMT},
    {"json", SB_LOG_FORMAT_JSON},
};

void sb_log_init(enum sb_log_format format, enum sb_log_level level, const char *program)
{
    sink.format = format;
    sink.level = level;
    sink.program = program;
}

void sb_log_start(const char *program)
{
    enum sb_log_format format = SB_LOG_FORMAT_LOGFMT;
    const char *debug = getenv("AISBX_DEBUG");
    bool is_debug = debug != NULL && debug[0] != '\0' && strcmp(debug, "0") != 0;
    (void)sb_log_format_from(sb_str_from(getenv(SB_LOG_ENV_FORMAT)), &format);
    sb_log_init(format, is_debug ? SB_LOG_LEVEL_DEBUG : SB_LOG_LEVEL_INFO, program);
}

bool sb_log_enabled(enum sb_log_level level)
{
    return level >= sink.level && level < SB_LOG_LEVEL_NONE;
}

bool sb_log_level_from(struct sb_str name, enum sb_log_level *ret_level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (sb_str_eq(name, sb_str_from(level_names[i]))) {
            *ret_level = (enum sb_log_level)i;
            return true;
        }
    }
    return false;
}

bool sb_log_format_from(struct sb_str name, enum sb_log_format *ret_format)
{
    for (size_t i = 0; i < sizeof format_names / sizeof format_names[0]; i++) {
        if (sb_str_eq(name, sb_str_from(format_names[i].name))) {
            *ret_format = format_names[i].format;
            return true;
        }
    }
    return false;
}

/* ---- format -> value ---- */

static void value_put(struct value *value, struct sb_str piece)
{
    struct sb_str fits = sb_str_head(piece, sizeof value->bytes - value->len);
    if (fits.len > 0) {
        memcpy(value->bytes + value->len, fits.ptr, fits.len);
        value->len += fits.len;
    }
}

struct directive {
    int precision;  /* of %s; -1: none */
    char length[3]; /* "", "hh", "h", "l", "ll", "z", "j", "t" */
    char conversion;
};

/* Takes a directive, less its '%', off *fmt. */
static struct directive take_directive(const char **fmt, struct args *args)
{
    struct directive d = {.precision = -1};
    const char *p = *fmt;
    if (p[0] == '.' && p[1] == '*') {
        d.precision = va_arg(args->ap, int);
        p += 2;
    } else if (p[0] == '.') {
        d.precision = 0;
        for (p++; *p >= '0' && *p <= '9' && d.precision < (int)VALUE_SIZE; p++) {
            d.precision = d.precision * 10 + (*p - '0');
        }
    }
    for (size_t i = 0; i < 2 && *p != '\0' && strchr("hlzjt", *p) != NULL; i++) {
        d.length[i] = *p++;
    }
    d.conversion = *p;
    *fmt = *p == '\0' ? p : p + 1;
    return d;
}

static intmax_t take_signed(const struct directive *d, struct args *args)
{
    switch (d->length[0]) {
    case 'l':
        return d->length[1] == 'l' ? va_arg(args->ap, long long) : va_arg(args->ap, long);
    case 'z': /* NOLINT(bugprone-branch-clone): one type here, not everywhere */
        return va_arg(args->ap, ssize_t);
    case 'j':
        return va_arg(args->ap, intmax_t);
    case 't':
        return va_arg(args->ap, ptrdiff_t);
    default:
        return va_arg(args->ap, int);
    }
}

static uintmax_t take_unsigned(const struct directive *d, struct args *args)
{
    switch (d->length[0]) {
    case 'l':
        return d->length[1] == 'l' ? va_arg(args->ap, unsigned long long)
                                   : va_arg(args->ap, unsigned long);
    case 'z': /* NOLINT(bugprone-branch-clone) */
        return va_arg(args->ap, size_t);
    case 'j':
        return va_arg(args->ap, uintmax_t);
    case 't':
        return (uintmax_t)va_arg(args->ap, ptrdiff_t);
    default:
        return va_arg(args->ap, unsigned);
    }
}

static struct sb_str take_string(const struct directive *d, struct args *args)
{
    const char *text = va_arg(args->ap, const char *);
    if (text == NULL && d->precision != 0) {
        return SB_STR("(null)");
    }
    size_t max = d->precision < 0 ? VALUE_SIZE : (size_t)d->precision;
    return sb_str_of(text, max == 0 ? 0 : strnlen(text, max));
}

static void value_put_directive(struct value *value, const char **fmt, struct args *args)
{
    struct directive d = take_directive(fmt, args);
    char number[32] = "";
    switch (d.conversion) {
    case 's':
        value_put(value, take_string(&d, args));
        return;
    case 'd':
    case 'i':
        (void)snprintf(number, sizeof number, "%jd", take_signed(&d, args));
        break;
    case 'u':
        (void)snprintf(number, sizeof number, "%ju", take_unsigned(&d, args));
        break;
    case 'x':
        (void)snprintf(number, sizeof number, "%jx", take_unsigned(&d, args));
        break;
    case 'c':
        number[0] = (char)va_arg(args->ap, int);
        break;
    case '%':
        number[0] = '%';
        break;
    default:
        args->is_broken = true;
        (void)snprintf(number, sizeof number, "%%!");
        break;
    }
    value->is_number = value->len == 0 && !args->is_broken && strchr("diu", d.conversion) != NULL;
    value_put(value, sb_str_from(number));
}

/* Takes the value of one field, which ends at a blank of the format, off *fmt. */
static void take_value(struct value *value, const char **fmt, struct args *args)
{
    value->len = 0;
    value->is_number = false;
    while (**fmt != '\0' && **fmt != ' ' && !args->is_broken) {
        if (**fmt == '%') {
            (*fmt)++;
            value_put_directive(value, fmt, args);
        } else {
            value->is_number = false;
            value_put(value, sb_str_of((*fmt)++, 1));
        }
    }
}

/* ---- value -> line ---- */

/* Puts the piece whole or not at all. */
static bool line_put(struct line *line, struct sb_str piece)
{
    if (line->is_cut || piece.len > sizeof line->bytes - TAIL_SIZE - line->len) {
        line->is_cut = true;
        return false;
    }
    memcpy(line->bytes + line->len, piece.ptr, piece.len);
    line->len += piece.len;
    return true;
}

/* Puts what belongs to the frame of the line; TAIL_SIZE keeps room for it. */
static void line_close(struct line *line, struct sb_str piece)
{
    memcpy(line->bytes + line->len, piece.ptr, piece.len);
    line->len += piece.len;
}

/* The inside of a quoted string, valid in JSON and in logfmt. */
static void line_put_escaped(struct line *line, struct sb_str text)
{
    while (text.len > 0) {
        struct sb_str piece = text;
        int32_t c = sb_utf8_next(&text);
        piece.len -= text.len;
        char escape[8];
        if (c == '"' || c == '\\') {
            piece = sb_str_of(escape, (size_t)snprintf(escape, sizeof escape, "\\%c", (char)c));
        } else if (c == '\n') {
            piece = SB_STR("\\n");
        } else if (c < 0 || c > 0xFFFF) {
            piece = sb_utf8_printable(c) ? piece : SB_STR("\\ufffd");
        } else if (!sb_utf8_printable(c)) {
            piece = sb_str_of(
                escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c & 0xFFFFU));
        }
        if (!line_put(line, piece)) {
            return;
        }
    }
}

static bool needs_quotes(struct sb_str text)
{
    if (text.len == 0) {
        return true;
    }
    while (text.len > 0) {
        int32_t c = sb_utf8_next(&text);
        if (c == ' ' || c == '"' || c == '=' || c == '\\' || !sb_utf8_printable(c)) {
            return true;
        }
    }
    return false;
}

static void
line_put_field(struct line *line, struct sb_str key, struct sb_str value, bool is_number)
{
    bool is_json = sink.format == SB_LOG_FORMAT_JSON;
    bool is_first = line->len <= 1;
    bool is_quoted = is_json ? !is_number : needs_quotes(value);
    char head[80];
    int len = snprintf(head, sizeof head, is_json ? "%s\"%.*s\":%s" : "%s%.*s=%s",
                       is_first ? "" : (is_json ? "," : " "), key.len > 64 ? 64 : (int)key.len,
                       key.ptr, is_quoted ? "\"" : "");
    size_t before = line->len;
    if (!line_put(line, sb_str_of(head, (size_t)len))) {
        return;
    }
    if (is_quoted) {
        line_put_escaped(line, value);
        line_close(line, SB_STR("\""));
    } else if (!line_put(line, value)) {
        line->len = before; /* a number is whole or absent, and a bare key means something else */
    }
}

static void line_put_stamp(struct line *line)
{
    char text[40];
    uint64_t now = sb_clock_real_ms();
    time_t seconds = (time_t)(now / 1000);
    struct tm tm = {0};
    (void)gmtime_r(&seconds, &tm);
    size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    len += (size_t)snprintf(text + len, sizeof text - len, ".%03uZ", (unsigned)(now % 1000));
    line_put_field(line, SB_STR("ts"), sb_str_of(text, len), false);
}

static void line_put_fields(struct line *line, const char *fmt, struct args *args)
{
    struct value value;
    for (;;) {
        while (*fmt == ' ') {
            fmt++;
        }
        size_t key_len = strcspn(fmt, "= ");
        if (fmt[key_len] != '=') {
            return; /* the end, or a word that is no pair */
        }
        struct sb_str key = sb_str_of(fmt, key_len);
        fmt += key_len + 1;
        take_value(&value, &fmt, args);
        line_put_field(line, key, sb_str_of(value.bytes, value.len), value.is_number);
        if (args->is_broken) {
            return;
        }
    }
}

void sb_log(enum sb_log_level level, const char *event, const char *fmt, ...)
{
    if (!sb_log_enabled(level)) {
        return;
    }
    int saved = errno;
    bool is_json = sink.format == SB_LOG_FORMAT_JSON;
    struct line line;
    line.len = 0;
    line.is_cut = false;
    if (is_json) {
        line_close(&line, SB_STR("{"));
    }
    line_put_stamp(&line);
    line_put_field(&line, SB_STR("level"), sb_str_from(level_names[level]), false);
    if (sink.program != NULL) {
        line_put_field(&line, SB_STR("program"), sb_str_from(sink.program), false);
    }
    line_put_field(&line, SB_STR("msg"), sb_str_from(event), false);

    struct args args = {.is_broken = false};
    va_start(args.ap, fmt);
    line_put_fields(&line, fmt, &args);
    va_end(args.ap);

    if (line.is_cut) {
        line_close(&line, is_json ? SB_STR(",\"is_cut\":true") : SB_STR(" is_cut=true"));
    }
    line_close(&line, is_json ? SB_STR("}\n") : SB_STR("\n"));
    /* A log that cannot be written has nowhere to say so. */
    ssize_t ignored = write(STDERR_FILENO, line.bytes, line.len);
    (void)ignored;
    errno = saved;
}
