/** Refusals that are told: which they are, that they stay refusals, and what the kernel makes of
 * the filter with a listener. */
#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/fd.h"
#include "service/shared/denial.h"
#include "service/shared/floor.h"
#include "service/spawner/filter.h"
#include "tests/unit/spawner/verdict.h"

#define ACTION(name) SPAWN__V1__ACTION__ACTION_##name

/* A list with that default and one rule about one call. */
static struct sb_filter compile(Spawn__V1__Action default_action,
                                const char *name,
                                Spawn__V1__Action action,
                                uint32_t error)
{
    Spawn__V1__LoadFilter msg = SPAWN__V1__LOAD_FILTER__INIT;
    Spawn__V1__FilterRule rule = SPAWN__V1__FILTER_RULE__INIT;
    Spawn__V1__FilterRule *rules = &rule;
    char text[32] = "";
    char *names = text;
    struct sb_filter filter;
    struct sb_err err;
    (void)strncpy(text, name, sizeof text - 1);
    rule.names = &names;
    rule.n_names = 1;
    rule.action = action;
    rule.errno_value = error;
    msg.default_action = default_action;
    msg.default_errno = ENOSYS;
    msg.rules = &rules;
    msg.n_rules = 1;
    if (sb_filter_compile(&msg, &filter, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return filter;
}

/* What is given where a listener is asked. */
static uint32_t ask(const struct sb_filter *filter, const char *name, uint64_t a, uint64_t b)
{
    const uint64_t args[6] = {a, b};
    return verdict_of(&filter->forms.asking, sb_floor_resolve(name), args);
}

static uint32_t refuse(const struct sb_filter *filter, const char *name, uint64_t a, uint64_t b)
{
    const uint64_t args[6] = {a, b};
    return verdict_of(&filter->forms.plain, sb_floor_resolve(name), args);
}

static void every_call_that_is_told_is_one_of_the_floor_with_that_errno(void **state)
{
    (void)state;
    for (size_t i = 0; i < sb_denial_n_calls; i++) {
        const struct sb_denial_call *call = &sb_denial_calls[i];
        bool is_there = strcmp(call->name, "personality") == 0; /* has rules of its own */
        for (size_t k = 0; k < sb_floor_n_rules; k++) {
            if (strcmp(sb_floor_rules[k].name, call->name) == 0) {
                /* Another errno: not told, as of a protocol that runtimes merely try. */
                is_there = is_there || sb_floor_rules[k].error == call->error;
            }
        }
        if (!is_there) {
            fail_msg("%s is not in the floor", call->name);
        }
    }
}

static void check_unconditional(const struct sb_filter *filter)
{
    for (size_t i = 0; i < sb_floor_n_rules; i++) {
        const struct sb_floor_rule *rule = &sb_floor_rules[i];
        if (rule->n_args > 0 || sb_floor_resolve(rule->name) < 0) {
            continue;
        }
        uint32_t error = SECCOMP_RET_ERRNO | rule->error;
        uint32_t told = sb_denial_find(rule->name) != NULL ? SECCOMP_RET_USER_NOTIF : error;
        if (ask(filter, rule->name, 0, 0) != told || refuse(filter, rule->name, 0, 0) != error) {
            fail_msg("%s", rule->name);
        }
    }
}

static void the_floor_is_told_under_each_soft_default_and_never_allowed(void **state)
{
    (void)state;
    const Spawn__V1__Action defaults[] = {ACTION(ALLOW), ACTION(ERRNO), ACTION(LOG)};
    for (size_t d = 0; d < sizeof defaults / sizeof *defaults; d++) {
        struct sb_filter filter = compile(defaults[d], "socket", ACTION(ALLOW), 0);
        check_unconditional(&filter);
        assert_int_equal(ask(&filter, "socket", AF_ALG, 0), SECCOMP_RET_USER_NOTIF);
        assert_int_equal(ask(&filter, "socket", AF_INET, SOCK_STREAM), SECCOMP_RET_ALLOW);
        assert_int_equal(ask(&filter, "clone", CLONE_NEWUSER, 0), SECCOMP_RET_USER_NOTIF);
        assert_int_equal(ask(&filter, "clone", CLONE_VM, 0), SECCOMP_RET_ALLOW);
        assert_int_equal(ask(&filter, "ioctl", 0, TIOCSTI), SECCOMP_RET_USER_NOTIF);
        assert_int_equal(ask(&filter, "clone3", 0, 0), SECCOMP_RET_ERRNO | ENOSYS);
        sb_filter_done(&filter);
    }
}

static void what_the_list_does_not_allow_is_not_let_through_by_what_is_told(void **state)
{
    (void)state;
    struct sb_filter filter = compile(ACTION(ERRNO), "getuid", ACTION(ALLOW), 0);
    assert_int_equal(ask(&filter, "socket", AF_ALG, 0), SECCOMP_RET_USER_NOTIF);
    assert_int_equal(ask(&filter, "socket", AF_UNIX, 0), SECCOMP_RET_ERRNO | ENOSYS);
    assert_int_equal(ask(&filter, "chmod", 0, 0644), SECCOMP_RET_ERRNO | ENOSYS);
    assert_int_equal(ask(&filter, "chmod", 0, 04755), SECCOMP_RET_USER_NOTIF);
    assert_int_equal(ask(&filter, "personality", 0, 0), SECCOMP_RET_ERRNO | ENOSYS);
    assert_int_equal(ask(&filter, "personality", 0x40000, 0), SECCOMP_RET_USER_NOTIF);
    sb_filter_done(&filter);
}

static void a_list_that_kills_kills_and_tells_nothing(void **state)
{
    (void)state;
    struct sb_filter filter = compile(ACTION(KILL_PROCESS), "getuid", ACTION(ALLOW), 0);
    assert_int_equal(ask(&filter, "mount", 0, 0), SECCOMP_RET_KILL_PROCESS);
    sb_filter_done(&filter);
    filter = compile(ACTION(ERRNO), "mount", ACTION(KILL_PROCESS), 0);
    assert_int_equal(ask(&filter, "mount", 0, 0), SECCOMP_RET_KILL_PROCESS);
    assert_int_equal(ask(&filter, "ptrace", 0, 0), SECCOMP_RET_USER_NOTIF);
    sb_filter_done(&filter);
}

static void a_rule_that_notifies_is_told_unless_init_needs_the_call(void **state)
{
    (void)state;
    struct sb_filter filter = compile(ACTION(ERRNO), "getuid", ACTION(NOTIFY), EACCES);
    assert_int_equal(ask(&filter, "getuid", 0, 0), SECCOMP_RET_USER_NOTIF);
    assert_int_equal(refuse(&filter, "getuid", 0, 0), SECCOMP_RET_ERRNO | EACCES);
    sb_filter_done(&filter);
    filter = compile(ACTION(NOTIFY), "sendmsg", ACTION(NOTIFY), EACCES);
    assert_int_equal(ask(&filter, "sendmsg", 0, 0), SECCOMP_RET_ERRNO | EACCES);
    assert_int_equal(ask(&filter, "getuid", 0, 0), SECCOMP_RET_ERRNO | ENOSYS);
    sb_filter_done(&filter);
}

/* ---- the kernel ---- */

enum { UNANSWERED = 200, NO_LISTENER, FAILED };

/* Under the filter, hands its listener over and makes the call; exits with the errno. */
static _Noreturn void be_refused(const struct sb_filter *filter, int sock, bool is_nested)
{
    struct sb_err err;
    int listener = -1;
    int second = -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        sb_filter_install(filter, &listener, &err) < 0 ||
        (is_nested && sb_filter_install(filter, &second, &err) < 0)) {
        _exit(FAILED);
    }
    if (listener < 0 || sb_fd_send(sock, "x", 1, &listener, 1, &err) < 0) {
        _exit(NO_LISTENER);
    }
    (void)close(listener);
    if (second >= 0) {
        _exit(UNANSWERED);
    }
    _exit(syscall(SYS_mount, 0, 0, 0, 0, 0) < 0 ? errno : 0);
}

static int take_listener(int sock)
{
    int listener = -1;
    char byte = 0;
    struct sb_err err;
    struct sb_fd_msg msg = {.data = &byte, .cap = 1, .fds = &listener, .nfds_cap = 1};
    return sb_fd_recv(sock, &msg, 0, &err) == 1 ? listener : -1;
}

static pid_t start(const struct sb_filter *filter, bool is_nested, int *ret_listener)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(pair[0]);
        be_refused(filter, pair[1], is_nested);
    }
    (void)close(pair[1]);
    *ret_listener = take_listener(pair[0]);
    (void)close(pair[0]);
    return pid;
}

