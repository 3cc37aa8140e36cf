#pragma once

struct sb_out;
struct sb_program;

/** The sections COMMANDS, OPTIONS, ENVIRONMENT and EXIT STATUS of a program's page as man(7)
 * macros, from the tables; templates in docs/man have the rest. */
void sb_manpage_write(struct sb_out *out, const struct sb_program *program);
