#include "service/worker/spawner_start.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mutate.h"
#include "service/worker/options.h"

enum { SPAWNER_FD = 3, ARGS_MAX = 10 + 2 * SB_OPTIONS_MAX_LISTEN };

static int find_program(char out[PATH_MAX], struct sb_err *err)
{
    static const char *const places[] = {"aisbx-spawner", "../libexec/aisbx/aisbx-spawner"};
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = len < 0 ? NULL : memrchr(self, '/', (size_t)len);
    if (slash == NULL) {
        return sb_err_sys(err, errno, "/proc/self/exe");
    }
    int dir_len = (int)(slash + 1 - self);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int n = snprintf(out, PATH_MAX, "%.*s%s", dir_len, self, places[i]);
        if (n > 0 && n < PATH_MAX && access(out, X_OK) == 0) {
            return 0;
        }
    }
    return sb_err_set(err, SB_NOT_FOUND,
                      "aisbx-spawner is neither in %.*s nor in %.*s../libexec/aisbx", dir_len, self,
                      dir_len, self);
}

/** Variables that pass; the rest of the spawner's environment is constant. */
static const char *const inherited[] = {"AISBX_DEBUG", SB_LOG_ENV_FORMAT, "ASAN_OPTIONS",
                                        "UBSAN_OPTIONS", "TSAN_OPTIONS" SB_MUTATE_INHERITED};
enum { N_INHERITED = sizeof inherited / sizeof *inherited };

/** @argv  room for ARGS_MAX; points to constants, into the options, and to @weight. */
static void fill_arguments(const struct sb_options *options, char *weight, char **argv)
{
    static char weight_option[] = "--cpu-weight";
    static char name[] = "aisbx-spawner";
    static char fd[] = "--fd";
    static char fd_text[] = {'0' + SPAWNER_FD, '\0'};
    static char socket_option[] = "--socket";
    static char kept_socket[] = "--kept-socket";
    static char embedded[] = "--embedded";
    static char snapshots[] = "--snapshots";
    static char copy[] = "copy";
    static char tell_paths[] = "--tell-paths";
    size_t n = 0;
    argv[n++] = name;
    argv[n++] = fd;
    argv[n++] = fd_text;
    argv[n++] = weight_option;
    argv[n++] = weight;
    for (size_t i = 0; i < options->listen.n; i++) {
        if (strncmp(options->listen.items[i], "unix:/", 6) == 0) {
            bool is_given = sb_options_given(options, options->listen.items[i]) >= 0;
            argv[n++] = is_given ? kept_socket : socket_option;
            argv[n++] = options->listen.items[i] + strlen("unix:");
        }
    }
    if (options->is_embedded) {
        argv[n++] = embedded;
    }
    if (options->snapshots == SB_OPTIONS_SNAPSHOTS_COPY) {
        argv[n++] = snapshots;
        argv[n++] = copy;
    }
    if (options->tells_paths) {
        argv[n++] = tell_paths;
    }
    argv[n] = NULL;
}

static int spawn(const char *program,
                 const struct sb_options *options,
                 int sock,
                 char *const *environment,
                 struct sb_err *err)
{
    char *argv[ARGS_MAX];
    char weight[24];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all;
    sigset_t none;
    pid_t pid = 0;
    if (options->cpu_weight == SB_OPTIONS_CPU_IDLE) {
        (void)snprintf(weight, sizeof weight, "idle");
    } else {
        (void)snprintf(weight, sizeof weight, "%" PRIu64, options->cpu_weight);
    }
    fill_arguments(options, weight, argv);
    (void)sigfillset(&all);
    (void)sigemptyset(&none);
    if (posix_spawn_file_actions_init(&actions) != 0 || posix_spawnattr_init(&attributes) != 0) {
        return sb_err_oom(err);
    }
    int failed = posix_spawn_file_actions_adddup2(&actions, sock, SPAWNER_FD);
    failed |= posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                        POSIX_SPAWN_SETPGROUP);
    /* A group of its own: a terminal's Ctrl-C is for the worker, which lets calls end first. */
    failed |= posix_spawnattr_setpgroup(&attributes, 0);
    failed |= posix_spawnattr_setsigmask(&attributes, &none);
    failed |= posix_spawnattr_setsigdefault(&attributes, &all);
    if (failed == 0) {
        failed = posix_spawn(&pid, program, &actions, &attributes, argv, environment);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    return failed == 0 ? 0 : sb_err_sys(err, failed, "start %s", program);
}

int sb_spawner_start_process(const struct sb_options *options, int *ret_sock, struct sb_err *err)
{
    char program[PATH_MAX];
    char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char *environment[N_INHERITED + 2] = {path};
    char texts[N_INHERITED][1024];
    size_t n = 1;
    int pair[2];
    for (size_t i = 0; i < N_INHERITED; i++) {
        const char *value = getenv(inherited[i]);
        int len =
            value == NULL ? -1 : snprintf(texts[i], sizeof texts[i], "%s=%s", inherited[i], value);
        if (len > 0 && (size_t)len < sizeof texts[i]) {
            environment[n++] = texts[i];
        }
    }
    if (find_program(program, err) < 0) {
        return -1;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return sb_err_sys(err, errno, "socketpair");
    }
    SB_CLEANUP(sb_closep) int ours = pair[0];
    SB_CLEANUP(sb_closep) int theirs = pair[1];
    if (spawn(program, options, theirs, environment, err) < 0) {
        return -1;
    }
    *ret_sock = SB_STEAL_FD(ours);
    return 0;
}
