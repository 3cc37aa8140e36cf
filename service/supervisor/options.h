#pragma once
/** Command line of aisbx-supervisor. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/field.h"

struct sb_err;

struct sb_supervisor_options {
    char *runtime_dir; /* NULL: as sb_supervisor_dir says */
    char *config;      /* NULL: where it is by default, if there is one */
    char *state_dir;
    char *address; /* of the gateway */
    uint64_t port;
    bool loopback_without_key;
    char *tls_cert;
    char *tls_key;
    char *tls_ca;
    bool without_gateway;
    uint64_t drain_grace_ms; /* of each part */
    int log_format;          /* enum sb_log_format */
    bool wants_health;
    bool wants_json;
    bool wants_version;
    bool wants_help;
    bool wants_man;
    struct sb_field_texts listen;  /* of the worker, beside its socket in runtime_dir */
    struct sb_field_texts worker;  /* more options of aisbx-worker */
    struct sb_field_texts gateway; /* more options of aisbx-mcp */
};

/** Fills *ret_options with defaults and what argv says. End it with sb_supervisor_options_done in
 *  any case. Errors: SB_INVALID; the text suggests what was meant. */
int sb_supervisor_options_parse(int argc,
                                char *const *argv,
                                struct sb_supervisor_options *ret_options,
                                struct sb_err *err);
void sb_supervisor_options_done(struct sb_supervisor_options *options);

/** --help: usage, options, signals, environment, examples. */
void sb_supervisor_options_help(FILE *out);
/** The options as man(7) macros, for docs/man. */
void sb_supervisor_options_man(FILE *out);
