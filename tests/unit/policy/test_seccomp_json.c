#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "service/worker/policy/builtin.h"
#include "service/worker/policy/seccomp_json.h"

#if defined(__x86_64__)
#define ARCH   "SCMP_ARCH_X86_64"
#define GOARCH "amd64"
#else
#define ARCH   "SCMP_ARCH_AARCH64"
#define GOARCH "arm64"
#endif

static void unref(struct sb_filter **filter)
{
    sb_filter_unref(*filter);
}

static struct sb_filter *parse(struct sb_str json)
{
    struct sb_filter *filter = NULL;
    struct sb_err err = {0};
    if (sb_seccomp_json_parse("test", json, &filter, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return filter;
}

/* The first rule that names the call; NULL when there is none. */
static const Spawn__V1__FilterRule *find_rule(const struct sb_filter *filter, const char *call)
{
    for (size_t i = 0; i < filter->message->n_rules; i++) {
        const Spawn__V1__FilterRule *rule = filter->message->rules[i];
        for (size_t k = 0; k < rule->n_names; k++) {
            if (strcmp(rule->names[k], call) == 0) {
                return rule;
            }
        }
    }
    return NULL;
}

static void reads_the_form_of_oci(void **state)
{
    (void)state;
    SB_CLEANUP(unref)
    struct sb_filter *filter =
        parse(SB_STR("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,"
                     "\"architectures\":[\"" ARCH "\"],\"syscalls\":["
                     "{\"names\":[\"read\",\"write\"],\"action\":\"SCMP_ACT_ALLOW\"},"
                     "{\"name\":\"mount\",\"action\":\"SCMP_ACT_ERRNO\"},"
                     "{\"names\":[\"bpf\"],\"action\":\"SCMP_ACT_ERRNO\",\"errno\":\"ENOSYS\"},"
                     "{\"names\":[\"ptrace\"],\"action\":\"SCMP_ACT_NOTIFY\",\"errnoRet\":13},"
                     "{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,"
                     "\"value\":2114060288,\"valueTwo\":0,\"op\":\"SCMP_CMP_MASKED_EQ\"}]}]}"));
    const Spawn__V1__LoadFilter *m = filter->message;
    assert_string_equal(m->name, "test");
    assert_int_equal(m->default_action, SPAWN__V1__ACTION__ACTION_ERRNO);
    assert_int_equal(m->default_errno, 38);
    assert_int_equal(m->n_rules, 5);
    assert_int_equal(m->rules[0]->n_names, 2);
    assert_int_equal(m->rules[0]->action, SPAWN__V1__ACTION__ACTION_ALLOW);
    assert_int_equal(m->rules[1]->errno_value, 1);
    assert_int_equal(m->rules[2]->errno_value, 38);
    assert_int_equal(m->rules[3]->action, SPAWN__V1__ACTION__ACTION_NOTIFY);
    assert_int_equal(m->rules[3]->errno_value, 13);
    const Spawn__V1__FilterArg *arg = m->rules[4]->args[0];
    assert_int_equal(arg->op, SPAWN__V1__COMPARE__COMPARE_MASKED_EQ);
    assert_int_equal(arg->value, 0x7e020000);
    assert_int_equal(strlen(filter->hash), 64);
}

#define RULE(call, condition)                                                                      \
    "{\"names\":[\"" call "\"],\"action\":\"SCMP_ACT_ALLOW\"," condition "},"

static void leaves_out_what_cannot_apply(void **state)
{
    (void)state;
    SB_CLEANUP(unref)
    struct sb_filter *filter = parse(
        SB_STR("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"archMap\":[{\"architecture\":\"" ARCH
               "\",\"subArchitectures\":null}],\"syscalls\":[" RULE(
                   "a", "\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}")
                   RULE("b", "\"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}")
                       RULE("c", "\"includes\":{\"arches\":[\"s390x\"]}")
                           RULE("d", "\"includes\":{\"arches\":[\"s390x\",\"" GOARCH "\"]}")
                               RULE("e", "\"excludes\":{\"arches\":[\"" GOARCH "\"]}")
                                   RULE("f", "\"includes\":{\"minKernel\":\"4.8\"}")
                                       RULE("g", "\"includes\":{\"minKernel\":\"99.0\"}")
                                           RULE("h", "\"includes\":{},\"excludes\":{\"minKernel\":"
                                                     "\"4.8\"}") "{\"names\":[],\"action\":\"SCMP_"
                                                                 "ACT_ALLOW\"}]}"));
    static const struct {
        const char *call;
        bool is_there;
    } rows[] = {{"a", false}, {"b", true}, {"c", false}, {"d", true},
                {"e", false}, {"f", true}, {"g", false}, {"h", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(find_rule(filter, rows[i].call) != NULL, rows[i].is_there);
    }
    assert_int_equal(filter->message->n_rules, 3);
}

static void compares_with_the_version_of_the_running_kernel(void **state)
{
    (void)state;
    struct utsname own;
    unsigned version[2] = {0};
    assert_int_equal(uname(&own), 0);
    char *rest = NULL;
    version[0] = (unsigned)strtoul(own.release, &rest, 10);
    version[1] = (unsigned)strtoul(rest + 1, NULL, 10);
    for (unsigned later = 0; later < 2; later++) {
        char json[256];
        (void)snprintf(json, sizeof json,
                       "{\"defaultAction\":\"SCMP_ACT_KILL\",\"syscalls\":[{\"name\":\"a\","
                       "\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"%u.%u\"}}]}",
                       version[0], version[1] + later);
        SB_CLEANUP(unref) struct sb_filter *filter = parse(sb_str_from(json));
        assert_int_equal(filter->message->n_rules, 1 - later);
    }
}

static void makes_one_rule_per_condition_when_an_argument_has_several(void **state)
{
    (void)state;
    SB_CLEANUP(unref)
    struct sb_filter *filter =
        parse(SB_STR("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"socket\"],"
                     "\"action\":\"SCMP_ACT_ALLOW\",\"args\":["
                     "{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"},"
                     "{\"index\":0,\"value\":2,\"op\":\"SCMP_CMP_EQ\"},"
                     "{\"index\":0,\"value\":10,\"op\":\"SCMP_CMP_EQ\"}]}]}"));
    assert_int_equal(filter->message->n_rules, 3);
    uint64_t seen = 0;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(filter->message->rules[i]->n_args, 1);
        assert_string_equal(filter->message->rules[i]->names[0], "socket");
        seen |= UINT64_C(1) << filter->message->rules[i]->args[0]->value;
    }
    assert_int_equal(seen, (1 << 1) | (1 << 2) | (1 << 10));
}

static void keeps_conditions_on_different_arguments_together(void **state)
{
    (void)state;
    SB_CLEANUP(unref)
    struct sb_filter *filter =
        parse(SB_STR("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"socket\"],"
                     "\"action\":\"SCMP_ACT_ALLOW\",\"args\":["
                     "{\"index\":0,\"value\":16,\"op\":\"SCMP_CMP_EQ\"},"
                     "{\"index\":2,\"value\":0,\"op\":\"SCMP_CMP_EQ\"}]}]}"));
    assert_int_equal(filter->message->n_rules, 1);
    assert_int_equal(filter->message->rules[0]->n_args, 2);
}

#define WITH(syscall) "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[" syscall "]}"
#define ARG(text)     WITH("{\"name\":\"a\",\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{" text "}]}")

static const struct {
    const char *json;
    const char *message;
} refused[] = {
    {"[]", "file: an object is expected"},
    {"{}", "defaultAction: a name in quotes is expected"},
    {"{\"defaultAktion\":1}", "unknown key \"defaultAktion\"; did you mean \"defaultAction\"?"},
    {"{\"defaultAction\":\"SCMP_ACT_ALOW\"}",
     "defaultAction: unknown \"SCMP_ACT_ALOW\"; did you mean \"SCMP_ACT_ALLOW\"?"},
    {"{\"defaultAction\":\"SCMP_ACT_TRACE\"}",
     "defaultAction: unknown \"SCMP_ACT_TRACE\"; did you mean \"SCMP_ACT_TRAP\"?"},
    {"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":0}",
     "file: errno 0 would make a refusal look like success"},
    {"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrno\":\"EWHAT\"}",
     "defaultErrno: not the name of an errno"},
    {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_S390X\"]}",
     "architectures: this machine's, " ARCH ", is not among them"},
    {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"archMap\":[{\"architecture\":\"SCMP_ARCH_S390\"}]}",
     "architectures: this machine's, " ARCH ", is not among them"},
    {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":{}}", "syscalls: a list is expected"},
    {WITH("1"), "syscalls[0]: an object is expected"},
    {WITH("{\"action\":\"SCMP_ACT_ALLOW\"}"),
     "syscalls[0]: either \"names\" or \"name\" is expected"},
    {WITH("{\"name\":\"a\",\"names\":[\"b\"],\"action\":\"SCMP_ACT_ALLOW\"}"),
     "syscalls[0]: either \"names\" or \"name\" is expected"},
    {WITH("{\"names\":[\"a\",\"B C\"],\"action\":\"SCMP_ACT_ALLOW\"}"),
     "syscalls[0].names[1]: the name of a system call is expected"},
    {WITH("{\"name\":\"a\"}"), "syscalls[0].action: a name in quotes is expected"},
    {WITH("{\"name\":\"a\",\"action\":\"SCMP_ACT_ALLOW\",\"arg\":[]}"),
     "syscalls[0]: unknown key \"arg\"; did you mean \"args\"?"},
    {WITH("{\"name\":\"a\",\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":4096}"),
     "syscalls[0].errnoRet: a whole number of 0 to 4095 is expected"},
    {WITH("{\"name\":\"a\",\"action\":\"SCMP_ACT_NOTIFY\",\"errnoRet\":0}"),
     "syscalls[0]: errno 0 would make a refusal look like success"},
    {WITH("{\"name\":\"a\",\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"new\"}}"),
     "syscalls[0].includes.minKernel: a kernel version such as \"4.8\" is expected"},
    {WITH("{\"name\":\"a\",\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"cap\":[]}}"),
     "syscalls[0].includes: unknown key \"cap\"; did you mean \"caps\"?"},
    {ARG("\"index\":6,\"value\":0,\"op\":\"SCMP_CMP_EQ\""),
     "syscalls[0].args[0].index: a whole number of 0 to 5 is expected"},
    {ARG("\"index\":0,\"value\":-1,\"op\":\"SCMP_CMP_EQ\""),
     "syscalls[0].args[0].value: a whole number of 0 to 9007199254740991 is expected"},
    {ARG("\"index\":0,\"value\":1.5,\"op\":\"SCMP_CMP_EQ\""),
     "syscalls[0].args[0].value: a whole number of 0 to 9007199254740991 is expected"},
    {ARG("\"index\":0,\"value\":18446744073709551615,\"op\":\"SCMP_CMP_EQ\""),
     "syscalls[0].args[0].value: a whole number of 0 to 9007199254740991 is expected"},
    {ARG("\"index\":0,\"value\":0,\"op\":\"SCMP_CMP_IS\""),
     "syscalls[0].args[0].op: unknown \"SCMP_CMP_IS\"; did you mean \"SCMP_CMP_NE\"?"},
    {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultAction\":\"SCMP_ACT_KILL\"}",
     "line 1, column 35: the same key twice in one object"},
};

