#include <string.h>

#include "cli/typed.h"
#include "testing.h"

struct row {
    const char *typed[4]; /* piece by piece */
    const char *sent;
    bool is_way_out;
};

static const struct row rows[] = {
    {{"ls\r"}, "ls\r", false},
    {{"~."}, "", true},
    {{"~", "."}, "", true},
    {{"ls\r~.rest"}, "ls\r", true},
    {{"ls\n", "~", "."}, "ls\n", true},
    {{"a~."}, "a~.", false},
    {{"~a"}, "~a", false},
    {{"~", "a", "~."}, "~a~.", false},
    {{"~~"}, "~", false},
    {{"~~.\r~~~.\r"}, "~.\r~~.\r", false},
    {{"~\r~."}, "~\r", true},
};

static void finds_the_way_out_at_the_beginning_of_a_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_typed typed = SB_TYPED_INIT;
        char sent[64] = "";
        bool is_out = false;
        for (size_t k = 0; k < 4 && rows[i].typed[k] != NULL && !is_out; k++) {
            char out[64];
            size_t n = 99;
            size_t len = strlen(rows[i].typed[k]);
            is_out = sb_typed_take(&typed, rows[i].typed[k], len, out, &n);
            assert_true(n <= len + 1);
            (void)strncat(sent, out, n);
        }
        assert_string_equal(sent, rows[i].sent);
        assert_int_equal(is_out, rows[i].is_way_out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_way_out_at_the_beginning_of_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
