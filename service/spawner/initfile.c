#include "service/spawner/initfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mutate.h"

enum { MAX_SIZE = 4 << 20 }; /* bytes; a few KiB are expected */

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

static const char name[] = "aisbx-init";

/* Beside this program. */
static int open_beside(struct sb_err *err)
{
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - sizeof name);
    if (len <= 0) {
        return sb_err_sys(err, errno, "find this program's folder");
    }
    path[len] = '\0';
    char *slash = strrchr(path, '/');
    memcpy(slash != NULL ? slash + 1 : path, name, sizeof name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? sb_err_sys(err, errno, "open %s", path) : fd;
}

static int make_memfd(struct sb_err *err)
{
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create(name, flags | MFD_EXEC);
    if (fd < 0 && errno == EINVAL) { /* before Linux 6.3 */
        fd = memfd_create(name, flags);
    }
    return fd < 0 ? sb_err_sys(err, errno, "make memfd (sysctl vm.memfd_noexec must not be 2)")
                  : fd;
}

int sb_initfile_load(struct sb_err *err)
{
    struct stat st;
    char magic[4];
    SB_CLEANUP(sb_closep) int file = open_beside(err);
    if (file < 0) {
        return -1;
    }
    if (fstat(file, &st) < 0 || pread(file, magic, sizeof magic, 0) != (ssize_t)sizeof magic ||
        !S_ISREG(st.st_mode) || st.st_size > MAX_SIZE || memcmp(magic, "\177ELF", 4) != 0) {
        return sb_err_set(err, SB_PRECONDITION, "%s is not a program", name);
    }
    SB_CLEANUP(sb_closep) int copy = make_memfd(err);
    if (copy < 0) {
        return -1;
    }
    for (off_t left = st.st_size; left > 0;) {
        ssize_t n = sendfile(copy, file, NULL, (size_t)left);
        if (n <= 0) {
            return sb_err_sys(err, n < 0 ? errno : EIO, "copy %s", name);
        }
        left -= n;
    }
    sb_mutate_stamp(copy);
    /* Executable, not readable: for its owner too, who may be the job's user. */
    if (fchmod(copy, sb_mutated("init.file") ? 0555 : 0111) < 0 ||
        fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
        return sb_err_sys(err, errno, "seal %s", name);
    }
    return SB_STEAL_FD(copy);
}
