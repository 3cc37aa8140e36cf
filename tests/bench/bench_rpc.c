/** Unary calls over each transport, in the same run.
 *
 *  Theory of operation. A server in a process of its own (this program again, --serve) answers an
 *  echo method on one unix socket (which speaks both protocols) and on a TCP port. One client
 * thread keeps a number of calls under way and takes the time of each. The transports take turns in
 * short slices, so that whatever else the machine does hits all alike. */

#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "echo.rpc.h"
#include "proto/rpc/rpc.h"

enum {
    MAX_SAMPLES = 4 << 20, /* per transport and concurrency */
    MAX_LANES = 64,
    N_SLICES = 5,
    PAYLOAD_BYTES = 32,
};

struct transport {
    const char *title;
    char address[128];
    struct sb_rpc_channel *channel;
};

struct samples {
    uint32_t *took_us; /* owned */
    size_t n;
    uint64_t busy_ns;
    unsigned n_failed;
};

/* ---- server ---- */

static void on_echo(struct sb_rpc_call *call, const Aisbx__Test__EchoRequest *req, void *svc)
{
    (void)svc;
    Aisbx__Test__EchoReply reply = AISBX__TEST__ECHO_REPLY__INIT;
    reply.payload = req->payload;
    aisbx__test__echo_service__echo__reply(call, &reply);
}

static int serve(const char *address, struct sb_err *err)
{
    static const struct aisbx__test__echo_service__server impl = {.echo = {.start = on_echo}};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct event_base *base = event_base_new();
    const struct sb_rpc_server_options options = {
        .base = base, .grpc = sb_rpc_grpc_server_transport(), .grpc_threads = 1};
    struct sb_rpc_server *server = sb_rpc_server_new(&options, err);
    int port = 0;
    if (server == NULL || aisbx__test__echo_service__serve(server, &impl, NULL, err) < 0 ||
        sb_rpc_server_listen(server, address, 0600, NULL, NULL, err) < 0 ||
        sb_rpc_server_listen(server, "ipv4:127.0.0.1:0", 0, NULL, &port, err) < 0 ||
        sb_rpc_server_start(server, err) < 0) {
        return -1;
    }
    (void)printf("%d\n", port);
    (void)fflush(stdout);
    (void)event_base_dispatch(base);
    return 0;
}

/** Returns the pid, or -1. */
static pid_t start_server(const char *address, int *ret_port, struct sb_err *err)
{
    int fds[2];
    if (pipe(fds) < 0) {
        return sb_err_sys(err, errno, "pipe");
    }
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        (void)close(fds[0]);
        (void)close(fds[1]);
        (void)execl("/proc/self/exe", "bench_rpc", "--serve", address, (char *)NULL);
        _exit(127);
    }
    (void)close(fds[1]);
    FILE *out = fdopen(fds[0], "r");
    char line[16] = "";
    bool is_ready = pid > 0 && out != NULL && fgets(line, sizeof line, out) != NULL;
    if (out != NULL) {
        (void)fclose(out);
    }
    uint64_t port = 0;
    line[strcspn(line, "\n")] = '\0';
    if (!is_ready || sb_num_u64(sb_str_from(line), 1, UINT16_MAX, &port, err) < 0) {
        return sb_err_set(err, SB_UNAVAILABLE, "the server did not start");
    }
    *ret_port = (int)port;
    return pid;
}

/* ---- client ---- */

struct lane {
    struct slice *slice;
    uint64_t since_ns;
};

struct slice {
    struct sb_rpc_channel *channel;
    struct samples *samples;
    uint64_t until_ns;
    unsigned n_live;
    struct lane lanes[MAX_LANES];
};

static void call_next(struct lane *lane);

static void on_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    (void)stream;
    struct lane *lane = user;
    struct samples *samples = lane->slice->samples;
    uint64_t now_ns = sb_clock_mono_ns();
    lane->slice->n_live--;
    if (err->code != SB_OK) {
        samples->n_failed++;
    } else if (samples->n < MAX_SAMPLES) {
        samples->took_us[samples->n++] = (uint32_t)((now_ns - lane->since_ns) / 1000);
    }
    if (now_ns < lane->slice->until_ns) {
        call_next(lane);
    }
}