static void each_mistake_is_named_with_its_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct sb_filter *filter = NULL;
        struct sb_err err = {0};
        if (sb_seccomp_json_parse("test", sb_str_from(refused[i].json), &filter, &err) == 0) {
            fail_msg("accepted %s", refused[i].json);
        }
        assert_int_equal(err.code, SB_INVALID);
        assert_string_equal(err.text, refused[i].message);
    }
}

static void the_hash_is_of_the_rules_and_not_of_the_name(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(unref) struct sb_filter *a = NULL;
    SB_CLEANUP(unref) struct sb_filter *b = NULL;
    SB_CLEANUP(unref) struct sb_filter *c = NULL;
    struct sb_str json = SB_STR(WITH("{\"name\":\"a\",\"action\":\"SCMP_ACT_KILL\"}"));
    struct sb_str other = SB_STR(WITH("{\"name\":\"b\",\"action\":\"SCMP_ACT_KILL\"}"));
    assert_int_equal(sb_seccomp_json_parse("one", json, &a, &err), 0);
    assert_int_equal(sb_seccomp_json_parse("two", json, &b, &err), 0);
    assert_int_equal(sb_seccomp_json_parse("two", other, &c, &err), 0);
    assert_string_equal(a->hash, b->hash);
    assert_string_not_equal(a->hash, c->hash);
}

