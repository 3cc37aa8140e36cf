#pragma once
/** What a child that compares says of what it finds, as packets of service/shared/changeproto.h. In
 *  a child alone: it waits for who reads, and allocates nothing. */
#include <stddef.h>
#include <sys/stat.h>

#include "service/shared/changeproto.h"

struct sb_err;

/** One comparison. */
struct sb_tell {
    int sock; /* borrowed */
    enum sb_change_content content;
    char path[SB_FILE_MAX_PATH]; /* of the directory it is in, without its first slash */
    size_t path_len;
};

/** Tells a change, and of a regular file that is there its bytes when they are wanted. What is gone
 *  meanwhile, or has become something else, is left out.
 *  @dir, @name  where it is, or was.   @st  what it is, or was.
 *  Errors: by errno; SB_PRECONDITION: the path is too long; SB_ABORTED: the file became shorter
 * while it was read; SB_INVALID: the name means something else in an archive. */
int sb_tell_change(const struct sb_tell *tell,
                   enum sb_change change,
                   int dir,
                   const char *name,
                   const struct stat *st,
                   struct sb_err *err);
/** All were told. @failure  why not; NULL: they were. Best effort. */
void sb_tell_end(const struct sb_tell *tell, const struct sb_err *failure);
