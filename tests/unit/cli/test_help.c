#include <string.h>

#include "base/out.h"
#include "cli/help.h"
#include "cli/manpage.h"
#include "cli/option.h"
#include "cli/program.h"
#include "cli/verb.h"
#include "proto/client/setting.h"
#include "testing.h"

static void overview_names_every_verb_and_variable(void **state)
{
    struct sb_out out;
    (void)state;
    sb_out_init(&out, -1);
    sb_help_overview(&out, &sb_verb_aisbx);
    const char *text = sb_buf_cstr(&out.buf);
    for (const struct sb_verb *v = NULL; (v = sb_program_next(&sb_verb_aisbx, v)) != NULL;) {
        assert_int_equal(strstr(text, v->summary) == NULL, v->is_hidden);
    }
    for (size_t i = 0; i < SB_SETTING_COUNT; i++) {
        assert_non_null(strstr(text, sb_setting_table[i].name));
    }
    sb_out_done(&out);
}

static void help_of_a_verb_has_its_options_and_examples(void **state)
{
    (void)state;
    for (const struct sb_verb *v = NULL; (v = sb_program_next(&sb_verb_aisbx, v)) != NULL;) {
        struct sb_out out;
        sb_out_init(&out, -1);
        sb_help_verb(&out, &sb_verb_aisbx, v);
        const char *text = sb_buf_cstr(&out.buf);
        for (size_t g = 0; g < SB_VERB_GROUPS_MAX && v->groups[g] != NULL; g++) {
            for (size_t i = 0; i < v->groups[g]->n; i++) {
                assert_non_null(strstr(text, v->groups[g]->rows[i].name));
            }
        }
        for (const char *const *e = v->examples; e != NULL && *e != NULL; e++) {
            assert_non_null(strstr(text, *e));
        }
        sb_out_done(&out);
    }
}

static void lines_of_prose_fit_the_width(void **state)
{
    struct sb_out out;
    (void)state;
    sb_out_init(&out, -1);
    sb_help_overview(&out, &sb_verb_aisbx);
    sb_help_verb(&out, &sb_verb_aisbx, sb_program_next(&sb_verb_aisbx, NULL));
    struct sb_str rest = sb_buf_str(&out.buf);
    for (struct sb_str line; sb_str_next(&rest, '\n', &line);) {
        assert_in_range(line.len, 0, 90);
        assert_true(line.len == 0 || line.ptr[line.len - 1] != ' ');
    }
    sb_out_done(&out);
}

static void the_manual_page_has_no_accidental_control_lines(void **state)
{
    static const char *const macros[] = {".SH ", ".SS ", ".TP", ".B ", ".PP", ".EX", ".EE", ".in"};
    struct sb_out out;
    (void)state;
    sb_out_init(&out, -1);
    sb_manpage_write(&out, &sb_verb_aisbx);
    struct sb_str rest = sb_buf_str(&out.buf);
    for (struct sb_str line; sb_str_next(&rest, '\n', &line);) {
        bool is_macro = line.len == 0 || line.ptr[0] != '.';
        for (size_t i = 0; i < sizeof macros / sizeof macros[0]; i++) {
            is_macro = is_macro || sb_str_starts_with(line, sb_str_from(macros[i]));
        }
        assert_true(is_macro);
        assert_true(line.len == 0 || line.ptr[0] != '\'');
    }
    sb_out_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overview_names_every_verb_and_variable),
        cmocka_unit_test(help_of_a_verb_has_its_options_and_examples),
        cmocka_unit_test(lines_of_prose_fit_the_width),
        cmocka_unit_test(the_manual_page_has_no_accidental_control_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
