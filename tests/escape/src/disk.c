/** Space of the host: bytes, files, names, depth and output. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"

#define MIB       (1UL << 20)
#define FILES     40000
#define SPARSE    (1L << 40)
#define FLOOD_MIB 192

/** Bytes written to one file of the workspace before it was refused, in MiB. */
static long fill(long limit_mib, int *ret_error)
{
    char *block = calloc(1, MIB);
    int fd = open("sbx-fill", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    long mib = 0;
    unlink("sbx-fill");
    (void)signal(SIGXFSZ, SIG_IGN);
    while (fd >= 0 && block != NULL && mib < limit_mib && write(fd, block, MIB) == (ssize_t)MIB) {
        mib++;
    }
    *ret_error = errno;
    free(block);
    if (fd >= 0) {
        close(fd);
    }
    return mib;
}

static enum sb_verdict workspace_bytes(struct sb_run *run)
{
    int error;
    long limit = sb_probe_arg_long(run, "disk_mib", 1100);
    long mib = fill(limit, &error);
    errno = error;
    return mib >= limit ? sb_probe_leaked(run, "%ld MiB in the workspace", mib)
                        : sb_probe_held(run, "stopped at %ld MiB: %m", mib);
}

/** Makes empty files in @dir, counts and removes them. */
static long fill_with_names(const char *dir, int *ret_error)
{
    char folder[64];
    sb_probe_path(folder, sizeof(folder), dir, "many");
    if (mkdir(folder, 0700) < 0) {
        *ret_error = errno;
        return 0;
    }
    int at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char name[24];
    long made = 0;
    for (; made < FILES; made++) {
        (void)snprintf(name, sizeof(name), "%ld", made);
        int fd = openat(at, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0) {
            *ret_error = errno;
            break;
        }
        close(fd);
    }
    for (long i = 0; i < made; i++) {
        (void)snprintf(name, sizeof(name), "%ld", i);
        unlinkat(at, name, 0);
    }
    close(at);
    rmdir(folder);
    return made;
}

/** A bound that is too high to be met here; without one tmpfs takes half of the memory's pages. */
static bool names_are_bounded(const char *dir)
{
    struct statvfs fs;
    return statvfs(dir, &fs) == 0 && fs.f_files > 0 && fs.f_files <= 1000000;
}

static enum sb_verdict inodes(struct sb_run *run)
{
    struct sb_found found = {0};
    static const char *const dirs[] = {"/tmp", "/dev/shm", "/run", "/dev", "/var/tmp"};
    long most = 0;
    int error = 0;
    for (size_t i = 0; i < SB_COUNT(dirs); i++) {
        long made = fill_with_names(dirs[i], &error);
        most = made > most ? made : most;
        if (made >= FILES && !names_are_bounded(dirs[i])) {
            sb_probe_found(&found, "%s", dirs[i]);
        }
    }
    char held[80];
    (void)snprintf(held, sizeof(held), "at most %ld files in one folder: %s", most,
                   strerror(error));
    return sb_probe_by_found(run, &found, "40000 files in", held);
}

static enum sb_verdict workspace_inodes(struct sb_run *run)
{
    int error = 0;
    long made = fill_with_names(".", &error);
    errno = error;
    return made >= FILES ? sb_probe_leaked(run, "%ld files in the workspace", made)
                         : sb_probe_held(run, "stopped at %ld files: %m", made);
}

static enum sb_verdict sparse_file(struct sb_run *run)
{
    struct sb_found found = {0};
    (void)signal(SIGXFSZ, SIG_IGN);
    for (const char *const *dir = sb_probe_dirs; *dir != NULL; dir++) {
        char path[128];
        sb_probe_path(path, sizeof(path), *dir, "sparse");
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (fd >= 0 && ftruncate(fd, SPARSE) == 0) {
            sb_probe_found(&found, "%s", *dir);
        }
        if (fd >= 0) {
            close(fd);
        }
        unlink(path);
    }
    return sb_probe_by_found(run, &found, "a file of 1 TiB in", "no file of 1 TiB can be made");
}

/** The runner counts what comes through. */
static enum sb_verdict output_flood(struct sb_run *run)
{
    char *block = malloc(MIB);
    if (block == NULL) {
        return sb_probe_na(run, "malloc: %m");
    }
    memset(block, 'x', MIB);
    block[MIB - 1] = '\n';
    (void)signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < FLOOD_MIB; i++) {
        for (size_t done = 0; done < MIB;) {
            ssize_t part = write(STDOUT_FILENO, block + done, MIB - done);
            if (part < 0) {
                free(block);
                return sb_probe_held(run, "write: %m");
            }
            done += (size_t)part;
        }
    }
    free(block);
    return sb_probe_held(run, "%d MiB were written", FLOOD_MIB);
}

static const struct sb_probe probes[] = {
    {"workspace-bytes", "quota", "the workspace takes a bounded number of bytes", workspace_bytes},
    {"workspace-inodes", "quota", "the workspace takes a bounded number of files",
     workspace_inodes},
    {"inodes", "none", "folders in memory take a bounded number of files", inodes},
    {"sparse-file", "none", "no file can claim a size without bound", sparse_file},
    {"output-flood", "none", "output is cut at a limit", output_flood},
};
const struct sb_probe_class sb_probes_disk = {"disk", probes, SB_COUNT(probes)};
