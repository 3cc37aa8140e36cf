#pragma once

#include <stddef.h>

#include "base/buf.h"

struct gen_method_names;

enum { GEN_MAX_BYTES = 64 << 20 }; /* one generated file */

/* Appending never fails to the caller: a plugin without memory says so and exits. */
void gen_put(struct sb_buf *buf, const char *text);
void gen_put_char(struct sb_buf *buf, char c);
void gen_printf(struct sb_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** The text on the heap; buf is then empty. */
char *gen_steal(struct sb_buf *buf);
char *gen_strdup(const char *text);
void *gen_alloc(size_t n, size_t size);

/** Appends @text with "$name$" replaced by the member of that name of @names ("$prefix$",
 *  "$member$", ...). An unknown name is a mistake of ours and exits. */
void gen_fill(struct sb_buf *buf, const struct gen_method_names *names, const char *text);
