#include "service/worker/context/answer.h"

#include <string.h>

#include "base/err.h"
#include "base/utf8.h"

enum { HEAD = 5, MIN_RESULT = 2, N_FLAGS = 2 };

/* A type without parameters. */
static bool is_mime(struct sb_str mime)
{
    static const char marks[] = "!#$&^_.+-";
    size_t slash = 0;
    size_t n_slashes = 0;
    for (size_t i = 0; i < mime.len; i++) {
        char c = mime.ptr[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (c == '/') {
            slash = i;
            n_slashes++;
        } else if (!is_plain && (c == '\0' || strchr(marks, c) == NULL)) {
            return false;
        }
    }
    return n_slashes == 1 && slash > 0 && slash + 1 < mime.len;
}

static bool is_text(struct sb_str mime)
{
    return sb_str_starts_with(mime, SB_STR("text/")) ||
           sb_str_eq(mime, SB_STR("application/json")) || sb_str_ends_with(mime, SB_STR("+json")) ||
           sb_str_ends_with(mime, SB_STR("+xml"));
}

static int read_ready(struct sb_str payload, struct sb_answer *answer, struct sb_err *err)
{
    (void)payload;
    (void)answer;
    (void)err;
    return 0;
}

static int read_result(struct sb_str payload, struct sb_answer *answer, struct sb_err *err)
{
    unsigned flags = (unsigned char)payload.ptr[0];
    size_t mime_len = (unsigned char)payload.ptr[1];
    struct sb_str rest = sb_str_skip(payload, MIN_RESULT);
    if (flags >> N_FLAGS != 0 || mime_len > SB_ANSWER_MAX_MIME || mime_len > rest.len) {
        return sb_err_set(err, SB_INVALID, "a value with a malformed head");
    }
    answer->is_main = (flags & 1) != 0;
    answer->is_other_form = (flags & 2) != 0;
    answer->mime = sb_str_head(rest, mime_len);
    answer->data = sb_str_skip(rest, mime_len);
    if (!is_mime(answer->mime)) {
        return sb_err_set(err, SB_INVALID, "a value whose type is none");
    }
    if (answer->data.len > SB_ANSWER_MAX_DATA) {
        return sb_err_set(err, SB_INVALID, "a value of more than %d bytes", SB_ANSWER_MAX_DATA);
    }
    if (is_text(answer->mime) && !sb_utf8_valid(answer->data.ptr, answer->data.len)) {
        return sb_err_set(err, SB_INVALID, "a text that is not UTF-8");
    }
    return 0;
}

static int read_error(struct sb_str payload, struct sb_answer *answer, struct sb_err *err)
{
    struct sb_str rest = payload;
    if (!sb_utf8_valid(payload.ptr, payload.len)) {
        return sb_err_set(err, SB_INVALID, "an error that is not UTF-8");
    }
    (void)sb_str_next(&rest, '\0', &answer->name);
    (void)sb_str_next(&rest, '\0', &answer->value);
    while (answer->n_lines < SB_ANSWER_MAX_LINES &&
           sb_str_next(&rest, '\0', &answer->lines[answer->n_lines])) {
        answer->n_lines++;
    }
    if (rest.len > 0) {
        return sb_err_set(err, SB_INVALID, "an error of more than %d lines", SB_ANSWER_MAX_LINES);
    }
    return 0;
}

static uint32_t number_at(const char *at)
{
    uint32_t number = 0;
    for (unsigned i = 0; i < 4; i++) {
        number |= (uint32_t)(unsigned char)at[i] << 8 * i;
    }
    return number;
}

static int read_done(struct sb_str payload, struct sb_answer *answer, struct sb_err *err)
{
    (void)err;
    answer->status = number_at(payload.ptr);
    return 0;
}

static const struct {
    enum sb_answer_kind kind;
    size_t min; /* bytes of payload */
    size_t max;
    int (*read)(struct sb_str payload, struct sb_answer *answer, struct sb_err *err);
} kinds[] = {
    {SB_ANSWER_READY, 0, 0, read_ready},
    {SB_ANSWER_RESULT, MIN_RESULT, SB_ANSWER_MAX - HEAD, read_result},
    {SB_ANSWER_ERROR, 0, SB_ANSWER_MAX_DATA, read_error},
    {SB_ANSWER_DONE, 4, 4, read_done},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

int sb_answer_read(struct sb_str bytes,
                   struct sb_answer *ret_answer,
                   size_t *ret_len,
                   struct sb_err *err)
{
    size_t row = 0;
    if (bytes.len < HEAD) {
        return 0;
    }
    while (row < N_KINDS && (char)kinds[row].kind != bytes.ptr[0]) {
        row++;
    }
    if (row == N_KINDS) {
        return sb_err_set(err, SB_INVALID, "a frame of no known kind");
    }
    size_t len = number_at(bytes.ptr + 1);
    if (len < kinds[row].min || len > kinds[row].max) {
        return sb_err_set(err, SB_INVALID, "a frame of %zu bytes, which its kind does not have",
                          len);
    }
    if (bytes.len - HEAD < len) {
        return 0;
    }
    struct sb_answer answer = {.kind = kinds[row].kind};
    if (kinds[row].read(sb_str_head(sb_str_skip(bytes, HEAD), len), &answer, err) < 0) {
        return -1;
    }
    *ret_answer = answer;
    *ret_len = HEAD + len;
    return 1;
}
