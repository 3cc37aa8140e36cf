#include <string.h>

#include "base/err.h"
#include "proto/json/control.h"
#include "testing.h"

#define NAME(text, id) text ", "
static const char joined[] = SB_CONTROL_LIST(NAME);

static void help_text_lists_exactly_the_table(void **state)
{
    (void)state;
    assert_int_equal(strlen(SB_CONTROL_NAMES) + 2, strlen(joined));
    assert_memory_equal(SB_CONTROL_NAMES, joined, strlen(SB_CONTROL_NAMES));
}

static void every_control_of_the_contract_has_a_name(void **state)
{
    (void)state;
    for (unsigned i = 0; i < aisbx__v1__control__descriptor.n_values; i++) {
        int value = aisbx__v1__control__descriptor.values[i].value;
        const char *name = sb_control_name((Aisbx__V1__Control)value);
        if (value == 0) {
            assert_string_equal(name, "?");
            continue;
        }
        Aisbx__V1__Control back;
        struct sb_err err;
        assert_int_equal(sb_control_from(sb_str_from(name), &back, &err), 0);
        assert_int_equal(back, value);
    }
}

static void unknown_control_lists_the_names(void **state)
{
    Aisbx__V1__Control control;
    struct sb_err err;
    (void)state;
    assert_int_equal(sb_control_from(SB_STR("secomp"), &control, &err), -1);
    assert_non_null(strstr(err.text, "did you mean seccomp?"));
    assert_non_null(strstr(err.text, "userns, pidns"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_text_lists_exactly_the_table),
        cmocka_unit_test(every_control_of_the_contract_has_a_name),
        cmocka_unit_test(unknown_control_lists_the_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
