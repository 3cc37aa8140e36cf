/* What passes the socket of the audit log. The messages are the test's own, in a network namespace
 * of its own: no other listener hears them. */

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/spawner/audit.h"

static int listener = -1;

static int start(void **state)
{
    (void)state;
    struct sb_err err;
    if (unshare(CLONE_NEWNET) < 0) {
        (void)printf("only root of the host can read its audit log\n");
        exit(77);
    }
    listener = sb_audit_open(SB_AUDIT_VERSION, &err);
    if (listener < 0) {
        (void)printf("%s\n", err.text);
        exit(77);
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    return close(listener);
}

static void say(unsigned type)
{
    const struct sockaddr_nl everybody = {.nl_family = AF_NETLINK, .nl_groups = 1};
    const struct nlmsghdr head = {.nlmsg_len = sizeof head, .nlmsg_type = (uint16_t)type};
    SB_CLEANUP(sb_closep) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
    assert_int_equal(
        sendto(fd, &head, sizeof head, 0, (const struct sockaddr *)&everybody, sizeof everybody),
        sizeof head);
}

static void nothing_but_landlocks_records_passes(void **state)
{
    (void)state;
    struct nlmsghdr head;
    static const unsigned said[] = {AUDIT_SYSCALL, AUDIT_AVC, AUDIT_SECCOMP, 1422,
                                    1423,          1424,      AUDIT_LOGIN,   1425};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        say(said[i]);
    }
    assert_int_equal(recv(listener, &head, sizeof head, 0), sizeof head);
    assert_int_equal(head.nlmsg_type, 1423);
    assert_int_equal(recv(listener, &head, sizeof head, 0), sizeof head);
    assert_int_equal(head.nlmsg_type, 1424);
    assert_int_equal(recv(listener, &head, sizeof head, 0), -1);
    assert_int_equal(errno, EAGAIN);
}

static void the_filter_stays(void **state)
{
    (void)state;
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, ~0U)};
    const int on = 1;
    const struct sock_fprog all = {.len = 1, .filter = code};
    assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof all), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_DETACH_FILTER, &on, sizeof on), -1);
    assert_int_equal(errno, EPERM);
}

static void an_older_kernel_is_not_asked(void **state)
{
    (void)state;
    struct sb_err err;
    assert_int_equal(sb_audit_open(SB_AUDIT_VERSION - 1, &err), -1);
    assert_int_equal(err.code, SB_PRECONDITION);
    assert_string_equal(err.text, "that needs Linux 6.15 or newer with Landlock");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_but_landlocks_records_passes),
        cmocka_unit_test(the_filter_stays),
        cmocka_unit_test(an_older_kernel_is_not_asked),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
