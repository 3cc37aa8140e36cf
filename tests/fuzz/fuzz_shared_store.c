#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "mcp-gateway/fleet/rates.h"
#include "mcp-gateway/shared/resp.h"
#include "mcp-gateway/shared/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void free_resp(struct sb_resp **resp)
{
    sb_resp_free(*resp);
}

/* What a store says is read alike however it is cut, and what is kept of it is bounded. */
static size_t hear(const uint8_t *data, size_t size, size_t piece)
{
    SB_CLEANUP(free_resp) struct sb_resp *resp = sb_resp_new();
    struct sb_resp_answer got;
    struct sb_err err;
    size_t n = 0;
    for (size_t at = 0; resp != NULL && at < size; at += piece) {
        size_t len = size - at < piece ? size - at : piece;
        int rc = sb_resp_feed(resp, data + at, len, &err);
        while (rc == 0 && (rc = sb_resp_next(resp, &got, &err)) == 1) {
            if (got.text.len > SB_RESP_TEXT) {
                abort();
            }
            n++;
            rc = 0;
        }
        if (rc < 0) {
            break;
        }
    }
    return n;
}

/* First byte: in which pieces. The rest: what a store says, a URL, and what a worker says. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_url url;
    struct sb_err err;
    struct sb_shared_bucket buckets[SB_SHARED_BUCKETS];
    if (size == 0 || size > SB_RESP_PENDING) {
        return 0;
    }
    size_t piece = data[0] == 0 ? 1 : data[0];
    struct sb_str text = sb_str_of(data + 1, size - 1);
    if (hear(data + 1, size - 1, piece) != hear(data + 1, size - 1, size)) {
        abort();
    }
    if (sb_url_parse(text, &url, &err) == 0 && url.kind != SB_URL_UNIX && url.host[0] == '\0') {
        abort();
    }
    (void)sb_rates_read(text, "k", buckets);
    return 0;
}
