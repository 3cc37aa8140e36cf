#include "cli/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/out.h"
#include "base/utf8.h"

enum { MAX_CELL_BYTES = 1024, MAX_BYTES = 32 << 20, GAP = 2 };

void sb_table_init(struct sb_table *table, const char *const *titles, size_t n_columns)
{
    assert(n_columns > 0 && n_columns <= SB_TABLE_COLUMNS_MAX);
    *table = (struct sb_table){
        .titles = titles, .n_columns = n_columns, .cells = SB_BUF_INIT(MAX_BYTES)};
    for (size_t i = 0; i < n_columns; i++) {
        table->widths[i] = strlen(titles[i]);
    }
}

void sb_table_done(struct sb_table *table)
{
    sb_buf_done(&table->cells);
}

static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++) {
        width += (*text & 0xc0) != 0x80; /* continuation bytes take no column */
    }
    return width;
}

void sb_table_cell(struct sb_table *table, const char *text)
{
    char safe[MAX_CELL_BYTES];
    struct sb_str shown = text == NULL || *text == '\0' ? SB_STR("-") : sb_str_from(text);
    size_t len = sb_utf8_sanitize(safe, sizeof safe, shown, SB_UTF8_ONE_LINE);
    if (sb_buf_append(&table->cells, safe, len + 1) < 0) {
        return; /* full: the row is cut short and not shown */
    }
    size_t *width = &table->widths[table->n_cells++ % table->n_columns];
    size_t now = width_of(safe);
    *width = now > *width ? now : *width;
}

static void put_padded(struct sb_out *out, const char *text, size_t width, int is_last)
{
    static const char blanks[] = "                                                                ";
    sb_out_put(out, text);
    if (is_last) {
        sb_out_put(out, "\n");
        return;
    }
    size_t have = width_of(text);
    for (size_t left = width + GAP - have; left > 0;) {
        size_t now = left < sizeof blanks - 1 ? left : sizeof blanks - 1;
        sb_out_write(out, blanks, now);
        left -= now;
    }
}

void sb_table_print(const struct sb_table *table, struct sb_out *out)
{
    size_t n = table->n_columns;
    assert(n > 0);
    for (size_t i = 0; i < n; i++) {
        put_padded(out, table->titles[i], table->widths[i], i + 1 == n);
    }
    const char *cell = sb_buf_cstr(&table->cells);
    for (size_t i = 0; i < table->n_cells / n * n; i++) {
        put_padded(out, cell, table->widths[i % n], (i + 1) % n == 0);
        cell += strlen(cell) + 1;
    }
}
