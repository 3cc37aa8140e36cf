#pragma once
/** What a sandbox was asked to be, for who asks for the same once more. */
#include "aisbx/v1/sandbox.pb-c.h"

struct sb_err;
struct sb_sandbox;

/** As it stands now: with the labels, TTL, idle limit and network rules that it has.
 *  @ret_spec  for aisbx__v1__sandbox_spec__free_unpacked. */
int sb_spec_of(const struct sb_sandbox *sandbox,
               Aisbx__V1__SandboxSpec **ret_spec,
               struct sb_err *err);
/** Its network rules are these from now on. */
int sb_spec_set_network(struct sb_sandbox *sandbox,
                        const Aisbx__V1__Network *network,
                        struct sb_err *err);

void sb_spec_freep(Aisbx__V1__SandboxSpec **spec); /* for SB_CLEANUP */
