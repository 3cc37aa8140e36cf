#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/option.h"
#include "cli/program.h"
#include "cli/verb.h"
#include "testing.h"

static int find(const char *first, const char *second, const struct sb_verb **verb, size_t *used)
{
    static struct sb_err err;
    char a[32];
    char b[32];
    char *words[] = {a, second == NULL ? NULL : b, NULL};
    (void)snprintf(a, sizeof a, "%s", first);
    (void)snprintf(b, sizeof b, "%s", second == NULL ? "" : second);
    err = (struct sb_err){0};
    int rc = sb_program_find(&sb_verb_aisbx, words, verb, used, &err);
    return rc == 0 ? 0 : (int)err.code;
}

static void one_and_two_word_verbs_are_found(void **state)
{
    const struct sb_verb *verb = NULL;
    size_t used = 0;
    (void)state;
    assert_int_equal(find("run", "true", &verb, &used), 0);
    assert_string_equal(verb->name, "run");
    assert_int_equal(used, 1);
    assert_int_equal(find("profile", "show", &verb, &used), 0);
    assert_string_equal(verb->name, "profile show");
    assert_int_equal(used, 2);
    assert_int_equal(find("profile", NULL, &verb, &used), SB_INVALID);
    assert_int_equal(find("profile show", NULL, &verb, &used), SB_INVALID);
}

static void a_mistyped_verb_gets_a_suggestion(void **state)
{
    char word[] = "destory";
    char *words[] = {word, NULL};
    const struct sb_verb *verb;
    size_t used;
    struct sb_err err;
    (void)state;
    assert_int_equal(sb_program_find(&sb_verb_aisbx, words, &verb, &used, &err), -1);
    assert_string_equal(err.text, "there is no verb \"destory\"; did you mean \"destroy\"?");
}

static void every_row_is_complete(void **state)
{
    (void)state;
    for (const struct sb_verb *v = NULL; (v = sb_program_next(&sb_verb_aisbx, v)) != NULL;) {
        assert_non_null(v->summary);
        assert_non_null(v->usage);
        assert_non_null(v->run);
        assert_true(v->min_operands == 0 || v->wants != NULL);
        assert_true(v->max_operands >= v->min_operands);
        bool has_examples = v->examples != NULL;
        assert_true(has_examples || v->is_hidden || strcmp(v->name, "version") == 0);
        for (size_t i = 0; has_examples && v->examples[i] != NULL; i += 2) {
            assert_non_null(v->examples[i + 1]);
        }
    }
}

/* Rows of one verb, the ones that hold everywhere included. */
static size_t collect(const struct sb_verb *verb, const struct sb_option **rows, size_t cap)
{
    size_t n = 0;
    for (size_t g = 0; g <= SB_VERB_GROUPS_MAX; g++) {
        bool is_last = g == SB_VERB_GROUPS_MAX || verb->groups[g] == NULL;
        const struct sb_option_group *group = is_last ? &sb_option_everywhere : verb->groups[g];
        for (size_t i = 0; i < group->n; i++) {
            assert_true(n < cap);
            rows[n++] = &group->rows[i];
        }
        if (is_last) {
            break;
        }
    }
    return n;
}

static void no_verb_has_two_options_of_one_name_or_letter(void **state)
{
    (void)state;
    for (const struct sb_verb *v = NULL; (v = sb_program_next(&sb_verb_aisbx, v)) != NULL;) {
        const struct sb_option *rows[64];
        size_t n = collect(v, rows, 64);
        for (size_t i = 0; i < n; i++) {
            assert_true((rows[i]->value == NULL) == (rows[i]->kind == SB_OPTION_FLAG));
            assert_true((rows[i]->choices != NULL) == (rows[i]->offer == SB_OFFER_CHOICES));
            for (size_t k = 0; k < i; k++) {
                assert_string_not_equal(rows[i]->name, rows[k]->name);
                assert_true(rows[i]->letter == '\0' || rows[i]->letter != rows[k]->letter);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_and_two_word_verbs_are_found),
        cmocka_unit_test(a_mistyped_verb_gets_a_suggestion),
        cmocka_unit_test(every_row_is_complete),
        cmocka_unit_test(no_verb_has_two_options_of_one_name_or_letter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
