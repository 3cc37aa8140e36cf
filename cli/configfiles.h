#pragma once
#include "aisbx/v1/worker_service.pb-c.h"

struct sb_err;

enum { SB_CONFIGFILES_MAX = 20, SB_CONFIGFILES_BYTES = 16 << 10 };

/** What is wrong with the files that a configuration names. */
struct sb_configfiles {
    char text[SB_CONFIGFILES_BYTES]; /* as the check printed it; the messages point into it */
    Aisbx__V1__ConfigProblem problems[SB_CONFIGFILES_MAX];
    Aisbx__V1__ConfigProblem *list[SB_CONFIGFILES_MAX];
    size_t n;
};

/** Has aisbx-worker --check, with our rights, read @path and the files that it names: a worker that
 *  was asked over a socket reads no file for its callers. May block.
 *  Errors: SB_NOT_FOUND: there is no aisbx-worker here; SB_INTERNAL: it gave no answer; by errno.
 */
int sb_configfiles_check(const char *path, struct sb_configfiles *ret, struct sb_err *err);
