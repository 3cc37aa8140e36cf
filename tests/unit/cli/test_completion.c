#include <string.h>

#include "base/out.h"
#include "cli/completion.h"
#include "cli/option.h"
#include "cli/program.h"
#include "cli/verb.h"
#include "testing.h"

static void each_shell_knows_every_verb_and_option(void **state)
{
    (void)state;
    for (size_t s = 0; sb_completion_shells[s] != NULL; s++) {
        struct sb_out out;
        sb_out_init(&out, -1);
        assert_true(
            sb_completion_write(&out, &sb_verb_aisbx, sb_str_from(sb_completion_shells[s])));
        const char *text = sb_buf_cstr(&out.buf);
        for (const struct sb_verb *v = NULL; (v = sb_program_next(&sb_verb_aisbx, v)) != NULL;) {
            for (size_t g = 0; g < SB_VERB_GROUPS_MAX && v->groups[g] != NULL; g++) {
                for (size_t i = 0; i < v->groups[g]->n; i++) {
                    assert_non_null(strstr(text, v->groups[g]->rows[i].name));
                }
            }
            assert_true(v->is_hidden || strstr(text, v->name) != NULL);
        }
        sb_out_done(&out);
    }
}

static void an_unknown_shell_gets_nothing(void **state)
{
    struct sb_out out;
    (void)state;
    sb_out_init(&out, -1);
    assert_false(sb_completion_write(&out, &sb_verb_aisbx, SB_STR("csh")));
    assert_int_equal(out.buf.len, 0);
    sb_out_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_shell_knows_every_verb_and_option),
        cmocka_unit_test(an_unknown_shell_gets_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