static void a_filter_lives_until_its_last_reference(void **state)
{
    (void)state;
    struct sb_filter *filter = parse(SB_STR("{\"defaultAction\":\"SCMP_ACT_ALLOW\"}"));
    assert_ptr_equal(sb_filter_ref(filter), filter);
    sb_filter_unref(filter);
    assert_string_equal(filter->message->name, "test");
    sb_filter_unref(filter);
    sb_filter_unref(NULL);
}

/* What no list of ours may allow, with or without condition on the arguments. */
static const char *const never_allowed[] = {
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "unshare",
    "setns",
    "ptrace",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "keyctl",
    "io_uring_setup",
    "clone3",
    "open_by_handle_at",
    "init_module",
    "reboot",
    "kexec_load",
    "pidfd_getfd",
    "vmsplice",
    "openat2",
    "shmget",
    "mq_open",
    "process_vm_writev",
};

/* What init and every program need. */
static const char *const always_allowed[] = {
    "read",   "write",      "openat",     "close",     "mmap",        "execve",       "execveat",
    "wait4",  "kill",       "dup3",       "recvmsg",   "sendto",      "prctl",        "setsid",
    "fcntl",  "getdents64", "exit_group", "clone",     "close_range", "futex",        "rseq",
    "fstat",  "newfstatat", "statx",      "brk",       "munmap",      "poll",         "ioctl",
    "waitid", "sendmsg",    "fchmodat2",  "getrandom", "socketpair",  "rt_sigreturn",
};

