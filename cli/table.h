#pragma once
#include <stddef.h>

#include "base/buf.h"

struct sb_out;

enum { SB_TABLE_COLUMNS_MAX = 8 };

/** Aligned text for people. Cells are filled row by row, from left to right; control characters in
 *  them become U+FFFD. */
struct sb_table {
    const char *const *titles; /* n_columns constants */
    size_t n_columns;
    struct sb_buf cells; /* NUL-terminated, one after the other */
    size_t n_cells;
    size_t widths[SB_TABLE_COLUMNS_MAX]; /* characters */
};

void sb_table_init(struct sb_table *table, const char *const *titles, size_t n_columns);
void sb_table_done(struct sb_table *table);

/** Adds the next cell; "" is shown as "-". */
void sb_table_cell(struct sb_table *table, const char *text);

/** Writes the titles and all full rows. */
void sb_table_print(const struct sb_table *table, struct sb_out *out);
