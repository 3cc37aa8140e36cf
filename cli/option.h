#pragma once
#include <stddef.h>
#include <stdint.h>

/** How the text is read, and the type of the member of struct sb_args that takes it. */
enum sb_option_kind {
    SB_OPTION_FLAG,   /* bool; takes no value */
    SB_OPTION_TEXT,   /* const char *, not empty; the last one wins */
    SB_OPTION_ANY,    /* the same, and may be empty */
    SB_OPTION_TEXTS,  /* struct sb_texts; may be repeated */
    SB_OPTION_COMMAS, /* struct sb_texts; may be repeated, each a comma list */
    SB_OPTION_COUNT,  /* uint64_t, decimal */
    SB_OPTION_BYTES,  /* uint64_t: 512m */
    SB_OPTION_MILLIS, /* uint64_t: 30s */
    SB_OPTION_CPU,    /* uint64_t millicores: 1.5 */
};

/** What a shell should offer for the value. */
enum sb_option_offer {
    SB_OFFER_NOTHING,
    SB_OFFER_FILE,
    SB_OFFER_DIRECTORY,
    SB_OFFER_PROFILE,
    SB_OFFER_CHOICES,
};

/** One row, from which parsing, --help, completion and the manual page are made. */
struct sb_option { // NOLINT(clang-analyzer-optin.performance.Padding): rows read in this order
    char letter;   /* '\0': none */
    const char *name;
    enum sb_option_kind kind;
    size_t offset;     /* in struct sb_args */
    const char *value; /* placeholder: "DIR"; NULL for flags */
    const char *help;  /* one or two sentences, no full stop at the end */
    uint64_t min;      /* numbers */
    uint64_t max;
    enum sb_option_offer offer;
    const char *const *choices; /* NULL, or the only values accepted, ended by NULL */
};

struct sb_option_group {
    const char *title;
    const struct sb_option *rows;
    size_t n;
};

/* Groups are shared by the verbs that accept them. */
extern const struct sb_option_group sb_option_everywhere;
extern const struct sb_option_group sb_option_sandbox;  /* run, create */
extern const struct sb_option_group sb_option_network;  /* run, create, network */
extern const struct sb_option_group sb_option_lifetime; /* run, create, update */
extern const struct sb_option_group sb_option_update;
extern const struct sb_option_group sb_option_program; /* run, exec */
extern const struct sb_option_group sb_option_alone;   /* run, exec: limits of the program */
extern const struct sb_option_group sb_option_batch;
extern const struct sb_option_group sb_option_list;
extern const struct sb_option_group sb_option_ps;
extern const struct sb_option_group sb_option_profile_list;
extern const struct sb_option_group sb_option_attach;
extern const struct sb_option_group sb_option_kill;
extern const struct sb_option_group sb_option_cp;
extern const struct sb_option_group sb_option_ls;
extern const struct sb_option_group sb_option_grep;
extern const struct sb_option_group sb_option_watch;
extern const struct sb_option_group sb_option_logs;
extern const struct sb_option_group sb_option_destroy;
extern const struct sb_option_group sb_option_expose;
extern const struct sb_option_group sb_option_port_forward;
extern const struct sb_option_group sb_option_from; /* create */
extern const struct sb_option_group sb_option_snapshot;
extern const struct sb_option_group sb_option_snapshots;
extern const struct sb_option_group sb_option_fork;
extern const struct sb_option_group sb_option_code;
extern const struct sb_option_group sb_option_diff;
extern const struct sb_option_group sb_option_commit;
extern const struct sb_option_group sb_option_explain;
extern const struct sb_option_group sb_option_learn;
extern const struct sb_option_group sb_option_keys; /* keys create */
extern const struct sb_option_group sb_option_keys_list;
extern const struct sb_option_group sb_option_audit; /* which records */
extern const struct sb_option_group sb_option_audit_tail;
extern const struct sb_option_group sb_option_audit_query;
extern const struct sb_option_group sb_option_audit_export;
extern const struct sb_option_group sb_option_audit_verify;
extern const struct sb_option_group sb_option_mcp; /* mcp install, uninstall */
extern const struct sb_option_group sb_option_mcp_install;
