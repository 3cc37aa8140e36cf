/** Memory by every door. Each stops at "memory_mib" (1536) if nothing stops it before. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"

#define MIB   (1UL << 20)
#define CHUNK (16 * MIB)

enum outcome {
    STOPPED = 0,
    UNBOUNDED = 1,
};

static size_t wanted_mib(const struct sb_run *run)
{
    return (size_t)sb_probe_arg_long(run, "memory_mib", 1536);
}

static enum sb_verdict judged(struct sb_run *run, int outcome, const char *what)
{
    if (outcome == UNBOUNDED) {
        return sb_probe_leaked(run, "%zu MiB of %s", wanted_mib(run), what);
    }
    return outcome < 0 ? sb_probe_held(run, "ended by signal %d", -outcome)
                       : sb_probe_held(run, "refused before %zu MiB", wanted_mib(run));
}

static int fill_anonymous(const void *arg)
{
    const struct sb_run *run = arg;
    for (size_t mib = 0; mib < wanted_mib(run); mib += CHUNK / MIB) {
        void *chunk = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (chunk == MAP_FAILED) {
            return STOPPED;
        }
        memset(chunk, 1, CHUNK);
    }
    return UNBOUNDED;
}

static enum sb_verdict memory_anonymous(struct sb_run *run)
{
    return judged(run, sb_probe_in_child(fill_anonymous, run, 20), "anonymous memory");
}

/** Writes to @fd until it refuses. */
static int fill_file(int fd, size_t mib)
{
    char *block = calloc(1, MIB);
    size_t done = 0;
    while (fd >= 0 && block != NULL && done < mib && write(fd, block, MIB) == (ssize_t)MIB) {
        done++;
    }
    free(block);
    return done >= mib ? UNBOUNDED : STOPPED;
}

struct folder_fill {
    const struct sb_run *run;
    const char *dir;
};

/** In files of 8 MiB, which no limit on one file's size bounds. */
static int fill_folder(const void *arg)
{
    const struct folder_fill *fill = arg;
    (void)signal(SIGXFSZ, SIG_IGN);
    for (size_t mib = 0; mib < wanted_mib(fill->run); mib += 8) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/sbx-fill-%d", fill->dir, (int)getpid());
        int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        // Unlinked and held: nothing is left behind, whatever ends this process.
        unlink(path);
        if (fill_file(fd, 8) != UNBOUNDED) {
            return STOPPED;
        }
    }
    return UNBOUNDED;
}

static enum sb_verdict memory_tmpfs(struct sb_run *run)
{
    struct sb_found found = {0};
    static const char *const dirs[] = {"/tmp", "/dev/shm", "/run", "/dev", "/var/tmp"};
    for (size_t i = 0; i < SB_COUNT(dirs); i++) {
        struct folder_fill fill = {run, dirs[i]};
        if (sb_probe_in_child(fill_folder, &fill, 20) == UNBOUNDED) {
            sb_probe_found(&found, "%s", dirs[i]);
        }
    }
    return sb_probe_by_found(run, &found, "unbounded", "every folder in memory is bounded");
}

static int fill_memfd(const void *arg)
{
    const struct sb_run *run = arg;
    (void)signal(SIGXFSZ, SIG_IGN);
    for (size_t mib = 0; mib < wanted_mib(run); mib += CHUNK / MIB) {
        if (fill_file(memfd_create("sbx", MFD_CLOEXEC), CHUNK / MIB) != UNBOUNDED) {
            return STOPPED;
        }
    }
    return UNBOUNDED;
}

static enum sb_verdict memory_memfd(struct sb_run *run)
{
    return judged(run, sb_probe_in_child(fill_memfd, run, 20), "memfd");
}

/** Shared with a child, and counted neither as data of a process nor as a file. */
static int fill_shared(const void *arg)
{
    const struct sb_run *run = arg;
    for (size_t mib = 0; mib < wanted_mib(run); mib += CHUNK / MIB) {
        void *chunk = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (chunk == MAP_FAILED) {
            return STOPPED;
        }
        memset(chunk, 1, CHUNK);
    }
    return UNBOUNDED;
}

static enum sb_verdict memory_shared(struct sb_run *run)
{
    return judged(run, sb_probe_in_child(fill_shared, run, 20), "shared memory");
}

/** Written by way of a mapping, after truncation: no write(2) that a limit could refuse. */
static int fill_mapped(const void *arg)
{
    const struct sb_run *run = arg;
    size_t size = wanted_mib(run) * MIB;
    int fd = memfd_create("sbx", MFD_CLOEXEC);
    (void)signal(SIGXFSZ, SIG_IGN);
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0) {
        return STOPPED;
    }
    char *all = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (all == (char *)MAP_FAILED) {
        return STOPPED;
    }
    memset(all, 1, size);
    return UNBOUNDED;
}

static enum sb_verdict memory_mapped(struct sb_run *run)
{
    return judged(run, sb_probe_in_child(fill_mapped, run, 20), "a mapped memfd");
}

