#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sb_err;
struct sb_option;
struct sb_option_group;

/** Borrowed texts in the order they were given. */
struct sb_texts {
    const char **items; /* owned array of borrowed strings */
    size_t n;
};

/** Everything a command line can say; each verb accepts some of it (cli/verb_rows_*.c). Texts point
 * into argv. Absent: NULL, 0, false. */
struct sb_args {
    /* everywhere */
    const char *address;
    bool verbose;
    bool json;
    bool help;
    bool version;
    /* what the sandbox is */
    const char *profile;
    const char *driver;
    const char *workspace;
    bool no_workspace;
    const char *network;
    struct sb_texts allow_hosts;
    struct sb_texts deny_hosts;
    const char *hostname;
    struct sb_texts mounts;
    struct sb_texts labels;
    struct sb_texts require;
    struct sb_texts without_secrets;
    struct sb_texts packages;
    uint64_t memory_bytes;
    uint64_t cpu_millis;
    uint64_t pids;
    uint64_t disk_bytes;
    uint64_t ttl_ms;
    uint64_t idle_ms;
    bool no_ttl;
    bool no_idle;
    bool no_labels;
    /* what runs in it */
    const char *cwd;
    struct sb_texts env;
    struct sb_texts env_files;
    uint64_t timeout_ms;
    bool detach;
    bool no_stdin;
    bool interactive;
    bool tty;
    const char *user;
    uint64_t output_bytes; /* limits of the program alone */
    uint64_t cpu_time_ms;
    uint64_t address_bytes;
    uint64_t open_files;
    uint64_t file_bytes;
    /* batch */
    const char *cases;
    const char *language; /* of code, too */
    uint64_t parallel;
    bool fail_fast;
    uint64_t compile_timeout_ms;
    /* which ones */
    bool all;
    struct sb_texts states;
    bool quiet;
    bool follow;
    bool only_stdout;
    bool only_stderr;
    uint64_t tail_bytes;
    uint64_t from_bytes;
    uint64_t from_stderr_bytes;
    const char *signal;
    bool tree;
    bool recursive;
    bool tar;
    const char *glob;
    bool ignore_case;
    const char *bind;
    const char *snapshot;
    uint64_t count;
    bool forget;
    uint64_t share_ms;
    /* code */
    const char *code;
    const char *context;
    const char *output_dir;
    /* profiles */
    struct sb_texts syscalls;
    struct sb_texts hosts;
    struct sb_texts paths;
    const char *output;
    uint64_t runs;
    bool open;
    /* mcp */
    bool dry_run;
    bool project;
    const char *name;
    const char *file;
    /* keys */
    const char *role;
    const char *tenant;
    const char *title;
    const char *expires;
    /* audit */
    const char *sandbox;
    const char *action;
    const char *since;
    const char *until;
    uint64_t limit;
    uint64_t lines;
    const char *format;
    struct sb_texts heads;
    /* rest */
    struct sb_texts copies; /* texts owned: values that were split */
    char **operands;        /* borrowed from argv; NULL-terminated */
    size_t n_operands;
};

enum sb_args_style {
    SB_ARGS_MIXED,      /* options and operands in any order */
    SB_ARGS_COMMAND,    /* the first operand ends the options: what follows is a command */
    SB_ARGS_IN_COMMAND, /* the same, one operand (a sandbox) later */
};

/** Parses argv (without program and verb) by NULL-terminated @groups. Operands are moved to the
 * front of argv, which ends with NULL. `--name value`, `--name=value`, `-n value`, `-nvalue`,
 * bundled flags, `--`. Errors: SB_INVALID: the text names the option and what it takes, or the
 * nearest option. */
int sb_args_parse(struct sb_args *args,
                  const struct sb_option_group *const *groups,
                  enum sb_args_style style,
                  char **argv,
                  struct sb_err *err);
void sb_args_done(struct sb_args *args);

int sb_args_push(struct sb_texts *texts, const char *text, struct sb_err *err);
