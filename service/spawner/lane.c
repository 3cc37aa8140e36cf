#include "service/spawner/lane.h"

/* Theory of operation. A clone that copies the spawner's memory costs more than all the child does
 * with it: page tables to write, pages to copy when either side writes, and all of it to drop when
 * init is executed. So the child runs in the spawner's own memory, as posix_spawn's does, on a
 * stack that is its own, and whoever cloned it is suspended by the kernel (CLONE_VFORK) until it is
 * another program or dead. That must not be the loop, on whose help the child waits; so threads
 * clone, each one child at a time, and do nothing else.
 *
 *   loop --job--> lane, suspended in clone3 ----------------------> free again
 *                   `--> child: steps, on the lane's second stack --> init
 *
 * The child has the lane's thread-local storage (errno), which nobody else uses meanwhile. Its
 * descriptors, credentials, signal actions, limits, working directory and namespaces are its own.
 * What it must not do is written in child.h. CLONE_VFORK is also what keeps the spawner alive when
 * the sandbox's memory is used up by then: the kernel chooses no victim that shares memory with the
 * parent that waits for it.
 *
 * The kernel ties a child to the thread that cloned it (PR_SET_PDEATHSIG): lanes live as long as
 * the spawner. libc's functions that change the ids of a process change those of all its threads,
 * and would wait for the suspended ones: in the spawner, too, only system calls do that. */

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    CHILD_STACK = 256 << 10, /* bytes; only what is touched is there */
    GUARD = 64 << 10,        /* below it; a multiple of every page size */
    OWN_STACK = 64 << 10,
};

struct sb_lane {
    pthread_t thread;
    sem_t has_work;
    atomic_bool is_busy;
    bool is_ending;
    char *stack; /* GUARD, then CHILD_STACK */
    struct sb_lane_job job;
};

#if defined(SB_SANITIZED) || !(defined(__x86_64__) || defined(__aarch64__))
/* The sanitizers know of threads and of processes, and of nothing between. */
static const bool can_share = false;

static long clone_sharing(struct clone_args *args, const struct sb_lane_job *job)
{
    (void)args;
    (void)job;
    return -1;
}
#else
static const bool can_share = true;

/* Returns as the kernel does, in the parent alone: the child comes up on another stack, from which
 * there is no return. */
static long clone_sharing(struct clone_args *args, const struct sb_lane_job *job)
{
#if defined(__x86_64__)
    long ret = SYS_clone3;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "mov %[arg], %%rdi\n\t"
                     "mov %[run], %%rax\n\t"
                     "xor %%ebp, %%ebp\n\t" /* where a walk of the stack ends */
                     "call *%%rax\n\t"
                     "ud2\n"
                     "1:"
                     : "+a"(ret)
                     : "D"(args), "S"(sizeof *args), [run] "r"(job->run), [arg] "r"(job->arg)
                     : "rcx", "r11", "memory", "cc");
    return ret;
#else
    register long x0 __asm__("x0") = (long)(uintptr_t)args;
    register long x1 __asm__("x1") = sizeof *args;
    register long x8 __asm__("x8") = SYS_clone3;
    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x0, %[arg]\n\t"
                     "mov x9, %[run]\n\t"
                     "mov x29, xzr\n\t"
                     "mov x30, xzr\n\t"
                     "blr x9\n\t"
                     "brk #1\n"
                     "1:"
                     : "+r"(x0)
                     : "r"(x1), "r"(x8), [run] "r"(job->run), [arg] "r"(job->arg)
                     : "memory", "cc");
    return x0;
#endif
}
#endif

static void *serve(void *arg)
{
    struct sb_lane *lane = arg;
    for (;;) {
        while (sem_wait(&lane->has_work) < 0) {
        }
        if (lane->is_ending) {
            return NULL;
        }
        struct clone_args args = lane->job.args;
        /* The handlers of libc's threads are not for a child. */
        args.flags |= CLONE_VM | CLONE_VFORK | CLONE_CLEAR_SIGHAND;
        args.stack = (uint64_t)(uintptr_t)(lane->stack + GUARD);
        args.stack_size = CHILD_STACK;
        long pid = clone_sharing(&args, &lane->job);
        if (pid < 0) {
            lane->job.failed(lane->job.arg, (int)-pid);
        }
        atomic_store(&lane->is_busy, false);
    }
}

static int start_thread(struct sb_lane *lane)
{
    pthread_attr_t attr;
    sigset_t all;
    sigset_t before;
    if (pthread_attr_init(&attr) != 0) {
        return -1;
    }
    (void)pthread_attr_setstacksize(&attr, OWN_STACK);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited by thread and children */
    int failed = pthread_create(&lane->thread, &attr, serve, lane);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    return failed != 0 ? -1 : 0;
}

static void lane_free(struct sb_lane *lane)
{
    if (lane->stack != MAP_FAILED) {
        (void)munmap(lane->stack, GUARD + CHILD_STACK);
    }
    (void)sem_destroy(&lane->has_work);
    free(lane);
}

static struct sb_lane *lane_new(void)
{
    struct sb_lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL) {
        return NULL;
    }
    (void)sem_init(&lane->has_work, 0, 0);
    lane->stack = mmap(NULL, GUARD + CHILD_STACK, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (lane->stack == MAP_FAILED || mprotect(lane->stack, GUARD, PROT_NONE) < 0 ||
        start_thread(lane) < 0) {
        lane_free(lane);
        return NULL;
    }
    return lane;
}

/* The first one that is free, as its stack is still in the caches. */
static struct sb_lane *find_free(struct sb_lanes *lanes)
{
    for (size_t i = 0; i < lanes->n; i++) {
        if (!atomic_load(&lanes->lanes[i]->is_busy)) {
            return lanes->lanes[i];
        }
    }
    struct sb_lane *lane = lanes->n < SB_LANES_MAX ? lane_new() : NULL;
    if (lane != NULL) {
        lanes->lanes[lanes->n++] = lane;
    }
    return lane;
}

int sb_lanes_clone(struct sb_lanes *lanes, const struct sb_lane_job *job)
{
    struct sb_lane *lane = can_share ? find_free(lanes) : NULL;
    if (lane == NULL) {
        return -1;
    }
    lane->job = *job;
    atomic_store(&lane->is_busy, true);
    (void)sem_post(&lane->has_work);
    return 0;
}

void sb_lanes_done(struct sb_lanes *lanes)
{
    for (size_t i = 0; i < lanes->n; i++) {
        struct sb_lane *lane = lanes->lanes[i];
        if (atomic_load(&lane->is_busy)) {
            (void)pthread_detach(lane->thread);
            continue;
        }
        lane->is_ending = true;
        (void)sem_post(&lane->has_work);
        (void)pthread_join(lane->thread, NULL);
        lane_free(lane);
    }
    lanes->n = 0;
}
