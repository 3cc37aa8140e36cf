#pragma once
/** Modules (shared libraries of ours) that lie beside the program, for what few need. */

#include <stddef.h>

struct sb_err;

enum { SB_MODULE_ADVICE_SIZE = 256 }; /* bytes, with the NUL */

/** Opens one, so that it can be loaded later, without the rights to get there.
 *  @file  its name. *ret_fd is close-on-exec. Errors: SB_NOT_FOUND: it is not there. */
int sb_module_find(const char *file, int *ret_fd, struct sb_err *err);

/** What to do about a failure of dlopen: the Debian package to install, where that is known.
 *  @why  as dlerror says it. Returns @ret_text. */
const char *sb_module_advise(const char *why, char *ret_text, size_t size);

/** Loads it, for ever. Returns the address of @symbol, or NULL with SB_UNAVAILABLE and the next
 *  step.
 *  @fd  borrowed. */
void *sb_module_load(int fd, const char *file, const char *symbol, struct sb_err *err);
