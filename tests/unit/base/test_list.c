#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"

struct item {
    int number;
    struct sb_list node;
};

/* The numbers in order, as the digits of one number. */
static int digits(struct sb_list *head)
{
    int value = 0;
    SB_FOREACH (node, head) {
        value = value * 10 + SB_LIST_ENTRY(node, struct item, node)->number;
    }
    return value;
}

static void order_is_append_and_prepend(void **state)
{
    (void)state;
    struct sb_list head;
    struct item items[] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    sb_list_init(&head);
    assert_true(sb_list_is_empty(&head));
    assert_int_equal(sb_list_count(&head), 0);
    sb_list_append(&head, &items[1].node);
    sb_list_append(&head, &items[3].node);
    sb_list_prepend(&head, &items[0].node);
    sb_list_insert_before(&items[3].node, &items[2].node);
    assert_int_equal(digits(&head), 1234);
    assert_int_equal(sb_list_count(&head), 4);
    assert_false(sb_list_is_empty(&head));
}

static void removal_during_a_walk_is_safe(void **state)
{
    (void)state;
    struct sb_list head;
    struct item items[] = {{.number = 1}, {.number = 2}, {.number = 3}};
    sb_list_init(&head);
    for (size_t i = 0; i < 3; i++) {
        sb_list_append(&head, &items[i].node);
    }
    SB_FOREACH (node, &head) {
        if (SB_LIST_ENTRY(node, struct item, node)->number != 2) {
            sb_list_remove(node);
        }
    }
    assert_int_equal(digits(&head), 2);
}

static void removing_twice_is_harmless(void **state)
{
    (void)state;
    struct sb_list head;
    struct item item = {.number = 5};
    sb_list_init(&head);
    sb_list_remove(&item.node);
    sb_list_append(&head, &item.node);
    assert_true(sb_list_is_linked(&item.node));
    sb_list_remove(&item.node);
    sb_list_remove(&item.node);
    assert_false(sb_list_is_linked(&item.node));
    assert_true(sb_list_is_empty(&head));
}

static void pop_takes_from_the_front(void **state)
{
    (void)state;
    struct sb_list head;
    struct item items[] = {{.number = 1}, {.number = 2}};
    sb_list_init(&head);
    sb_list_append(&head, &items[0].node);
    sb_list_append(&head, &items[1].node);
    assert_ptr_equal(sb_list_pop(&head), &items[0].node);
    assert_ptr_equal(sb_list_pop(&head), &items[1].node);
    assert_null(sb_list_pop(&head));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_append_and_prepend),
        cmocka_unit_test(removal_during_a_walk_is_safe),
        cmocka_unit_test(removing_twice_is_harmless),
        cmocka_unit_test(pop_takes_from_the_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
