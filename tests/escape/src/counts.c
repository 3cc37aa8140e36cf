/** Things that are counted: processes, threads, descriptors, timers, watches, terminals, CPU.
 *  Each probe stops at its own number if nothing stops it before, and undoes what it did. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"

#define PROCESSES 600
#define STACK     (16UL * 1024)

/** Calls @one until it fails or was called @limit times. */
static enum sb_verdict counted(struct sb_run *run, int (*one)(void), long limit, const char *what)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    long made = 0;
    while (made < limit && one() >= 0) {
        made++;
    }
    return made >= limit ? sb_probe_leaked(run, "%ld %s", made, what)
                         : sb_probe_held(run, "stopped at %ld %s: %m", made, what);
}

/** A bound that is too high to be met here. */
static bool processes_are_bounded(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NPROC, &limit) == 0 && limit.rlim_max <= 4096 && geteuid() != 0;
}

static enum sb_verdict many(struct sb_run *run, long made, const char *what)
{
    return processes_are_bounded()
               ? sb_probe_held(run, "RLIMIT_NPROC is finite and not met by %ld %s", made, what)
               : sb_probe_leaked(run, "%ld %s", made, what);
}

/** The children share a process group and end by themselves after a few seconds, too. */
static enum sb_verdict processes(struct sb_run *run)
{
    static pid_t pids[PROCESSES];
    long made = 0;
    long limit = sb_probe_arg_long(run, "processes", PROCESSES);
    limit = limit > PROCESSES ? PROCESSES : limit;
    for (; made < limit; made++) {
        pids[made] = fork();
        if (pids[made] < 0) {
            break;
        }
        if (pids[made] == 0) {
            alarm(8);
            pause();
            _exit(0);
        }
    }
    int error = errno;
    for (long i = 0; i < made; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    errno = error;
    return made >= limit ? many(run, made, "processes")
                         : sb_probe_held(run, "stopped at %ld processes: %m", made);
}

static void *sleep_on(void *arg)
{
    sleep(10);
    return arg;
}

static enum sb_verdict threads(struct sb_run *run)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    long limit = sb_probe_arg_long(run, "processes", PROCESSES);
    for (long made = 0; made < limit; made++) {
        pthread_t thread;
        errno = pthread_create(&thread, &attr, sleep_on, NULL);
        if (errno != 0) {
            return sb_probe_held(run, "stopped at %ld threads: %m", made);
        }
    }
    return many(run, limit, "threads");
}

static int open_root(void)
{
    return open("/", O_RDONLY | O_CLOEXEC | O_DIRECTORY);
}

static enum sb_verdict descriptor_count(struct sb_run *run)
{
    return counted(run, open_root, 15000, "descriptors in one process");
}

static int make_timer(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    int timer;
    return (int)syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer);
}

static enum sb_verdict timers(struct sb_run *run)
{
    return counted(run, make_timer, 60000, "timers");
}

static int queue_signal(void)
{
    union sigval value = {.sival_int = 1};
    return sigqueue(getpid(), SIGRTMIN, value);
}

static enum sb_verdict queued_signals(struct sb_run *run)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    return counted(run, queue_signal, 60000, "queued signals");
}

static int make_inotify(void)
{
    return inotify_init1(IN_CLOEXEC);
}

/** Instances are counted by user. The runner sees whether the user has any left outside. */
static enum sb_verdict inotify_instances(struct sb_run *run)
{
    long made = 0;
    while (made < 4000 && make_inotify() >= 0) {
        made++;
    }
    int error = errno;
    usleep(800000);
    errno = error;
    return made >= 4000 ? sb_probe_leaked(run, "%ld inotify instances", made)
                        : sb_probe_held(run, "stopped at %ld inotify instances: %m", made);
}

static int open_terminal(void)
{
    return posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
}

/** The pool is the host's and the limit on descriptors is one process': many processes each take
 *  as many as they get, and hold them until all are counted. */
