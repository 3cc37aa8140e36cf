#pragma once
/** What a file helper says, checked: it is inside, with the job, and may be wrong in any way. */
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "service/shared/fileproto.h"

struct sb_err;

/** One packet. The texts lie in it. */
struct sb_fileframe {
    enum sb_file_type type; /* any but COMMIT */
    struct sb_file_info info;
    struct sb_file_match match;
    uint32_t event; /* enum sb_file_event_kind */
    /* INFO, MATCH, EVENT: below the directory, relative, without "..", may be empty.
     * FAILED, REFUSED: what it is about, any bytes but NUL, less than SB_FILE_MAX_PATH. */
    struct sb_str path;
    struct sb_str link; /* INFO: where a link leads */
    struct sb_str data; /* DATA: 1..SB_FILE_MAX_DATA bytes; MATCH: at most SB_FILE_MAX_LINE */
    struct sb_file_done done;
    struct sb_file_failed failed; /* FAILED, REFUSED */
};

/** SB_INTERNAL: not what a helper may say; *ret_frame is then untouched. */
int sb_fileframe_read(const void *packet,
                      size_t len,
                      struct sb_fileframe *ret_frame,
                      struct sb_err *err);
