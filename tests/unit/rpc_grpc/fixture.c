#include "fixture.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "proto/rpc/grpc/bytes.h"

enum { WAIT_MS = 20000, N_PATHS = 16, PATH_SIZE = 128, DEFAULT_CHUNK = 65536 };

struct fixture {
    struct event_base *base;
    struct sb_rpc_server *server;
    pthread_t thread;
    bool is_sum_deaf;
    unsigned n_loads_that_fail; /* still */
    int port;
    char target[300];
    struct fixture_stats stats;
    uint8_t *chunk;
};

/* ---- scratch directory ---- */

static char scratch[64];

const char *fixture_scratch(void)
{
    if (scratch[0] == '\0') {
        (void)snprintf(scratch, sizeof scratch, "/tmp/aisbx-test-XXXXXX");
        assert_non_null(mkdtemp(scratch));
    }
    return scratch;
}

const char *fixture_path(const char *name)
{
    static char paths[N_PATHS][PATH_SIZE];
    static unsigned next;
    char *path = paths[next++ % N_PATHS];
    (void)snprintf(path, PATH_SIZE, "%s/%s", fixture_scratch(), name);
    return path;
}

void fixture_scratch_remove(void)
{
    DIR *dir = scratch[0] != '\0' ? opendir(scratch) : NULL;
    if (dir == NULL) {
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    }
    (void)closedir(dir);
    (void)rmdir(scratch);
    scratch[0] = '\0';
}

/* ---- the probe service ---- */

struct say {
    struct sb_rpc_call *call;
    struct event *timer;
    uint8_t *payload;
    size_t len;
};

static void say_reply(struct sb_rpc_call *call, const uint8_t *payload, size_t len)
{
    const struct sb_rpc_peer *peer = sb_rpc_call_peer(call);
    Probe__V1__SayReply reply = PROBE__V1__SAY_REPLY__INIT;
    reply.payload = (ProtobufCBinaryData){.data = sb_grpc_bytes_unconst(payload), .len = len};
    reply.transport = sb_grpc_bytes_unconst(peer->transport);
    reply.identity = sb_grpc_bytes_unconst(peer->identity != NULL ? peer->identity : "");
    reply.address = sb_grpc_bytes_unconst(peer->address);
    reply.uid = peer->uid == (uid_t)-1 ? -1 : (int64_t)peer->uid;
    reply.pid = peer->pid;
    probe__v1__probe__say__reply(call, &reply);
}

static void on_say_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct say *say = ctx;
    say_reply(say->call, say->payload, say->len);
}

static void on_say(struct sb_rpc_call *call, const Probe__V1__SayRequest *req, void *svc)
{
    struct fixture *fixture = svc;
    fixture->stats.started++;
    if (req->fail_code != 0) {
        struct sb_err err;
        (void)sb_err_set(&err, (enum sb_code)req->fail_code, "asked to fail: %s", req->text);
        sb_rpc_call_trailer(call, "x-detail", "because", 7);
        sb_rpc_call_fail(call, &err);
        return;
    }
    struct say *say = calloc(1, sizeof *say);
    say->call = call;
    say->len = req->reply_bytes != 0 ? req->reply_bytes : req->payload.len;
    say->payload = calloc(1, say->len + 1);
    if (req->payload.len > 0 && req->payload.len <= say->len) {
        memcpy(say->payload, req->payload.data, req->payload.len);
    }
    sb_rpc_call_set_user(call, say);
    if (req->sleep_ms == 0) {
        say_reply(call, say->payload, say->len);
        return;
    }
    const struct timeval delay = {req->sleep_ms / 1000, (suseconds_t)(req->sleep_ms % 1000) * 1000};
    say->timer = evtimer_new(fixture->base, on_say_timer, say);
    (void)evtimer_add(say->timer, &delay);
}

static void count_done(struct fixture *fixture, bool cancelled)
{
    fixture->stats.done++;
    fixture->stats.cancelled += cancelled;
}

static void on_say_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    struct say *say = sb_rpc_call_user(call);
    count_done(svc, cancelled);
    if (say == NULL) {
        return;
    }
    if (say->timer != NULL) {
        event_free(say->timer);
    }
    free(say->payload);
    free(say);
}

struct feed {
    unsigned left;
    size_t bytes;
};

