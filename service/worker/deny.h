#pragma once
#include <stdbool.h>
#include <stdint.h>

struct sb_denial;
struct sb_sandbox;

/** Counts a refusal for a sandbox and for the execs that run in it, and tells who watches. Loop
 *  thread. @what  borrowed. */
void sb_deny_count(struct sb_sandbox *sandbox, const struct sb_denial *what);
/** Refusals that nobody can name any more. */
void sb_deny_lost(struct sb_sandbox *sandbox, uint64_t n);
/** True when a row will be made of it. */
bool sb_deny_is_new(const struct sb_sandbox *sandbox, const struct sb_denial *what);
