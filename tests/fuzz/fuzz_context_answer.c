#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/utf8.h"
#include "service/worker/context/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void lies_in(struct sb_str text, struct sb_str frame)
{
    if (text.len > 0 && (text.ptr < frame.ptr || text.ptr + text.len > frame.ptr + frame.len)) {
        abort();
    }
}

static void is_text(struct sb_str text, struct sb_str frame)
{
    lies_in(text, frame);
    if (!sb_utf8_valid(text.ptr, text.len) || sb_str_has_nul(text)) {
        abort();
    }
}

/* Frames follow each other to the end, what they are made of lies in them, and texts are texts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_err err;
    struct sb_answer answer;
    struct sb_str rest = sb_str_of(data, size);
    size_t len = 0;
    while (sb_answer_read(rest, &answer, &len, &err) > 0) {
        struct sb_str frame = sb_str_head(rest, len);
        if (len == 0 || len > rest.len || len > SB_ANSWER_MAX) {
            abort();
        }
        is_text(answer.mime, frame);
        lies_in(answer.data, frame);
        is_text(answer.name, frame);
        is_text(answer.value, frame);
        for (size_t i = 0; i < answer.n_lines; i++) {
            is_text(answer.lines[i], frame);
        }
        rest = sb_str_skip(rest, len);
    }
    return 0;
}
