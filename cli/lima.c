/** The driver of hosts that are no Linux.
 *
 *  Theory of operation. limactl runs a virtual machine by a template, deploy/lima/aisbx.yaml, in
 *  which a worker listens on a unix socket; lima forwards a socket of the host to it, below the
 *  directory of the machine. From there on that worker is one like on any other machine: gRPC, and
 *  no file of this host in its reach. */
#include "cli/lima.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/say.h"
#include "base/str.h"
#include "cli/connect.h"
#include "cli/verb.h"
#include "proto/client/sibling.h"

enum {
    SOCKET_WAIT_MS = 20000, /* lima forwards a moment after it says that the machine runs */
    SOCKET_STEP_MS = 100,
    MAX_LIST = 64 << 10,
};

#define INSTANCE "aisbx"
/* The address that was chosen, for the program that this one becomes. */
#define CHOSEN "AISBX_LIMA_ADDRESS"
#define SOCKET "sock/aisbx.sock" /* below the machine's directory, as in the template */

/* Runs limactl; what it prints goes to @out, or, with NULL, to our stderr: it is progress. Our
 * standard input is the program's, of which limactl gets nothing. */
static int
run(const char *limactl, const char *const *words, struct sb_buf *out, struct sb_err *err)
{
    char *argv[8];
    int ends[2] = {-1, -1};
    int status = 0;
    size_t n = 0;
    for (; words[n] != NULL; n++) {
        memcpy(&argv[n], &words[n], sizeof argv[n]); /* exec has no const */
    }
    argv[n] = NULL;
    if (out != NULL && sb_fd_pipe(ends, err) < 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 &&
            dup2(out != NULL ? ends[1] : STDERR_FILENO, STDOUT_FILENO) >= 0) {
            (void)execv(limactl, argv);
        }
        _exit(127);
    }
    sb_closep(&ends[1]);
    char part[4096];
    ssize_t got = 0;
    while (pid > 0 && out != NULL && (got = read(ends[0], part, sizeof part)) > 0 &&
           sb_buf_append(out, part, (size_t)got) == 0) {
    }
    sb_closep(&ends[0]);
    if (pid < 0) {
        return sb_err_sys(err, errno, "start limactl");
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0
               ? 0
               : sb_err_set(err, SB_UNAVAILABLE, "limactl %s failed", words[1]);
}

/* The machine's status ("Running", "Stopped") and directory. An unknown machine is no line, and in
 * some versions a failure: both leave status "". */
static void look(const char *limactl, char status[32], char dir[PATH_MAX])
{
    static const char *const words[] = {"limactl", "list", "--format", "{{.Status}} {{.Dir}}",
                                        INSTANCE,  NULL};
    struct sb_err ignored;
    struct sb_str first;
    struct sb_str rest;
    SB_CLEANUP(sb_buf_done) struct sb_buf out = SB_BUF_INIT(MAX_LIST);
    status[0] = dir[0] = '\0';
    if (run(limactl, words, &out, &ignored) < 0) {
        return;
    }
    struct sb_str line = sb_str_from(sb_buf_cstr(&out));
    if (sb_str_next(&line, '\n', &first) && sb_str_split(first, ' ', &first, &rest)) {
        (void)snprintf(status, 32, "%.*s", SB_STR_ARG(first));
        (void)snprintf(dir, PATH_MAX, "%.*s", SB_STR_ARG(rest));
    }
}

static int start(const char *limactl, bool is_known, struct sb_err *err)
{
    char path[PATH_MAX];
    char source[PATH_MAX];
    char set[PATH_MAX + 64];
    if (is_known) {
        const char *const words[] = {"limactl", "start", "--tty=false", INSTANCE, NULL};
        return run(limactl, words, NULL, err);
    }
    /* From a checkout, whose source the machine then builds. */
    if (!sb_sibling_find_file("lima/aisbx.yaml", "deploy/lima/aisbx.yaml", path, source)) {
        return sb_err_set(err, SB_NOT_FOUND,
                          "aisbx.yaml, the template of the virtual machine, is not installed");
    }
    (void)snprintf(set, sizeof set, "--set=.mounts[0].location = \"%s\"", source);
    const char *const words[] = {
        "limactl", "start", "--tty=false", "--name=aisbx", path, source[0] == '\0' ? NULL : set,
        NULL};
    sb_say_note("lima makes a virtual machine; the first time that takes minutes");
    return run(limactl, words, NULL, err);
}

