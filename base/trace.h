#pragma once
/** W3C trace context: which trace something belongs to, as it travels in headers, in gRPC metadata
 *  and in TRACEPARENT. What cannot be read is as if it were not there, as the recommendation says.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum {
    SB_TRACE_ID_BYTES = 16,
    SB_TRACE_SPAN_BYTES = 8,
    SB_TRACE_TEXT_SIZE = 56,         /* of a traceparent, with the NUL */
    SB_TRACE_ID_TEXT_SIZE = 33,      /* of the trace's id alone */
    SB_TRACE_MAX_PARENT_BYTES = 256, /* of what a later version may have written */
    SB_TRACE_MAX_STATE_BYTES = 512,
    SB_TRACE_MAX_STATE_MEMBERS = 32,
    SB_TRACE_SAMPLED = 1, /* of flags */
    SB_TRACE_RANDOM = 2,
};

/** All zero: none. */
struct sb_trace {
    uint8_t trace_id[SB_TRACE_ID_BYTES];
    uint8_t span_id[SB_TRACE_SPAN_BYTES];
    uint8_t flags; /* those we know */
};

static inline bool sb_trace_is(const struct sb_trace *trace)
{
    static const struct sb_trace none;
    return memcmp(trace->trace_id, none.trace_id, sizeof none.trace_id) != 0;
}

/** Reads a traceparent of version 00, or of a later one as far as it is the same. False: it is
 *  none, and *ret_trace is zero. */
bool sb_trace_parse(struct sb_str text, struct sb_trace *ret_trace);
/** As version 00. Returns out. */
const char *sb_trace_format(const struct sb_trace *trace, char out[SB_TRACE_TEXT_SIZE]);
/** The trace's id, in hex. Returns out. */
const char *sb_trace_format_id(const struct sb_trace *trace, char out[SB_TRACE_ID_TEXT_SIZE]);
/** Whether a tracestate may be passed on: the form is right, and it is within the bounds above. */
bool sb_trace_state_is_good(struct sb_str text);
