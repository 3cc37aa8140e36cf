#pragma once
#include <stddef.h>

#include "base/str.h"

/** Growable bytes with a hard maximum. Consumed bytes at the front cost no copying.
 *  A zeroed struct is a valid buffer that refuses every byte.
 *
 *  Fallible calls return 0, or -1 with errno ENOBUFS (the maximum) or ENOMEM; the contents are then
 *  unchanged, so `return sb_err_sys(err, errno, "reply")` says what happened (SB_EXHAUSTED). */
struct sb_buf {
    char *mem;    /* owned; NULL until the first byte */
    size_t start; /* bytes consumed at the front of mem */
    size_t len;   /* bytes held, from mem + start */
    size_t cap;   /* bytes mem can hold, not counting one for a NUL */
    size_t max;   /* bytes */
};

#define SB_BUF_INIT(max_bytes) ((struct sb_buf){.max = (max_bytes)})

/** @max  bytes the buffer may hold at one time. Allocates nothing. */
void sb_buf_init(struct sb_buf *buf, size_t max);

/** Frees the memory; also usable with SB_CLEANUP. The buffer is then empty and usable again. */
void sb_buf_done(struct sb_buf *buf);

/** Appends. @data may be NULL when len is 0, and must not point into the buffer. */
int sb_buf_append(struct sb_buf *buf, const void *data, size_t len);
int sb_buf_append_str(struct sb_buf *buf, struct sb_str str);
int sb_buf_append_byte(struct sb_buf *buf, char byte);
int sb_buf_printf(struct sb_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Makes room for len more bytes and points *ret_room at it; valid until the next call on buf. */
int sb_buf_reserve(struct sb_buf *buf, size_t len, void **ret_room);
/** Adds len bytes written to the room of the last sb_buf_reserve; len is at most what was asked. */
void sb_buf_commit(struct sb_buf *buf, size_t len);

/** Drops n bytes (at most all) from the front. */
void sb_buf_consume(struct sb_buf *buf, size_t n);
/** Keeps only the first n bytes; nothing happens when there are fewer. */
void sb_buf_truncate(struct sb_buf *buf, size_t n);
/** Drops all bytes, keeps the memory. */
void sb_buf_clear(struct sb_buf *buf);

/** NUL-terminated view, never NULL; valid until the next call that changes buf. */
const char *sb_buf_cstr(const struct sb_buf *buf);
/** The heap block as a C string for the caller to free; buf is then empty. NULL: out of memory. */
char *sb_buf_steal(struct sb_buf *buf);

/** The bytes held; valid until the next call that changes buf. */
static inline struct sb_str sb_buf_str(const struct sb_buf *buf)
{
    return (struct sb_str){sb_buf_cstr(buf), buf->len};
}

/** Bytes that still fit under the maximum. */
static inline size_t sb_buf_room(const struct sb_buf *buf)
{
    return buf->max - buf->len;
}
