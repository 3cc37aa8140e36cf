#pragma once
#include "base/id.h"

struct sb_connect;
struct sb_err;

/** Completes the beginning of a sandbox id ("sb_9xq", or "9xq") to the one id that begins so,
 * asking the worker only when it is not whole already. Destroyed ones that are remembered count
 * too. Errors: SB_NOT_FOUND, SB_INVALID: several begin so; of the call. */
int sb_resolve_sandbox(struct sb_connect *connect,
                       const char *text,
                       char ret_id[SB_ID_SIZE],
                       struct sb_err *err);

/** An exec by its id, or the newest of a sandbox. */
int sb_resolve_exec_of(struct sb_connect *connect,
                       const char *text,
                       char ret_id[SB_ID_SIZE],
                       struct sb_err *err);

/** The same for snapshots. */
int sb_resolve_snapshot(struct sb_connect *connect,
                        const char *text,
                        char ret_id[SB_ID_SIZE],
                        struct sb_err *err);

/** The same for execs. */
int sb_resolve_exec(struct sb_connect *connect,
                    const char *text,
                    char ret_id[SB_ID_SIZE],
                    struct sb_err *err);
