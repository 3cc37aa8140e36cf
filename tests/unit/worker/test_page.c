/** Page tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "service/worker/page.h"

static const struct sb_page_key key = {{1, 2}};

static void a_token_leads_back_to_where_it_was_made(void **state)
{
    (void)state;
    struct sb_err err;
    char token[SB_PAGE_TOKEN_SIZE];
    uint64_t cursor = 0;
    sb_page_token(&key, 4711, 99, token);
    assert_int_equal(sb_page_cursor(&key, sb_str_from(token), 99, &cursor, &err), 0);
    assert_int_equal(cursor, 4711);
}

static void no_token_is_the_first_page(void **state)
{
    (void)state;
    struct sb_err err;
    uint64_t cursor = 0;
    assert_int_equal(sb_page_cursor(&key, SB_STR(""), 99, &cursor, &err), 0);
    assert_true(cursor == UINT64_MAX);
}

static void refuses_a_token_of_another_question(void **state)
{
    (void)state;
    struct sb_err err;
    char token[SB_PAGE_TOKEN_SIZE];
    uint64_t cursor = 7;
    sb_page_token(&key, 4711, 99, token);
    assert_int_equal(sb_page_cursor(&key, sb_str_from(token), 98, &cursor, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
    assert_int_equal(cursor, 7);
}

static void refuses_what_was_changed_or_made_up(void **state)
{
    (void)state;
    static const char *const bad[] = {"x", "00000000000000000000000000000000", "'; drop table"};
    struct sb_err err;
    char token[SB_PAGE_TOKEN_SIZE];
    uint64_t cursor = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(sb_page_cursor(&key, sb_str_from(bad[i]), 99, &cursor, &err), -1);
    }
    sb_page_token(&key, 4711, 99, token);
    for (size_t i = 0; i < strlen(token); i++) {
        char changed[SB_PAGE_TOKEN_SIZE];
        memcpy(changed, token, sizeof changed);
        changed[i] = changed[i] == '0' ? '1' : '0';
        assert_int_equal(sb_page_cursor(&key, sb_str_from(changed), 99, &cursor, &err), -1);
    }
}

static void a_page_has_fifty_items_unless_asked_and_a_thousand_at_most(void **state)
{
    (void)state;
    assert_int_equal(sb_page_size(0), 50);
    assert_int_equal(sb_page_size(3), 3);
    assert_int_equal(sb_page_size(1000), 1000);
    assert_int_equal(sb_page_size(UINT32_MAX), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_leads_back_to_where_it_was_made),
        cmocka_unit_test(no_token_is_the_first_page),
        cmocka_unit_test(refuses_a_token_of_another_question),
        cmocka_unit_test(refuses_what_was_changed_or_made_up),
        cmocka_unit_test(a_page_has_fifty_items_unless_asked_and_a_thousand_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