static void feed_on(struct sb_rpc_call *call, void *svc)
{
    struct fixture *fixture = svc;
    struct feed *feed = sb_rpc_call_user(call);
    Probe__V1__Chunk chunk = PROBE__V1__CHUNK__INIT;
    chunk.data = (ProtobufCBinaryData){.data = fixture->chunk, .len = feed->bytes};
    bool has_room = true;
    while (feed->left > 0 && has_room) {
        feed->left--;
        fixture->stats.fed_bytes += feed->bytes;
        has_room = probe__v1__probe__feed__send(call, &chunk);
    }
    if (feed->left == 0) {
        sb_rpc_call_reply(call, NULL);
    } else {
        fixture->stats.feeds_full++;
    }
}

static void on_feed(struct sb_rpc_call *call, const Probe__V1__FeedRequest *req, void *svc)
{
    struct fixture *fixture = svc;
    fixture->stats.started++;
    struct feed *feed = calloc(1, sizeof *feed);
    feed->left = req->count;
    feed->bytes = req->chunk_bytes < DEFAULT_CHUNK ? req->chunk_bytes : DEFAULT_CHUNK;
    sb_rpc_call_set_user(call, feed);
    feed_on(call, svc);
}

static void on_feed_drained(struct sb_rpc_call *call, void *svc)
{
    struct fixture *fixture = svc;
    fixture->stats.feeds_full--;
    feed_on(call, svc);
}

static void on_stream_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    free(sb_rpc_call_user(call));
    count_done(svc, cancelled);
}

static void on_sum(struct sb_rpc_call *call, void *svc)
{
    struct fixture *fixture = svc;
    fixture->stats.started++;
    sb_rpc_call_set_user(call, calloc(1, sizeof(uint64_t)));
    if (!fixture->is_sum_deaf) {
        sb_rpc_call_read(call);
    }
}

static void on_sum_message(struct sb_rpc_call *call, const Probe__V1__Chunk *chunk, void *svc)
{
    (void)svc;
    uint64_t *bytes = sb_rpc_call_user(call);
    *bytes += chunk->data.len;
    sb_rpc_call_read(call);
}

static void on_sum_half_close(struct sb_rpc_call *call, void *svc)
{
    struct fixture *fixture = svc;
    fixture->stats.half_closed++;
    const uint64_t *bytes = sb_rpc_call_user(call);
    Probe__V1__SumReply reply = PROBE__V1__SUM_REPLY__INIT;
    reply.bytes = *bytes;
    probe__v1__probe__sum__reply(call, &reply);
}

static void on_chat(struct sb_rpc_call *call, void *svc)
{
    struct fixture *fixture = svc;
    fixture->stats.started++;
    sb_rpc_call_read(call);
}

static void on_chat_message(struct sb_rpc_call *call, const Probe__V1__Chunk *chunk, void *svc)
{
    (void)svc;
    if (probe__v1__probe__chat__send(call, chunk)) {
        sb_rpc_call_read(call);
    }
}

static void on_chat_half_close(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    sb_rpc_call_reply(call, NULL);
}

static void on_chat_drained(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    sb_rpc_call_read(call);
}

static const struct probe__v1__probe__server probe = {
    .say = {.start = on_say, .done = on_say_done},
    .feed = {.start = on_feed, .drained = on_feed_drained, .done = on_stream_done},
    .sum = {.start = on_sum,
            .message = on_sum_message,
            .half_close = on_sum_half_close,
            .done = on_stream_done},
    .chat = {.start = on_chat,
             .message = on_chat_message,
             .half_close = on_chat_half_close,
             .drained = on_chat_drained,
             .done = on_stream_done},
};

/* ---- the server ---- */

static const struct sb_rpc_server_transport *load_grpc(void *ctx, struct sb_err *err)
{
    struct fixture *fixture = ctx;
    if (fixture->n_loads_that_fail > 0) {
        fixture->n_loads_that_fail--;
        (void)sb_err_set(err, SB_UNAVAILABLE, "no module");
        return NULL;
    }
    return sb_rpc_grpc_server_transport();
}

static void show(void *ctx)
{
    struct fixture *fixture = ctx;
    sb_rpc_server_describe(fixture->server, &rpc_probe__descriptors);
}

