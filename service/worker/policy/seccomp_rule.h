#pragma once
/** Whether a rule of a seccomp profile in Docker's form is meant for sandboxes of this machine. */
#include <stdbool.h>

struct sb_err;
struct sb_json_node;

/** By "includes" and "excludes" of the rule: capabilities, architectures, the running kernel. A
 *  sandbox has no capability: what asks for one never applies, what excludes one always does.
 *  Errors: SB_INVALID, with the place. */
int sb_seccomp_rule_applies(const struct sb_json_node *rule, bool *ret_applies, struct sb_err *err);
