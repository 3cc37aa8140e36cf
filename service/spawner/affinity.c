#include "service/spawner/affinity.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "service/spawner/child.h"

/* Numbers of other architectures get nowhere: the filters that follow kill. */
static struct sock_filter keep_code[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sched_setaffinity, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

/* A child allocates nothing, so there is room for more than any kernel can be built for (8192): it
 * refuses a mask that is smaller than its own, and says how large that is. */
enum { MAX_CPUS = 1 << 16 };

void sb_affinity_choose(cpu_set_t *cpus, size_t size, uint64_t first, uint64_t wanted)
{
    const uint64_t n = (uint64_t)CPU_COUNT_S(size, cpus);
    uint64_t at = 0;
    for (size_t cpu = 0; cpu < size * 8; cpu++) {
        bool is_there = CPU_ISSET_S(cpu, size, cpus);
        if (is_there && (at + n - first % n) % n >= wanted) {
            CPU_CLR_S(cpu, size, cpus);
        }
        at += is_there;
    }
}

int sb_affinity_apply(struct sb_child *child, struct sb_err *err)
{
    const struct sb_plan *plan = child->plan;
    const uint64_t quota = plan->cgroup.cpu_quota_us;
    const uint64_t wanted = (quota + SB_CGROUP_PERIOD_US - 1) / SB_CGROUP_PERIOD_US;
    cpu_set_t cpus[MAX_CPUS / CPU_SETSIZE];
    if (child->has_cpu_group || quota == 0) {
        return 0;
    }
    /* libc's function does not tell the size. */
    long size = syscall(SYS_sched_getaffinity, 0, sizeof cpus, cpus);
    if (size < 0) {
        return sb_err_sys(err, errno, "read affinity");
    }
    if ((uint64_t)CPU_COUNT_S((size_t)size, cpus) <= wanted) {
        return 0;
    }
    sb_affinity_choose(cpus, (size_t)size, plan->slot * wanted, wanted);
    if (syscall(SYS_sched_setaffinity, 0, size, cpus) < 0) {
        return sb_err_sys(err, errno, "set affinity");
    }
    const struct sock_fprog keep = {.len = sizeof keep_code / sizeof *keep_code,
                                    .filter = keep_code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &keep) < 0
               ? sb_err_sys(err, errno, "keep affinity")
               : 0;
}
