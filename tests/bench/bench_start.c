/** What it takes to start a sandbox, against bubblewrap in the same run.
 *
 *  Theory of operation. One round runs every contender once, in turn, so that whatever else the
 * machine does hits all alike; the figures are order statistics over the rounds. A contender is a
 * whole process from posix_spawn to wait, or one gRPC call. bubblewrap gets the same job: every
 * namespace, a read-only /usr, fresh /proc /dev /tmp, no capabilities, a new session, and a seccomp
 * filter of the usual size. */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <seccomp.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/clock.h"
#include "base/err.h"
#include "proto/rpc/rpc.h"

extern char **environ;

enum { MAX_ROUNDS = 10000, SECCOMP_FD = 9 };

struct contender {
    const char *key;
    const char *title;
    int (*run)(const struct contender *self, struct sb_err *err);
    const char *const *args; /* of a process */
    uint64_t *took_ns;
    size_t n;
};

static struct {
    struct sb_rpc_channel *channel;
    char address[256];
} grpc;

static int run_process(const struct contender *self, struct sb_err *err)
{
    pid_t pid = -1;
    int status = 0;
    char *const *args = NULL;
    const void *words = self->args;
    memcpy(&args, &words, sizeof args);
    int failed = posix_spawnp(&pid, self->args[0], NULL, NULL, args, environ);
    if (failed != 0) {
        return sb_err_sys(err, failed, "start %s", self->args[0]);
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return sb_err_sys(err, errno, "wait");
        }
    }
    if (status != 0) {
        return sb_err_set(err, SB_INTERNAL, "%s: wait status 0x%x", self->title, (unsigned)status);
    }
    return 0;
}

/* The worker is stopped outside the measured time. */
static int run_cold(const struct contender *self, struct sb_err *err)
{
    static const char *const stop[] = {"aisbx", "worker", "stop", NULL};
    struct contender stopper = {.title = "aisbx worker stop", .args = stop};
    (void)run_process(&stopper, err);
    uint64_t began = sb_clock_mono_ns();
    if (run_process(self, err) < 0) {
        return -1;
    }
    self->took_ns[self->n] = sb_clock_mono_ns() - began;
    return 0;
}

static int run_call(const struct contender *self, struct sb_err *err)
{
    (void)self;
    char *args[] = {(char[]){"/bin/true"}};
    Aisbx__V1__Command command = AISBX__V1__COMMAND__INIT;
    command.n_args = 1;
    command.args = args;
    Aisbx__V1__ExecSpec exec = AISBX__V1__EXEC_SPEC__INIT;
    exec.program_case = AISBX__V1__EXEC_SPEC__PROGRAM_COMMAND;
    exec.command = &command;
    Aisbx__V1__SandboxSpec sandbox = AISBX__V1__SANDBOX_SPEC__INIT;
    sandbox.profile = (char[]){"strict"};
    Aisbx__V1__ExecTarget target = AISBX__V1__EXEC_TARGET__INIT;
    target.sandbox_case = AISBX__V1__EXEC_TARGET__SANDBOX_NEW_SANDBOX;
    target.new_sandbox = &sandbox;
    Aisbx__V1__RunRequest request = AISBX__V1__RUN_REQUEST__INIT;
    request.target = &target;
    request.exec = &exec;

    Aisbx__V1__RunResponse *reply = NULL;
    if (aisbx__v1__sandbox_service__run__call(grpc.channel, &request, NULL, &reply, err) < 0) {
        return -1;
    }
    int exit_code = reply->exec->verdict->exit_code;
    protobuf_c_message_free_unpacked(&reply->base, NULL);
    return exit_code == 0 ? 0 : sb_err_set(err, SB_INTERNAL, "true ended with %d", exit_code);
}

static const char *const true_args[] = {"/bin/true", NULL};
static const char *const aisbx_args[] = {"aisbx", "run",       "--profile", "strict",
                                         "--",    "/bin/true", NULL};
