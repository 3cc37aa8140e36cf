#include "proto/protoc-gen-aisbx-c/template.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/protoc-gen-aisbx-c/names.h"

static void die(const char *why)
{
    (void)fprintf(stderr, "protoc-gen-aisbx-c: %s\n", why);
    exit(EXIT_FAILURE);
}

static void put_n(struct sb_buf *buf, const char *text, size_t len)
{
    if (sb_buf_append(buf, text, len) < 0) {
        die("out of memory");
    }
}

void gen_put(struct sb_buf *buf, const char *text)
{
    put_n(buf, text, strlen(text));
}

void gen_put_char(struct sb_buf *buf, char c)
{
    put_n(buf, &c, 1);
}

void gen_printf(struct sb_buf *buf, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int len = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (len < 0) {
        die("out of memory");
    }
    put_n(buf, text, (size_t)len);
    free(text);
}

char *gen_steal(struct sb_buf *buf)
{
    char *text = sb_buf_steal(buf);
    if (text == NULL) {
        die("out of memory");
    }
    return text;
}

char *gen_strdup(const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL) {
        die("out of memory");
    }
    return copy;
}

void *gen_alloc(size_t n, size_t size)
{
    void *mem = calloc(n == 0 ? 1 : n, size);
    if (mem == NULL) {
        die("out of memory");
    }
    return mem;
}

static const char *lookup(const struct gen_method_names *names, const char *key, size_t len)
{
    static const struct {
        const char *key;
        size_t offset;
    } rows[] = {
#define ROW(member) {#member, offsetof(struct gen_method_names, member)}
        ROW(service), ROW(prefix), ROW(upper),    ROW(method),    ROW(member),
        ROW(in),      ROW(out),    ROW(in_lower), ROW(out_lower), ROW(member_upper),
#undef ROW
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strlen(rows[i].key) == len && memcmp(rows[i].key, key, len) == 0) {
            char *value = NULL;
            memcpy(&value, (const char *)names + rows[i].offset, sizeof value);
            return value;
        }
    }
    return NULL;
}

void gen_fill(struct sb_buf *buf, const struct gen_method_names *names, const char *text)
{
    const char *at = text;
    for (const char *open; (open = strchr(at, '$')) != NULL;) {
        put_n(buf, at, (size_t)(open - at));
        const char *close = strchr(open + 1, '$');
        if (close == NULL) {
            die("template: lone $");
        }
        const char *value = lookup(names, open + 1, (size_t)(close - open - 1));
        if (value == NULL) {
            die(text);
        }
        gen_put(buf, value);
        at = close + 1;
    }
    gen_put(buf, at);
}
