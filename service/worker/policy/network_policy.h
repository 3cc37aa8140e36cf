#pragma once
/** The network of a policy: what the profile gives AND what is asked for, and what programs must be
 *  told of it. */
#include <stdbool.h>

struct sb_err;
struct sb_network;
struct sb_network_rule;
struct sb_pairs;
struct sb_policy;

/** @asked  by a request or an update.   @field  what messages call it: "sandbox.network".
 *  @ret_network  the caller's to end.
 *  Errors: SB_INVALID when more is asked for than policy->ceiling gives. */
int sb_network_policy_narrow(const struct sb_policy *policy,
                             const struct sb_network *asked,
                             const char *field,
                             struct sb_network *ret_network,
                             struct sb_err *err);
void sb_network_policy_done(struct sb_network *network);

/** True when the profile allows it, so that a request has narrowed it away. @rule  as of a list. */
bool sb_network_policy_gives(const struct sb_policy *policy, const char *rule);

/** Environment variables by which the usual tools find the egress proxy; or, where a request has
 *  taken the network of its profile away, say at once what they miss instead of trying again. */
int sb_network_policy_env(const struct sb_policy *policy, struct sb_pairs *to, struct sb_err *err);
