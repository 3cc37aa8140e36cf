/* Verbs about profiles, packages, the worker, and who uses it. */
#include <stdint.h>

#include "cli/option.h"
#include "cli/verb.h"
#include "cli/verb_rows.h"

static const char *const profile_list_examples[] = {
    "Built-in ones and those of your config.yaml",
    "aisbx profile list",
    NULL,
};
static const char *const profile_show_examples[] = {
    "What it comes to, with all it inherits",
    "aisbx profile show strict",
    NULL,
};
static const char *const profile_explain_examples[] = {
    "Every setting, the profile and line that says it, and what it means",
    "aisbx profile explain python-dev",
    "May programs do that, which rule says so, and what would allow it",
    "aisbx profile explain strict --syscall ptrace,clone --host pypi.org:443 --path /workspace/x",
    NULL,
};
static const char *const profile_validate_examples[] = {
    "Check a file before you use it",
    "aisbx profile validate ./config.yaml",
    "Check standard input",
    "aisbx profile validate - < config.yaml",
    NULL,
};
static const char *const packages_list_examples[] = {
    "What --packages has installed, for whom, and whether it is in use",
    "aisbx packages list",
    NULL,
};
static const char *const packages_prune_examples[] = {
    "All of yours, so that the next run gets the newest versions",
    "aisbx packages prune",
    "Those of one install",
    "aisbx packages prune pk_4m2c",
    NULL,
};
static const char *const worker_info_examples[] = {
    "Which controls this machine really gives",
    "aisbx worker info",
    NULL,
};
static const char *const worker_stop_examples[] = {
    "End the worker that aisbx started for you; its sandboxes end with it",
    "aisbx worker stop",
    NULL,
};
static const char *const mcp_install_examples[] = {
    "See what would change for Claude Desktop",
    "aisbx mcp install --dry-run claude",
    "Do it, under a profile",
    "aisbx mcp install --profile python-dev claude",
    "For everybody who opens this project in VS Code",
    "aisbx mcp install --project vscode",
    NULL,
};
static const char *const mcp_uninstall_examples[] = {
    "Undo it",
    "aisbx mcp uninstall claude",
    NULL,
};

const struct sb_verb sb_verb_rows_setup[] = {
    {
        .name = "profile list",
        .summary = "List the profiles",
        .usage = "[OPTIONS]",
        .groups = {&sb_option_profile_list},
        .examples = profile_list_examples,
        .run = sb_verb_profile_list,
    },
    {
        .name = "profile show",
        .summary = "Show one profile with all it inherits",
        .usage = "NAME",
        .min_operands = 1,
        .max_operands = 1,
        .wants = "the name of a profile",
        .offer = SB_VERB_OFFERS_PROFILES,
        .examples = profile_show_examples,
        .run = sb_verb_profile_show,
    },
    {
        .name = "profile explain",
        .summary = "Tell where each setting comes from, and what is allowed",
        .usage = "[OPTIONS] [NAME]",
        .about = SB_VERB_EXPLAIN_ABOUT,
        .groups = {&sb_option_explain, NULL},
        .max_operands = 1,
        .offer = SB_VERB_OFFERS_PROFILES,
        .examples = profile_explain_examples,
        .run = sb_verb_profile_explain,
    },
    {
        .name = "profile validate",
        .summary = "Check a configuration file",
        .usage = "[FILE|-]",
        .about = "Without FILE: $AISBX_CONFIG_PATH, else ./config.yaml. Prints each problem as "
                 "FILE:LINE:COLUMN: what is wrong; exit status 1 when there is one.",
        .max_operands = 1,
        .offer = SB_VERB_OFFERS_FILES,
        .examples = profile_validate_examples,
        .run = sb_verb_profile_validate,
    },
    {
        .name = "packages list",
        .summary = "List the installed packages that are kept",
        .usage = "",
        .examples = packages_list_examples,
        .run = sb_verb_packages_list,
    },
    {
        .name = "packages prune",
        .summary = "Forget installed packages",
        .usage = "[PACKAGES...]",
        .about = "All of yours, or those of the installs named by an id or the beginning of one. "
                 "Sandboxes that have them keep them to their end.",
        .max_operands = SIZE_MAX,
        .examples = packages_prune_examples,
        .run = sb_verb_packages_prune,
    },
    {
        .name = "worker info",
        .summary = "Show the worker and the controls this machine gives",
        .usage = "",
        .examples = worker_info_examples,
        .run = sb_verb_worker_info,
    },
    {
        .name = "worker stop",
        .summary = "End the worker that aisbx started for you",
        .usage = "",
        .about = "Programs that run get 10 seconds to end by themselves; then everything in its "
                 "sandboxes ends. Returns when the worker is gone.",
        .examples = worker_stop_examples,
        .run = sb_verb_worker_stop,
    },
    {
        .name = "mcp install",
        .summary = "Give a desktop program's model the sandbox as tools",
        .usage = "[OPTIONS] claude|claude-code|cursor|vscode",
        .about = "Enters aisbx-mcp into the configuration of a program that speaks MCP. The rest "
                 "of that "
                 "file stays as it is, comments included; beside it, with .aisbx-backup at its "
                 "end, lies "
                 "what it was before. The program reads it when it starts the next time.",
        .groups = {&sb_option_mcp, &sb_option_mcp_install},
        .min_operands = 1,
        .max_operands = 1,
        .wants = "a program: claude, claude-code, cursor or vscode",
        .offer = SB_VERB_OFFERS_MCP_HOSTS,
        .examples = mcp_install_examples,
        .is_offline = true,
        .run = sb_verb_mcp_install,
    },
    {
        .name = "mcp uninstall",
        .summary = "Undo mcp install",
        .usage = "[OPTIONS] claude|claude-code|cursor|vscode",
        .about = "Takes the entry out again. A file that nobody changed since becomes what it was, "
                 "byte for byte; one that was made for the entry goes.",
        .groups = {&sb_option_mcp},
        .min_operands = 1,
        .max_operands = 1,
        .wants = "a program: claude, claude-code, cursor or vscode",
        .offer = SB_VERB_OFFERS_MCP_HOSTS,
        .examples = mcp_uninstall_examples,
        .is_offline = true,
        .run = sb_verb_mcp_uninstall,
    },
    {.name = NULL},
};
