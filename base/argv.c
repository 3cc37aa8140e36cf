#include "base/argv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/near.h"

static int unknown(const struct sb_field *table, size_t n, struct sb_str name, struct sb_err *err)
{
    const char *near = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        bool is_shown = table[i].help != NULL;
        near = is_shown && sb_near_improves(name, table[i].name, &best) ? table[i].name.ptr : near;
    }
    struct sb_str shown = sb_str_head(name, 64);
    return sb_err_set(err, SB_INVALID, "unknown option --%.*s%s%s%s", SB_STR_ARG(shown),
                      near == NULL ? "" : "; did you mean --", near == NULL ? "" : near,
                      near == NULL ? " (see --help)" : "?");
}

static bool is_digits(struct sb_str value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9') {
            return false;
        }
    }
    return value.len > 0;
}

/** Handles argv[*at]; moves *at to the last word used. */
static int parse_one(const struct sb_field *table,
                     size_t n,
                     char *const *argv,
                     int *at,
                     void *target,
                     struct sb_err *err)
{
    struct sb_str word = sb_str_from(argv[*at]);
    if (!sb_str_starts_with(word, SB_STR("--"))) {
        struct sb_str shown = sb_str_head(word, 64);
        return sb_err_set(err, SB_INVALID, "unexpected argument %.*s (see --help)",
                          SB_STR_ARG(shown));
    }
    struct sb_str name = sb_str_skip(word, 2);
    struct sb_str value = SB_STR("true");
    bool has_value = sb_str_split(name, '=', &name, &value);
    const struct sb_field *field = sb_field_find(table, n, name);
    if (field == NULL) {
        return unknown(table, n, name, err);
    }
    if (!has_value && field->kind != SB_FIELD_BOOL) {
        if (argv[*at + 1] == NULL) {
            return sb_err_set(err, SB_INVALID, "--%s: needs a value", field->name.ptr);
        }
        value = sb_str_from(argv[++*at]);
    }
    char millis[32];
    if (field->kind == SB_FIELD_MILLIS && is_digits(value) && value.len < sizeof millis - 3) {
        (void)snprintf(millis, sizeof millis, "%.*sms", SB_STR_ARG(value));
        value = sb_str_from(millis);
    }
    return sb_field_set(table, n, name, value, target, err) < 0
               ? sb_err_set(err, err->code, "--%s", err->text)
               : 0;
}

int sb_argv_parse(const struct sb_field *table,
                  size_t n,
                  int argc,
                  char *const *argv,
                  void *target,
                  struct sb_err *err)
{
    for (int i = 1; i < argc; i++) {
        if (parse_one(table, n, argv, &i, target, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static bool is_none(const struct sb_field *field, const void *target)
{
    uint64_t value = 0;
    if (field->kind == SB_FIELD_BOOL) {
        return true;
    }
    if (field->kind == SB_FIELD_U64) {
        memcpy(&value, (const char *)target + field->offset, sizeof value);
    }
    return value == UINT64_MAX;
}

/** What stands behind the help: how often it may be given, and the default. */
static void format_more(const struct sb_field *field, const void *defaults, char *out, size_t size)
{
    char text[64] = "";
    int n = 0;
    if (!is_none(field, defaults)) {
        (void)sb_field_format(field, defaults, text, sizeof text);
    }
    out[0] = '\0';
    if (field->kind == SB_FIELD_TEXTS) {
        n = snprintf(out, size, "; may be given %llu times", (unsigned long long)field->max);
    }
    if (text[0] != '\0') {
        (void)snprintf(out + n, size - (size_t)n, " (default: %s)", text);
    }
}

void sb_argv_help(const struct sb_field *table, size_t n, const void *defaults, FILE *out)
{
    for (size_t i = 0; i < n; i++) {
        const struct sb_field *field = &table[i];
        char more[128];
        if (field->help == NULL) {
            continue;
        }
        format_more(field, defaults, more, sizeof more);
        (void)fprintf(out, "  --%s%s%s\n      %s%s\n", field->name.ptr,
                      field->unit == NULL ? "" : " ", field->unit == NULL ? "" : field->unit,
                      field->help, more);
    }
}

/* ---- the manual ---- */

/* No hyphens for minus signs; what begins with a point or a quote is no macro. */
static void put_roff(const char *text, FILE *out)
{
    if (*text == '.' || *text == '\'') {
        (void)fputs("\\&", out);
    }
    for (; *text != '\0'; text++) {
        if (*text == '-' || *text == '\\') {
            (void)fputs(*text == '-' ? "\\-" : "\\e", out);
        } else {
            (void)fputc(*text, out);
        }
    }
}

/* Where words of a value may be chosen from, they are bold; a word for what is to be put in is
 * italic. */
static void put_value(const struct sb_field *field, FILE *out)
{
    if (field->unit == NULL) {
        return;
    }
    (void)fputs(field->kind == SB_FIELD_ENUM ? " \\fB" : " \\fI", out);
    put_roff(field->unit, out);
    (void)fputs("\\fR", out);
}

void sb_argv_man(const struct sb_field *table, size_t n, const void *defaults, FILE *out)
{
    for (size_t i = 0; i < n; i++) {
        const struct sb_field *field = &table[i];
        char more[128];
        if (field->help == NULL) {
            continue;
        }
        format_more(field, defaults, more, sizeof more);
        (void)fputs(".TP\n\\fB", out);
        put_roff("--", out);
        put_roff(field->name.ptr, out);
        (void)fputs("\\fR", out);
        put_value(field, out);
        (void)fputc('\n', out);
        put_roff(field->help, out);
        put_roff(more, out);
        (void)fputs(".\n", out);
    }
}

int sb_argv_printed(const char *program)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        return EXIT_SUCCESS;
    }
    (void)fprintf(stderr, "%s: write output: %s\n", program, strerror(errno));
    return EXIT_FAILURE;
}
