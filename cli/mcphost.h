#pragma once
#include <limits.h>
#include <stdbool.h>

struct sb_err;

/** A program that lets a model use MCP servers, and where it keeps which. */
struct sb_mcphost {
    const char *name;    /* "claude" */
    const char *title;   /* "Claude Desktop" */
    const char *below;   /* of which directory: "~" or "config" ($XDG_CONFIG_HOME) */
    const char *path;    /* the user's file there */
    const char *project; /* a project's file, below the current directory */
    const char *object;  /* the member that holds the servers */
    bool wants_type;     /* entries say "type": "stdio" */
};

extern const struct sb_mcphost sb_mcphost_table[]; /* ended by a row without name */

/** Errors: SB_INVALID: none of that name; the text lists them. */
int sb_mcphost_find(const char *name, const struct sb_mcphost **ret_host, struct sb_err *err);

/** The file to change; that a symbolic link leads to. It need not exist.
 *  Errors: SB_PRECONDITION: no home; SB_INVALID: too long. */
int sb_mcphost_path(const struct sb_mcphost *host,
                    bool is_project,
                    char ret_path[PATH_MAX],
                    struct sb_err *err);
