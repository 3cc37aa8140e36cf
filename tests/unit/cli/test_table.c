#include <stdio.h>
#include <string.h>

#include "base/out.h"
#include "cli/table.h"
#include "testing.h"

static const char *const titles[] = {"ID", "NAME", "NOTE"};

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
    struct sb_table table;
    struct sb_out out;
    (void)state;
    sb_table_init(&table, titles, 3);
    const char *const cells[] = {"1", "gr\xc3\xbc\xc3\x9f", "x", "1234", "", "y"};
    for (size_t i = 0; i < 6; i++) {
        sb_table_cell(&table, cells[i]);
    }
    sb_out_init(&out, -1);
    sb_table_print(&table, &out);
    assert_string_equal(sb_buf_cstr(&out.buf), "ID    NAME  NOTE\n"
                                               "1     gr\xc3\xbc\xc3\x9f  x\n"
                                               "1234  -     y\n");
    sb_out_done(&out);
    sb_table_done(&table);
}

static void terminal_control_in_a_cell_is_taken_out(void **state)
{
    struct sb_table table;
    struct sb_out out;
    (void)state;
    sb_table_init(&table, titles, 1);
    sb_table_cell(&table, "\x1b[31m\nred");
    sb_out_init(&out, -1);
    sb_table_print(&table, &out);
    assert_null(strchr(sb_buf_cstr(&out.buf), '\x1b'));
    assert_non_null(strstr(sb_buf_cstr(&out.buf), "red\n"));
    sb_out_done(&out);
    sb_table_done(&table);
}

static void a_row_that_is_not_full_is_left_out(void **state)
{
    struct sb_table table;
    struct sb_out out;
    (void)state;
    sb_table_init(&table, titles, 3);
    sb_table_cell(&table, "half");
    sb_out_init(&out, -1);
    sb_table_print(&table, &out);
    assert_null(strstr(sb_buf_cstr(&out.buf), "half"));
    sb_out_done(&out);
    sb_table_done(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
        cmocka_unit_test(terminal_control_in_a_cell_is_taken_out),
        cmocka_unit_test(a_row_that_is_not_full_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
