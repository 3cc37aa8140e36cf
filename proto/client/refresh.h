#pragma once
#include <stdbool.h>

struct sb_connect;
struct sb_err;

/** True when the configuration that a worker at @address would read now was written after that
 *  worker began. @address  of the worker of one's own, "unix:...". */
bool sb_refresh_is_due(const char *address);

/** The configuration that a worker started now by us would read. False: there is none.
 *  @path  PATH_MAX bytes. */
bool sb_refresh_find_config(char *path);

/** Notes beside its socket which configuration the worker that is being started reads, for
 *  sb_refresh_is_due. Best effort: without it a file that went away is not noticed. */
void sb_refresh_note(const char *address);

/** Asks the worker of one's own to end when it does nothing, so that the next one reads the
 *  configuration anew. One with sandboxes stays, and a note says so. The channel is closed either
 * way, for it counts as use; open it again, or start the next worker. Errors: those of the calls.
 */
int sb_refresh_ask(struct sb_connect *connect, struct sb_err *err);