static const char *const bwrap_args[] = {"bwrap",
                                         "--unshare-all",
                                         "--die-with-parent",
                                         "--new-session",
                                         "--clearenv",
                                         "--cap-drop",
                                         "ALL",
                                         "--ro-bind",
                                         "/usr",
                                         "/usr",
                                         "--symlink",
                                         "usr/bin",
                                         "/bin",
                                         "--symlink",
                                         "usr/lib",
                                         "/lib",
                                         "--symlink",
                                         "usr/lib64",
                                         "/lib64",
                                         "--ro-bind",
                                         "/etc/ld.so.cache",
                                         "/etc/ld.so.cache",
                                         "--proc",
                                         "/proc",
                                         "--dev",
                                         "/dev",
                                         "--tmpfs",
                                         "/tmp",
                                         "--dir",
                                         "/workspace",
                                         "--chdir",
                                         "/workspace",
                                         "--hostname",
                                         "sandbox",
                                         "--seccomp",
                                         "9",
                                         "/bin/true",
                                         NULL};

/* A cold start replaces the worker, which would cut the gRPC channel: two phases, each with its own
 * bubblewrap. */
static struct contender with_worker_up[] = {
    {.key = "true", .title = "/bin/true, no sandbox", .run = run_process, .args = true_args},
    {.key = "bwrap", .title = "bubblewrap, same walls", .run = run_process, .args = bwrap_args},
    {.key = "warm", .title = "aisbx run, worker up", .run = run_process, .args = aisbx_args},
    {.key = "grpc", .title = "gRPC Run over unix", .run = run_call},
};
static struct contender with_worker_down[] = {
    {.key = "true_2", .title = "/bin/true, no sandbox", .run = run_process, .args = true_args},
    {.key = "bwrap_2", .title = "bubblewrap, same walls", .run = run_process, .args = bwrap_args},
    {.key = "cold", .title = "aisbx run, worker starts too", .run = run_cold, .args = aisbx_args},
};
enum { TRUE = 0, BWRAP = 1, WARM = 2 };

struct phase {
    const char *title;
    struct contender *contenders;
    size_t n;
};
#define PHASE(title, list)                                                                         \
    {                                                                                              \
        title, list, sizeof(list) / sizeof((list)[0])                                              \
    }
static const struct phase phases[] = {PHASE("worker up", with_worker_up),
                                      PHASE("worker down", with_worker_down)};
enum { N_PHASES = sizeof phases / sizeof phases[0] };

/* bubblewrap takes compiled BPF on a descriptor and reads it once, so each run needs the offset
 * back at 0. */
