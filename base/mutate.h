#pragma once
/** Layers of defence that a test build can leave out, so that "./dev mutate" can show which probes
 * see each of them.
 *
 *  Theory of operation. AISBX_MUTATE holds names, parted by commas. A program reads it before its
 * main begins and hands it to those it starts, whatever else it scrubs; init, which has no
 * environment, finds it in its own file, where the spawner writes it. Where a layer is, one line
 * asks by name whether to leave it out. Every name has a row in tests/mutate/table.py, which says
 * what has to turn red then.
 *
 *  All of this exists with SB_MUTATIONS alone. In every other build the calls are constants and
 * leave neither a name nor an instruction behind (ctest -R mutate). */

#include <stdbool.h>

#ifdef SB_MUTATIONS
/** True: the layer is to be left out. Safe in a cloned child. */
bool sb_mutated(const char *name);
/** The same for the name "group.part", and "group.number". */
bool sb_mutated_part(const char *group, const char *part);
bool sb_mutated_number(const char *group, unsigned number);

/** Puts the variable back after clearenv(3). */
void sb_mutate_keep(void);
/** Writes what was chosen into a copy of init. @fd  writable; borrowed. */
void sb_mutate_stamp(int fd);

/* At the end of a list of variables that a program may inherit. */
#define SB_MUTATE_INHERITED , "AISBX_MUTATE"
#else
// NOLINTBEGIN(readability-identifier-naming): they stand for functions
#define sb_mutated(name)                 false
#define sb_mutated_part(group, part)     false
#define sb_mutated_number(group, number) false
#define sb_mutate_keep()                 ((void)0)
#define sb_mutate_stamp(fd)              ((void)0)
// NOLINTEND(readability-identifier-naming)
#define SB_MUTATE_INHERITED
#endif
