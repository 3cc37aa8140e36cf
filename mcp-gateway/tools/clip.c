#include "mcp-gateway/tools/clip.h"

#include <inttypes.h>
#include <string.h>

#include "base/out.h"
#include "base/utf8.h"

enum { LINE_MAX_BYTES = 512 };

static void add_to_ring(struct sb_clip *clip, struct sb_str data)
{
    if (data.len > SB_CLIP_BYTES) {
        clip->rest += data.len - SB_CLIP_BYTES;
        data = sb_str_skip(data, data.len - SB_CLIP_BYTES);
    }
    for (size_t i = 0; i < data.len; i++) {
        clip->ring[clip->rest++ % SB_CLIP_BYTES] = data.ptr[i];
    }
}

void sb_clip_add(struct sb_clip *clip, uint64_t offset, struct sb_str data)
{
    if (offset > clip->total) {
        clip->has_gap = true;
        clip->rest = 0; /* the tail begins anew: what is shown of it must be in one piece */
    }
    clip->total = offset + data.len;
    if (!clip->has_gap && clip->head_len < SB_CLIP_BYTES) {
        struct sb_str part = sb_str_head(data, SB_CLIP_BYTES - clip->head_len);
        memcpy(clip->head + clip->head_len, part.ptr, part.len);
        clip->head_len += part.len;
        data = sb_str_skip(data, part.len);
    }
    add_to_ring(clip, data);
}

static size_t tail_len(const struct sb_clip *clip)
{
    return clip->rest < SB_CLIP_BYTES ? (size_t)clip->rest : SB_CLIP_BYTES;
}

uint64_t sb_clip_held(const struct sb_clip *clip)
{
    return clip->head_len + tail_len(clip);
}

/* The last n bytes of the tail, in order. */
static size_t copy_tail(const struct sb_clip *clip, size_t n, char out[SB_CLIP_BYTES])
{
    size_t len = tail_len(clip);
    n = n < len ? n : len;
    for (size_t i = 0; i < n; i++) {
        out[i] = clip->ring[(clip->rest - n + i) % SB_CLIP_BYTES];
    }
    return n;
}

void sb_clip_last_line(const struct sb_clip *clip, char *out, size_t cap)
{
    char bytes[SB_CLIP_BYTES];
    size_t n = copy_tail(clip, LINE_MAX_BYTES, bytes);
    struct sb_str text = sb_str_of(bytes, n);
    if (n == 0) {
        text = sb_str_of(clip->head, clip->head_len);
        text = sb_str_skip(text, text.len > LINE_MAX_BYTES ? text.len - LINE_MAX_BYTES : 0);
    }
    text = sb_str_trim(text);
    for (size_t i = text.len; i > 0; i--) {
        if (text.ptr[i - 1] == '\n' || text.ptr[i - 1] == '\r') {
            text = sb_str_skip(text, i);
            break;
        }
    }
    (void)sb_utf8_sanitize(out, cap, text, SB_UTF8_ONE_LINE);
}

static bool is_continuation(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* Without the half of a character, or of a short rest of a line, where it was cut. */
static struct sb_str trim_end(struct sb_str text)
{
    size_t n = text.len;
    while (n > 0 && text.len - n < 3 && is_continuation(text.ptr[n - 1])) {
        n--;
    }
    bool is_lead = n > 0 && ((unsigned char)text.ptr[n - 1] & 0xc0) == 0xc0;
    struct sb_str last = sb_str_skip(text, is_lead ? n - 1 : text.len);
    return is_lead && !sb_utf8_valid(last.ptr, last.len) ? sb_str_head(text, n - 1) : text;
}

static struct sb_str trim_start(struct sb_str text)
{
    size_t n = 0;
    while (n < 3 && n < text.len && is_continuation(text.ptr[n])) {
        n++;
    }
    return sb_str_skip(text, n);
}

static void put_piece(struct sb_out *out, struct sb_str text)
{
    sb_out_write(out, text.ptr, text.len);
    if (text.len > 0 && text.ptr[text.len - 1] != '\n') {
        sb_out_put(out, "\n");
    }
}

uint64_t sb_clip_put(const struct sb_clip *clip, size_t max, struct sb_out *out)
{
    char bytes[SB_CLIP_BYTES];
    struct sb_str head = sb_str_of(clip->head, clip->head_len);
    struct sb_str tail = sb_str_of(bytes, copy_tail(clip, SB_CLIP_BYTES, bytes));
    if (!clip->has_gap && clip->total <= max && clip->total == head.len + tail.len) {
        if (tail.len > 0) {
            sb_out_write(out, head.ptr, head.len);
        }
        put_piece(out, tail.len > 0 ? tail : head);
        return 0;
    }
    if (tail.len == 0 && !clip->has_gap) { /* all of it is in the head */
        size_t n = head.len < max / 2 ? head.len : max / 2;
        tail = sb_str_skip(head, head.len - n);
    }
    head = trim_end(sb_str_head(head, max / 2));
    tail = trim_start(sb_str_skip(tail, tail.len > max / 2 ? tail.len - max / 2 : 0));
    uint64_t left_out = clip->total - head.len - tail.len;
    put_piece(out, head);
    sb_out_printf(out, "[... %" PRIu64 " bytes left out ...]\n", left_out);
    put_piece(out, tail);
    return left_out;
}

bool sb_text_is_text(struct sb_str text)
{
    size_t bad = 0;
    size_t all = text.len;
    if (sb_str_has_nul(text)) {
        return false;
    }
    while (text.len > 0) {
        bad += sb_utf8_next(&text) < 0;
    }
    return bad * 10 <= all;
}

bool sb_clip_is_text(const struct sb_clip *clip)
{
    char bytes[SB_CLIP_BYTES];
    size_t n = copy_tail(clip, SB_CLIP_BYTES, bytes);
    return sb_text_is_text(sb_str_of(clip->head, clip->head_len)) &&
           sb_text_is_text(trim_start(sb_str_of(bytes, n)));
}
