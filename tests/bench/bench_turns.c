/** Acts by turns: bench_turns [--address ADDRESS] [--rounds N] <LINES >SAMPLES
 *
 *  Theory of operation. One round does every act of the lines on standard input once, in turn, so
 *  that whatever else the machine does hits all alike. One round more than asked for: the first
 *  warms caches and is forgotten. It judges nothing: standard output has a line for each sample,
 *  NAME, nanoseconds until the first byte of output (0: none), and until the end. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "act.h"
#include "base/err.h"
#include "proto/rpc/rpc.h"

enum { MAX_ROUNDS = 1000000 };

static int run_round(const struct sb_act *acts,
                     size_t n,
                     struct sb_rpc_channel *channel,
                     bool is_kept,
                     struct sb_err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct sb_act_took took = {0};
        if (sb_act_do(&acts[i], channel, &took, err) < 0) {
            return -1;
        }
        if (is_kept && took.whole_ns != 0) {
            (void)printf("%s\t%" PRIu64 "\t%" PRIu64 "\n", sb_act_name(&acts[i]), took.first_ns,
                         took.whole_ns);
        }
    }
    return 0;
}

static int measure(const char *address, size_t rounds, struct sb_err *err)
{
    static struct sb_act acts[SB_ACT_MAX];
    size_t n = 0;
    const struct sb_rpc_channel_options options = {.module_dir = getenv("AISBX_BIN")};
    struct sb_rpc_channel *channel = NULL;
    int rc = sb_act_read(stdin, acts, &n, err);
    if (rc == 0) {
        rc = sb_act_make_filter(err);
    }
    if (rc == 0 && address != NULL) {
        rc = sb_rpc_channel_open(address, &options, &channel, err);
    }
    for (size_t i = 0; rc == 0 && i <= rounds; i++) {
        rc = run_round(acts, n, channel, i > 0, err);
    }
    sb_rpc_channel_free(channel);
    for (size_t i = 0; i < SB_ACT_MAX; i++) {
        sb_act_done(&acts[i]);
    }
    return rc;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"rounds", required_argument, NULL, 'n'},
                                            {"address", required_argument, NULL, 'a'},
                                            {NULL, 0, NULL, 0}};
    size_t rounds = 100;
    const char *address = NULL;
    for (int opt; (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (opt == 'n') {
            rounds = strtoul(optarg, NULL, 10);
        } else if (opt == 'a') {
            address = optarg;
        } else {
            return 2;
        }
    }
    if (rounds < 1 || rounds > MAX_ROUNDS) {
        (void)fprintf(stderr, "bench_turns: --rounds 1..%d\n", MAX_ROUNDS);
        return 2;
    }
    struct sb_err err;
    if (measure(address, rounds, &err) < 0) {
        (void)fprintf(stderr, "bench_turns: %s\n", err.text);
        return 1;
    }
    return 0;
}
