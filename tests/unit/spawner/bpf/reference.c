#include "tests/unit/spawner/bpf/reference.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <seccomp.h>

#include "service/spawner/bpf/rules.h"
#include "tests/unit/spawner/bpf/run.h"

static void must(bool holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "libseccomp: %s\n", what);
        abort();
    }
}

/* libseccomp takes this machine's number of a call of another one. */
static int native_number(uint32_t arch, int number)
{
    if (arch == seccomp_arch_native()) {
        return number;
    }
    char *name = seccomp_syscall_resolve_num_arch(arch, number);
    int native = name == NULL ? __NR_SCMP_ERROR : seccomp_syscall_resolve_name(name);
    free(name);
    return native;
}

bool reference_knows(uint32_t arch, int number)
{
    return native_number(arch, number) >= 0;
}

static void add(scmp_filter_ctx ctx,
                uint32_t arch,
                const struct sb_bpf_list *list,
                const struct sb_bpf_rule *rule)
{
    static const enum scmp_compare ops[] = {
        [SB_ARGCMP_NE] = SCMP_CMP_NE,
        [SB_ARGCMP_LT] = SCMP_CMP_LT,
        [SB_ARGCMP_LE] = SCMP_CMP_LE,
        [SB_ARGCMP_EQ] = SCMP_CMP_EQ,
        [SB_ARGCMP_GE] = SCMP_CMP_GE,
        [SB_ARGCMP_GT] = SCMP_CMP_GT,
        [SB_ARGCMP_MASKED_EQ] = SCMP_CMP_MASKED_EQ,
    };
    struct scmp_arg_cmp args[SB_ARGCMP_MAX];
    for (unsigned i = 0; i < rule->n_args; i++) {
        const struct sb_argcmp *arg = &list->args[rule->first_arg + i];
        args[i] = (struct scmp_arg_cmp){arg->arg, ops[arg->op], arg->value, arg->value_two};
    }
    const int number = native_number(arch, rule->number);
    if (number < 0) {
        return;
    }
    int failed = seccomp_rule_add_array(ctx, rule->action, number, rule->n_args, args);
    /* EEXIST: another action was said before. EACCES: the default. */
    must(failed == 0 || failed == -EEXIST || failed == -EACCES, "seccomp_rule_add_array");
}

static struct sock_fprog compile(const struct sb_bpf_list *list, uint32_t arch)
{
    scmp_filter_ctx ctx = seccomp_init(list->default_action);
    must(ctx != NULL, "seccomp_init");
    if (arch != seccomp_arch_native()) {
        must(seccomp_arch_add(ctx, arch) == 0 &&
                 seccomp_arch_remove(ctx, seccomp_arch_native()) == 0,
             "architecture");
    }
    must(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
             seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0,
         "seccomp_attr_set");
    for (size_t i = 0; i < list->n_rules; i++) {
        add(ctx, arch, list, &list->rules[i]);
    }
    int fd = memfd_create("reference", MFD_CLOEXEC);
    must(fd >= 0 && seccomp_export_bpf(ctx, fd) == 0, "seccomp_export_bpf");
    seccomp_release(ctx);
    off_t size = lseek(fd, 0, SEEK_CUR);
    must(size > 0, "empty program");
    struct sock_filter *code = malloc((size_t)size);
    must(code != NULL && pread(fd, code, (size_t)size, 0) == size, "read program");
    (void)close(fd);
    return (struct sock_fprog){(unsigned short)((size_t)size / sizeof *code), code};
}

void reference_make(const struct sb_bpf_lists *lists, uint32_t arch, struct reference *ret)
{
    ret->allow = compile(&lists->allow, arch);
    ret->deny = compile(&lists->deny, arch);
}

void reference_done(struct reference *reference)
{
    free(reference->allow.filter);
    free(reference->deny.filter);
}

uint32_t
reference_run(const struct reference *reference, bool asks, const struct seccomp_data *data)
{
    return sb_bpf_more_severe(bpf_run(&reference->allow, data),
                              sb_bpf_resolve(bpf_run(&reference->deny, data), asks));
}
