#pragma once
/** Output of a program as a model gets it: head and tail, what lies between is counted. */
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct sb_out;

enum { SB_CLIP_BYTES = 8192 }; /* kept of the head, and of the tail */

/** Zeroed: nothing came yet. */
struct sb_clip {
    char head[SB_CLIP_BYTES];
    char ring[SB_CLIP_BYTES]; /* of what followed the head; byte i of it at i % SB_CLIP_BYTES */
    size_t head_len;
    uint64_t rest;  /* bytes that followed the head */
    uint64_t total; /* bytes of the stream so far, with those that did not come */
    bool has_gap;   /* bytes that did not come, before the tail */
};

/** @offset  of the first byte of data in the stream. */
void sb_clip_add(struct sb_clip *clip, uint64_t offset, struct sb_str data);
/** Bytes that can be shown. */
uint64_t sb_clip_held(const struct sb_clip *clip);
/** The last line that is not blank, into @out (at most cap - 1 bytes), printable. */
void sb_clip_last_line(const struct sb_clip *clip, char *out, size_t cap);
/** Writes at most @max bytes. Returns how many bytes of the stream were left out. */
uint64_t sb_clip_put(const struct sb_clip *clip, size_t max, struct sb_out *out);
/** Whether that is text: no NUL, and seldom what is no UTF-8. */
bool sb_clip_is_text(const struct sb_clip *clip);
bool sb_text_is_text(struct sb_str text);
