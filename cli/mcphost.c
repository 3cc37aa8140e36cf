#include "cli/mcphost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/near.h"
#include "base/str.h"

#define CLAUDE_PROJECT ".mcp.json"

const struct sb_mcphost sb_mcphost_table[] = {
    {"claude", "Claude Desktop", "config", "Claude/claude_desktop_config.json", CLAUDE_PROJECT,
     "mcpServers", false},
    {"claude-code", "Claude Code", "~", ".claude.json", CLAUDE_PROJECT, "mcpServers", true},
    {"cursor", "Cursor", "~", ".cursor/mcp.json", ".cursor/mcp.json", "mcpServers", false},
    {"vscode", "Visual Studio Code", "config", "Code/User/mcp.json", ".vscode/mcp.json", "servers",
     true},
    {.name = NULL},
};

enum { N_HOSTS = sizeof sb_mcphost_table / sizeof *sb_mcphost_table - 1 };

int sb_mcphost_find(const char *name, const struct sb_mcphost **ret_host, struct sb_err *err)
{
    const char *names[N_HOSTS];
    for (size_t i = 0; i < N_HOSTS; i++) {
        names[i] = sb_mcphost_table[i].name;
        if (strcmp(name, names[i]) == 0) {
            *ret_host = &sb_mcphost_table[i];
            return 0;
        }
    }
    const char *near = sb_near_find(sb_str_from(name), names, N_HOSTS);
    return sb_err_set(
        err, SB_INVALID, "\"%s\" is none of claude, claude-code, cursor, vscode%s%s%s", name,
        near == NULL ? "" : "; did you mean ", near == NULL ? "" : near, near == NULL ? "" : "?");
}

static const char *absolute(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && value[0] == '/' ? value : NULL;
}

int sb_mcphost_path(const struct sb_mcphost *host,
                    bool is_project,
                    char ret_path[PATH_MAX],
                    struct sb_err *err)
{
    char path[PATH_MAX];
    const char *home = absolute("HOME");
    const char *config = absolute("XDG_CONFIG_HOME");
    bool is_config = strcmp(host->below, "config") == 0;
    int n = 0;
    if (is_project) {
        char *here = getcwd(path, sizeof path);
        size_t len = here == NULL ? 0 : strlen(here);
        n = here == NULL ? -1
                         : (int)len + snprintf(path + len, sizeof path - len, "/%s", host->project);
    } else if (is_config && config != NULL) {
        n = snprintf(path, sizeof path, "%s/%s", config, host->path);
    } else if (home != NULL) {
        n = snprintf(path, sizeof path, "%s/%s%s", home, is_config ? ".config/" : "", host->path);
    } else {
        return sb_err_set(err, SB_PRECONDITION, "HOME is not set; give --file");
    }
    if (n < 0 || (size_t)n >= sizeof path) {
        return sb_err_set(err, SB_INVALID, "the path of the configuration is too long");
    }
    if (realpath(path, ret_path) == NULL) {
        (void)strcpy(ret_path, path);
    }
    return 0;
}
