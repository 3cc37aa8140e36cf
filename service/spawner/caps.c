#include "service/spawner/caps.h"

#include <errno.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sys/capability.h>

#include "base/err.h"

/* What the spawner keeps, and why. In a user namespace of its own these count only there. */
static const struct {
    cap_value_t cap;
    const char *name;
    const char *why;
} kept[] = {
    {CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "clone mounts and map their ids; namespaces"},
    {CAP_SETUID, "CAP_SETUID", "give a sandbox its user ids; open files as the caller"},
    {CAP_SETGID, "CAP_SETGID", "the same for groups"},
    {CAP_SETPCAP, "CAP_SETPCAP", "empty the bounding set"},
};
/* Only in a user namespace of its own: the caller is id 0 there, and giving id 0 away asks for it
 * (Linux 5.12). Root mode never gives id 0 away. */
static const cap_value_t kept_as_user[] = {CAP_SETFCAP};

#define N_KEPT (sizeof kept / sizeof *kept)

bool sb_caps_has_root(void)
{
    cap_t now = cap_get_proc();
    bool has_all = now != NULL;
    for (size_t i = 0; has_all && i < N_KEPT; i++) {
        cap_flag_value_t is_set = CAP_CLEAR;
        has_all = cap_get_flag(now, kept[i].cap, CAP_EFFECTIVE, &is_set) == 0 && is_set == CAP_SET;
    }
    (void)cap_free(now);
    return has_all;
}

static int set_kept(cap_t caps, bool is_root)
{
    for (size_t i = 0; i < N_KEPT; i++) {
        if (cap_set_flag(caps, CAP_PERMITTED, 1, &kept[i].cap, CAP_SET) < 0 ||
            cap_set_flag(caps, CAP_EFFECTIVE, 1, &kept[i].cap, CAP_SET) < 0) {
            return -1;
        }
    }
    if (!is_root && (cap_set_flag(caps, CAP_PERMITTED, 1, kept_as_user, CAP_SET) < 0 ||
                     cap_set_flag(caps, CAP_EFFECTIVE, 1, kept_as_user, CAP_SET) < 0)) {
        return -1;
    }
    return cap_set_proc(caps);
}

int sb_caps_keep(bool is_root, struct sb_err *err)
{
    cap_t caps = cap_init();
    if (caps == NULL) {
        return sb_err_oom(err);
    }
    int done = set_kept(caps, is_root);
    int sys = errno;
    (void)cap_free(caps);
    if (done < 0) {
        return sb_err_sys(err, sys, "keep only %s, %s, %s and %s", kept[0].name, kept[1].name,
                          kept[2].name, kept[3].name);
    }
    return 0;
}

int sb_caps_lock(struct sb_child *child, struct sb_err *err)
{
    (void)child;
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
            return sb_err_sys(err, errno, "drop capability %d from the bounding set", cap);
        }
    }
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) {
        return sb_err_sys(err, errno, "clear ambient capabilities");
    }
    unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                         SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                         SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
    return prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0 ? sb_err_sys(err, errno, "lock securebits")
                                                       : 0;
}

int sb_caps_drop(struct sb_child *child, struct sb_err *err)
{
    (void)child;
    /* Not by libcap, which allocates. */
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}, {0}};
    if (syscall(SYS_capset, &header, none) < 0) {
        return sb_err_sys(err, errno, "drop capabilities");
    }
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? sb_err_sys(err, errno, "set no_new_privs")
                                                      : 0;
}
