#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/spawner/child.h"
#include "service/spawner/ids.h"
#include "service/spawner/layers/between.h"

/* As the kernel shows them there, by sb_userns_write: those of the one who wrote begin at a million
 * and a bit. */
enum { BESIDE = 1 << 20 };

static const struct sb_ids range = {
    .inside = 0, .outside_uid = 70000, .outside_gid = 70000, .count = 1024};
static const struct sb_ids pair = {.inside = 1000, .outside_uid = 5, .outside_gid = 5, .count = 2};

static struct sb_between between(const struct sb_ids *from, const struct sb_ids *to)
{
    return (struct sb_between){.userns_fd = 0, .from = *from, .to = *to}; /* never used */
}

static void an_owner_is_who_has_the_same_id_in_the_other_sandbox(void **state)
{
    (void)state;
    const struct sb_between all = between(&range, &range);
    assert_int_equal(sb_between_id(&all, BESIDE), 0);
    assert_int_equal(sb_between_id(&all, BESIDE + 1023), 1023);
    assert_int_equal(sb_between_id(&all, 7), 7); /* of the other one already */
    const struct sb_between job = between(&pair, &range);
    assert_int_equal(sb_between_id(&job, BESIDE), 1000);
    assert_int_equal(sb_between_id(&job, BESIDE + 1), 1001);
}

static void who_has_no_id_there_is_the_job(void **state)
{
    (void)state;
    const struct sb_between one = between(&range, &pair);
    assert_int_equal(sb_between_id(&one, BESIDE), SB_CHILD_ID);
    assert_int_equal(sb_between_id(&one, BESIDE + 999), SB_CHILD_ID);
    assert_int_equal(sb_between_id(&one, BESIDE + 1001), 1001);
    assert_int_equal(sb_between_id(&one, 65534), SB_CHILD_ID);
    assert_int_equal(sb_between_id(&one, BESIDE + 1024), SB_CHILD_ID);
}

static void without_one_ids_stay(void **state)
{
    (void)state;
    const struct sb_between none = SB_BETWEEN_NONE;
    assert_int_equal(sb_between_id(&none, BESIDE), BESIDE);
    assert_int_equal(sb_between_id(NULL, 5), 5);
}

static void access_control_lists_name_the_same_users(void **state)
{
    (void)state;
    /* version; tag, rights, id of: the owner, a user, a group, others */
    uint8_t list[4 + 4 * 8 + 3] = {2};
    const struct sb_between all = between(&range, &range);
    const uint16_t tags[] = {1, 2, 8, 0x20};
    for (size_t i = 0; i < 4; i++) {
        const uint32_t id = BESIDE + 40 + (uint32_t)i;
        memcpy(list + 4 + i * 8, &tags[i], sizeof tags[i]);
        memcpy(list + 8 + i * 8, &id, sizeof id);
    }
    sb_between_acl(&all, list, sizeof list);
    for (size_t i = 0; i < 4; i++) {
        uint32_t id = 0;
        memcpy(&id, list + 8 + i * 8, sizeof id);
        assert_int_equal(id, i == 1 || i == 2 ? 40 + i : BESIDE + 40 + i);
    }
    sb_between_acl(&all, list, 3); /* not even a version */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_owner_is_who_has_the_same_id_in_the_other_sandbox),
        cmocka_unit_test(who_has_no_id_there_is_the_job),
        cmocka_unit_test(without_one_ids_stay),
        cmocka_unit_test(access_control_lists_name_the_same_users),
    };
    return cmocka_run_group_tests_name("between", tests, NULL, NULL);
}