static int end_of(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* Skips where this process is under a listener itself. */
static void the_listener_answers_and_when_it_closes_the_call_is_absent(void **state)
{
    (void)state;
    struct sb_filter filter = compile(ACTION(ALLOW), "getuid", ACTION(ALLOW), 0);
    union {
        struct seccomp_notif head;
        char bytes[256];
    } asked = {.bytes = {0}};
    int listener = -1;
    pid_t pid = start(&filter, false, &listener);
    if (listener < 0) {
        assert_int_equal(end_of(pid), NO_LISTENER);
        sb_filter_done(&filter);
        skip();
    }
    assert_int_equal(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked), 0);
    assert_int_equal(asked.head.pid, pid);
    assert_int_equal(asked.head.data.nr, SYS_mount);
    struct seccomp_notif_resp said = {.id = asked.head.id, .error = -EDOM};
    assert_int_equal(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &said), 0);
    assert_int_equal(end_of(pid), EDOM);
    (void)close(listener);
    pid = start(&filter, false, &listener);
    (void)close(listener);
    assert_int_equal(end_of(pid), ENOSYS);
    sb_filter_done(&filter);
}

static void under_another_listener_the_filter_refuses_by_itself(void **state)
{
    (void)state;
    struct sb_filter filter = compile(ACTION(ALLOW), "getuid", ACTION(ALLOW), 0);
    int listener = -1;
    pid_t pid = start(&filter, true, &listener);
    int got = end_of(pid); /* without an answer: an errno wins over the question */
    assert_true(got == EPERM || got == NO_LISTENER);
    if (listener >= 0) {
        (void)close(listener);
    }
    sb_filter_done(&filter);
}

