#pragma once
#include <stdbool.h>

#include "base/str.h"

struct sb_out;
struct sb_program;

/** Shells there is a script for, ended by NULL. */
extern const char *const sb_completion_shells[];

/** Writes the script for one shell, made from the tables of verbs and options. False: unknown. */
bool sb_completion_write(struct sb_out *out, const struct sb_program *program, struct sb_str shell);
