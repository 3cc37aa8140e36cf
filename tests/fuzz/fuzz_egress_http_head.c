#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "service/egress/http_body.h"
#include "service/egress/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sb_http_head parsed; /* large */

/* Whatever is read is written as one head with one Host, that ends where it should. */
static void check_request(struct sb_str head)
{
    struct sb_err err;
    SB_CLEANUP(sb_buf_done) struct sb_buf out = SB_BUF_INIT(2UL * SB_HTTP_MAX_HEAD);
    if (sb_http_head_read_request(head, &parsed, &err) < 0 || parsed.is_connect ||
        sb_http_head_write_request(&parsed, &out, &err) < 0) {
        return;
    }
    struct sb_str written = sb_buf_str(&out);
    if (out.len > SB_HTTP_MAX_HEAD) {
        return;
    }
    if (sb_http_head_length(written, &err) != (int)written.len || sb_str_has_nul(written)) {
        abort();
    }
    unsigned n_hosts = 0;
    for (const char *at = sb_buf_cstr(&out); (at = strcasestr(at, "\nHost:")) != NULL; at++) {
        n_hosts++;
    }
    if (n_hosts != 1) {
        abort();
    }
}

static void check_body(enum sb_http_body kind, struct sb_str bytes)
{
    struct sb_http_body_reader reader;
    struct sb_err err;
    parsed = (struct sb_http_head){.body = kind, .body_bytes = 100};
    sb_http_body_start(&reader, &parsed);
    for (ptrdiff_t n = 1; n > 0; bytes = sb_str_skip(bytes, (size_t)(n > 0 ? n : 0))) {
        n = bytes.len == 0 ? 0 : sb_http_body_take(&reader, bytes, &err);
        if (n > (ptrdiff_t)bytes.len) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_err err;
    struct sb_str bytes = sb_str_of(data, size);
    int len = sb_http_head_length(bytes, &err);
    if (len > 0) {
        struct sb_str head = sb_str_head(bytes, (size_t)len);
        check_request(head);
        (void)sb_http_head_read_response(head, &parsed, &err);
        check_body(SB_HTTP_CHUNKED, sb_str_skip(bytes, (size_t)len));
    }
    check_body(SB_HTTP_CHUNKED, bytes);
    check_body(SB_HTTP_LENGTH, bytes);
    return 0;
}
