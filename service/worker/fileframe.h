#pragma once
/** What a file helper says, checked: it is inside, with the job, and may be wrong in any way. */
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "service/shared/fileproto.h"

struct sb_err;

/** One packet. The texts lie in it. */
struct sb_fileframe {
    enum sb_file_type type; /* INFO, DATA, READY, DONE or FAILED */
    struct sb_file_info info;
    struct sb_str path; /* INFO: below the directory, relative, without "..", may be empty */
    struct sb_str link; /* INFO: where a link leads */
    struct sb_str data; /* DATA: 1..SB_FILE_MAX_DATA bytes */
    uint64_t count;     /* DONE */
    struct sb_file_failed failed;
};

/** SB_INTERNAL: not what a helper may say; *ret_frame is then untouched. */
int sb_fileframe_read(const void *packet,
                      size_t len,
                      struct sb_fileframe *ret_frame,
                      struct sb_err *err);