static int make_filter(struct sb_err *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (filter == NULL) {
        return sb_err_oom(err);
    }
    for (int call = 0; call < 335; call++) {
        (void)seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
    }
    int fd = memfd_create("bwrap-filter", 0);
    int failed = fd < 0 ? -errno : seccomp_export_bpf(filter, fd);
    seccomp_release(filter);
    if (failed < 0 || dup2(fd, SECCOMP_FD) < 0) {
        return sb_err_sys(err, failed < 0 ? -failed : errno, "filter for bubblewrap");
    }
    (void)close(fd);
    return 0;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double at_ms(const struct contender *c, double quantile)
{
    size_t i = (size_t)(quantile * (double)(c->n - 1) + 0.5);
    return (double)c->took_ns[i] / 1e6;
}

static int open_channel(struct sb_err *err)
{
    const char *runtime = getenv("AISBX_RUNTIME_DIR");
    (void)snprintf(grpc.address, sizeof grpc.address, "grpc+unix:%s/worker.sock",
                   runtime != NULL ? runtime : "/run/aisbx");
    const struct sb_rpc_channel_options options = {.module_dir = getenv("AISBX_BIN")};
    return sb_rpc_channel_open(grpc.address, &options, &grpc.channel, err);
}

static int run_round(const struct phase *phase, struct sb_err *err)
{
    for (size_t i = 0; i < phase->n; i++) {
        struct contender *c = &phase->contenders[i];
        (void)lseek(SECCOMP_FD, 0, SEEK_SET);
        uint64_t began = sb_clock_mono_ns();
        if (c->run(c, err) < 0) {
            return sb_err_wrap(err, "%s", c->title);
        }
        if (c->run != run_cold) {
            c->took_ns[c->n] = sb_clock_mono_ns() - began;
        }
        c->n++;
    }
    return 0;
}

/* One round more than asked for: the first warms caches and is forgotten. */
static int run_phase(const struct phase *phase, size_t rounds, struct sb_err *err)
{
    for (size_t i = 0; i < phase->n; i++) {
        phase->contenders[i].took_ns = calloc(rounds + 1, sizeof(uint64_t));
        if (phase->contenders[i].took_ns == NULL) {
            return sb_err_oom(err);
        }
    }
    if (run_round(phase, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < phase->n; i++) {
        phase->contenders[i].n = 0;
    }
    for (size_t i = 0; i < rounds; i++) {
        if (run_round(phase, err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < phase->n; i++) {
        qsort(phase->contenders[i].took_ns, rounds, sizeof(uint64_t), compare);
    }
    return 0;
}

static void print_phase(const struct phase *phase)
{
    const struct contender *all = phase->contenders;
    printf("\n%-30s %8s %8s %8s %8s  %8s %8s\n", phase->title, "min ms", "p50", "p95", "p99",
           "x bwrap", "x true");
    for (size_t i = 0; i < phase->n; i++) {
        printf("%-30s %8.2f %8.2f %8.2f %8.2f  %8.2f %8.2f\n", all[i].title, at_ms(&all[i], 0),
               at_ms(&all[i], 0.5), at_ms(&all[i], 0.95), at_ms(&all[i], 0.99),
               at_ms(&all[i], 0.5) / at_ms(&all[BWRAP], 0.5),
               at_ms(&all[i], 0.5) / at_ms(&all[TRUE], 0.5));
    }
}

static int write_json(const char *path, size_t rounds)
{
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return -1;
    }
    (void)fprintf(file, "{\"rounds\":%zu", rounds);
    for (size_t p = 0; p < N_PHASES; p++) {
        const struct contender *all = phases[p].contenders;
        for (size_t i = 0; i < phases[p].n; i++) {
            (void)fprintf(
                file,
                ",\n\"%s\":{\"min_ms\":%.3f,\"p50_ms\":%.3f,\"p95_ms\":%.3f,\"p99_ms\":%.3f,"
                "\"x_bwrap\":%.3f}",
                all[i].key, at_ms(&all[i], 0), at_ms(&all[i], 0.5), at_ms(&all[i], 0.95),
                at_ms(&all[i], 0.99), at_ms(&all[i], 0.5) / at_ms(&all[BWRAP], 0.5));
        }
    }
    (void)fputs("}\n", file);
    return fclose(file);
}

static int measure(size_t rounds, struct sb_err *err)
{
    if (make_filter(err) < 0 || run_process(&with_worker_up[WARM], err) < 0 ||
        open_channel(err) < 0) {
        return -1;
    }
    for (size_t p = 0; p < N_PHASES; p++) {
        if (run_phase(&phases[p], rounds, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static void print_host(size_t rounds)
{
    struct utsname host;
    (void)uname(&host);
    printf("%zu rounds, interleaved; %ld CPUs, Linux %s\n", rounds, sysconf(_SC_NPROCESSORS_ONLN),
           host.release);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"rounds", required_argument, NULL, 'n'},
                                            {"json", required_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    size_t rounds = 100;
    const char *json = NULL;
    for (int opt; (opt = getopt_long(argc, argv, "n:j:", options, NULL)) != -1;) {
        if (opt == 'n') {
            rounds = strtoul(optarg, NULL, 10);
        } else if (opt == 'j') {
            json = optarg;
        } else {
            return 2;
        }
    }
    if (rounds < 1 || rounds > MAX_ROUNDS) {
        (void)fprintf(stderr, "bench_start: --rounds 1..%d\n", MAX_ROUNDS);
        return 2;
    }
    struct sb_err err;
    if (measure(rounds, &err) < 0) {
        (void)fprintf(stderr, "bench_start: %s\n", err.text);
        return 1;
    }
    print_host(rounds);
    for (size_t p = 0; p < N_PHASES; p++) {
        print_phase(&phases[p]);
    }
    sb_rpc_channel_free(grpc.channel);
    return json != NULL && write_json(json, rounds) != 0 ? 1 : 0;
}
