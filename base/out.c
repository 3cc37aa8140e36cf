#include "base/out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/utf8.h"

enum { MAX_BYTES = 64 << 20, FLUSH_BYTES = 64 << 10 };

void sb_out_init(struct sb_out *out, int fd)
{
    *out = (struct sb_out){.buf = SB_BUF_INIT(MAX_BYTES), .fd = fd};
}

void sb_out_done(struct sb_out *out)
{
    sb_buf_done(&out->buf);
}

static void write_held(struct sb_out *out)
{
    struct sb_err err;
    struct sb_str held = sb_buf_str(&out->buf);
    if (out->fd >= 0 && out->broken == 0 && held.len > 0 &&
        sb_fd_write_full(out->fd, held.ptr, held.len, &err) < 0) {
        out->broken = err.sys == 0 ? EIO : err.sys;
    }
    sb_buf_clear(&out->buf);
}

void sb_out_write(struct sb_out *out, const void *data, size_t len)
{
    if (out->broken == 0 && sb_buf_append(&out->buf, data, len) < 0) {
        out->broken = errno;
    }
    if (out->fd >= 0 && out->buf.len >= FLUSH_BYTES) {
        write_held(out);
    }
}

void sb_out_put(struct sb_out *out, const char *text)
{
    sb_out_write(out, text, strlen(text));
}

void sb_out_printf(struct sb_out *out, const char *fmt, ...)
{
    SB_CLEANUP(sb_freep) char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int len = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (len < 0) {
        text = NULL;
        out->broken = ENOMEM;
        return;
    }
    sb_out_write(out, text, (size_t)len);
}

void sb_out_put_safe(struct sb_out *out, struct sb_str text)
{
    size_t cap = 3 * text.len + 1; /* every byte may become U+FFFD */
    SB_CLEANUP(sb_freep) char *safe = malloc(cap);
    if (safe == NULL) {
        out->broken = ENOMEM;
        return;
    }
    sb_out_write(out, safe, sb_utf8_sanitize(safe, cap, text, SB_UTF8_ONE_LINE));
}

int sb_out_flush(struct sb_out *out, struct sb_err *err)
{
    if (out->fd >= 0) {
        write_held(out);
    }
    if (out->broken != 0 && out->broken != EPIPE) {
        return sb_err_sys(err, out->broken, "write output");
    }
    return 0;
}
