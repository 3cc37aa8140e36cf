#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "mcp-gateway/sandboxd/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void keep(void *ctx, struct sb_str piece)
{
    if (sb_buf_append_str(ctx, piece) < 0) {
        abort();
    }
}

/* Feeds the body in pieces of n bytes. Returns whether it is a form with that part. */
static int read_form(const char *type, struct sb_str body, size_t n, struct sb_buf *content)
{
    struct sb_multipart *form = NULL;
    struct sb_err err;
    if (sb_multipart_new(type, "file", &form, &err) < 0) {
        return 0;
    }
    int rc = 0;
    while (rc == 0 && body.len > 0) {
        struct sb_str piece = sb_str_head(body, n);
        /* A copy of just its size, so that a read behind it is seen. */
        char *copy = malloc(piece.len);
        if (copy == NULL) {
            abort();
        }
        memcpy(copy, piece.ptr, piece.len);
        rc = sb_multipart_feed(form, sb_str_of(copy, piece.len), keep, content, &err);
        free(copy);
        body = sb_str_skip(body, piece.len);
    }
    if (rc == 0) {
        rc = sb_multipart_end(form, &err);
    }
    free(form);
    return rc == 0;
}

/* The first line is Content-Type, the rest the body: however it is cut, the same is found. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t cuts[] = {1, 7, 5000};
    const uint8_t *end = memchr(data, '\n', size);
    size_t n = end == NULL ? 0 : (size_t)(end - data);
    char *type = end == NULL || n > 4096 ? NULL : malloc(n + 1);
    if (type == NULL) {
        return 0;
    }
    memcpy(type, data, n);
    type[n] = '\0';
    struct sb_str body = sb_str_of((const char *)data + n + 1, size - n - 1);
    struct sb_buf whole = SB_BUF_INIT(size + 1);
    int found = read_form(type, body, size, &whole);
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        struct sb_buf cut = SB_BUF_INIT(size + 1);
        if (read_form(type, body, cuts[i], &cut) != found ||
            (found && !sb_str_eq(sb_buf_str(&whole), sb_buf_str(&cut)))) {
            abort();
        }
        sb_buf_done(&cut);
    }
    sb_buf_done(&whole);
    free(type);
    return 0;
}
