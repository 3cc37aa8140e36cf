#include "service/spawner/proc_list.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/spawner/dirent.h"

enum { NAMES_SIZE = 4 << 10 };

/* What programs read, and what says no more than uname(2) does: which kernel this is. The machine's
 * totals (loadavg, meminfo, stat, uptime, vmstat) are what top, free and runtimes look for. Links
 * need no row. */
static const char *const shown[] = {
    "cpuinfo", "crypto", "devices", "dma",     "execdomains", "filesystems",
    "loadavg", "locks",  "meminfo", "misc",    "stat",        "sys",
    "sysvipc", "tty",    "uptime",  "version", "vmstat",
};

static bool is_shown(const struct sb_dirent *entry)
{
    if (entry->type == DT_LNK || entry->name[0] == '.' ||
        isdigit((unsigned char)entry->name[0]) != 0) {
        return true;
    }
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        if (strcmp(entry->name, shown[i]) == 0) {
            return true;
        }
    }
    return false;
}

int sb_proc_each_hidden(const char *proc, sb_proc_look *look, void *arg, struct sb_err *err)
{
    _Alignas(struct sb_dirent) char names[NAMES_SIZE];
    SB_CLEANUP(sb_closep) int dir = open(proc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        return sb_err_sys(err, errno, "open %s", proc);
    }
    for (;;) {
        long len = syscall(SYS_getdents64, dir, names, sizeof names);
        if (len <= 0) {
            return len < 0 ? sb_err_sys(err, errno, "list %s", proc) : 0;
        }
        for (long at = 0; at < len;) {
            const struct sb_dirent *entry = (const void *)(names + at);
            at += entry->len;
            if (!is_shown(entry) && look(arg, entry->name, entry->type == DT_DIR, err) < 0) {
                return -1;
            }
        }
    }
}
