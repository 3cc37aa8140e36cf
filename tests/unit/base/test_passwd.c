/** Lines of /etc/passwd, and who is in the one of this machine. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/passwd.h"

static void lines_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool is_user;
        uid_t uid;
        gid_t gid;
    } rows[] = {
        {"root:x:0:0:root:/root:/bin/bash", true, 0, 0},
        {"aisbx:x:998:997::/nonexistent:/usr/sbin/nologin", true, 998, 997},
        {"a::1:2:", true, 1, 2},
        {"last:x:4294967295:4294967295:::", true, 4294967295U, 4294967295U},
        {"", false, 0, 0},
        {"aisbx", false, 0, 0},
        {"aisbx:x:998", false, 0, 0},
        {"aisbx:x:998:997", false, 0, 0}, /* cut off: it may have been 9970 */
        {":x:998:997::/:", false, 0, 0},
        {"a:x:-1:0::/:", false, 0, 0},
        {"a:x:1 :0::/:", false, 0, 0},
        {"a:x:4294967296:0::/:", false, 0, 0},
        {"a:x:0:4294967296::/:", false, 0, 0},
        {"+::::::", false, 0, 0}, /* NIS */
        {"0123456789012345678901234567890123456789012345678901234567890123:x:1:1::/:", false, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_passwd user;
        bool is_user = sb_passwd_parse(rows[i].line, strlen(rows[i].line), &user);
        if (is_user != rows[i].is_user ||
            (is_user && (user.uid != rows[i].uid || user.gid != rows[i].gid ||
                         strncmp(user.name, rows[i].line, strlen(user.name)) != 0))) {
            fail_msg("%s", rows[i].line);
        }
    }
}

static void root_is_found(void **state)
{
    (void)state;
    struct sb_passwd user;
    assert_true(sb_passwd_by_uid(0, &user));
    assert_string_equal(user.name, "root");
    assert_true(sb_passwd_by_name("root", &user));
    assert_int_equal(user.uid, 0);
    assert_int_equal(user.gid, 0);
    assert_false(sb_passwd_by_name("", &user));
    assert_false(sb_passwd_by_name("roo", &user));
    assert_false(sb_passwd_by_name("nobody of that name", &user));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read),
        cmocka_unit_test(root_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
