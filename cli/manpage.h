#pragma once

struct sb_out;

/** The sections COMMANDS, OPTIONS, ENVIRONMENT and EXIT STATUS of aisbx(1) as man(7) macros, from
 *  the tables; docs/man/aisbx.1.in has the rest. */
void sb_manpage_write(struct sb_out *out);