/* Under a filter that learns, hands the listener over and makes two calls; exits with the errno of
 * the second, which the list refuses. */
static _Noreturn void be_learnt(const struct sb_filter *filter, int sock)
{
    struct sb_err err;
    int listener = -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        sb_filter_learn(filter, &listener, &err) < 0) {
        _exit(NO_LISTENER);
    }
    if (sb_fd_send(sock, "x", 1, &listener, 1, &err) < 0) {
        _exit(FAILED);
    }
    (void)close(listener);
    int status = syscall(SYS_getppid) == 0 ? UNANSWERED : syscall(SYS_getpgid, 0) < 0 ? errno : 0;
    /* Not _exit: a leak checker there makes calls that nobody would answer. */
    for (;;) {
        (void)syscall(SYS_exit_group, status);
    }
}

static void who_learns_is_asked_about_what_passes_and_never_about_what_is_refused(void **state)
{
    (void)state;
    struct sb_filter filter = compile(ACTION(ALLOW), "getpgid", ACTION(ERRNO), EXDEV);
    union {
        struct seccomp_notif head;
        char bytes[256];
    } asked = {.bytes = {0}};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(pair[0]);
        be_learnt(&filter, pair[1]);
    }
    (void)close(pair[1]);
    int listener = take_listener(pair[0]);
    (void)close(pair[0]);
    if (listener < 0) {
        assert_int_equal(end_of(pid), NO_LISTENER);
        sb_filter_done(&filter);
        skip();
    }
    assert_int_equal(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked), 0);
    assert_int_equal(asked.head.data.nr, SYS_getppid);
    struct seccomp_notif_resp said = {.id = asked.head.id,
                                      .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    assert_int_equal(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &said), 0);
    assert_int_equal(end_of(pid), EXDEV); /* unasked: nobody answers a second time */
    (void)close(listener);
    sb_filter_done(&filter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_that_is_told_is_one_of_the_floor_with_that_errno),
        cmocka_unit_test(the_floor_is_told_under_each_soft_default_and_never_allowed),
        cmocka_unit_test(what_the_list_does_not_allow_is_not_let_through_by_what_is_told),
        cmocka_unit_test(a_list_that_kills_kills_and_tells_nothing),
        cmocka_unit_test(a_rule_that_notifies_is_told_unless_init_needs_the_call),
        cmocka_unit_test(the_listener_answers_and_when_it_closes_the_call_is_absent),
        cmocka_unit_test(under_another_listener_the_filter_refuses_by_itself),
        cmocka_unit_test(who_learns_is_asked_about_what_passes_and_never_about_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
