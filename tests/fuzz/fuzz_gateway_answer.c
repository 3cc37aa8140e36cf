#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "mcp-gateway/http/head.h"
#include "mcp-gateway/ports/answer.h"
#include "mcp-gateway/ports/body.h"
#include "mcp-gateway/ports/field.h"
#include "mcp-gateway/ports/place.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sb_answer answer; /* large */

#define PREFIX "/api/v1/sandboxes/sb_aaaaaaaaaaaaaaaaaaaaaaaaaa/ports/8080"

static bool ends_a_line(struct sb_str text)
{
    return text.len > 0 && (memchr(text.ptr, '\r', text.len) != NULL ||
                            memchr(text.ptr, '\n', text.len) != NULL || sb_str_has_nul(text));
}

/* What leads to a port is cut in two without a byte lost, and the server sees a path. */
static void check_place(struct sb_str target)
{
    struct sb_port_place place;
    if (!sb_port_place_parse(target, &place)) {
        return;
    }
    if (place.prefix.len + place.rest.len != target.len || place.rest.len == 0 ||
        place.rest.ptr[0] != '/' || place.port == 0 ||
        (place.token.len > 0 && !sb_str_ends_with(place.prefix, place.token))) {
        abort();
    }
}

/* What is written anew stays one line, and a cookie below the place. */
static void check_rewriting(struct sb_str value)
{
    static const struct sb_port_place place = {
        .port = 8080, .prefix = {PREFIX, sizeof PREFIX - 1}, .rest = {"/", 1}};
    SB_CLEANUP(sb_buf_done) struct sb_buf out = SB_BUF_INIT(1 << 17);
    if (ends_a_line(value)) {
        return;
    }
    if (sb_field_location(value, &place, &out) < 0 || ends_a_line(sb_buf_str(&out))) {
        abort();
    }
    sb_buf_clear(&out);
    if (sb_field_cookies(value, &out) < 0 || ends_a_line(sb_buf_str(&out)) || out.len > value.len) {
        abort();
    }
    sb_buf_clear(&out);
    if (sb_field_set_cookie(value, &place, &out) < 0) {
        abort();
    }
    struct sb_str cookie = sb_buf_str(&out);
    struct sb_str piece;
    struct sb_str last = {NULL, 0};
    unsigned n_paths = 0;
    while (cookie.len > 0 && sb_str_next(&cookie, ';', &piece)) {
        last = sb_str_trim(piece);
        n_paths += last.len >= 5 && strncasecmp(last.ptr, "path=", 5) == 0;
    }
    if (out.len > 0 && (!sb_str_starts_with(sb_buf_str(&out), SB_STR(SB_FIELD_COOKIE_MARK)) ||
                        n_paths != 1 || !sb_str_starts_with(last, SB_STR("Path=" PREFIX "/")))) {
        abort();
    }
}

/* Reads in pieces of that many bytes. Returns whether it is a body so far. */
static bool read_body(struct sb_str bytes, size_t step, struct sb_buf *out, bool *ret_is_whole)
{
    struct sb_answer_reader reader;
    struct sb_err err;
    size_t end = 0;
    sb_answer_reader_init(&reader, &answer);
    while (end < bytes.len && !reader.is_done) {
        struct sb_str piece;
        end = bytes.len - end < step ? bytes.len : end + step;
        struct sb_str held = sb_str_of(bytes.ptr, end);
        int taken = 0;
        while ((taken = sb_answer_read(&reader, held, &piece, &err)) > 0) {
            if (sb_buf_append_str(out, piece) < 0) {
                abort();
            }
            held = sb_str_skip(held, (size_t)taken);
            bytes = sb_str_skip(bytes, (size_t)taken);
            end -= (size_t)taken;
        }
        if (taken < 0) {
            return false;
        }
    }
    *ret_is_whole = sb_answer_end(&reader);
    return true;
}

static void check_body(struct sb_str bytes)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf at_once = SB_BUF_INIT(1 << 20);
    SB_CLEANUP(sb_buf_done) struct sb_buf by_byte = SB_BUF_INIT(1 << 20);
    bool is_whole[2] = {false, false};
    bool is_good = read_body(bytes, bytes.len + 1, &at_once, &is_whole[0]);
    bool is_good_too = read_body(bytes, 1, &by_byte, &is_whole[1]);
    if (is_good != is_good_too || is_whole[0] != is_whole[1] ||
        (is_good && !sb_str_eq(sb_buf_str(&at_once), sb_buf_str(&by_byte))) ||
        (answer.body == SB_ANSWER_SIZED && at_once.len > answer.length) ||
        (answer.body == SB_ANSWER_NO_BODY && at_once.len > 0)) {
        abort();
    }
}

static void check_answer(struct sb_str bytes, const struct sb_answer_asked *asked)
{
    struct sb_err err;
    size_t from = 0;
    int len = sb_head_find_end(bytes, &from);
    SB_CLEANUP(sb_freep) char *text = len <= 0 ? NULL : malloc((size_t)len);
    if (text == NULL) {
        return;
    }
    memcpy(text, bytes.ptr, (size_t)len);
    if (sb_answer_parse(text, (size_t)len, asked, &answer, &err) < 0) {
        if (err.text[0] == '\0') {
            abort();
        }
        return;
    }
    unsigned n_framing = 0;
    for (size_t i = 0; i < answer.n_fields; i++) {
        const struct sb_head_field *field = &answer.fields[i];
        n_framing += strcasecmp(field->name, "content-length") == 0 ||
                     strcasecmp(field->name, "transfer-encoding") == 0;
        if (*field->name == '\0' || ends_a_line(sb_str_from(field->value))) {
            abort();
        }
        check_rewriting(sb_str_from(field->value));
    }
    if (answer.status < 100 || answer.status > 599 || n_framing > 1 ||
        (answer.status == 101 && !asked->is_upgrade) ||
        (asked->is_head && answer.body != SB_ANSWER_NO_BODY)) {
        abort();
    }
    check_body(sb_str_skip(bytes, (size_t)len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sb_answer_asked asked[] = {{false, false}, {true, false}, {false, true}};
    struct sb_str bytes = sb_str_of(data, size < 65536 ? size : 65536);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        check_answer(bytes, &asked[i]);
    }
    check_place(bytes);
    check_rewriting(bytes);
    return 0;
}
