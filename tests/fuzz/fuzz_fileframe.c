#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "service/worker/fileframe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted lies in the packet, and its path leads below, unless it is one of an archive. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_err err;
    struct sb_fileframe frame;
    if (sb_fileframe_read(data, size, &frame, &err) < 0) {
        return 0;
    }
    const char *begin = (const char *)data;
    const struct sb_str texts[] = {frame.path, frame.link, frame.data};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (texts[i].len > 0 &&
            (texts[i].ptr < begin || texts[i].ptr + texts[i].len > begin + size)) {
            abort();
        }
    }
    bool is_below = frame.type != SB_FILE_FAILED && frame.type != SB_FILE_REFUSED;
    if (frame.path.len > 0 &&
        ((is_below && frame.path.ptr[0] == '/') || sb_str_has_nul(frame.path))) {
        abort();
    }
    return 0;
}