static int wait_for_socket(const char *path, struct sb_err *err)
{
    const struct timespec step = {.tv_nsec = SOCKET_STEP_MS * 1000000L};
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    uint64_t deadline = sb_clock_mono_ms() + SOCKET_WAIT_MS;
    if (strlen(path) >= sizeof name.sun_path) {
        return sb_err_set(err, SB_INVALID, "%s: too long for the path of a socket", path);
    }
    memcpy(name.sun_path, path, strlen(path) + 1);
    for (;;) {
        SB_CLEANUP(sb_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            return sb_err_sys(err, errno, "make socket");
        }
        if (connect(fd, (const struct sockaddr *)&name, sizeof name) == 0) {
            return 0;
        }
        if (sb_clock_left_ms(deadline) == 0) {
            return sb_err_sys(err, errno, "%s", path);
        }
        (void)nanosleep(&step, NULL);
    }
}

static int become_ready(struct sb_cli *cli, const char *limactl, char *dir, struct sb_err *err)
{
    char status[32];
    char socket_path[PATH_MAX + sizeof SOCKET];
    look(limactl, status, dir);
    if (strcmp(status, "Running") != 0) {
        if (start(limactl, status[0] != '\0', err) < 0) {
            sb_verb_hint(cli, "limactl start " INSTANCE " shows more; limactl delete " INSTANCE
                              " begins anew");
            return -1;
        }
        look(limactl, status, dir);
    }
    (void)snprintf(socket_path, sizeof socket_path, "%s/" SOCKET, dir);
    if (wait_for_socket(socket_path, err) < 0) {
        sb_verb_hint(cli, "limactl shell " INSTANCE " systemctl status aisbx-worker says why");
        return sb_err_wrap(err, "the worker in the virtual machine is not there");
    }
    return 0;
}

/* Apart, as its paths take 20 KiB of the stack, and most calls name no driver. */
__attribute__((noinline)) static int choose(struct sb_cli *cli, bool is_here, struct sb_err *err)
{
    char limactl[PATH_MAX];
    char dir[PATH_MAX];
    char address[PATH_MAX + sizeof SOCKET + 16];
    cli->args.driver = NULL;
    const char *named = sb_connect_address(cli);
    const char *chosen = getenv(CHOSEN);
    if (named != NULL && chosen != NULL && strcmp(named, chosen) == 0) {
        return 0; /* it was done before this program became aisbx-remote */
    }
    if (named != NULL) {
        sb_verb_hint(cli, "leave out --driver lima, or --address and AISBX_ADDRESS");
        return sb_err_set(
            err, SB_INVALID,
            "--driver lima and an address exclude each other: it names a worker, too");
    }
    if (is_here) {
        sb_verb_hint(cli, "leave --driver out");
        return sb_err_set(err, SB_INVALID,
                          "--driver lima: this works with workers of this machine");
    }
    if (!sb_sibling_find("limactl", limactl)) {
        sb_verb_hint(cli,
                     "install Lima (brew install lima, or https://lima-vm.io/docs/installation), "
                     "or leave --driver out");
        return sb_err_set(err, SB_NOT_FOUND, "driver lima: limactl is not in PATH");
    }
    if (become_ready(cli, limactl, dir, err) < 0) {
        return sb_err_wrap(err, "driver lima");
    }
    (void)snprintf(address, sizeof address, "grpc+unix:%s/" SOCKET, dir);
    if (cli->args.verbose) {
        sb_say_detail("worker in lima: --address %s", address);
    }
    return setenv("AISBX_ADDRESS", address, 1) == 0 && setenv(CHOSEN, address, 1) == 0
               ? 0
               : sb_err_oom(err);
}

int sb_lima_choose(struct sb_cli *cli, bool is_here, struct sb_err *err)
{
    bool is_lima = cli->args.driver != NULL && strcmp(cli->args.driver, "lima") == 0;
    return is_lima ? choose(cli, is_here, err) : 0;
}
