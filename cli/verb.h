#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "cli/args.h"

struct sb_err;
struct sb_option_group;
struct sb_program;

/** One command line on its way. */
struct sb_cli {
    const struct sb_program *program;
    char **argv; /* as given; borrowed */
    struct sb_args args;
    char hint[320];  /* next step, shown below the error; "" for none */
    bool is_misused; /* the command line is wrong, as a verb found: sb_verb_misused() */
};

/** What a shell should offer for operands. */
enum sb_verb_offer {
    SB_VERB_OFFERS_NOTHING,
    SB_VERB_OFFERS_COMMANDS,
    SB_VERB_OFFERS_SANDBOXES,
    SB_VERB_OFFERS_EXECS,
    SB_VERB_OFFERS_EITHER,    /* sandboxes and execs */
    SB_VERB_OFFERS_SNAPSHOTS, /* and sandboxes */
    SB_VERB_OFFERS_FILES,
    SB_VERB_OFFERS_PLACES, /* files here, and SANDBOX:PATH */
    SB_VERB_OFFERS_PROFILES,
    SB_VERB_OFFERS_SHELLS,
    SB_VERB_OFFERS_VERBS,
    SB_VERB_OFFERS_MCP_HOSTS,
};

enum {
    SB_VERB_GROUPS_MAX = 6,
    SB_STATUS_FAILED = 1, /* the verb could not do it */
    SB_STATUS_USAGE = 2,  /* the command line is wrong */
    SB_STATUS_TIMEOUT = 124,
    SB_STATUS_SANDBOX = 125, /* run, exec: anything that is not the program's own doing */
};

/** One row, from which dispatch, --help, completion and the manual page are made. */
struct sb_verb {
    const char *name; /* "run", "profile list" */
    const char *summary;
    const char *usage; /* after the program and NAME */
    const char *about; /* paragraphs parted by an empty line */
    const struct sb_option_group *groups[SB_VERB_GROUPS_MAX]; /* ended by NULL */
    enum sb_args_style style;
    size_t min_operands;
    size_t max_operands; /* SIZE_MAX: any number */
    const char *wants;   /* what is missing when operands are: "a command to run" */
    enum sb_verb_offer offer;
    bool is_hidden;
    bool is_offline;             /* needs no worker */
    bool is_local;               /* starts workers of its own, on this machine */
    bool runs_program;           /* failures of ours exit 125, so that 1 and 2 are the program's */
    int failed;                  /* status of other failures; 0: SB_STATUS_FAILED */
    const char *const *examples; /* pairs of comment and command line, ended by NULL */
    /* *ret_status is the exit status. On -1 main prints *err and cli->hint. */
    int (*run)(struct sb_cli *cli, int *ret_status, struct sb_err *err);
};

/** Rows that every program ends with. */
#define SB_VERBS_COMMON(completion_examples_, help_examples_)                                      \
    {                                                                                              \
        .name = "completion",                                                                      \
        .summary = "Print a completion script",                                                    \
        .usage = "bash|zsh|fish",                                                                  \
        .min_operands = 1,                                                                         \
        .max_operands = 1,                                                                         \
        .wants = "a shell: bash, zsh or fish",                                                     \
        .offer = SB_VERB_OFFERS_SHELLS,                                                            \
        .examples = (completion_examples_),                                                        \
        .is_offline = true,                                                                        \
        .run = sb_verb_completion,                                                                 \
    },                                                                                             \
        {                                                                                          \
            .name = "version",                                                                     \
            .summary = "Print the version",                                                        \
            .usage = "",                                                                           \
            .is_offline = true,                                                                    \
            .run = sb_verb_version,                                                                \
        },                                                                                         \
        {                                                                                          \
            .name = "help",                                                                        \
            .summary = "Show help",                                                                \
            .usage = "[VERB]",                                                                     \
            .max_operands = 2,                                                                     \
            .offer = SB_VERB_OFFERS_VERBS,                                                         \
            .examples = (help_examples_),                                                          \
            .is_offline = true,                                                                    \
            .run = sb_verb_help,                                                                   \
        },                                                                                         \
    {                                                                                              \
        .name = "man", .summary = "Print the generated parts of the manual page", .usage = "",     \
        .is_hidden = true, .is_offline = true, .run = sb_verb_man,                                 \
    }

/** About "profile explain", which two programs have. */
#define SB_VERB_EXPLAIN_ABOUT                                                                      \
    "Asks the worker. Without a question: every setting in force, which profile of the chain "     \
    "says "                                                                                        \
    "it, in which file and line, and what it means for a program. With --syscall, --host and "     \
    "--path: only the answers: what is allowed, refused, or depends on arguments; which list, "    \
    "rule "                                                                                        \
    "or mount decides; and the smallest change that would allow it, if anything may.\n\n"          \
    "Without NAME: $AISBX_DEFAULT_PROFILE, else the worker's default. What a request adds or "     \
    "narrows (aisbx run --mount, --network) is not part of it."

/** aisbx itself. */
extern const struct sb_program sb_verb_aisbx;

/** Sets cli->hint. */
void sb_verb_hint(struct sb_cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** For what a verb itself finds wrong in its command line: returns @rc; if that is negative and
 *  the verb ends with SB_INVALID, the program exits with SB_STATUS_USAGE. */
int sb_verb_misused(struct sb_cli *cli, int rc);

/* One file per verb; the last four serve every program. */
int sb_verb_run(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_create(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_batch(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_exec(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_attach(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_ps(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_kill(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_list(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_logs(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_code(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_contexts(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_cp(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_ls(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_grep(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_watch(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_expose(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_ports(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_unexpose(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_port_forward(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_network(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_update(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_pause(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_resume(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_snapshot(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_snapshots(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_fork(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_diff(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_commit(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_rollback(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_destroy(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_profile_list(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_profile_show(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_profile_explain(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_profile_validate(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_packages_list(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_packages_prune(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_worker_info(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_worker_stop(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_mcp_install(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_mcp_uninstall(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_completion(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_help(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_man(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_verb_version(struct sb_cli *cli, int *ret_status, struct sb_err *err);