static bool allows(const struct sb_filter *filter, const char *call)
{
    for (size_t i = 0; i < filter->message->n_rules; i++) {
        const Spawn__V1__FilterRule *rule = filter->message->rules[i];
        for (size_t k = 0; k < rule->n_names; k++) {
            if (strcmp(rule->names[k], call) == 0 &&
                rule->action == SPAWN__V1__ACTION__ACTION_ALLOW) {
                return true;
            }
        }
    }
    return false;
}

static void every_list_of_ours_allows_what_it_must_and_no_more(void **state)
{
    (void)state;
    static const char *const names[] = {"base", "go", "java", "node", "python", "rust", "shell"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct sb_str json = sb_builtin_seccomp(sb_str_from(names[i]));
        assert_non_null(json.ptr);
        SB_CLEANUP(unref) struct sb_filter *filter = parse(json);
        assert_int_equal(filter->message->default_action, SPAWN__V1__ACTION__ACTION_ERRNO);
        assert_int_equal(filter->message->default_errno, ENOSYS);
        for (size_t k = 0; k < sizeof never_allowed / sizeof never_allowed[0]; k++) {
            if (allows(filter, never_allowed[k])) {
                fail_msg("%s allows %s", names[i], never_allowed[k]);
            }
        }
        for (size_t k = 0; k < sizeof always_allowed / sizeof always_allowed[0]; k++) {
            if (!allows(filter, always_allowed[k])) {
                fail_msg("%s does not allow %s", names[i], always_allowed[k]);
            }
        }
    }
}

static void the_profile_of_containers_common_loads(void **state)
{
    (void)state;
    static const char path[] = "/usr/share/containers/seccomp.json";
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(SB_SECCOMP_JSON_MAX);
    struct sb_err err = {0};
    if (sb_fd_read_file(AT_FDCWD, path, SB_SECCOMP_JSON_MAX, &text, &err) < 0) {
        skip(); /* package golang-github-containers-common is not installed */
    }
    SB_CLEANUP(unref) struct sb_filter *filter = parse(sb_buf_str(&text));
    assert_true(allows(filter, "read"));
    assert_false(allows(filter, "bpf"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_form_of_oci),
        cmocka_unit_test(leaves_out_what_cannot_apply),
        cmocka_unit_test(compares_with_the_version_of_the_running_kernel),
        cmocka_unit_test(makes_one_rule_per_condition_when_an_argument_has_several),
        cmocka_unit_test(keeps_conditions_on_different_arguments_together),
        cmocka_unit_test(each_mistake_is_named_with_its_path),
        cmocka_unit_test(the_hash_is_of_the_rules_and_not_of_the_name),
        cmocka_unit_test(a_filter_lives_until_its_last_reference),
        cmocka_unit_test(every_list_of_ours_allows_what_it_must_and_no_more),
        cmocka_unit_test(the_profile_of_containers_common_loads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
