#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/** Borrowed bytes, not NUL-terminated, valid while the owner lives. Pass by value.
 *  ptr may be NULL when len is 0. */
struct sb_str {
    const char *ptr;
    size_t len;
};

#define SB_STR(lit)   ((struct sb_str){(lit), sizeof(lit "") - 1}) /* also in static tables */
#define SB_STR_ARG(s) (int)(s).len, (s).ptr                        /* for "%.*s" */

/** @cstr  NUL-terminated, or NULL for the empty string; borrowed. */
static inline struct sb_str sb_str_from(const char *cstr)
{
    return (struct sb_str){cstr, cstr == NULL ? 0 : strlen(cstr)};
}

static inline struct sb_str sb_str_of(const void *ptr, size_t len)
{
    return (struct sb_str){(const char *)ptr, len};
}

static inline bool sb_str_eq(struct sb_str a, struct sb_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool sb_str_starts_with(struct sb_str s, struct sb_str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool sb_str_ends_with(struct sb_str s, struct sb_str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + (s.len - suffix.len), suffix.ptr, suffix.len) == 0);
}

/** Without the first n bytes; empty when there are fewer. */
static inline struct sb_str sb_str_skip(struct sb_str s, size_t n)
{
    return n >= s.len ? (struct sb_str){NULL, 0} : (struct sb_str){s.ptr + n, s.len - n};
}

/** The first n bytes, or all when there are fewer. */
static inline struct sb_str sb_str_head(struct sb_str s, size_t n)
{
    return (struct sb_str){s.ptr, n < s.len ? n : s.len};
}

/** True when @sep is in s: then *ret_head is what stands before the first one and *ret_tail what
 *  stands after it. False: both untouched. The outputs may be the same variable as s. */
static inline bool
sb_str_split(struct sb_str s, char sep, struct sb_str *ret_head, struct sb_str *ret_tail)
{
    const char *at = s.len == 0 ? NULL : (const char *)memchr(s.ptr, sep, s.len);
    if (at == NULL) {
        return false;
    }
    size_t n = (size_t)(at - s.ptr);
    *ret_head = (struct sb_str){s.ptr, n};
    *ret_tail = (struct sb_str){at + 1, s.len - n - 1};
    return true;
}

/** For loops over "a,b,c": takes the next piece off *rest. False when nothing is left (rest->ptr is
 *  NULL). "" holds one empty piece, "a," two; start with rest->ptr not NULL. */
static inline bool sb_str_next(struct sb_str *rest, char sep, struct sb_str *ret_piece)
{
    if (rest->ptr == NULL) {
        return false;
    }
    if (!sb_str_split(*rest, sep, ret_piece, rest)) {
        *ret_piece = *rest;
        *rest = (struct sb_str){NULL, 0};
    }
    return true;
}

/** Without blanks (space, tab, CR, LF) at both ends. */
static inline struct sb_str sb_str_trim(struct sb_str s)
{
    while (s.len > 0 && memchr(" \t\r\n", s.ptr[0], 4) != NULL) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && memchr(" \t\r\n", s.ptr[s.len - 1], 4) != NULL) {
        s.len--;
    }
    return s;
}

/** True when a NUL byte is inside: such text must not become a C string. */
static inline bool sb_str_has_nul(struct sb_str s)
{
    return s.len > 0 && memchr(s.ptr, '\0', s.len) != NULL;
}

/** A NUL-terminated heap copy for the caller to free; NULL when memory is out. */
char *sb_str_dup(struct sb_str s);