static enum sb_verdict terminals(struct sb_run *run)
{
    enum { TAKERS = 20, WANTED = 1200 };
    int counts[2];
    pid_t pids[TAKERS];
    if (pipe2(counts, O_CLOEXEC) < 0) {
        return sb_probe_na(run, "pipe: %m");
    }
    int takers = 0;
    for (; takers < TAKERS && (pids[takers] = fork()) >= 0; takers++) {
        if (pids[takers] == 0) {
            int made = 0;
            while (made < WANTED / TAKERS && open_terminal() >= 0) {
                made++;
            }
            alarm(8);
            _exit(write(counts[1], &made, sizeof(made)) < 0 ? 1 : pause());
        }
    }
    int total = 0;
    for (int i = 0; i < takers; i++) {
        int made = 0;
        total += read(counts[0], &made, sizeof(made)) > 0 ? made : 0;
    }
    for (int i = 0; i < takers; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    return total >= WANTED ? sb_probe_leaked(run, "%d of the host's pseudo-terminals", total)
                           : sb_probe_held(run, "stopped at %d pseudo-terminals", total);
}

static int make_eventfd(void)
{
    return eventfd(0, EFD_CLOEXEC);
}

static enum sb_verdict eventfds(struct sb_run *run)
{
    return counted(run, make_eventfd, 15000, "eventfds");
}

static void burn(double seconds)
{
    double start = sb_probe_now();
    while (sb_probe_now() - start < seconds) {
        for (volatile int i = 0; i < 100000; i++) {
        }
    }
}

/** Ticks that all CPUs have been idle for, or 0: the fourth number after "cpu". */
static double idle_ticks(void)
{
    char text[512];
    if (sb_probe_read_file("/proc/stat", text, sizeof(text)) <= 3) {
        return 0;
    }
    unsigned long long ticks = 0;
    char *at = text + 3;
    for (int i = 0; i < 4; i++) {
        ticks = strtoull(at, &at, 10);
    }
    return (double)ticks;
}

/** CPUs that three busy children use. */
static double cpus_used(double seconds)
{
    for (int i = 0; i < 3; i++) {
        if (fork() == 0) {
            burn(seconds);
            _exit(0);
        }
    }
    double start = sb_probe_now();
    while (wait(NULL) > 0) {
    }
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    double used = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6;
    return used / (sb_probe_now() - start);
}

static enum sb_verdict cpu_share(struct sb_run *run)
{
    const double seconds = 3;
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
        return sb_probe_na(run, "needs two CPUs");
    }
    double idle = idle_ticks();
    double share = cpus_used(seconds);
    idle = (idle_ticks() - idle) / (double)sysconf(_SC_CLK_TCK) / seconds;
    if (share > 1.3) {
        return sb_probe_leaked(run, "%.2f CPUs", share);
    }
    return idle > 0.3 ? sb_probe_held(run, "%.2f CPUs, %.2f stayed idle", share, idle)
                      : sb_probe_na(run, "others left %.2f CPUs: cannot tell", share);
}

static enum sb_verdict run_on(struct sb_run *run)
{
    static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGALRM, SIGXCPU, SIGQUIT};
    for (size_t i = 0; i < SB_COUNT(ignored); i++) {
        (void)signal(ignored[i], SIG_IGN);
    }
    double start = sb_probe_now();
    while (sb_probe_now() - start < 15) {
        usleep(100000);
    }
    return sb_probe_leaked(run, "still running after 15 s");
}

/** The runner sees whether it was ended: "wall" is a limit that the caller has set. */
static enum sb_verdict wall_clock(struct sb_run *run)
{
    return run_on(run);
}

/** A supervisor that is stopped keeps no deadline. */
static enum sb_verdict wall_clock_of_stopped(struct sb_run *run)
{
    if (sb_probe_shares_pids(run)) {
        return sb_probe_leaked(run, "processes of the host are in reach");
    }
    kill(-1, SIGSTOP);
    kill(getppid(), SIGSTOP);
    return run_on(run);
}

/** Eats more memory than there is, in processes that are replaced as they die. */
static void thrash(void)
{
    const size_t size = 64UL << 20;
    for (;;) {
        char *chunk = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for (size_t at = 0; chunk != (char *)MAP_FAILED && at < size; at += 4096) {
            chunk[at] = 1;
        }
        if (chunk == (char *)MAP_FAILED) {
            _exit(0);
        }
    }
}

/** Whoever keeps the deadline must not need memory of the job's. */
static enum sb_verdict wall_clock_of_thrash(struct sb_run *run)
{
    enum { EATERS = 6, SECONDS = 15 };
    double start = sb_probe_now();
    for (int i = 0; i < EATERS; i++) {
        if (fork() == 0) {
            while (sb_probe_now() - start < SECONDS) {
                pid_t eater = fork();
                if (eater == 0) {
                    alarm(SECONDS);
                    thrash();
                }
                waitpid(eater, NULL, 0);
            }
            _exit(0);
        }
    }
    return run_on(run);
}

static const struct sb_probe probes[] = {
    {"processes", "none", "the number of processes is bounded", processes},
    {"threads", "none", "the number of threads is bounded", threads},
    {"descriptor-count", "none", "the number of descriptors is bounded", descriptor_count},
    {"timers", "none", "the number of timers is bounded", timers},
    {"queued-signals", "none", "the number of queued signals is bounded", queued_signals},
    {"inotify-instances", "none", "inotify instances of the user outside are not used up",
     inotify_instances},
    {"terminals", "none", "the number of pseudo-terminals is bounded", terminals},
    {"eventfds", "none", "the number of eventfds is bounded", eventfds},
    {"cpu-share", "none", "no more than one CPU is used", cpu_share},
    {"wall-clock", "wall", "a job that ignores every signal ends at its deadline", wall_clock},
    {"wall-clock-of-stopped", "wall", "nor can it stop who keeps the deadline",
     wall_clock_of_stopped},
    {"wall-clock-of-thrash", "wall", "nor delay that by using up all memory", wall_clock_of_thrash},
};
const struct sb_probe_class sb_probes_counts = {"counts", probes, SB_COUNT(probes)};
