#pragma once
/** Command line and environment of aisbx-worker. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/activation.h"
#include "base/field.h"

struct sb_err;

enum {
    SB_OPTIONS_MAX_LISTEN = 8,
    SB_OPTIONS_CPU_IDLE = 0, /* of cpu_weight */
};

/** How decisions are written down. */
enum sb_options_audit {
    SB_OPTIONS_AUDIT_UNSET, /* disk, and commit when embedded */
    SB_OPTIONS_AUDIT_OFF,   /* not; embedded only */
    SB_OPTIONS_AUDIT_COMMIT,
    SB_OPTIONS_AUDIT_DISK,
};

/** How sandboxes start from snapshots. */
enum sb_options_snapshots {
    SB_OPTIONS_SNAPSHOTS_AUTO, /* on an overlay where the kernel can, else with a copy */
    SB_OPTIONS_SNAPSHOTS_COPY,
};

struct sb_options {
    struct sb_field_texts listen; /* owned, as all strings here */
    uint64_t socket_mode;         /* permission bits of unix sockets; octal on the command line */
    char *tls_cert;
    char *tls_key;
    char *tls_ca;
    char *config;    /* NULL: where it is by default, if there is one */
    char *keys;      /* file or directory of key hashes; NULL: none */
    char *state_dir; /* NULL: a default */
    char *sandboxd;  /* profile of the tenants' own sandboxes; NULL: they have none */
    bool is_embedded;
    char *expect; /* profile that is likely to be asked for; NULL: the default one */
    uint64_t idle_exit_ms;
    uint64_t drain_grace_ms;
    uint64_t ready_fd; /* UINT64_MAX: none */
    bool dies_with_parent;
    uint64_t grpc_threads;
    bool tells_paths;    /* what Landlock denies is told */
    int snapshots;       /* enum sb_options_snapshots */
    uint64_t cpu_weight; /* of all sandboxes together; 100: as any program; SB_OPTIONS_CPU_IDLE */
    int audit;           /* enum sb_options_audit */
    uint64_t audit_keep_ms;
    uint64_t audit_max_bytes; /* of the database */
    uint64_t packages_max_bytes;
    uint64_t pool_bytes; /* of sandboxes that wait for their use; 0: none do */
    char *otlp_endpoint; /* where spans go; NULL: as the environment says */
    char *trace_sampler;
    char *trace_ratio;
    char *check; /* NULL: serve */
    bool wants_help;
    bool wants_version;
    bool wants_man;
    struct sb_activation given; /* by the service manager; their addresses are in listen, too */
};

/** Fills *ret_options with defaults and what argv says. End it with sb_options_done in any case.
 *  Errors: SB_INVALID; the text suggests what was meant. */
int sb_options_parse(int argc,
                     char *const *argv,
                     struct sb_options *ret_options,
                     struct sb_err *err);
void sb_options_done(struct sb_options *options);

/** Takes what the service manager gave us, and adds to listen where that is not there yet. Before
 * anything is opened. Errors: SB_INVALID: one that we cannot serve, too many; SB_EXHAUSTED. */
int sb_options_take_given(struct sb_options *options, struct sb_err *err);
/** Which of given.items is at that address of listen; -1: none, the socket is ours to make. */
int sb_options_given(const struct sb_options *options, const char *address);

/** --help: usage, options, environment, bounds, examples. */
void sb_options_help(FILE *out);
/** The options as man(7) macros, for docs/man. */
void sb_options_man(FILE *out);
