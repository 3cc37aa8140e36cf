#pragma once
#include <stdbool.h>

struct sb_out;
struct sb_program;
struct sb_verb;

/** What the program is, its verbs, its environment and its exit statuses. */
void sb_help_overview(struct sb_out *out, const struct sb_program *program);

/** The verbs that begin with that word, as "profile". False: there are none, and nothing was put.
 */
bool sb_help_group(struct sb_out *out, const struct sb_program *program, const char *first);

/** One verb: usage, options, examples. */
void sb_help_verb(struct sb_out *out, const struct sb_program *program, const struct sb_verb *verb);
