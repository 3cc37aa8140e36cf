#include "service/spawner/caps.h"

#include <errno.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sys/capability.h>

#include "base/err.h"
#include "base/mutate.h"

enum mode {
    MODE_ROOT = 1,
    MODE_USER = 2, /* these count only in the user namespace of the spawner's own */
    MODE_MAY = 4,  /* as root, when the host gives it: the driver chroot needs it */
};

/* What the spawner keeps, and why. */
static const struct {
    cap_value_t cap;
    unsigned modes;
    bool is_lent; /* not effective, except while files are opened for a caller who is root, and at
                     the end */
    const char *why;
} kept[] = {
    {CAP_SYS_ADMIN, MODE_ROOT | MODE_USER, false, "clone mounts and map their ids"},
    {CAP_SETUID, MODE_ROOT | MODE_USER, false, "give user ids to a sandbox; open as the caller"},
    {CAP_SETGID, MODE_ROOT | MODE_USER, false, "the same for groups"},
    {CAP_SETPCAP, MODE_ROOT | MODE_USER, false, "empty the bounding set of a sandbox"},
    {CAP_SETFCAP, MODE_USER, false, "give id 0 of the namespace away (Linux 5.12)"},
    {CAP_KILL, MODE_MAY, false, "end a sandbox without a user namespace"},
    {CAP_NET_ADMIN, MODE_MAY, false, "bring its loopback interface up"},
    {CAP_DAC_OVERRIDE, MODE_ROOT, true,
     "a caller who is root may bind what others own; remove the cgroup at the end"},
};

#define N_KEPT (sizeof kept / sizeof *kept)

bool sb_caps_has_root(void)
{
    cap_t now = cap_get_proc();
    bool has_all = now != NULL;
    for (size_t i = 0; has_all && i < N_KEPT; i++) {
        cap_flag_value_t is_set = CAP_CLEAR;
        bool is_needed = (kept[i].modes & MODE_ROOT) != 0 && !kept[i].is_lent;
        has_all = !is_needed || (cap_get_flag(now, kept[i].cap, CAP_EFFECTIVE, &is_set) == 0 &&
                                 is_set == CAP_SET);
    }
    (void)cap_free(now);
    return has_all;
}

/* What the host did not give in the first place (a container's DAC_OVERRIDE) is left out. */
static bool is_permitted(cap_value_t cap)
{
    cap_t now = cap_get_proc();
    cap_flag_value_t is_set = CAP_CLEAR;
    bool is_there = now != NULL && cap_get_flag(now, cap, CAP_PERMITTED, &is_set) == 0;
    (void)cap_free(now);
    return is_there && is_set == CAP_SET;
}

bool sb_caps_has_chroot(void)
{
    bool has_all = true;
    for (size_t i = 0; i < N_KEPT; i++) {
        has_all = has_all && (kept[i].modes != MODE_MAY || is_permitted(kept[i].cap));
    }
    return has_all;
}

static int set_kept(cap_t caps, unsigned mode)
{
    for (size_t i = 0; i < N_KEPT; i++) {
        bool is_optional = kept[i].is_lent || kept[i].modes == MODE_MAY;
        if ((kept[i].modes & mode) == 0 || (is_optional && !is_permitted(kept[i].cap))) {
            continue;
        }
        if (cap_set_flag(caps, CAP_PERMITTED, 1, &kept[i].cap, CAP_SET) < 0 ||
            (!kept[i].is_lent && cap_set_flag(caps, CAP_EFFECTIVE, 1, &kept[i].cap, CAP_SET) < 0)) {
            return -1;
        }
    }
    return cap_set_proc(caps);
}

static int keep(unsigned mode, struct sb_err *err)
{
    cap_t caps = cap_init();
    if (caps == NULL) {
        return sb_err_oom(err);
    }
    int done = set_kept(caps, mode);
    int sys = errno;
    (void)cap_free(caps);
    return done < 0 ? sb_err_sys(err, sys, "set capabilities") : 0;
}

int sb_caps_keep(bool is_root, struct sb_err *err)
{
    return keep(is_root ? MODE_ROOT | MODE_MAY : MODE_USER, err);
}

/* Not by libcap, as each request with directories does it several times: what is permitted is what
 * was kept. */
int sb_caps_lend(bool reads_all, struct sb_err *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capget, &header, sets) < 0) {
        return sb_err_sys(err, errno, "read capabilities");
    }
    for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        sets[i].effective = sets[i].permitted;
    }
    for (size_t i = 0; i < N_KEPT; i++) {
        if (kept[i].is_lent && !reads_all) {
            sets[CAP_TO_INDEX(kept[i].cap)].effective &= ~CAP_TO_MASK(kept[i].cap);
        }
    }
    return syscall(SYS_capset, &header, sets) < 0 ? sb_err_sys(err, errno, "set capabilities") : 0;
}

static int empty_bounding_set(struct sb_err *err)
{
    int cap = 0;
    while (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0) {
        cap++;
    }
    if (errno != EINVAL || prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0) { /* not just past the last */
        return sb_err_sys(err, errno, "drop capability %d from the bounding set", cap);
    }
    return 0;
}

int sb_caps_lock(struct sb_child *child, struct sb_err *err)
{
    (void)child;
    if (!sb_mutated("caps.bounding") && empty_bounding_set(err) < 0) {
        return -1;
    }
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) {
        return sb_err_sys(err, errno, "clear ambient capabilities");
    }
    unsigned long bits = sb_mutated("caps.securebits")
                             ? SECBIT_NO_SETUID_FIXUP
                             : SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                   SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                   SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
    return prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0 ? sb_err_sys(err, errno, "lock securebits")
                                                       : 0;
}

/* What a test build does instead of dropping them: what is left then is by the other layers. */
static void hold_all(struct __user_cap_header_struct *header)
{
    struct __user_cap_data_struct all[2] = {{0}, {0}};
    (void)syscall(SYS_capget, header, all);
    all[0].inheritable = all[0].permitted;
    all[1].inheritable = all[1].permitted;
    (void)syscall(SYS_capset, header, all);
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
        (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
    }
}

/* Not by libcap, which allocates. */
static int set_all(uint32_t caps, struct sb_err *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2] = {{.effective = caps, .permitted = caps}, {0}};
    if (sb_mutated("caps.drop")) {
        hold_all(&header);
        return 0;
    }
    return syscall(SYS_capset, &header, sets) < 0 ? sb_err_sys(err, errno, "drop capabilities") : 0;
}

int sb_caps_drop(struct sb_child *child, struct sb_err *err)
{
    (void)child;
    if (set_all(0, err) < 0) {
        return -1;
    }
    return !sb_mutated("no-new-privs") && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0
               ? sb_err_sys(err, errno, "set no_new_privs")
               : 0;
}

int sb_caps_leave_filters(struct sb_child *child, struct sb_err *err)
{
    (void)child;
    return set_all(1U << CAP_SYS_ADMIN, err);
}
