#pragma once
#include <stdbool.h>

#include "base/buf.h"

struct sb_err;

/** Text on its way to one descriptor, written in large pieces. Appending never fails to the caller:
 *  the first failure is kept and everything after it dropped; sb_out_flush reports it. */
struct sb_out {
    struct sb_buf buf;
    int fd;     /* borrowed */
    int broken; /* errno of the first failure, or 0 */
};

/** @fd  borrowed; -1 keeps all text in the buffer (at most 64 MiB). */
void sb_out_init(struct sb_out *out, int fd);
/** Drops what was not flushed. */
void sb_out_done(struct sb_out *out);

void sb_out_put(struct sb_out *out, const char *text);
void sb_out_write(struct sb_out *out, const void *data, size_t len);
void sb_out_printf(struct sb_out *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** As valid UTF-8 on one line, without control characters: for text that a program or a peer
 *  chose and a terminal will show. */
void sb_out_put_safe(struct sb_out *out, struct sb_str text);

/** Writes what is held. A reader that went away (EPIPE) is no error: there is nobody to tell. */
int sb_out_flush(struct sb_out *out, struct sb_err *err);
