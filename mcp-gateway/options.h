#pragma once
/** Command line of aisbx-mcp. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/field.h"
#include "mcp-gateway/shared/shared.h"

struct sb_err;

enum { SB_GATEWAY_MAX_NAMES = 16 };

enum sb_gateway_transport {
    SB_GATEWAY_STDIO,
    SB_GATEWAY_HTTP,
};

/** What becomes of calls with a request_id while the shared store is away. */
enum sb_gateway_store_down {
    SB_GATEWAY_REFUSE,
    SB_GATEWAY_GO_ON,
};

struct sb_gateway_options {
    enum sb_gateway_transport transport;
    char *address; /* owned, as all strings here */
    uint64_t port; /* 0: one that is free, printed on stderr */
    char *worker;  /* NULL: the default, see proto/client/setting.h */
    char *workers; /* NULL: one */
    char *store;   /* of all gateways; NULL: see sb_gateway_options_shared */
    char *store_password_file;
    char *store_ca;
    char *store_cert;
    char *store_key;
    int store_down; /* enum sb_gateway_store_down */
    bool loopback_without_key;
    bool sandboxd; /* serves /v1/files of Kubernetes agent-sandbox */
    char *tls_cert;
    char *tls_key;
    char *tls_ca;
    struct sb_field_texts origins;
    struct sb_field_texts hosts;
    char *otlp_endpoint; /* where spans go; NULL: as the environment says */
    char *trace_sampler;
    char *trace_ratio;
    uint64_t drain_grace_ms;
    uint64_t ready_fd; /* UINT64_MAX: none */
    bool wants_help;
    bool wants_version;
    bool wants_man;
    int given_fd; /* a socket that listens at address and port already, owned; -1: none */
};

/** Fills *ret_options with defaults and what argv says, and checks what goes together. End it with
 *  sb_gateway_options_done in any case. Errors: SB_INVALID; the text suggests what was meant. */
int sb_gateway_options_parse(int argc,
                             char *const *argv,
                             struct sb_gateway_options *ret_options,
                             struct sb_err *err);
void sb_gateway_options_done(struct sb_gateway_options *options);

/** What they say of the shared store; borrowed from them. */
struct sb_shared_options sb_gateway_options_shared(const struct sb_gateway_options *options);

/** Takes the socket that the service manager gave us, if any: address and port become its own, and
 * are checked as if they had been asked for. Errors: SB_INVALID: not one of TCP; SB_EXHAUSTED. */
int sb_gateway_options_take_given(struct sb_gateway_options *options, struct sb_err *err);

/** --help: usage, options, environment, examples. */
void sb_gateway_options_help(FILE *out);
/** The options as man(7) macros, for docs/man. */
void sb_gateway_options_man(FILE *out);
