#pragma once

struct sb_out;
struct sb_verb;

/** What aisbx is, its verbs and its environment. */
void sb_help_overview(struct sb_out *out);

/** One verb: usage, options, examples. */
void sb_help_verb(struct sb_out *out, const struct sb_verb *verb);

/** Exit statuses, for help and the manual page; {number or range, meaning}, ended by NULL. */
extern const char *const sb_help_statuses[][2];