/** Pages of the host's pool, which no limit on memory counts. A mapping of none needs none. */
static enum sb_verdict memory_huge(struct sb_run *run)
{
    int fd = memfd_create("sbx-huge", MFD_CLOEXEC | MFD_HUGETLB);
    if (fd >= 0) {
        close(fd);
        return sb_probe_leaked(run, "a file of huge pages was made");
    }
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE;
    return mmap(NULL, 2 * MIB, PROT_READ, flags, -1, 0) != MAP_FAILED
               ? sb_probe_leaked(run, "huge pages were mapped")
               : sb_probe_held(run, "memfd_create and mmap: %m");
}

static int fill_sysv(const void *arg)
{
    const struct sb_run *run = arg;
    for (size_t mib = 0; mib < wanted_mib(run); mib += CHUNK / MIB) {
        int id = shmget(IPC_PRIVATE, CHUNK, IPC_CREAT | 0600);
        char *chunk = id < 0 ? (char *)MAP_FAILED : shmat(id, NULL, 0);
        shmctl(id, IPC_RMID, NULL);
        if (chunk == (char *)MAP_FAILED) {
            return STOPPED;
        }
        memset(chunk, 1, CHUNK);
    }
    return UNBOUNDED;
}

static enum sb_verdict memory_sysv(struct sb_run *run)
{
    return judged(run, sb_probe_in_child(fill_sysv, run, 20), "System V segments");
}

/** A segment outlives its makers in a shared IPC namespace: one small one is left on purpose. */
static enum sb_verdict sysv_left_behind(struct sb_run *run)
{
    int id = shmget((key_t)sb_probe_arg_long(run, "leftkey", 0x5b0cb), 4096, IPC_CREAT | 0600);
    return sb_probe_held(run, id < 0 ? "shmget: %m" : "a segment was left and is gone");
}

static void allow_descriptors(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/** Fills one pair's buffer. Returns its bytes, or -1 when no pair can be made. */
static ssize_t fill_pair(bool is_socket)
{
    static char block[65536];
    int ends[2];
    int made = is_socket ? socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends)
                         : pipe2(ends, O_NONBLOCK | O_CLOEXEC);
    if (made < 0) {
        return -1;
    }
    if (is_socket) {
        int size = 8 << 20;
        setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    } else {
        fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    }
    ssize_t total = 0;
    ssize_t part;
    while ((part = write(ends[1], block, sizeof(block))) > 0) {
        total += part;
    }
    return total;
}

static int fill_pairs(const struct sb_run *run, bool is_socket)
{
    size_t total = 0;
    allow_descriptors();
    while (total < wanted_mib(run) * MIB / (is_socket ? 1 : 3)) {
        ssize_t part = fill_pair(is_socket);
        if (part <= 0) {
            return STOPPED;
        }
        total += (size_t)part;
    }
    return UNBOUNDED;
}

static int fill_pipes(const void *arg)
{
    return fill_pairs(arg, false);
}

static int fill_sockets(const void *arg)
{
    return fill_pairs(arg, true);
}

static enum sb_verdict memory_pipes(struct sb_run *run)
{
    return judged(run, sb_probe_in_child(fill_pipes, run, 20), "pipe buffers (a third of it)");
}

static enum sb_verdict memory_sockets(struct sb_run *run)
{
    return judged(run, sb_probe_in_child(fill_sockets, run, 20), "socket buffers");
}

static int lock_memory(const void *arg)
{
    (void)arg;
    size_t size = 256 * MIB;
    struct rlimit limit;
    getrlimit(RLIMIT_MEMLOCK, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_MEMLOCK, &limit);
    void *chunk = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return chunk != MAP_FAILED && mlock(chunk, size) == 0;
}

static enum sb_verdict memory_locked(struct sb_run *run)
{
    return sb_probe_in_child(lock_memory, NULL, 10) == 1
               ? sb_probe_leaked(run, "256 MiB locked in memory")
               : sb_probe_held(run, "256 MiB cannot be locked");
}

static const struct sb_probe probes[] = {
    {"memory-anonymous", "none", "anonymous memory is bounded", memory_anonymous},
    {"memory-tmpfs", "none", "folders in memory are bounded", memory_tmpfs},
    {"memory-memfd", "cgroup", "memfd counts as memory", memory_memfd},
    {"memory-shared", "cgroup", "shared anonymous memory is bounded", memory_shared},
    {"memory-mapped", "none", "a file in memory that is mapped is bounded", memory_mapped},
    {"memory-huge", "none", "huge pages of the host are out of reach", memory_huge},
    {"memory-sysv", "none", "System V segments are refused or bounded", memory_sysv},
    {"sysv-left-behind", "none", "no segment outlives the sandbox", sysv_left_behind},
    {"memory-pipes", "none", "pipe buffers are bounded", memory_pipes},
    {"memory-sockets", "cgroup", "socket buffers are bounded", memory_sockets},
    {"memory-locked", "none", "memory cannot be locked without bound", memory_locked},
};
const struct sb_probe_class sb_probes_memory = {"memory", probes, SB_COUNT(probes)};
