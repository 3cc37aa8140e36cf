/** What it costs to write each act down: the same calls to workers that differ in --audit alone.
 *
 *      bench_audit [--rounds N] OFF COMMIT DISK      addresses of the three
 *
 *  Theory of operation. One round gives every worker the same number of calls, in turn, so that
 *  whatever else the machine does hits all alike; once by one caller, which waits for each record,
 *  and once by several at a time, whose records share a commit. Callers are threads with a channel
 *  of their own. Two kinds of act: a program in a new sandbox, and one that costs next to nothing,
 *  so that the record is what is seen. */
#include <getopt.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "aisbx/v1/worker_service.rpc.h"
#include "base/clock.h"
#include "base/err.h"
#include "proto/rpc/rpc.h"

enum { N_WORKERS = 3, MAX_LANES = 8, MAX_ROUNDS = 1000 };

static const char *const titles[N_WORKERS] = {"--audit off", "--audit commit", "--audit disk"};

struct lane {
    struct sb_rpc_channel *channel;
    int (*act)(struct sb_rpc_channel *channel, struct sb_err *err);
    unsigned n_calls;
    uint64_t *took_ns; /* n_calls of them */
    struct sb_err err;
    int rc;
};

struct samples {
    uint64_t *took_ns;
    size_t n;
    uint64_t busy_ns;
};

static struct lane lanes[N_WORKERS][MAX_LANES];

/* ---- acts ---- */

static int act_run(struct sb_rpc_channel *channel, struct sb_err *err)
{
    static char program[] = "/bin/true";
    static char profile[] = "strict";
    char *args[] = {program};
    Aisbx__V1__Command command = AISBX__V1__COMMAND__INIT;
    command.n_args = 1;
    command.args = args;
    Aisbx__V1__ExecSpec exec = AISBX__V1__EXEC_SPEC__INIT;
    exec.program_case = AISBX__V1__EXEC_SPEC__PROGRAM_COMMAND;
    exec.command = &command;
    Aisbx__V1__SandboxSpec sandbox = AISBX__V1__SANDBOX_SPEC__INIT;
    sandbox.profile = profile;
    Aisbx__V1__ExecTarget target = AISBX__V1__EXEC_TARGET__INIT;
    target.sandbox_case = AISBX__V1__EXEC_TARGET__SANDBOX_NEW_SANDBOX;
    target.new_sandbox = &sandbox;
    Aisbx__V1__RunRequest request = AISBX__V1__RUN_REQUEST__INIT;
    request.target = &target;
    request.exec = &exec;
    Aisbx__V1__RunResponse *reply = NULL;
    if (aisbx__v1__sandbox_service__run__call(channel, &request, NULL, &reply, err) < 0) {
        return -1;
    }
    int exit_code = reply->exec->verdict->exit_code;
    protobuf_c_message_free_unpacked(&reply->base, NULL);
    return exit_code == 0 ? 0 : sb_err_set(err, SB_INTERNAL, "true ended with %d", exit_code);
}

static int act_drain(struct sb_rpc_channel *channel, struct sb_err *err)
{
    Aisbx__V1__SetDrainingRequest request = AISBX__V1__SET_DRAINING_REQUEST__INIT;
    Aisbx__V1__SetDrainingResponse *reply = NULL;
    if (aisbx__v1__worker_service__set_draining__call(channel, &request, NULL, &reply, err) < 0) {
        return -1;
    }
    protobuf_c_message_free_unpacked(&reply->base, NULL);
    return 0;
}

/* ---- rounds ---- */

static void *lane_main(void *arg)
{
    struct lane *lane = arg;
    lane->rc = 0;
    for (unsigned i = 0; i < lane->n_calls && lane->rc == 0; i++) {
        uint64_t began = sb_clock_mono_ns();
        lane->rc = lane->act(lane->channel, &lane->err);
        lane->took_ns[i] = sb_clock_mono_ns() - began;
    }
    return NULL;
}

