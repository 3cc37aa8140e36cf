/* Form: base64 of until (8 bytes, big end first), HMAC-SHA256 over until, length of bound, bound
 * and state (32 bytes), state. */
#include "mcp-gateway/mcp/seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdint.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/out.h"

enum { UNTIL = 8, MAC = 32, MAX_SEALED = 64 << 10 };

static void put_u64(unsigned char out[UNTIL], uint64_t value)
{
    for (int i = 0; i < UNTIL; i++) {
        out[i] = (unsigned char)(value >> (56 - 8 * i));
    }
}

static bool sign(struct sb_str key,
                 uint64_t until_ms,
                 struct sb_str bound,
                 struct sb_str state,
                 unsigned char mac[MAC])
{
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT((size_t)2 * MAX_SEALED);
    unsigned char numbers[2 * UNTIL];
    unsigned len = 0;
    put_u64(numbers, until_ms);
    put_u64(numbers + UNTIL, bound.len);
    return sb_buf_append(&text, numbers, sizeof numbers) == 0 &&
           sb_buf_append_str(&text, bound) == 0 && sb_buf_append_str(&text, state) == 0 &&
           HMAC(EVP_sha256(), key.ptr, (int)key.len, (const unsigned char *)sb_buf_cstr(&text),
                text.len, mac, &len) != NULL &&
           len == MAC;
}

int sb_seal_make(struct sb_str key,
                 struct sb_str bound,
                 struct sb_str state,
                 uint64_t until_ms,
                 struct sb_buf *ret_text,
                 struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf sealed = SB_BUF_INIT(MAX_SEALED);
    unsigned char head[UNTIL + MAC];
    put_u64(head, until_ms);
    if (!sign(key, until_ms, bound, state, head + UNTIL)) {
        return sb_err_set(err, SB_INTERNAL, "HMAC-SHA256 failed");
    }
    if (sb_buf_append(&sealed, head, sizeof head) < 0 || sb_buf_append_str(&sealed, state) < 0) {
        return sb_err_oom(err);
    }
    struct sb_out out;
    sb_out_init(&out, -1);
    sb_base64_put(&out, sb_buf_str(&sealed));
    int rc = out.broken != 0 ? -1 : sb_buf_append_str(ret_text, sb_buf_str(&out.buf));
    sb_out_done(&out);
    return rc < 0 ? sb_err_oom(err) : 0;
}

bool sb_seal_open(struct sb_str key,
                  struct sb_str bound,
                  struct sb_str text,
                  uint64_t now_ms,
                  struct sb_buf *buf,
                  struct sb_str *ret_state)
{
    unsigned char mac[MAC];
    uint64_t until_ms = 0;
    sb_buf_clear(buf);
    if (sb_base64_decode(text, buf) < 0 || buf->len < UNTIL + MAC) {
        return false;
    }
    struct sb_str sealed = sb_buf_str(buf);
    struct sb_str state = sb_str_skip(sealed, UNTIL + MAC);
    for (int i = 0; i < UNTIL; i++) {
        until_ms = until_ms << 8 | (unsigned char)sealed.ptr[i];
    }
    if (!sign(key, until_ms, bound, state, mac) ||
        CRYPTO_memcmp(mac, sealed.ptr + UNTIL, MAC) != 0 || now_ms > until_ms) {
        return false;
    }
    *ret_state = state;
    return true;
}
