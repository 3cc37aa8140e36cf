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

/* Leaves @wanted of the processors, counted on from the @first. */
static void choose(cpu_set_t *cpus, uint64_t first, uint64_t wanted)
{
    const uint64_t n = (uint64_t)CPU_COUNT(cpus);
    uint64_t at = 0;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        bool is_there = CPU_ISSET(cpu, cpus);
        if (is_there && (at + n - first % n) % n >= wanted) {
            CPU_CLR(cpu, cpus);
        }
        at += is_there;
    }
}

int sb_affinity_apply(struct sb_child *child, struct sb_err *err)
{
    const struct sb_plan *plan = child->plan;
    const uint64_t quota = plan->cgroup.cpu_quota_us;
    const uint64_t wanted = (quota + SB_CGROUP_PERIOD_US - 1) / SB_CGROUP_PERIOD_US;
    cpu_set_t cpus;
    if (child->has_cpu_group || quota == 0) {
        return 0;
    }
    if (sched_getaffinity(0, sizeof cpus, &cpus) < 0) {
        return sb_err_sys(err, errno, "read affinity");
    }
    if ((uint64_t)CPU_COUNT(&cpus) <= wanted) {
        return 0;
    }
    choose(&cpus, plan->slot * wanted, wanted);
    if (sched_setaffinity(0, sizeof cpus, &cpus) < 0) {
        return sb_err_sys(err, errno, "set affinity");
    }
    const struct sock_fprog keep = {.len = sizeof keep_code / sizeof *keep_code,
                                    .filter = keep_code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &keep) < 0
               ? sb_err_sys(err, errno, "keep affinity")
               : 0;
}
