/** What a job may have been handed by mistake: descriptors, a directory, variables. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"

static enum sb_verdict descriptors(struct sb_run *run)
{
    struct sb_found found = {0};
    for (int fd = 3; fd < 4096; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            continue;
        }
        char link[64];
        char target[200] = "?";
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, target, sizeof(target) - 1);
        target[length < 0 ? 1 : length] = '\0';
        sb_probe_found(&found, "%d %.60s", fd, target);
    }
    return sb_probe_by_found(run, &found, "open", "only 0, 1 and 2 are open");
}

static enum sb_verdict working_directory(struct sb_run *run)
{
    char path[PATH_MAX];
    if (syscall(SYS_getcwd, path, sizeof(path)) < 0) {
        return sb_probe_leaked(run, "getcwd: %m");
    }
    if (path[0] != '/') {
        return sb_probe_leaked(run, "outside of the root: %.100s", path);
    }
    struct stat here;
    struct stat there;
    bool is_inside = stat(".", &here) == 0 && stat(path, &there) == 0 &&
                     here.st_ino == there.st_ino && here.st_dev == there.st_dev;
    const char *outside = sb_probe_arg(run, "workspace", "");
    if (*outside != '\0' && strcmp(path, outside) == 0) {
        return sb_probe_leaked(run, "the host's own path: %.100s", path);
    }
    return is_inside ? sb_probe_held(run, "%.100s", path)
                     : sb_probe_leaked(run, "%.100s is another directory", path);
}

static enum sb_verdict environment(struct sb_run *run)
{
    struct sb_found found = {0};
    const char *token = sb_probe_arg(run, "token", "\n");
    size_t count = 0;
    for (char **entry = environ; *entry != NULL; entry++) {
        count++;
        if (strstr(*entry, token) != NULL) {
            sb_probe_found(&found, "%.24s...", *entry);
        }
    }
    static const char *const loaders[] = {"LD_PRELOAD=", "LD_LIBRARY_PATH=", "LD_AUDIT="};
    for (char **entry = environ; *entry != NULL; entry++) {
        for (size_t i = 0; i < SB_COUNT(loaders); i++) {
            if (strncmp(*entry, loaders[i], strlen(loaders[i])) == 0) {
                sb_probe_found(&found, "%.40s", *entry);
            }
        }
    }
    char held[60];
    (void)snprintf(held, sizeof(held), "%zu variables, none of the host's secrets", count);
    return sb_probe_by_found(run, &found, "passed in", held);
}

static enum sb_verdict stdio_reopened(struct sb_run *run)
{
    struct sb_found found = {0};
    for (int fd = 0; fd <= 2; fd++) {
        struct stat st;
        char path[64];
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
            continue;
        }
        int is_reader = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (sb_probe_opens(path, is_reader ? O_WRONLY : O_RDONLY)) {
            sb_probe_found(&found, "%d for %s", fd, is_reader ? "writing" : "reading");
        }
    }
    return sb_probe_by_found(run, &found, "reopened", "no file behind 0, 1, 2 can be reopened");
}

/** A pipe may have other readers and writers: a job that opens the other end steals what they
 *  read, or writes in their name. */
static enum sb_verdict pipe_reopened(struct sb_run *run)
{
    struct sb_found found = {0};
    for (int fd = 0; fd <= 2; fd++) {
        struct stat st;
        char path[64];
        if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode)) {
            continue;
        }
        bool is_reader = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (sb_probe_opens(path, is_reader ? O_WRONLY : O_RDONLY)) {
            sb_probe_found(&found, "%d for %s", fd, is_reader ? "writing" : "reading");
        }
    }
    return sb_probe_by_found(run, &found, "other ends opened", "no other end opens");
}

/** Flags belong to the description that all holders share. The runner looks at its own end. */
static enum sb_verdict pipe_flags(struct sb_run *run)
{
    int flags = fcntl(STDIN_FILENO, F_GETFL);
    fcntl(STDIN_FILENO, F_SETFL, flags | O_NONBLOCK);
    return sb_probe_held(run, "O_NONBLOCK does not reach the caller's pipe");
}

/** Standard error is a log of the host with "an earlier line" in it. */
static enum sb_verdict stdio_truncated(struct sb_run *run)
{
    struct stat st;
    if (fstat(STDERR_FILENO, &st) < 0 || !S_ISREG(st.st_mode)) {
        return sb_probe_held(run, "standard error is not the host's file");
    }
    if (ftruncate(STDERR_FILENO, 0) == 0) {
        return sb_probe_leaked(run, "the host's log was truncated");
    }
    return fcntl(STDERR_FILENO, F_SETFL, 0) == 0 && pwrite(STDERR_FILENO, "X", 1, 0) == 1
               ? sb_probe_leaked(run, "the host's log was overwritten")
               : sb_probe_held(run, "the log can only grow");
}

static enum sb_verdict descriptor_owner(struct sb_run *run)
{
    struct sb_found found = {0};
    struct f_owner_ex owner = {F_OWNER_PID, getpid()};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return sb_probe_na(run, "pipe: %m");
    }
    int me = getpid();
    if (fcntl(ends[0], F_SETOWN, me) == 0) {
        sb_probe_found(&found, "F_SETOWN");
    }
    if (syscall(SYS_fcntl, ends[0], 0x100000000UL | F_SETOWN, me) == 0) {
        sb_probe_found(&found, "F_SETOWN with a high bit");
    }
    if (fcntl(ends[0], F_SETOWN_EX, &owner) == 0) {
        sb_probe_found(&found, "F_SETOWN_EX");
    }
    if (ioctl(ends[0], FIOSETOWN, &me) == 0 || (errno != EPERM && errno != ENOSYS)) {
        sb_probe_found(&found, "FIOSETOWN");
    }
    if (ioctl(ends[0], SIOCSPGRP, &me) == 0 || (errno != EPERM && errno != ENOSYS)) {
        sb_probe_found(&found, "SIOCSPGRP");
    }
    close(ends[0]);
    close(ends[1]);
    return sb_probe_by_found(run, &found, "accepted", "no descriptor sends signals for the job");
}

static enum sb_verdict file_lease(struct sb_run *run)
{
    int fd = open(run->self, O_RDONLY | O_CLOEXEC);
    bool is_taken = fcntl(fd, F_SETLEASE, F_RDLCK) == 0;
    int error = errno;
    close(fd);
    errno = error;
    return is_taken ? sb_probe_leaked(run, "a lease on a host file delays the host's writers")
                    : sb_probe_held(run, "F_SETLEASE: %m");
}

static const struct sb_probe probes[] = {
    {"descriptors", "none", "only 0, 1 and 2 are open", descriptors},
    {"working-directory", "none", "the working directory is inside the root", working_directory},
    {"environment", "none", "no variable of the host comes in", environment},
    {"stdio-reopened", "none", "a file behind 0, 1, 2 cannot be opened for more", stdio_reopened},
    {"stdio-truncated", "none", "a log behind 1 or 2 cannot be cut or overwritten",
     stdio_truncated},
    {"pipe-reopened", "none", "the other end of a pipe behind 0, 1, 2 cannot be opened",
     pipe_reopened},
    {"pipe-flags", "none", "the caller's pipe stays in blocking mode", pipe_flags},
    {"descriptor-owner", "none", "F_SETOWN and its like are refused", descriptor_owner},
    {"file-lease", "none", "no lease on a host file", file_lease},
};
const struct sb_probe_class sb_probes_inherited = {"inherited", probes, SB_COUNT(probes)};
