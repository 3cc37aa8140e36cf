#pragma once
#include <stdio.h>

#include "base/field.h"

/** The command line of a program that is all options, --name VALUE or --name=VALUE, by a table of
 *  fields. Sets members of *target as sb_field_set does, which owns what is in them, also on
 *  failure. A boolean needs no value; a bare number of SB_FIELD_MILLIS is milliseconds.
 *  @argv  of main; argv[0] is skipped.
 *  Errors: SB_INVALID, with text that names the option and suggests what was meant; SB_EXHAUSTED.
 */
int sb_argv_parse(const struct sb_field *table,
                  size_t n,
                  int argc,
                  char *const *argv,
                  void *target,
                  struct sb_err *err);

/** Of --help: each option with its unit and what it is for, and the value that @defaults has, if it
 *  is one. UINT64_MAX in there is none. Rows without a help are left out. */
void sb_argv_help(const struct sb_field *table, size_t n, const void *defaults, FILE *out);

/** The same as macros of man(7), for the section OPTIONS of a manual page. */
void sb_argv_man(const struct sb_field *table, size_t n, const void *defaults, FILE *out);

/** Exit status behind help, version or manual: EXIT_FAILURE, and a line on stderr, when standard
 *  output has not taken what was printed. */
int sb_argv_printed(const char *program);
