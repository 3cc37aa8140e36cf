#pragma once

struct sb_err;

/** A sealed copy in memory of the aisbx-init that lies beside this program: nobody can change it,
 *  and processes that run it cannot be looked into, as it cannot be read.
 *  Returns the descriptor. Errors: by errno; SB_PRECONDITION: it is not an ELF file. */
int sb_initfile_load(struct sb_err *err);
