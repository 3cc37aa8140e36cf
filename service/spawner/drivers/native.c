/* The driver that needs nobody: namespaces, mounts and filters by the spawner itself. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "service/spawner/affinity.h"
#include "service/spawner/caps.h"
#include "service/spawner/child.h"
#include "service/spawner/dev.h"
#include "service/spawner/driver.h"
#include "service/spawner/egress.h"
#include "service/spawner/etc.h"
#include "service/spawner/fds.h"
#include "service/spawner/filter.h"
#include "service/spawner/identity.h"
#include "service/spawner/landlock.h"
#include "service/spawner/ns.h"
#include "service/spawner/proc.h"
#include "service/spawner/process.h"
#include "service/spawner/rlimit.h"
#include "service/spawner/rootfs.h"

static int become_init(struct sb_child *child, struct sb_err *err)
{
    static char name[] = "aisbx-init";
    char *argv[] = {name, NULL};
    char *envp[] = {NULL};
    (void)syscall(SYS_execveat, child->init_fd, "", argv, envp, AT_EMPTY_PATH);
    return sb_err_sys(err, errno, "start init");
}

/* The way from a clone of the spawner to PID 1 of a sandbox. The order is the documentation. */
const struct sb_driver_step sb_driver_native_steps[] = {
    {"signals", sb_process_reset},
    {"wait", sb_identity_wait},       /* until then it has no ids, so no rights */
    {"identity", sb_identity_set_up}, /* keeps its capabilities in the new user namespace */
    {"cgroupns", sb_ns_cgroup},       /* it is in its group by now */
    {"hostname", sb_ns_hostname},
    {"loopback", sb_ns_loopback},
    {"egress", sb_egress_listen},
    {"root", sb_rootfs_begin},
    {"system", sb_rootfs_system},
    {"etc", sb_etc_make},
    {"freeze", sb_rootfs_freeze}, /* what follows has attributes of its own */
    {"dev", sb_dev_make},
    {"proc", sb_proc_mount}, /* the kernel asks for the host's /proc to be still in sight */
    {"space", sb_rootfs_space},
    {"mounts", sb_rootfs_mounts},
    {"enter", sb_rootfs_enter},
    {"verify", sb_proc_verify},
    {"session", sb_ns_session},
    {"bounding", sb_caps_lock},       /* needs CAP_SETPCAP */
    {"ids", sb_identity_become_init}, /* needs CAP_SETUID; the securebits keep capabilities */
    {"capabilities", sb_caps_leave_filters},
    {"landlock", sb_landlock_apply}, /* all mounts stand */
    {"cwd", sb_rootfs_cwd},          /* as the job: it must be able to */
    {"tie", sb_process_tie},         /* after the last change of ids, which unties */
    {"descriptors", sb_fds_arrange}, /* before the limit on their number */
    {"rlimits", sb_rlimit_apply},
    {"affinity", sb_affinity_apply},
    {"filter", sb_filter_apply}, /* last: it refuses what the others need */
    {"init", become_init},       /* execve takes the last capability; init sets no_new_privs */
    {NULL, NULL},
};

const struct sb_driver sb_driver_native = {
    .number = SPAWN__V1__DRIVER__DRIVER_NATIVE,
    .name = "native",
    .namespaces =
        CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
    .steps = sb_driver_native_steps,
    .keeps_places = true,
    .detail = "namespaces, mounts and filters by the spawner itself",
};
