/* A traceparent or a tracestate of anybody: what is taken comes out as it was meant. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_trace trace;
    struct sb_trace again;
    char text[SB_TRACE_TEXT_SIZE];
    struct sb_str in = sb_str_of(data, size);
    if (sb_trace_parse(in, &trace)) {
        sb_trace_format(&trace, text);
        if (strlen(text) != SB_TRACE_TEXT_SIZE - 1 || !sb_trace_is(&trace) ||
            memcmp(text + 3, in.ptr + 3, 50) != 0 || !sb_trace_parse(sb_str_from(text), &again) ||
            memcmp(&trace, &again, sizeof trace) != 0) {
            abort();
        }
    } else if (sb_trace_is(&trace)) {
        abort();
    }
    if (sb_trace_state_is_good(in)) {
        for (size_t i = 0; i < size; i++) { /* it goes into metadata */
            if (data[i] < ' ' || data[i] > '~') {
                abort();
            }
        }
    }
    return 0;
}
