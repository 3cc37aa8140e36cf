#pragma once

struct sb_verb;

/* Tables of the verbs of aisbx, in the order of its help; each ended by a row without name. */
extern const struct sb_verb sb_verb_rows_programs[];
extern const struct sb_verb sb_verb_rows_files[];
extern const struct sb_verb sb_verb_rows_network[];
extern const struct sb_verb sb_verb_rows_states[];
extern const struct sb_verb sb_verb_rows_setup[];
