#include "service/worker/harden.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <seccomp.h>

#include "base/err.h"
#include "base/mutate.h"
#include "base/passwd.h"

void sb_harden_ids(uid_t *ret_uid, gid_t *ret_gid)
{
    *ret_uid = geteuid();
    *ret_gid = getegid();
    if (*ret_uid != 0) {
        return;
    }
    struct sb_passwd user;
    bool is_usable = sb_passwd_by_name("aisbx", &user) && user.uid != 0 && user.gid != 0;
    *ret_uid = is_usable ? user.uid : SB_HARDEN_RESERVED_ID;
    *ret_gid = is_usable ? user.gid : SB_HARDEN_RESERVED_ID;
}

uid_t sb_harden_uid(void)
{
    uid_t uid = 0;
    gid_t gid = 0;
    sb_harden_ids(&uid, &gid);
    return sb_mutated("worker.ids") ? geteuid() : uid;
}

/** What a server of sandboxes never does itself. */
static const int refused[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(process_madvise),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(kcmp),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(fsopen),
    SCMP_SYS(fspick),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(keyctl),
    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(name_to_handle_at),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(reboot),
    SCMP_SYS(acct),
    SCMP_SYS(quotactl),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(syslog),
    SCMP_SYS(vhangup),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
};

/** Sanitizers look into their own process with ptrace and a clone. */
static bool is_needed_by_sanitizer(int number)
{
#ifdef SB_SANITIZED
    return number == SCMP_SYS(ptrace) || number == SCMP_SYS(process_vm_readv);
#else
    (void)number;
    return false;
#endif
}

static int add_rules(scmp_filter_ctx ctx)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (is_needed_by_sanitizer(refused[i])) {
            continue;
        }
        int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
        if (rc < 0 && rc != -EDOM) { /* -EDOM: no such call on this architecture */
            return rc;
        }
    }
#ifndef SB_SANITIZED
    /* Threads, but no processes. glibc falls back from clone3, whose flags no filter sees. */
    int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (rc == 0) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    }
    return rc;
#else
    return 0;
#endif
}

static int filter(struct sb_err *err)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (ctx == NULL) {
        return sb_err_oom(err);
    }
    int rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc == 0) {
        rc = add_rules(ctx);
    }
    if (rc == 0) {
        rc = seccomp_load(ctx);
    }
    seccomp_release(ctx);
    return rc < 0 ? sb_err_sys(err, -rc, "seccomp filter") : 0;
}

static int drop_capabilities(struct sb_err *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (!sb_mutated("worker.caps") && syscall(SYS_capset, &header, none) < 0) {
        return sb_err_sys(err, errno, "capset");
    }
    return 0;
}

static int become(uid_t uid, gid_t gid, struct sb_err *err)
{
    if (geteuid() != 0 || sb_mutated("worker.ids")) {
        return 0;
    }
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
        (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* without CAP_SETPCAP the set is no gain */
    }
    if (setgroups(0, NULL) < 0) {
        return sb_err_sys(err, errno, "setgroups");
    }
    if (setresgid(gid, gid, gid) < 0) {
        return sb_err_sys(err, errno, "setresgid %u", (unsigned)gid);
    }
    if (setresuid(uid, uid, uid) < 0) {
        return sb_err_sys(err, errno, "setresuid %u", (unsigned)uid);
    }
    return 0;
}

int sb_harden_drop(uid_t uid, gid_t gid, struct sb_err *err)
{
    const struct rlimit no_core = {0, 0};
    if (become(uid, gid, err) < 0 || drop_capabilities(err) < 0) {
        return -1;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        return sb_err_sys(err, errno, "no_new_privs");
    }
    if (setrlimit(RLIMIT_CORE, &no_core) < 0) {
        return sb_err_sys(err, errno, "RLIMIT_CORE");
    }
#ifndef SB_SANITIZED
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        return sb_err_sys(err, errno, "PR_SET_DUMPABLE");
    }
#endif
    return sb_mutated("worker.filter") ? 0 : filter(err);
}
