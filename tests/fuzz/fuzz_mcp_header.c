#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/out.h"
#include "base/utf8.h"
#include "mcp-gateway/mcp/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A value that is decoded is UTF-8 and is the only one with that text; base64 of any bytes comes
 * back. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf buf = SB_BUF_INIT(1 << 20);
    SB_CLEANUP(sb_buf_done) struct sb_buf back = SB_BUF_INIT(1 << 20);
    struct sb_str value = sb_str_of(data, size);
    struct sb_str decoded;
    struct sb_out out;
    sb_out_init(&out, -1);
    if (sb_mcp_header_decode(value, &buf, &decoded) && decoded.ptr != value.ptr) {
        if (!sb_utf8_valid(decoded.ptr, decoded.len)) {
            abort();
        }
        sb_out_put(&out, "=?base64?");
        sb_base64_put(&out, decoded);
        sb_out_put(&out, "?=");
        if (!sb_str_eq(sb_buf_str(&out.buf), value)) {
            abort();
        }
    }
    sb_out_done(&out);
    sb_out_init(&out, -1);
    sb_base64_put(&out, value);
    if (sb_base64_decode(sb_buf_str(&out.buf), &back) < 0 || !sb_str_eq(sb_buf_str(&back), value)) {
        abort();
    }
    sb_out_done(&out);
    return 0;
}
