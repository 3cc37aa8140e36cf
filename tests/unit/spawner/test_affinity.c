#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/spawner/affinity.h"

enum { SETS = 4, SIZE = SETS * sizeof(cpu_set_t) };

static void fill(cpu_set_t *cpus, size_t first, size_t n)
{
    CPU_ZERO_S(SIZE, cpus);
    for (size_t i = 0; i < n; i++) {
        CPU_SET_S(first + i, SIZE, cpus);
    }
}

static void leaves_as_many_as_wanted_in_turns(void **state)
{
    (void)state;
    cpu_set_t cpus[SETS];
    fill(cpus, 4, 4);
    sb_affinity_choose(cpus, SIZE, 7, 2); /* of four: the last, then the first */
    assert_int_equal(CPU_COUNT_S(SIZE, cpus), 2);
    assert_true(CPU_ISSET_S(7, SIZE, cpus));
    assert_true(CPU_ISSET_S(4, SIZE, cpus));
}

static void knows_more_processors_than_libc_has_room_for(void **state)
{
    (void)state;
    cpu_set_t cpus[SETS];
    fill(cpus, CPU_SETSIZE + 500, 8);
    sb_affinity_choose(cpus, SIZE, 3, 2);
    assert_int_equal(CPU_COUNT_S(SIZE, cpus), 2);
    assert_true(CPU_ISSET_S((size_t)CPU_SETSIZE + 503, SIZE, cpus));
    assert_true(CPU_ISSET_S((size_t)CPU_SETSIZE + 504, SIZE, cpus));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_as_many_as_wanted_in_turns),
        cmocka_unit_test(knows_more_processors_than_libc_has_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