static int create_server(struct fixture *fixture,
                         const struct fixture_options *options,
                         const char *address,
                         struct sb_err *err)
{
    const struct sb_rpc_grpc_offer offer = {.load = load_grpc, .ready = show, .ctx = fixture};
    struct sb_rpc_server_options server_options = {
        .base = fixture->base,
        .grpc = options->offers ? NULL : sb_rpc_grpc_server_transport(),
        .grpc_threads = options->offers ? 0 : 2,
        .max_calls = options->max_calls,
        .max_connections = options->max_connections,
    };
    fixture->server = sb_rpc_server_new(&server_options, err);
    if (fixture->server == NULL ||
        probe__v1__probe__serve(fixture->server, &probe, fixture, err) < 0) {
        return -1;
    }
    show(fixture);
    if (options->offers) {
        sb_rpc_server_offer_grpc(fixture->server, &offer, 2);
    }
    if (sb_rpc_server_listen(fixture->server, address, 0600, options->tls, &fixture->port, err) <
        0) {
        return -1;
    }
    return sb_rpc_server_start(fixture->server, err);
}

static void *loop_thread(void *arg)
{
    struct fixture *fixture = arg;
    (void)event_base_loop(fixture->base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

struct fixture *fixture_start(const struct fixture_options *options)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->is_sum_deaf = options->is_sum_deaf;
    fixture->n_loads_that_fail = options->n_loads_that_fail;
    fixture->chunk = calloc(1, DEFAULT_CHUNK);
    (void)evthread_use_pthreads();
    fixture->base = event_base_new();
    assert_non_null(fixture->base);
    char address[256];
    const char *path = fixture_path("worker.sock");
    if (options->address != NULL) {
        (void)snprintf(address, sizeof address, "%s", options->address);
    } else {
        (void)snprintf(address, sizeof address, "unix:%s", path);
    }
    struct sb_err err = {0};
    if (create_server(fixture, options, address, &err) < 0) {
        fail_msg("server: %s", err.text);
    }
    if (fixture->port == 0) {
        (void)snprintf(fixture->target, sizeof fixture->target, "grpc+%s", address);
    } else {
        (void)snprintf(fixture->target, sizeof fixture->target, "ipv4:127.0.0.1:%d", fixture->port);
    }
    assert_int_equal(pthread_create(&fixture->thread, NULL, loop_thread, fixture), 0);
    return fixture;
}

struct errand {
    struct fixture *fixture;
    void (*fn)(struct sb_rpc_server *server, void *ctx);
    void *ctx;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_done;
};

static void finish_errand(struct errand *errand)
{
    (void)pthread_mutex_lock(&errand->lock);
    errand->is_done = true;
    (void)pthread_cond_signal(&errand->changed);
    (void)pthread_mutex_unlock(&errand->lock);
}

static void run_errand(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct errand *errand = ctx;
    errand->fn(errand->fixture->server, errand->ctx);
    finish_errand(errand);
}

static void send_errand(struct errand *errand, event_callback_fn run)
{
    static const struct timeval now = {0};
    (void)pthread_mutex_init(&errand->lock, NULL);
    (void)pthread_cond_init(&errand->changed, NULL);
    assert_int_equal(event_base_once(errand->fixture->base, -1, EV_TIMEOUT, run, errand, &now), 0);
    (void)pthread_mutex_lock(&errand->lock);
    while (!errand->is_done) {
        (void)pthread_cond_wait(&errand->changed, &errand->lock);
    }
    (void)pthread_mutex_unlock(&errand->lock);
    (void)pthread_cond_destroy(&errand->changed);
    (void)pthread_mutex_destroy(&errand->lock);
}

void fixture_run(struct fixture *fixture,
                 void (*fn)(struct sb_rpc_server *server, void *ctx),
                 void *ctx)
{
    struct errand errand = {.fixture = fixture, .fn = fn, .ctx = ctx};
    send_errand(&errand, run_errand);
}

static void free_server(struct sb_rpc_server *server, void *ctx)
{
    struct fixture *fixture = ctx;
    sb_rpc_server_free(server);
    (void)event_base_loopexit(fixture->base, NULL);
}

void fixture_stop(struct fixture *fixture)
{
    if (fixture == NULL) {
        return;
    }
    fixture_run(fixture, free_server, fixture);
    (void)pthread_join(fixture->thread, NULL);
    event_base_free(fixture->base);
    free(fixture->chunk);
    free(fixture);
}

const char *fixture_target(const struct fixture *fixture)
{
    return fixture->target;
}

int fixture_port(const struct fixture *fixture)
{
    return fixture->port;
}

static void copy_stats(struct sb_rpc_server *server, void *ctx)
{
    (void)server;
    struct {
        struct fixture *fixture;
        struct fixture_stats stats;
    } *copy = ctx;
    copy->stats = copy->fixture->stats;
}

struct fixture_stats fixture_stats(struct fixture *fixture)
{
    struct {
        struct fixture *fixture;
        struct fixture_stats stats;
    } copy = {.fixture = fixture};
    fixture_run(fixture, copy_stats, &copy);
    return copy.stats;
}

struct drain {
    struct errand errand;
    unsigned lame_ms;
    unsigned grace_ms;
};

static void on_drained(void *ctx)
{
    struct drain *drain = ctx;
    finish_errand(&drain->errand);
}

static void start_drain(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct drain *drain = ctx;
    sb_rpc_server_drain(drain->errand.fixture->server, drain->lame_ms, drain->grace_ms, on_drained,
                        drain);
}

void fixture_drain(struct fixture *fixture, unsigned lame_ms, unsigned grace_ms)
{
    struct drain drain = {.errand.fixture = fixture, .lame_ms = lame_ms, .grace_ms = grace_ms};
    send_errand(&drain.errand, start_drain);
}

/* ---- clients ---- */

struct sb_rpc_channel *fixture_channel(const char *target,
                                       const struct sb_rpc_channel_options *options)
{
    struct sb_rpc_channel_options copy = {0};
    if (options != NULL) {
        copy = *options;
    }
    copy.module_dir = getenv("AISBX_BIN");
    struct sb_rpc_channel *channel = NULL;
    struct sb_err err = {0};
    if (sb_rpc_channel_open(target, &copy, &channel, &err) < 0) {
        fail_msg("channel to %s: %s", target, err.text);
    }
    return channel;
}

enum sb_code fixture_say(struct sb_rpc_channel *channel,
                         const Probe__V1__SayRequest *req,
                         Probe__V1__SayReply **ret_reply,
                         struct sb_err *ret_err)
{
    const struct sb_rpc_stream_options options = {.timeout_ms = WAIT_MS};
    Probe__V1__SayReply *reply = NULL;
    struct sb_err err = {0};
    if (probe__v1__probe__say__call(channel, req, &options, &reply, &err) < 0) {
        if (ret_err != NULL) {
            *ret_err = err;
        }
        return err.code;
    }
    if (ret_reply != NULL) {
        *ret_reply = reply;
    } else {
        probe__v1__say_reply__free_unpacked(reply, NULL);
    }
    return SB_OK;
}

void fixture_expect_answer(struct fixture *fixture)
{
    struct sb_rpc_channel *channel = fixture_channel(fixture_target(fixture), NULL);
    Probe__V1__SayRequest req = PROBE__V1__SAY_REQUEST__INIT;
    assert_int_equal(fixture_say(channel, &req, NULL, NULL), SB_OK);
    sb_rpc_channel_free(channel);
}

void fixture_wait(struct sb_rpc_channel *channel, const bool *flag)
{
    uint64_t deadline = sb_clock_mono_ms() + WAIT_MS;
    while (!*flag) {
        int left = sb_clock_left_ms(deadline);
        if (left == 0) {
            fail_msg("nothing came");
        }
        struct pollfd pfd;
        int timeout = sb_rpc_channel_prepare(channel, &pfd);
        (void)poll(&pfd, 1, timeout >= 0 && timeout < left ? timeout : left);
        sb_rpc_channel_process(channel);
    }
}

int fixture_serve_process(const char *address, const struct sb_rpc_tls *tls)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when the test fails */
    struct fixture fixture = {.base = event_base_new()};
    fixture.chunk = calloc(1, DEFAULT_CHUNK);
    struct sb_err err = {0};
    const struct fixture_options options = {.tls = tls};
    if (create_server(&fixture, &options, address, &err) < 0) {
        (void)fprintf(stderr, "server: %s\n", err.text);
        free(fixture.chunk);
        return 1;
    }
    (void)printf("ready %d\n", fixture.port);
    (void)fflush(stdout);
    (void)event_base_loop(fixture.base, EVLOOP_NO_EXIT_ON_EMPTY);
    free(fixture.chunk);
    return 0;
}
