#include "service/spawner/drivers/bwrap_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "service/spawner/caps.h"
#include "service/spawner/child.h"
#include "service/spawner/host.h"
#include "service/spawner/identity.h"
#include "service/spawner/ns.h"
#include "service/spawner/probe.h"
#include "service/spawner/userns.h"

enum { TRY_MS = 5000, MAX_OUTPUT = 64 << 10 };

#define INSTALL "apt install bubblewrap (0.6.2 or newer)"

static const char *const places[] = {"/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"};

/* Without these the plan cannot be compiled. */
static const char *const needed[] = {
    "--add-seccomp-fd", "--as-pid-1", "--clearenv", "--remount-ro", "--unshare-cgroup",
};

/* Nobody but root may be able to change it, as it stands between a job and the host. */
static int open_program(const struct sb_host *host, const char **ret_path, struct sb_err *err)
{
    const char *bad = NULL;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct stat st;
        SB_CLEANUP(sb_closep) int fd = open(places[i], O_PATH | O_CLOEXEC);
        if (fd < 0) {
            continue;
        }
        /* In a user namespace of ours root shows as the overflow id, and the user is whom it
         * serves. */
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & 022) != 0 ||
            (host->is_root && st.st_uid != 0)) {
            bad = places[i];
            continue;
        }
        *ret_path = places[i];
        return SB_STEAL_FD(fd);
    }
    return bad == NULL
               ? sb_err_set(err, SB_PRECONDITION, "bubblewrap is not there: " INSTALL)
               : sb_err_set(err, SB_PRECONDITION, "%s can be changed by others than root", bad);
}

/* One run, in a child. */
struct trial {
    int program_fd;
    const char *const *words;
    struct sb_child *child;
    int out_fd;
};

static _Noreturn void run(const struct trial *trial)
{
    struct sb_err err;
    char *argv[32];
    char *envp[] = {NULL};
    size_t n = 0;
    for (; trial->words[n] != NULL; n++) {
        memcpy(&argv[n], &trial->words[n], sizeof argv[n]); /* exec has no const */
    }
    argv[n] = NULL;
    if (sb_identity_wait(trial->child, &err) < 0 || sb_identity_set_up(trial->child, &err) < 0 ||
        sb_caps_lock(trial->child, &err) < 0 || sb_identity_become_job(trial->child, &err) < 0 ||
        sb_caps_drop(trial->child, &err) < 0 || dup2(trial->out_fd, STDOUT_FILENO) < 0 ||
        dup2(trial->out_fd, STDERR_FILENO) < 0) {
        _exit(126);
    }
    (void)execveat(trial->program_fd, "", argv, envp, AT_EMPTY_PATH);
    _exit(127);
}

/* Reads to the end, or for as long as a trial may take. */
static void read_output(int fd, struct sb_buf *out)
{
    uint64_t deadline = sb_clock_mono_ms() + TRY_MS;
    char part[4096];
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, sb_clock_left_ms(deadline)) <= 0) {
            return;
        }
        ssize_t n = read(fd, part, sizeof part);
        if (n <= 0 || sb_buf_append(out, part, (size_t)n) < 0) {
            return;
        }
    }
}

static int wait_for(pid_t pid, int pidfd)
{
    int status = -1;
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    if (poll(&end, 1, TRY_MS) <= 0) {
        (void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

/* Runs it and appends all it says; its status must be 0. */
static int try_words(const struct sb_host *host,
                     int program_fd,
                     const char *const *words,
                     struct sb_buf *out,
                     struct sb_err *err)
{
    struct sb_userns_map map;
    struct sb_child child = {0};
    int sync[2];
    int output[2];
    int pidfd = -1;
    sb_probe_prepare(host, &child, &map);
    if (sb_fd_pipe(sync, err) < 0) {
        return -1;
    }
    if (sb_fd_pipe(output, err) < 0) {
        sb_fd_close_all(sync, 2);
        return -1;
    }
    child.sync_fd = sync[0];
    pid_t pid =
        sb_ns_clone(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID, -1, host->is_root, &pidfd, err);
    if (pid == 0) {
        (void)close(sync[1]);
        struct trial trial = {program_fd, words, &child, output[1]};
        run(&trial);
    }
    sb_fd_close_all(&output[1], 1);
    int done =
        pid < 0 || sb_userns_write(pid, &map, err) < 0 || sb_fd_write_full(sync[1], "g", 1, err) < 0
            ? -1
            : 0;
    sb_fd_close_all(sync, 2);
    if (done == 0) {
        read_output(output[0], out);
    }
    sb_fd_close_all(output, 1);
    int status = pid > 0 ? wait_for(pid, pidfd) : -1;
    sb_fd_close_all(&pidfd, 1);
    if (done == 0 && status != 0) {
        const char *said = sb_buf_cstr(out);
        return sb_err_set(err, SB_PRECONDITION, "bubblewrap does not work here: %.*s",
                          (int)strcspn(said, "\n"), said);
    }
    return done;
}

static int check_options(struct sb_bwrap *bwrap, const char *help, struct sb_err *err)
{
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (strstr(help, needed[i]) == NULL) {
            return sb_err_set(err, SB_PRECONDITION, "this bubblewrap has no %s: " INSTALL,
                              needed[i]);
        }
    }
    bwrap->has_disable_userns = strstr(help, "--disable-userns") != NULL;
    return 0;
}

int sb_bwrap_probe(const struct sb_host *host, struct sb_err *err)
{
    if (host->bwrap->is_found) {
        return 0;
    }
    static const char name[] = "bubblewrap ";
    const char *path = NULL;
    struct sb_bwrap found = {0};
    SB_CLEANUP(sb_closep) int fd = open_program(host, &path, err);
    SB_CLEANUP(sb_buf_done) struct sb_buf help = SB_BUF_INIT(MAX_OUTPUT);
    SB_CLEANUP(sb_buf_done) struct sb_buf version = SB_BUF_INIT(MAX_OUTPUT);
    if (fd < 0) {
        return -1;
    }
    const char *const ask[] = {"bwrap", "--help", NULL};
    const char *const inside[] = {
        "bwrap",  "--unshare-all", "--as-pid-1", "--ro-bind", "/",         "/",
        "--proc", "/proc",         "--",         path,        "--version", NULL};
    if (try_words(host, fd, ask, &help, err) < 0 ||
        check_options(&found, sb_buf_cstr(&help), err) < 0 ||
        try_words(host, fd, inside, &version, err) < 0) {
        return -1;
    }
    const char *said = sb_buf_cstr(&version);
    if (strncmp(said, name, sizeof name - 1) == 0) {
        said += sizeof name - 1;
        (void)snprintf(found.version, sizeof found.version, "%.*s", (int)strcspn(said, "\n"), said);
    }
    found.is_found = true;
    found.fd = SB_STEAL_FD(fd);
    *host->bwrap = found;
    return 0;
}

void sb_bwrap_done(struct sb_bwrap *bwrap)
{
    if (bwrap->is_found) {
        sb_fd_close_all(&bwrap->fd, 1);
        bwrap->is_found = false;
    }
}
