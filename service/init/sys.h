#pragma once
/** System calls without libc, for x86_64 and aarch64. They return the kernel's value: negative is
 *  -errno. Only what aisbx-init uses; each must be in the table of service/shared/floor.c. */

#include <asm/unistd.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <time.h>

#if defined(__x86_64__)
static inline long sb_sys_call6(long n, long a, long b, long c, long d, long e)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = 0;
    long ret;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}
/* A child that runs fn(arg) on a stack of its own; fn must not return. */
static inline long
sb_sys_clone_run(unsigned long flags, void *stack_end, void (*fn)(void *), void *arg)
{
    register long r10 __asm__("r10") = 0;
    register long r8 __asm__("r8") = 0;
    long ret;
    __asm__ volatile("syscall\n test %%rax, %%rax\n jnz 1f\n"
                     " xor %%ebp, %%ebp\n mov %[arg], %%rdi\n call *%[fn]\n hlt\n1:"
                     : "=a"(ret)
                     : "a"((long)__NR_clone), "D"(flags), "S"(stack_end), "d"(0L), "r"(r10),
                       "r"(r8), [fn] "r"(fn), [arg] "r"(arg)
                     : "rcx", "r11", "memory");
    return ret;
}
/* The kernel enters with an unaligned idea of a function call: align, and call C. */
#define SB_SYS_START(main)                                                                         \
    __asm__(".globl _start\n_start:\n xor %ebp, %ebp\n and $-16, %rsp\n call " #main "\n hlt\n")
#elif defined(__aarch64__)
static inline long sb_sys_call6(long n, long a, long b, long c, long d, long e)
{
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = 0;
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}
static inline long
sb_sys_clone_run(unsigned long flags, void *stack_end, void (*fn)(void *), void *arg)
{
    register long x8 __asm__("x8") = __NR_clone;
    register long x0 __asm__("x0") = (long)flags;
    register void *x1 __asm__("x1") = stack_end;
    register long x2 __asm__("x2") = 0;
    register long x3 __asm__("x3") = 0;
    register long x4 __asm__("x4") = 0;
    __asm__ volatile("svc #0\n cbnz x0, 1f\n"
                     " mov x29, #0\n mov x0, %[arg]\n blr %[fn]\n brk #1\n1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), [fn] "r"(fn), [arg] "r"(arg)
                     : "x30", "memory");
    return x0;
}
#define SB_SYS_START(main)                                                                         \
    __asm__(".globl _start\n_start:\n mov x29, #0\n mov x30, #0\n bl " #main "\n brk #1\n")
#else
#error "aisbx-init knows x86_64 and aarch64"
#endif

#define SB_SYS_PTR(p) ((long)(uintptr_t)(p))
#define SB_SYS(n, a, b, c, d, e)                                                                   \
    sb_sys_call6((n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))

enum { SB_SYS_SIGSET = 8 }; /* bytes of the kernel's sigset_t */

static inline long sb_sys_read(int fd, void *data, size_t len)
{
    return SB_SYS(__NR_read, fd, SB_SYS_PTR(data), len, 0, 0);
}

static inline long sb_sys_write(int fd, const void *data, size_t len)
{
    return SB_SYS(__NR_write, fd, SB_SYS_PTR(data), len, 0, 0);
}

static inline long sb_sys_open(const char *path, int flags)
{
    return SB_SYS(__NR_openat, -100, SB_SYS_PTR(path), flags, 0, 0);
}

static inline long sb_sys_statfs(const char *path, struct statfs *ret_space)
{
    return SB_SYS(__NR_statfs, SB_SYS_PTR(path), SB_SYS_PTR(ret_space), 0, 0, 0);
}

static inline long sb_sys_stat(const char *path, struct stat *ret_stat)
{
    return SB_SYS(__NR_newfstatat, -100, SB_SYS_PTR(path), SB_SYS_PTR(ret_stat), 0, 0);
}

static inline void sb_sys_close(int fd)
{
    (void)SB_SYS(__NR_close, fd, 0, 0, 0, 0);
}

static inline void sb_sys_close_range(unsigned first)
{
    (void)SB_SYS(__NR_close_range, first, ~0U, 0, 0, 0);
}

static inline long sb_sys_close_range_on_exec(unsigned first)
{
    return SB_SYS(__NR_close_range, first, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */, 0, 0);
}

/* What getdents64 gives. */
struct sb_sys_entry {
    uint64_t inode;
    int64_t offset;
    uint16_t len;
    uint8_t type;
    char name[];
};

static inline long sb_sys_getdents(int fd, void *data, size_t len)
{
    return SB_SYS(__NR_getdents64, fd, SB_SYS_PTR(data), len, 0, 0);
}

static inline long sb_sys_dup(int fd, int at)
{
    return SB_SYS(__NR_dup3, fd, at, 0, 0, 0);
}

static inline long sb_sys_fcntl(int fd, int command, long value)
{
    return SB_SYS(__NR_fcntl, fd, command, value, 0, 0);
}

static inline long sb_sys_ioctl(int fd, unsigned long request, long value)
{
    return SB_SYS(__NR_ioctl, fd, request, value, 0, 0);
}

static inline long sb_sys_pipe(int fds[2], int flags)
{
    return SB_SYS(__NR_pipe2, SB_SYS_PTR(fds), flags, 0, 0, 0);
}

/* The kernel writes back to *left how much of the time is left. */
static inline long sb_sys_poll(struct pollfd *fds, unsigned n, struct timespec *left)
{
    return SB_SYS(__NR_ppoll, SB_SYS_PTR(fds), n, SB_SYS_PTR(left), 0, 0);
}

static inline long sb_sys_recvmsg(int sock, struct msghdr *msg, int flags)
{
    return SB_SYS(__NR_recvmsg, sock, SB_SYS_PTR(msg), flags, 0, 0);
}

static inline long sb_sys_sendmsg(int sock, const struct msghdr *msg, int flags)
{
    return SB_SYS(__NR_sendmsg, sock, SB_SYS_PTR(msg), flags, 0, 0);
}

static inline long sb_sys_fork(void)
{
    return SB_SYS(__NR_clone, SIGCHLD, 0, 0, 0, 0);
}

static inline long sb_sys_execve(const char *path, const char *const *argv, const char *const *envp)
{
    return SB_SYS(__NR_execve, SB_SYS_PTR(path), SB_SYS_PTR(argv), SB_SYS_PTR(envp), 0, 0);
}

static inline long sb_sys_wait(int pid, int *status, int flags, struct rusage *usage)
{
    return SB_SYS(__NR_wait4, pid, SB_SYS_PTR(status), flags, SB_SYS_PTR(usage), 0);
}

static inline long sb_sys_kill(int pid, int signal_number)
{
    return SB_SYS(__NR_kill, pid, signal_number, 0, 0, 0);
}

static inline int sb_sys_getpid(void)
{
    return (int)SB_SYS(__NR_getpid, 0, 0, 0, 0, 0);
}

/* As struct rlimit64. */
struct sb_sys_rlimit {
    uint64_t now;
    uint64_t most;
};

/* Of this process. Not in the table of service/shared/floor.c: a profile that refuses it to its
 * programs has no execs with limits of their own. */
static inline long sb_sys_set_rlimit(int resource, const struct sb_sys_rlimit *limit)
{
    return SB_SYS(__NR_prlimit64, 0, resource, SB_SYS_PTR(limit), 0, 0);
}

static inline long sb_sys_getresuid(unsigned *real, unsigned *effective, unsigned *saved)
{
    return SB_SYS(__NR_getresuid, SB_SYS_PTR(real), SB_SYS_PTR(effective), SB_SYS_PTR(saved), 0, 0);
}

static inline long sb_sys_setresuid(unsigned real, unsigned effective, unsigned saved)
{
    return SB_SYS(__NR_setresuid, real, effective, saved, 0, 0);
}

static inline long sb_sys_setsid(void)
{
    return SB_SYS(__NR_setsid, 0, 0, 0, 0, 0);
}

static inline long sb_sys_chdir(const char *path)
{
    return SB_SYS(__NR_chdir, SB_SYS_PTR(path), 0, 0, 0, 0);
}

static inline long sb_sys_prctl(int option, long value)
{
    return SB_SYS(__NR_prctl, option, value, 0, 0, 0);
}

/* Blocks exactly the signals of the mask, bit n - 1 for signal n. */
static inline void sb_sys_sigmask(uint64_t mask)
{
    (void)SB_SYS(__NR_rt_sigprocmask, SIG_SETMASK, SB_SYS_PTR(&mask), 0, SB_SYS_SIGSET, 0);
}

static inline long sb_sys_signalfd(uint64_t mask, int flags)
{
    return SB_SYS(__NR_signalfd4, -1, SB_SYS_PTR(&mask), SB_SYS_SIGSET, flags, 0);
}

static inline _Noreturn void sb_sys_exit(int status)
{
    for (;;) {
        (void)SB_SYS(__NR_exit_group, status, 0, 0, 0, 0);
    }
}
