#pragma once
/** What a child of the spawner says of a sandbox's changes, one packet each. */
#include <stdint.h>

#include "service/shared/fileproto.h"

/** The numbers of aisbx.v1.FileEventKind. */
enum sb_change {
    SB_CHANGE_CREATED = 1,
    SB_CHANGE_CHANGED = 2,
    SB_CHANGE_REMOVED = 3,
};

/** How much is told. The numbers of aisbx.v1.DiffContent. */
enum sb_change_content {
    SB_CHANGE_NAMES = 0,
    SB_CHANGE_FILES = 1, /* after INFO of a regular file that is there, DATA of it */
    SB_CHANGE_TAR = 2,   /* DATA of an archive alone */
};

/** Before a packet of a file helper: INFO, whose path is the whole one without its first slash, or
 * DATA, then DONE or FAILED. */
struct sb_change_head {
    uint32_t change; /* of INFO; else 0 */
    uint32_t reserved;
    uint64_t offset; /* of DATA in its file; ascending: what is left out is a hole */
};
