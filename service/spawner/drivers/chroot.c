/* The fallback for root on a host without user namespaces. It goes the same way as native, in
 * the host's user namespace: the job has a host id of its own and no capability, but whatever the
 * kernel grants by user id alone, and whatever a bug in it leaves open to a process of the first
 * user namespace, is within reach. So it is never chosen unasked, and says what it lacks. */
#include <sched.h>

#include "base/err.h"
#include "service/spawner/caps.h"
#include "service/spawner/driver.h"
#include "service/spawner/host.h"
#include "service/spawner/probe.h"

static int check(const struct sb_host *host, struct sb_err *err)
{
    if (!host->is_root) {
        return sb_err_set(err, SB_PRECONDITION,
                          "driver chroot needs a worker that root has started: with user "
                          "namespaces take native or bwrap instead");
    }
    return sb_caps_has_chroot()
               ? 0
               : sb_err_set(err, SB_PRECONDITION,
                            "driver chroot needs CAP_KILL and CAP_NET_ADMIN as well");
}

static const struct sb_driver_control controls[] = {
    {1, SB_PROBE_ABSENT, "jobs run in the host's user namespace, with ids of their own",
     "the driver native or bwrap, which need user namespaces"},
    {0},
};

const struct sb_driver sb_driver_chroot = {
    .number = SPAWN__V1__DRIVER__DRIVER_CHROOT,
    .name = "chroot",
    .namespaces = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
    .steps = sb_driver_native_steps,
    .check = check,
    .detail = "as native, but in the host's user namespace: weaker",
    .degraded = "driver chroot: no user namespace stands between the program and the host",
    .controls = controls,
};
