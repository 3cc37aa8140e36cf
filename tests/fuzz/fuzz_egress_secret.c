#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "service/egress/http_head.h"
#include "service/egress/rules.h"
#include "service/egress/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sb_http_head parsed; /* large */

static const char text[] = "TOKEN\0"
                           "placeholder-1\0"
                           "value-123\0"
                           "a.test:80\0";

/* To the bound host nothing of the placeholder leaves in a field; to others nothing of the value.
 */
static void check_request(const struct sb_secrets *secrets, struct sb_str head)
{
    struct sb_err err;
    struct sb_refusal refusal;
    SB_CLEANUP(sb_buf_done) struct sb_buf out = SB_BUF_INIT(2UL * SB_HTTP_MAX_HEAD);
    SB_CLEANUP(sb_secret_use_done) struct sb_secret_use use = {0};
    if (sb_http_head_read_request(head, &parsed, &err) < 0 || parsed.is_connect) {
        return;
    }
    bool has_value = memmem(head.ptr, head.len, "value-123", 9) != NULL;
    if (sb_secrets_put_in(secrets, false, &parsed, &use, &refusal) < 0 ||
        sb_http_head_write_request(&parsed, &out, &err) < 0) {
        return;
    }
    bool is_bound = strcmp(parsed.host.name, "a.test") == 0 && parsed.port == 80;
    for (size_t i = 0; i < parsed.n_fields; i++) {
        struct sb_str value = parsed.fields[i].value;
        if (value.len > 0 && memmem(value.ptr, value.len, "placeholder-1", 13) != NULL) {
            abort();
        }
    }
    struct sb_str written = sb_buf_str(&out);
    if (!is_bound && !has_value && memmem(written.ptr, written.len, "value-123", 9) != NULL) {
        abort();
    }
    if (sb_http_head_length(written, &err) != (int)written.len && written.len < SB_HTTP_MAX_HEAD) {
        abort();
    }
}

static void check_scrub(struct sb_str bytes)
{
    struct sb_scrub scrub = {0};
    if (bytes.len == 0) {
        return;
    }
    size_t len = bytes.len;
    char *copy = malloc(len);
    if (copy == NULL) {
        return;
    }
    memcpy(copy, bytes.ptr, len);
    (void)sb_scrub_add(&scrub, SB_STR("value-123"), SB_STR("placeholder-1"));
    (void)sb_scrub_add(&scrub, SB_STR("lue-"), SB_STR("x"));
    size_t n = sb_scrub_pass(&scrub, copy, len, false);
    if (n > len || sb_scrub_pass(&scrub, copy + n, len - n, true) != len - n ||
        memmem(copy, len, "value-123", 9) != NULL) {
        abort();
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_err err;
    struct sb_str bytes = sb_str_of(data, size);
    const struct sb_egress_secret packet = {.n_plain = 1};
    SB_CLEANUP(sb_secrets_done) struct sb_secrets secrets = {0};
    SB_CLEANUP(sb_secrets_done) struct sb_secrets others = {0};
    if (sb_secrets_add(&secrets, &packet, (struct sb_str){text, sizeof text}, &err) < 0) {
        abort();
    }
    (void)sb_secrets_add(&others, &packet, bytes, &err);
    check_scrub(bytes);
    int len = sb_http_head_length(bytes, &err);
    if (len > 0) {
        check_request(&secrets, sb_str_head(bytes, (size_t)len));
    }
    return 0;
}
