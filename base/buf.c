#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Theory of operation: live bytes are mem[start .. start + len), always followed by a NUL, for
 * which each block has one byte beyond cap. Consuming moves start; the gap it leaves is closed only
 * when an append would otherwise need a larger block, so every byte is moved O(1) times on average.
 */

#define FIRST_BLOCK ((size_t)256)

void sb_buf_init(struct sb_buf *buf, size_t max)
{
    *buf = SB_BUF_INIT(max);
}

void sb_buf_done(struct sb_buf *buf)
{
    free(buf->mem);
    *buf = SB_BUF_INIT(buf->max);
}

/* Moves live bytes to the front of the block. */
static void close_gap(struct sb_buf *buf)
{
    if (buf->mem != NULL && buf->start > 0) {
        memmove(buf->mem, buf->mem + buf->start, buf->len + 1);
        buf->start = 0;
    }
}

/* Block size that holds need bytes: doubled to keep appends cheap, capped by the maximum. */
static size_t next_cap(const struct sb_buf *buf, size_t need)
{
    size_t cap = buf->cap < FIRST_BLOCK ? FIRST_BLOCK : buf->cap;
    while (cap < need) {
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    }
    return cap < buf->max ? cap : buf->max;
}

static int grow(struct sb_buf *buf, size_t need)
{
    size_t cap = next_cap(buf, need);
    char *mem = cap == SIZE_MAX ? NULL : malloc(cap + 1);
    if (mem == NULL) {
        errno = ENOMEM;
        return -1;
    }
    if (buf->mem != NULL) {
        memcpy(mem, buf->mem + buf->start, buf->len);
    }
    mem[buf->len] = '\0';
    free(buf->mem);
    buf->mem = mem;
    buf->start = 0;
    buf->cap = cap;
    return 0;
}

int sb_buf_reserve(struct sb_buf *buf, size_t len, void **ret_room)
{
    if (len > sb_buf_room(buf)) {
        errno = ENOBUFS;
        return -1;
    }
    size_t need = buf->len + len;
    bool fits = buf->mem != NULL && need <= buf->cap - buf->start;
    /* Closing the gap pays when it is at least as large as what has to move, and is the only way
     * when no larger block is permitted. */
    bool closes =
        buf->mem != NULL && need <= buf->cap && (buf->start >= buf->len || buf->cap == buf->max);
    if (!fits && closes) {
        close_gap(buf);
    } else if (!fits && grow(buf, need) < 0) {
        return -1;
    }
    *ret_room = buf->mem + buf->start + buf->len;
    return 0;
}

void sb_buf_commit(struct sb_buf *buf, size_t len)
{
    assert(len <= sb_buf_room(buf));
    if (len == 0) {
        return;
    }
    assert(buf->mem != NULL && len <= buf->cap - buf->start - buf->len);
    buf->len += len;
    buf->mem[buf->start + buf->len] = '\0';
}

int sb_buf_append(struct sb_buf *buf, const void *data, size_t len)
{
    if (len == 0) {
        return 0;
    }
    void *room = NULL;
    if (sb_buf_reserve(buf, len, &room) < 0) {
        return -1;
    }
    memcpy(room, data, len);
    sb_buf_commit(buf, len);
    return 0;
}

int sb_buf_append_str(struct sb_buf *buf, struct sb_str str)
{
    return sb_buf_append(buf, str.ptr, str.len);
}

int sb_buf_append_byte(struct sb_buf *buf, char byte)
{
    return sb_buf_append(buf, &byte, 1);
}

static int vprint(struct sb_buf *buf, size_t len, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
static int vprint(struct sb_buf *buf, size_t len, const char *fmt, va_list ap)
{
    void *room = NULL;
    if (sb_buf_reserve(buf, len, &room) < 0) {
        return -1;
    }
    (void)vsnprintf(room, len + 1, fmt, ap); /* the NUL goes where the block has its spare byte */
    sb_buf_commit(buf, len);
    return 0;
}

int sb_buf_printf(struct sb_buf *buf, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len < 0) {
        return -1;
    }
    va_start(ap, fmt);
    int result = vprint(buf, (size_t)len, fmt, ap);
    va_end(ap);
    return result;
}

void sb_buf_consume(struct sb_buf *buf, size_t n)
{
    if (n >= buf->len) {
        sb_buf_clear(buf);
        return;
    }
    buf->start += n;
    buf->len -= n;
}

void sb_buf_truncate(struct sb_buf *buf, size_t n)
{
    if (n < buf->len) {
        buf->len = n;
        buf->mem[buf->start + n] = '\0';
    }
}

void sb_buf_clear(struct sb_buf *buf)
{
    buf->start = 0;
    buf->len = 0;
    if (buf->mem != NULL) {
        buf->mem[0] = '\0';
    }
}

const char *sb_buf_cstr(const struct sb_buf *buf)
{
    return buf->mem == NULL ? "" : buf->mem + buf->start;
}

char *sb_buf_steal(struct sb_buf *buf)
{
    if (buf->mem == NULL) {
        return calloc(1, 1);
    }
    close_gap(buf);
    char *mem = buf->mem;
    buf->mem = NULL;
    sb_buf_done(buf);
    return mem;
}
