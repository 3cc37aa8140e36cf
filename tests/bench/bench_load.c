/** Acts by several at a time: bench_load [--address ADDRESS] [--clients N] [--seconds S] <LINES
 *
 *  Theory of operation. Clients do the acts of the lines on standard input, the first the first,
 * and so on; where there are fewer lines, from the first again. Each client is a thread, with a
 * gRPC connection of its own, that begins the next act when one has ended. All do it once before
 * the time begins. Standard output has how many ended well within the time, how many failed, and
 * the nanoseconds it took; then the nanoseconds of each that ended well. The first failure is told
 * on standard error. */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "act.h"
#include "base/clock.h"
#include "base/err.h"
#include "proto/rpc/rpc.h"

enum { MAX_CLIENTS = 512, SAMPLES = 1 << 16, STACK_BYTES = 256 << 10 };

struct load {
    const char *address; /* NULL: the act needs none */
    uint64_t for_ns;
    pthread_barrier_t is_ready;
};

struct client {
    pthread_t thread;
    struct load *load;
    const struct sb_act *act;
    uint64_t *took_ns; /* owned */
    size_t n;
    size_t n_failed;
    uint64_t began_ns; /* monotonic, as the next */
    uint64_t ended_ns;
    struct sb_err err; /* of the first that failed */
};

static void again(struct client *client, struct sb_rpc_channel *channel)
{
    struct sb_act_took took = {0};
    struct sb_err err;
    if (sb_act_do(client->act, channel, &took, &err) < 0) {
        client->err = client->n_failed++ == 0 ? err : client->err;
        struct timespec a_little = {.tv_nsec = 1000000};
        (void)nanosleep(&a_little, NULL);
    } else if (client->n < SAMPLES) {
        client->took_ns[client->n++] = took.whole_ns;
    }
}

static void *client_main(void *arg)
{
    struct client *client = arg;
    struct load *load = client->load;
    const struct sb_rpc_channel_options options = {.module_dir = getenv("AISBX_BIN")};
    struct sb_rpc_channel *channel = NULL;
    bool is_open = load->address == NULL ||
                   sb_rpc_channel_open(load->address, &options, &channel, &client->err) == 0;
    if (is_open) {
        again(client, channel);
        client->n = 0;
    } else {
        client->n_failed = 1;
    }
    (void)pthread_barrier_wait(&load->is_ready);
    client->began_ns = sb_clock_mono_ns();
    uint64_t until_ns = client->began_ns + load->for_ns;
    while (is_open && sb_clock_mono_ns() < until_ns) {
        again(client, channel);
    }
    client->ended_ns = sb_clock_mono_ns();
    sb_rpc_channel_free(channel);
    return NULL;
}

/* @acts  n_acts of them, at least one. */
static int start(struct client *clients,
                 unsigned n,
                 const struct sb_act *acts,
                 size_t n_acts,
                 struct load *load,
                 struct sb_err *err)
{
    pthread_attr_t small;
    (void)pthread_attr_init(&small);
    (void)pthread_attr_setstacksize(&small, STACK_BYTES);
    (void)pthread_barrier_init(&load->is_ready, NULL, n);
    for (unsigned i = 0; i < n; i++) {
        clients[i] = (struct client){
            .load = load, .act = &acts[i % n_acts], .took_ns = calloc(SAMPLES, sizeof(uint64_t))};
        if (clients[i].took_ns == NULL ||
            pthread_create(&clients[i].thread, &small, client_main, &clients[i]) != 0) {
            return sb_err_set(err, SB_EXHAUSTED, "%u clients", n); /* and the program ends */
        }
    }
    return 0;
}

static void tell(struct client *clients, unsigned n)
{
    size_t n_well = 0;
    size_t n_failed = 0;
    uint64_t began_ns = UINT64_MAX;
    uint64_t ended_ns = 0;
    for (unsigned i = 0; i < n; i++) {
        const struct client *client = &clients[i];
        n_well += client->n;
        if (n_failed == 0 && client->n_failed > 0) {
            (void)fprintf(stderr, "bench_load: %s\n", client->err.text);
        }
        n_failed += client->n_failed;
        began_ns = began_ns < client->began_ns ? began_ns : client->began_ns;
        ended_ns = ended_ns > client->ended_ns ? ended_ns : client->ended_ns;
    }
    (void)printf("%zu\t%zu\t%" PRIu64 "\n", n_well, n_failed, ended_ns - began_ns);
    for (unsigned i = 0; i < n; i++) {
        for (size_t k = 0; k < clients[i].n; k++) {
            (void)printf("%" PRIu64 "\n", clients[i].took_ns[k]);
        }
        free(clients[i].took_ns);
    }
}

static int measure(struct load *load, unsigned n_clients, struct sb_err *err)
{
    static struct sb_act acts[SB_ACT_MAX];
    static struct client clients[MAX_CLIENTS];
    size_t n = 0;
    if (sb_act_read(stdin, acts, &n, err) < 0 || sb_act_make_filter(err) < 0) {
        return -1;
    }
    if (n == 0) {
        return sb_err_set(err, SB_INVALID, "no act");
    }
    if (start(clients, n_clients, acts, n, load, err) < 0) {
        return -1;
    }
    for (unsigned i = 0; i < n_clients; i++) {
        (void)pthread_join(clients[i].thread, NULL);
    }
    tell(clients, n_clients);
    for (size_t i = 0; i < n; i++) {
        sb_act_done(&acts[i]);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"clients", required_argument, NULL, 'n'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"address", required_argument, NULL, 'a'},
                                            {NULL, 0, NULL, 0}};
    unsigned long n_clients = 1;
    struct load load = {.for_ns = 1000000000};
    for (int opt; (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (opt == 'n') {
            n_clients = strtoul(optarg, NULL, 10);
        } else if (opt == 's') {
            load.for_ns = (uint64_t)(strtod(optarg, NULL) * 1e9);
        } else if (opt == 'a') {
            load.address = optarg;
        } else {
            return 2;
        }
    }
    if (n_clients < 1 || n_clients > MAX_CLIENTS) {
        (void)fprintf(stderr, "bench_load: --clients 1..%d\n", MAX_CLIENTS);
        return 2;
    }
    struct sb_err err;
    if (measure(&load, (unsigned)n_clients, &err) < 0) {
        (void)fprintf(stderr, "bench_load: %s\n", err.text);
        return 1;
    }
    return 0;
}
