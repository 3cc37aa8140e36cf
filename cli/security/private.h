#pragma once
#include <limits.h>
#include <stdbool.h>

#include "base/str.h"

struct sb_cli;
struct sb_connect;
struct sb_err;

/** A worker with a configuration of its own, for one purpose, in a directory that goes with it. It
 *  is the same program as the user's own worker. Zeroed is none. */
struct sb_private {
    char dir[PATH_MAX];    /* "" before it was made */
    char config[PATH_MAX]; /* its config.yaml */
};

/** Makes the directory. From then on this process finds no other worker: the environment says so.
 *  Errors: by errno. */
int sb_private_make(struct sb_private *own, struct sb_err *err);
/** Writes a file into the directory, over one of that name.
 *  @name  without a slash.   @ret_path  absolute; may be NULL. Errors: by errno. */
int sb_private_write(const struct sb_private *own,
                     const char *name,
                     struct sb_str text,
                     char ret_path[PATH_MAX],
                     struct sb_err *err);
/** Connects to a worker that has read the configuration as it is now; one that runs is ended.
 *  Errors: of sb_connect_open. */
int sb_private_connect(const struct sb_private *own,
                       struct sb_cli *cli,
                       struct sb_connect *ret_connect,
                       struct sb_err *err);
/** Ends its worker, if one runs. Before the environment names another configuration. */
void sb_private_end(const struct sb_private *own);
/** Ends its worker, and removes the directory. */
void sb_private_done(struct sb_private *own);
