#pragma once
#include <stddef.h>
#include <sys/un.h>

struct sb_err;

#define SB_EMBEDDED_ADDRESS_SIZE (sizeof "unix:" + sizeof((struct sockaddr_un *)0)->sun_path)

/** Address of the worker of one's own: "unix:" DIR "/worker.sock", DIR as sb_embedded_dir says.
 * With $AISBX_CONFIG_PATH the file name carries a hash of that path, for such a worker knows other
 *  profiles. Makes nothing; in a directory that others could have made, checks whose it is.
 *  Errors: SB_INVALID: too long; SB_DENIED: the directory is another user's. */
int sb_embedded_address(char out[SB_EMBEDDED_ADDRESS_SIZE], struct sb_err *err);

/** Starts that worker and waits until it is ready; fine when another aisbx was faster.
 *  @expect  profile of its first sandbox, which it may get ready for; NULL: not known.
 *  @hint  filled with the next step on failure. Errors: SB_UNAVAILABLE with what the worker said,
 *  by errno. */
int sb_embedded_start(
    const char *address, const char *expect, char *hint, size_t hint_size, struct sb_err *err);
