#pragma once
#include <stdint.h>
#include <sys/stat.h>

#include "service/shared/fileproto.h"

/** One operation as received, checked. */
struct sb_file {
    struct sb_file_request request;
    const char *path;
    const char *second;
    const char *third;
    int sock; /* its own */
};

/** Checks a packet, whose strings the result points into. @fds  that came with it.
 *  Returns 0, or -errno. */
int sb_file_parse(
    const char *packet, unsigned long len, const int *fds, int n_fds, struct sb_file *ret_file);

/** Serves it and exits. In a child of init of its own. */
_Noreturn void sb_file_serve(const struct sb_file *file);

/* ---- for the operations, all of which end the process ---- */

_Noreturn void sb_file_fail(const struct sb_file *file, long error, unsigned why);
_Noreturn void sb_file_finish(const struct sb_file *file, uint64_t count);
/** Sends bytes behind a struct; exits when nobody listens any more. */
void sb_file_send(const struct sb_file *file,
                  const void *head,
                  unsigned long head_len,
                  const void *data,
                  unsigned long len);
/** @path  below the directory, or "".   @dir, @name  what st is of, to read where a link leads. */
void sb_file_tell(
    const struct sb_file *file, const struct stat *st, const char *path, int dir, const char *name);

_Noreturn void sb_file_read(const struct sb_file *file);
_Noreturn void sb_file_write(const struct sb_file *file);
_Noreturn void sb_file_list(const struct sb_file *file);
_Noreturn void sb_file_remove(const struct sb_file *file);
