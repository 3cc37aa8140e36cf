#pragma once
#include <stddef.h>

/* The little of <string.h> that init needs, without libc. memcpy, memmove and memset are here too
 * since the compiler makes calls of them. */

size_t sb_text_len(const char *text);
/** True when c is in text. */
int sb_text_has(const char *text, char c);
/** Value of an entry "NAME=value" of a list that ends with NULL, or NULL. @name  "NAME=". */
const char *sb_text_env(const char *const *env, const char *name);
/** Appends at *at, which moves to the new end; stops short of end, so that a NUL fits. */
void sb_text_add(char **at, const char *end, const char *text);
void sb_text_add_number(char **at, const char *end, unsigned number);
