#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/utf8.h"
#include "mcp-gateway/http/chunked.h"
#include "mcp-gateway/http/guard.h"
#include "mcp-gateway/http/head.h"
#include "mcp-gateway/http/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sb_head head; /* large */
static struct sb_target target;

static void check_target(struct sb_str text, const char *host, const char *open)
{
    struct sb_err err;
    SB_CLEANUP(sb_freep) char *room = malloc(text.len + 1);
    if (room == NULL || sb_target_parse(text, host, open, room, &target, &err) < 0) {
        return;
    }
    struct sb_str path = target.path;
    if (open != NULL && sb_str_starts_with(path, sb_str_from(open))) {
        if (sb_str_has_nul(path) || !sb_utf8_valid(path.ptr, path.len)) {
            abort();
        }
        return;
    }
    if (path.len == 0 || path.ptr[0] != '/' || sb_str_has_nul(path) ||
        !sb_utf8_valid(path.ptr, path.len) || memmem(path.ptr, path.len, "//", 2) != NULL ||
        memmem(path.ptr, path.len, "/../", 4) != NULL || target.n_params > SB_TARGET_MAX_PARAMS) {
        abort();
    }
}

/* What is taken has one Host, one way to know its end, and no character that ends a line. */
static void check_head(struct sb_str bytes)
{
    static const struct sb_guard guard = {.is_loopback = true};
    struct sb_err err;
    int status = 0;
    size_t from = 0;
    int len = sb_head_find_end(bytes, &from);
    SB_CLEANUP(sb_freep) char *text = len <= 0 ? NULL : malloc((size_t)len);
    if (text == NULL) {
        return;
    }
    memcpy(text, bytes.ptr, (size_t)len);
    if (sb_head_parse(text, (size_t)len, &head, &status, &err) < 0) {
        if (status < 400 || err.text[0] == '\0') {
            abort();
        }
        return;
    }
    unsigned n_hosts = 0;
    for (size_t i = 0; i < head.n_fields; i++) {
        n_hosts += strcasecmp(head.fields[i].name, "host") == 0;
        if (strpbrk(head.fields[i].value, "\r\n") != NULL || *head.fields[i].name == '\0') {
            abort();
        }
    }
    if (n_hosts != 1 || (head.is_chunked && head.body_bytes != 0) ||
        (head.is_chunked && sb_head_get(&head, "content-length") != NULL)) {
        abort();
    }
    (void)sb_guard_check_host(&guard, head.host, &err);
    (void)sb_guard_check_origin(&guard, sb_head_get(&head, "origin"), &err);
    check_target(head.target, head.host, NULL);
    check_target(head.target, head.host, "/v1/files/");
}

/* In whatever pieces the body comes, it is the same. */
static void check_chunks(struct sb_str bytes)
{
    struct sb_err err;
    struct sb_chunked at_once = {0};
    struct sb_chunked by_piece = {0};
    SB_CLEANUP(sb_buf_done) struct sb_buf whole = SB_BUF_INIT(1 << 16);
    SB_CLEANUP(sb_buf_done) struct sb_buf pieces = SB_BUF_INIT(1 << 16);
    int taken = sb_chunked_take(&at_once, bytes.ptr, bytes.len, &whole, &err);
    size_t at = 0;
    for (size_t end = 1; end <= bytes.len; end++) {
        int n = sb_chunked_take(&by_piece, bytes.ptr + at, end - at, &pieces, &err);
        if (n < 0) {
            if (taken >= 0) {
                abort();
            }
            return;
        }
        at += (size_t)n;
    }
    if (taken < 0 || (size_t)taken != at || by_piece.state != at_once.state ||
        !sb_str_eq(sb_buf_str(&whole), sb_buf_str(&pieces))) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_str bytes = sb_str_of(data, size);
    check_head(bytes);
    check_target(bytes, "localhost", NULL);
    check_target(bytes, "localhost", "/v1/files/");
    if (size < 4096) {
        check_chunks(bytes);
    }
    return 0;
}
