#pragma once
#include "aisbx/v1/sandbox.pb-c.h"
#include "base/str.h"

struct sb_err;

/* Short names of controls, for --require and for people. One list makes the table, the help text
 * and the error. */
#define SB_CONTROL_LIST(X)                                                                         \
    X("userns", USER_NAMESPACE)                                                                    \
    X("pidns", PID_NAMESPACE)                                                                      \
    X("mountns", MOUNT_NAMESPACE)                                                                  \
    X("netns", NETWORK_NAMESPACE)                                                                  \
    X("ipcns", IPC_NAMESPACE)                                                                      \
    X("utsns", UTS_NAMESPACE)                                                                      \
    X("cgroupns", CGROUP_NAMESPACE)                                                                \
    X("seccomp", SECCOMP)                                                                          \
    X("nocaps", NO_CAPABILITIES)                                                                   \
    X("cgroup", CGROUP)                                                                            \
    X("landlock", LANDLOCK)                                                                        \
    X("egress", EGRESS)                                                                            \
    X("uid", DISTINCT_UID)                                                                         \
    X("rootfs", READ_ONLY_ROOT)                                                                    \
    X("disk", DISK_LIMIT)

/* Checked against the list by a unit test: the preprocessor cannot join it with blanks. */
#define SB_CONTROL_NAMES                                                                           \
    "userns, pidns, mountns, netns, ipcns, utsns, cgroupns, seccomp, nocaps, cgroup, landlock, "   \
    "egress, uid, rootfs, disk"

/** Errors: SB_INVALID: the text suggests the nearest name and lists all. */
int sb_control_from(struct sb_str name, Aisbx__V1__Control *ret_control, struct sb_err *err);

/** "seccomp"; "?" for a control this program does not know. */
const char *sb_control_name(Aisbx__V1__Control control);
