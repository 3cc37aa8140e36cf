/** Every call that could set the setuid or setgid bit of a file. A workspace on the host keeps it:
 *  the owner of the file there may be a person, or root. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"

enum { FCHMODAT2 = 452 }; // younger than our libc

/** Leaves a file @path with @mode, by one call or another. */
typedef void maker(const char *path, mode_t mode);

static bool is_marked(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && (st.st_mode & (S_ISUID | S_ISGID)) != 0;
}

static enum sb_verdict bits_set(struct sb_run *run, maker *make, bool needs_file)
{
    static const mode_t modes[] = {04755, 02755, 06755};
    struct sb_found found = {0};
    umask(0);
    for (const char *const *dir = sb_probe_dirs; *dir != NULL; dir++) {
        for (size_t i = 0; i < SB_COUNT(modes); i++) {
            char path[128];
            sb_probe_path(path, sizeof(path), *dir, "suid");
            unlink(path);
            if (needs_file) {
                close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0755));
            }
            make(path, modes[i]);
            if (is_marked(path)) {
                sb_probe_found(&found, "%04o in %s", modes[i], *dir);
            }
            unlink(path);
        }
    }
    return sb_probe_by_found(run, &found, "mode stuck", "no file got the bit");
}

static void close_quietly(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

static void by_chmod(const char *path, mode_t mode)
{
    syscall(SYS_chmod, path, mode);
}

/** The kernel keeps 16 bits of the mode: a filter that compares all of them sees another value. */
static void by_chmod_high_bits(const char *path, mode_t mode)
{
    syscall(SYS_chmod, path, 0x10000UL | mode);
    syscall(SYS_chmod, path, 0x100000000UL | mode);
}

static void by_fchmod(const char *path, mode_t mode)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    syscall(SYS_fchmod, fd, mode);
    close_quietly(fd);
}

static void by_fchmodat(const char *path, mode_t mode)
{
    syscall(SYS_fchmodat, AT_FDCWD, path, mode);
}

static void by_fchmodat2(const char *path, mode_t mode)
{
    syscall(FCHMODAT2, AT_FDCWD, path, mode, 0);
}

static void by_open(const char *path, mode_t mode)
{
    close_quietly((int)syscall(SYS_open, path, O_CREAT | O_WRONLY | O_CLOEXEC, mode));
}

static void by_openat(const char *path, mode_t mode)
{
    close_quietly((int)syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY | O_CLOEXEC, mode));
}

static void by_openat2(const char *path, mode_t mode)
{
    struct open_how how = {.flags = O_CREAT | O_WRONLY | O_CLOEXEC, .mode = mode};
    close_quietly((int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)));
}

static void by_tmpfile(const char *path, mode_t mode)
{
    char dir[128];
    (void)snprintf(dir, sizeof(dir), "%s", path);
    *strrchr(dir, '/') = '\0';
    int fd = (int)syscall(SYS_openat, AT_FDCWD, dir, O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
    if (fd < 0) {
        return;
    }
    char link[64];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, link, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0) {
        (void)unlink(path); /* nothing there: the caller sees that it held */
    }
    close(fd);
}

static void by_creat(const char *path, mode_t mode)
{
    close_quietly((int)syscall(SYS_creat, path, mode));
}

static void by_mknod(const char *path, mode_t mode)
{
    syscall(SYS_mknod, path, S_IFREG | mode, 0);
}

static void by_mknodat(const char *path, mode_t mode)
{
    syscall(SYS_mknodat, AT_FDCWD, path, S_IFREG | mode, 0);
}

/** A setgid folder gives its group to what is made in it. */
static void by_mkdir(const char *path, mode_t mode)
{
    mkdir(path, 0755);
    syscall(SYS_chmod, path, mode);
    if (!is_marked(path)) {
        rmdir(path);
    }
}

#define BITS_BY(name, needs_file)                                                                  \
    static enum sb_verdict setuid_##name(struct sb_run *run)                                       \
    {                                                                                              \
        return bits_set(run, by_##name, needs_file);                                               \
    }
BITS_BY(chmod, true)
BITS_BY(chmod_high_bits, true)
BITS_BY(fchmod, true)
BITS_BY(fchmodat, true)
BITS_BY(fchmodat2, true)
BITS_BY(open, false)
BITS_BY(openat, false)
BITS_BY(openat2, false)
BITS_BY(tmpfile, false)
BITS_BY(creat, false)
BITS_BY(mknod, false)
BITS_BY(mknodat, false)

static enum sb_verdict setuid_mkdir(struct sb_run *run)
{
    enum sb_verdict verdict = bits_set(run, by_mkdir, false);
    for (const char *const *dir = sb_probe_dirs; *dir != NULL; dir++) {
        char path[128];
        sb_probe_path(path, sizeof(path), *dir, "suid");
        rmdir(path);
    }
    return verdict;
}

static const struct sb_probe probes[] = {
    {"setuid-by-chmod", "none", "chmod sets no setuid or setgid bit", setuid_chmod},
    {"setuid-by-chmod-high-bits", "none", "nor with bits set that the kernel ignores",
     setuid_chmod_high_bits},
    {"setuid-by-fchmod", "none", "nor does fchmod", setuid_fchmod},
    {"setuid-by-fchmodat", "none", "nor fchmodat", setuid_fchmodat},
    {"setuid-by-fchmodat2", "none", "nor fchmodat2", setuid_fchmodat2},
    {"setuid-by-open", "none", "nor open with O_CREAT", setuid_open},
    {"setuid-by-openat", "none", "nor openat with O_CREAT", setuid_openat},
    {"setuid-by-openat2", "none", "nor openat2, whose mode no filter can see", setuid_openat2},
    {"setuid-by-tmpfile", "none", "nor O_TMPFILE and linkat", setuid_tmpfile},
    {"setuid-by-creat", "none", "nor creat", setuid_creat},
    {"setuid-by-mknod", "none", "nor mknod of a regular file", setuid_mknod},
    {"setuid-by-mknodat", "none", "nor mknodat", setuid_mknodat},
    {"setgid-folder", "none", "nor chmod of a folder", setuid_mkdir},
};
const struct sb_probe_class sb_probes_setuid = {"setuid-bit", probes, SB_COUNT(probes)};