/* All callers of one worker, n_calls each. */
static int run_lanes(struct lane *mine,
                     unsigned n_lanes,
                     const struct lane *what,
                     struct samples *samples,
                     struct sb_err *err)
{
    pthread_t threads[MAX_LANES];
    unsigned n_started = 0;
    uint64_t began = sb_clock_mono_ns();
    for (; n_started < n_lanes; n_started++) {
        struct lane *lane = &mine[n_started];
        lane->act = what->act;
        lane->n_calls = what->n_calls;
        lane->took_ns = samples->took_ns + samples->n;
        if (pthread_create(&threads[n_started], NULL, lane_main, lane) != 0) {
            break;
        }
        samples->n += what->n_calls;
    }
    int rc = n_started == n_lanes ? 0 : sb_err_set(err, SB_EXHAUSTED, "threads");
    for (unsigned i = 0; i < n_started; i++) {
        (void)pthread_join(threads[i], NULL);
        if (mine[i].rc < 0) {
            *err = mine[i].err;
            rc = -1;
        }
    }
    samples->busy_ns += sb_clock_mono_ns() - began;
    return rc;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double at_ms(const struct samples *samples, double quantile)
{
    size_t i = (size_t)(quantile * (double)(samples->n - 1) + 0.5);
    return (double)samples->took_ns[i] / 1e6;
}

static double a_second(const struct samples *samples)
{
    return (double)samples->n * 1e9 / (double)samples->busy_ns;
}

static void print_table(const char *title, unsigned n_lanes, const struct samples *all)
{
    printf("\n%s, %u at a time\n%-20s %9s %9s %9s %12s  %9s %9s\n", title, n_lanes, "", "min ms",
           "p50", "p99", "calls a s", "p50 x off", "rate/off");
    for (size_t w = 0; w < N_WORKERS; w++) {
        printf("%-20s %9.3f %9.3f %9.3f %12.0f  %9.2f %9.2f\n", titles[w], at_ms(&all[w], 0),
               at_ms(&all[w], 0.5), at_ms(&all[w], 0.99), a_second(&all[w]),
               at_ms(&all[w], 0.5) / at_ms(&all[0], 0.5), a_second(&all[w]) / a_second(&all[0]));
    }
}

/* The first round warms caches and is forgotten. */
static int measure(const char *title,
                   const struct lane *what,
                   unsigned n_lanes,
                   unsigned n_rounds,
                   struct sb_err *err)
{
    struct samples all[N_WORKERS] = {0};
    int rc = 0;
    for (size_t w = 0; w < N_WORKERS && rc == 0; w++) {
        all[w].took_ns = calloc((size_t)n_rounds * n_lanes * what->n_calls, sizeof(uint64_t));
        rc = all[w].took_ns == NULL ? sb_err_oom(err) : 0;
    }
    for (unsigned round = 0; round <= n_rounds && rc == 0; round++) {
        for (size_t w = 0; w < N_WORKERS && rc == 0; w++) {
            if (round == 1) {
                all[w].n = 0;
                all[w].busy_ns = 0;
            }
            rc = run_lanes(lanes[w], n_lanes, what, &all[w], err);
        }
    }
    for (size_t w = 0; w < N_WORKERS && rc == 0; w++) {
        qsort(all[w].took_ns, all[w].n, sizeof(uint64_t), compare);
    }
    if (rc == 0) {
        print_table(title, n_lanes, all);
    }
    for (size_t w = 0; w < N_WORKERS; w++) {
        free(all[w].took_ns);
    }
    return rc;
}

static int measure_all(char *const *addresses, unsigned n_rounds, struct sb_err *err)
{
    const struct lane run = {.act = act_run, .n_calls = 4};
    const struct lane drain = {.act = act_drain, .n_calls = 50};
    for (size_t w = 0; w < N_WORKERS; w++) {
        for (size_t i = 0; i < MAX_LANES; i++) {
            if (sb_rpc_channel_open(addresses[w], NULL, &lanes[w][i].channel, err) < 0) {
                return -1;
            }
        }
    }
    const unsigned counts[] = {1, MAX_LANES};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        if (measure("Run of /bin/true in a new sandbox", &run, counts[i], n_rounds, err) < 0 ||
            measure("SetDraining, nothing but the record", &drain, counts[i], n_rounds, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"rounds", required_argument, NULL, 'n'},
                                            {NULL, 0, NULL, 0}};
    unsigned long n_rounds = 25;
    struct sb_err err;
    for (int opt; (opt = getopt_long(argc, argv, "n:", options, NULL)) != -1;) {
        if (opt != 'n') {
            return 2;
        }
        n_rounds = strtoul(optarg, NULL, 10);
    }
    if (n_rounds < 1 || n_rounds > MAX_ROUNDS || argc - optind != N_WORKERS) {
        (void)fprintf(stderr, "bench_audit: --rounds 1..%d, and three addresses\n", MAX_ROUNDS);
        return 2;
    }
    int rc = measure_all(argv + optind, (unsigned)n_rounds, &err);
    if (rc < 0) {
        (void)fprintf(stderr, "bench_audit: %s\n", err.text);
    }
    for (size_t w = 0; w < N_WORKERS; w++) {
        for (size_t i = 0; i < MAX_LANES; i++) {
            sb_rpc_channel_free(lanes[w][i].channel);
        }
    }
    return rc < 0 ? 1 : 0;
}
