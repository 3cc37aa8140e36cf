#pragma once
#include "aisbx/v1/sandbox_service.pb-c.h"
#include "cli/arena.h"
#include "cli/workspace.h"

struct sb_args;
struct sb_err;

/** The messages a command line comes to. Zero it before use; sb_spec_done frees. Texts are the
 *  arena's or argv's. */
struct sb_spec {
    bool is_remote; /* set before: the worker cannot see this machine's files */
    struct sb_arena arena;
    struct sb_workspace workspace;
    Aisbx__V1__SandboxSpec sandbox;
    Aisbx__V1__Limits limits;
    Aisbx__V1__Network network;
    Aisbx__V1__ExecSpec exec;
    Aisbx__V1__ExecLimits alone;
    Aisbx__V1__Terminal terminal;
    Aisbx__V1__Command command;
};

void sb_spec_done(struct sb_spec *spec);

/** Fills spec->sandbox from the options of groups sandbox and lifetime.
 *  Errors: SB_INVALID naming option and value; by errno for directories. */
int sb_spec_sandbox(struct sb_spec *spec, const struct sb_args *args, struct sb_err *err);

/** Whether a network was asked for. */
bool sb_spec_has_network(const struct sb_args *args);
/** Fills spec->network from the options of group network. Errors: SB_EXHAUSTED. */
int sb_spec_network(struct sb_spec *spec, const struct sb_args *args, struct sb_err *err);

/** Fills spec->exec from the options of group program. @words  the command; NULL-terminated,
 *  borrowed. Errors: as above; by errno for --env-file. */
int sb_spec_exec(struct sb_spec *spec,
                 const struct sb_args *args,
                 char **words,
                 struct sb_err *err);

/** After both of the above, unless the worker is remote: makes a command given by its absolute host
 * path findable inside (see cli/workspace.h). */
int sb_spec_bind_command(struct sb_spec *spec, struct sb_err *err);
