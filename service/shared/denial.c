#include "service/shared/denial.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* Not here, as runtimes try them in silence: clone3, openat2, io_uring_setup, name_to_handle_at,
 * statmount, listmount, kcmp, move_pages, process_madvise, vmsplice. */
const struct sb_denial_call sb_denial_calls[] = {
    /* namespaces, mounts, roots */
    {"unshare", EPERM, -1, false},
    {"setns", EPERM, -1, false},
    {"mount", EPERM, -1, false},
    {"umount", EPERM, -1, false},
    {"umount2", EPERM, -1, false},
    {"pivot_root", EPERM, -1, false},
    {"chroot", EPERM, -1, false},
    {"open_tree", EPERM, -1, false},
    {"open_tree_attr", EPERM, -1, false},
    {"move_mount", EPERM, -1, false},
    {"fsopen", EPERM, -1, false},
    {"fsconfig", EPERM, -1, false},
    {"fsmount", EPERM, -1, false},
    {"fspick", EPERM, -1, false},
    {"mount_setattr", EPERM, -1, false},
    {"open_by_handle_at", EPERM, -1, false},
    {"quotactl", EPERM, -1, false},
    {"quotactl_fd", EPERM, -1, false},
    {"fanotify_init", EPERM, -1, false},
    {"fanotify_mark", EPERM, -1, false},
    /* other processes, their memory and keys */
    {"ptrace", EPERM, 0, false},
    {"process_vm_readv", EPERM, -1, false},
    {"process_vm_writev", EPERM, -1, false},
    {"pidfd_getfd", EPERM, -1, false},
    {"keyctl", EPERM, 0, false},
    {"add_key", EPERM, -1, false},
    {"request_key", EPERM, -1, false},
    /* wide kernel interfaces */
    {"bpf", EPERM, 0, false},
    {"perf_event_open", EPERM, -1, false},
    {"userfaultfd", EPERM, -1, false},
    {"modify_ldt", EPERM, -1, false},
    {"personality", EPERM, 0, false},
    /* the machine */
    {"kexec_load", EPERM, -1, false},
    {"kexec_file_load", EPERM, -1, false},
    {"init_module", EPERM, -1, false},
    {"finit_module", EPERM, -1, false},
    {"delete_module", EPERM, -1, false},
    {"reboot", EPERM, -1, false},
    {"swapon", EPERM, -1, false},
    {"swapoff", EPERM, -1, false},
    {"acct", EPERM, -1, false},
    {"syslog", EPERM, -1, false},
    {"settimeofday", EPERM, -1, false},
    {"clock_settime", EPERM, -1, false},
    {"iopl", EPERM, -1, false},
    {"ioperm", EPERM, -1, false},
    {"sethostname", EPERM, -1, false},
    {"setdomainname", EPERM, -1, false},
    {"vhangup", EPERM, -1, false},
    /* arguments that are refused */
    {"clone", EPERM, 0, false},
    {"ioctl", EPERM, 1, false},
    {"fcntl", EPERM, 1, false},
    {"chmod", EPERM, 1, false},
    {"fchmod", EPERM, 1, false},
    {"fchmodat", EPERM, 2, false},
    {"fchmodat2", EPERM, 2, false},
    {"mknod", EPERM, 1, false},
    {"mknodat", EPERM, 2, false},
    {"socket", EAFNOSUPPORT, 0, true},
    {"socketpair", EAFNOSUPPORT, 0, true},
};
const size_t sb_denial_n_calls = sizeof sb_denial_calls / sizeof *sb_denial_calls;

const struct sb_denial_call *sb_denial_find(const char *name)
{
    for (size_t i = 0; i < sb_denial_n_calls; i++) {
        /* Asked about each name of a list: most differ at once. */
        if (*sb_denial_calls[i].name == *name && strcmp(sb_denial_calls[i].name, name) == 0) {
            return &sb_denial_calls[i];
        }
    }
    return NULL;
}

bool sb_denial_is_floor(const struct sb_denial_call *call, const uint64_t args[6])
{
    if (!call->has_rules) {
        return true;
    }
    bool is_route = args[0] == AF_NETLINK && args[2] == 0;
    return args[0] != AF_UNIX && args[0] != AF_INET && args[0] != AF_INET6 && !is_route;
}