static void call_next(struct lane *lane)
{
    static const struct aisbx__test__echo_service__echo__callbacks callbacks = {.done = on_done};
    static uint8_t payload[PAYLOAD_BYTES] = {1};
    Aisbx__Test__EchoRequest req = AISBX__TEST__ECHO_REQUEST__INIT;
    req.payload = (ProtobufCBinaryData){sizeof payload, payload};
    struct sb_rpc_stream *stream = NULL;
    struct sb_err err;
    lane->since_ns = sb_clock_mono_ns();
    if (aisbx__test__echo_service__echo__start(lane->slice->channel, &req, NULL, &callbacks, lane,
                                               &stream, &err) < 0) {
        lane->slice->samples->n_failed++;
        return;
    }
    lane->slice->n_live++;
}

static void
run_slice(struct sb_rpc_channel *channel, unsigned n_lanes, uint64_t ms, struct samples *samples)
{
    uint64_t start_ns = sb_clock_mono_ns();
    struct slice slice = {
        .channel = channel, .samples = samples, .until_ns = start_ns + ms * 1000000};
    for (unsigned i = 0; i < n_lanes; i++) {
        slice.lanes[i].slice = &slice;
        call_next(&slice.lanes[i]);
    }
    while (slice.n_live > 0) {
        sb_rpc_channel_wait(channel);
    }
    samples->busy_ns += sb_clock_mono_ns() - start_ns;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void print_row(const char *title, unsigned n_lanes, struct samples *samples)
{
    if (samples->n == 0) {
        (void)printf("%-10s %4u  nothing answered, %u failed\n", title, n_lanes, samples->n_failed);
        return;
    }
    qsort(samples->took_us, samples->n, sizeof *samples->took_us, compare_u32);
    (void)printf("%-10s %4u %10.0f %8u %8u %8u %8u\n", title, n_lanes,
                 (double)samples->n / ((double)samples->busy_ns / 1e9),
                 samples->took_us[samples->n / 2], samples->took_us[samples->n * 99 / 100],
                 samples->took_us[samples->n - 1], samples->n_failed);
}

static int compare_transports(struct transport *transports,
                              size_t n_transports,
                              unsigned n_lanes,
                              uint64_t ms,
                              struct sb_err *err)
{
    struct samples samples[3] = {0};
    int result = 0;
    for (size_t i = 0; i < n_transports; i++) {
        samples[i].took_us = malloc(MAX_SAMPLES * sizeof *samples[i].took_us);
        if (samples[i].took_us == NULL) {
            result = sb_err_oom(err);
        }
    }
    for (int round = 0; result == 0 && round < N_SLICES; round++) {
        for (size_t i = 0; i < n_transports; i++) {
            run_slice(transports[i].channel, n_lanes, ms / N_SLICES, &samples[i]);
        }
    }
    for (size_t i = 0; i < n_transports; i++) {
        if (result == 0) {
            print_row(transports[i].title, n_lanes, &samples[i]);
        }
        free(samples[i].took_us);
    }
    return result;
}

static int run(const char *socket, uint64_t ms, int port, struct sb_err *err)
{
    static const unsigned lanes[] = {1, 16, MAX_LANES};
    struct transport transports[] = {
        {.title = "local"}, {.title = "grpc unix"}, {.title = "grpc tcp"}};
    (void)snprintf(transports[0].address, sizeof transports[0].address, "%s", socket);
    (void)snprintf(transports[1].address, sizeof transports[1].address, "grpc+%s", socket);
    (void)snprintf(transports[2].address, sizeof transports[2].address, "ipv4:127.0.0.1:%d", port);
    const struct sb_rpc_channel_options options = {.module_dir = getenv("AISBX_BIN")};
    int result = 0;
    for (size_t i = 0; i < 3 && result == 0; i++) {
        struct samples warm = {.took_us = malloc(MAX_SAMPLES * sizeof *warm.took_us)};
        result = sb_rpc_channel_open(transports[i].address, &options, &transports[i].channel, err);
        if (result == 0 && warm.took_us != NULL) {
            run_slice(transports[i].channel, 1, 50, &warm);
        }
        free(warm.took_us);
    }
    (void)printf("%-10s %4s %10s %8s %8s %8s %8s\n", "transport", "live", "calls/s", "p50 us",
                 "p99 us", "max us", "failed");
    for (size_t i = 0; i < sizeof lanes / sizeof *lanes && result == 0; i++) {
        result = compare_transports(transports, 3, lanes[i], ms, err);
    }
    for (size_t i = 0; i < 3; i++) {
        sb_rpc_channel_free(transports[i].channel);
    }
    return result;
}

/* One slice with a server that runs already: what was done, as a line of numbers. */
static int load(const char *address, unsigned n_lanes, uint64_t ms, struct sb_err *err)
{
    const struct sb_rpc_channel_options options = {.module_dir = getenv("AISBX_BIN")};
    struct sb_rpc_channel *channel = NULL;
    struct samples warm = {.took_us = malloc(MAX_SAMPLES * sizeof *warm.took_us)};
    struct samples samples = {.took_us = malloc(MAX_SAMPLES * sizeof *samples.took_us)};
    int result = warm.took_us == NULL || samples.took_us == NULL
                     ? sb_err_oom(err)
                     : sb_rpc_channel_open(address, &options, &channel, err);
    if (result == 0) {
        run_slice(channel, n_lanes, 50, &warm);
        run_slice(channel, n_lanes, ms, &samples);
        qsort(samples.took_us, samples.n, sizeof *samples.took_us, compare_u32);
        (void)printf("%zu\t%u\t%" PRIu64 "\t%u\t%u\n", samples.n, samples.n_failed, samples.busy_ns,
                     samples.n == 0 ? 0 : samples.took_us[samples.n / 2],
                     samples.n == 0 ? 0 : samples.took_us[samples.n * 99 / 100]);
    }
    sb_rpc_channel_free(channel);
    free(warm.took_us);
    free(samples.took_us);
    return result;
}

/* --load ADDRESS CALLS MS */
static int load_main(char **args, int n, struct sb_err *err)
{
    uint64_t lanes = 0;
    uint64_t ms = 0;
    if (n != 3) {
        return sb_err_set(err, SB_INVALID, "--load ADDRESS CALLS MS");
    }
    return sb_num_u64(sb_str_from(args[1]), 1, MAX_LANES, &lanes, err) < 0 ||
                   sb_num_u64(sb_str_from(args[2]), 1, 60000, &ms, err) < 0
               ? -1
               : load(args[0], (unsigned)lanes, ms, err);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
                                            {"serve", required_argument, NULL, 'S'},
                                            {"load", no_argument, NULL, 'l'},
                                            {0}};
    uint64_t seconds = 2; /* per transport and number of calls */
    struct sb_err err = {0};
    int option = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'S') {
            return serve(optarg, &err) < 0 ? (fprintf(stderr, "%s\n", err.text), 1) : 0;
        }
        if (option == 'l') {
            int done = load_main(argv + optind, argc - optind, &err);
            return done < 0 ? (fprintf(stderr, "bench_rpc: %s\n", err.text), 1) : 0;
        }
        if (option != 's' || sb_num_u64(sb_str_from(optarg), 1, 60, &seconds, &err) < 0) {
            (void)fprintf(stderr, "usage: bench_rpc [--seconds 1..60]\n");
            return 2;
        }
    }
    char dir[] = "/tmp/aisbx-bench-XXXXXX";
    char socket[64];
    char lock[80];
    if (mkdtemp(dir) == NULL) {
        return 1;
    }
    (void)snprintf(socket, sizeof socket, "unix:%s/sock", dir);
    (void)snprintf(lock, sizeof lock, "%s/sock.lock", dir);
    int port = 0;
    pid_t pid = start_server(socket, &port, &err);
    int result = pid < 0 ? -1 : run(socket, seconds * 1000, port, &err);
    if (pid > 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
    (void)unlink(socket + strlen("unix:"));
    (void)unlink(lock);
    (void)rmdir(dir);
    if (result < 0) {
        (void)fprintf(stderr, "bench_rpc: %s\n", err.text);
        return 1;
    }
    return 0;
}
