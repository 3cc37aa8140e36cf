#include "fixture.h"

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/rpc_grpc/certs.h"

enum { MAX_HELD = 4096 };

struct counters seen;
atomic_bool is_server_deaf;
const char *transport_name = "local";

bool is_local(void)
{
    return strcmp(transport_name, "local") == 0;
}

bool is_unix(void)
{
    return is_local() || strcmp(transport_name, "grpc") == 0;
}

struct job {
    void (*fn)(void *ctx);
    void *ctx;
    atomic_bool is_done;
};

struct fixture {
    char dir[64];
    char socket[96];
    char target[128]; /* for channels */
    struct event_base *base;
    struct event *wake;
    int wake_fds[2];
    struct sb_rpc_server *server;
    pthread_t thread;
    struct sb_rpc_call *held[MAX_HELD];
    unsigned n_held;
    bool is_running;
};

/* ---- service, on the loop ---- */

/** Per call; for streams. */
struct stream_state {
    uint32_t left;
    uint32_t next;
    uint32_t fail_code;
    uint64_t bytes;
    uint8_t *data;
    uint32_t size;
};

static void fill_reply(struct sb_rpc_call *call,
                       const Aisbx__Test__EchoRequest *req,
                       Aisbx__Test__EchoReply *reply)
{
    const struct sb_rpc_peer *peer = sb_rpc_call_peer(call);
    reply->text = req->text;
    reply->payload = req->payload;
    reply->transport = text(peer->transport);
    reply->pid = peer->pid;
    reply->uid = (int64_t)peer->uid;
    reply->time_left_ms = sb_rpc_call_time_left_ms(call);
    reply->nested = req->nested;
    size_t len = 0;
    const char *value =
        *req->want_metadata == '\0' ? NULL : sb_rpc_call_metadata(call, req->want_metadata, &len);
    if (value != NULL) {
        assert_int_equal(value[len], '\0');
        reply->has_metadata = true;
        reply->metadata = (ProtobufCBinaryData){len, (uint8_t *)text(value)};
    }
}

static void write_to_fd(struct sb_rpc_call *call, const char *text)
{
    int fd = sb_rpc_call_take_fd(call, 0);
    if (fd >= 0) {
        (void)!write(fd, text, strlen(text));
        (void)close(fd);
    }
}

static void on_echo(struct sb_rpc_call *call, const Aisbx__Test__EchoRequest *req, void *svc)
{
    struct fixture *fixture = svc;
    atomic_fetch_add(&seen.started, 1);
    if (req->want_trailers) {
        sb_rpc_call_trailer(call, "x-text", "hello", 5);
        sb_rpc_call_trailer(call, "x-data-bin", "a\0b", 3);
    }
    if (req->hold) {
        assert_true(fixture->n_held < MAX_HELD);
        fixture->held[fixture->n_held++] = call;
        sb_rpc_call_ref(call);
        return;
    }
    atomic_fetch_add(&seen.replied, 1);
    if (req->fail_code != 0) {
        struct sb_err err;
        (void)sb_err_set(&err, (enum sb_code)req->fail_code, "failed as asked: %s", req->text);
        sb_rpc_call_fail(call, &err);
        return;
    }
    Aisbx__Test__EchoReply reply = AISBX__TEST__ECHO_REPLY__INIT;
    fill_reply(call, req, &reply);
    if (req->use_fd) {
        write_to_fd(call, req->text);
    }
    uint8_t *big = NULL;
    if (req->reply_bytes > 0) {
        big = calloc(1, req->reply_bytes);
        assert_non_null(big);
        reply.payload = (ProtobufCBinaryData){req->reply_bytes, big};
    }
    aisbx__test__echo_service__echo__reply(call, &reply);
    free(big);
}

static void on_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    struct fixture *fixture = svc;
    struct stream_state *stream = sb_rpc_call_user(call);
    if (stream != NULL) {
        free(stream->data);
        free(stream);
        sb_rpc_call_set_user(call, NULL);
    }
    for (unsigned i = 0; i < fixture->n_held; i++) {
        if (fixture->held[i] == call) {
            fixture->held[i] = fixture->held[--fixture->n_held];
            sb_rpc_call_unref(call);
            break;
        }
    }
    atomic_fetch_add(&seen.cancelled, cancelled ? 1 : 0);
    atomic_fetch_add(&seen.done, 1);
}

static struct stream_state *new_state(struct sb_rpc_call *call)
{
    struct stream_state *state = calloc(1, sizeof *state);
    assert_non_null(state);
    sb_rpc_call_set_user(call, state);
    atomic_fetch_add(&seen.started, 1);
    return state;
}

static void finish(struct sb_rpc_call *call, uint32_t fail_code)
{
    atomic_fetch_add(&seen.replied, 1);
    if (fail_code != 0) {
        struct sb_err err;
        (void)sb_err_set(&err, (enum sb_code)fail_code, "failed as asked");
        sb_rpc_call_fail(call, &err);
    } else {
        sb_rpc_call_reply(call, NULL);
    }
}

static void count_on(struct sb_rpc_call *call)
{
    struct stream_state *state = sb_rpc_call_user(call);
    bool has_room = true;
    while (state->left > 0 && has_room) {
        Aisbx__Test__Chunk chunk = AISBX__TEST__CHUNK__INIT;
        chunk.number = state->next++;
        chunk.data = (ProtobufCBinaryData){state->size, state->data};
        state->left--;
        has_room = aisbx__test__echo_service__count__send(call, &chunk);
        atomic_fetch_add(&seen.sent, 1);
    }
    if (state->left == 0) {
        finish(call, state->fail_code);
    }
}

static void on_count(struct sb_rpc_call *call, const Aisbx__Test__CountRequest *req, void *svc)
{
    (void)svc;
    struct stream_state *state = new_state(call);
    state->left = req->count;
    state->size = req->size;
    state->fail_code = req->fail_code;
    state->data = calloc(1, req->size + 1);
    assert_non_null(state->data);
    count_on(call);
}

static void on_count_drained(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    atomic_fetch_add(&seen.drained, 1);
    count_on(call);
}

/** The call reads on, or is kept for fixture_poke. */
static void read_on(struct sb_rpc_call *call, struct fixture *fixture)
{
    if (!atomic_load(&is_server_deaf)) {
        sb_rpc_call_read(call);
        return;
    }
    fixture->held[fixture->n_held++] = call;
    sb_rpc_call_ref(call);
}

static void on_stream_start(struct sb_rpc_call *call, void *svc)
{
    (void)new_state(call);
    read_on(call, svc);
}

static void on_collect_message(struct sb_rpc_call *call, const Aisbx__Test__Chunk *msg, void *svc)
{
    struct stream_state *state = sb_rpc_call_user(call);
    state->next++;
    state->bytes += msg->data.len;
    atomic_fetch_add(&seen.read, 1);
    if (msg->number == CHUNK_REFUSE) {
        finish(call, SB_ABORTED);
        return;
    }
    if (msg->number == CHUNK_ACCEPT) {
        sb_rpc_call_accept(call);
        sb_rpc_call_accept(call); /* once, however often it is said */
    }
    read_on(call, svc);
}

static void on_collect_half_close(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    struct stream_state *state = sb_rpc_call_user(call);
    Aisbx__Test__CollectReply reply = AISBX__TEST__COLLECT_REPLY__INIT;
    reply.chunks = state->next;
    reply.bytes = state->bytes;
    atomic_fetch_add(&seen.replied, 1);
    aisbx__test__echo_service__collect__reply(call, &reply);
}

static void on_chat_message(struct sb_rpc_call *call, const Aisbx__Test__Chunk *msg, void *svc)
{
    atomic_fetch_add(&seen.read, 1);
    if (msg->number == UINT32_MAX) {
        finish(call, SB_ABORTED);
        return;
    }
    atomic_fetch_add(&seen.sent, 1);
    if (aisbx__test__echo_service__chat__send(call, msg)) {
        read_on(call, svc);
    }
}

static void on_chat_drained(struct sb_rpc_call *call, void *svc)
{
    atomic_fetch_add(&seen.drained, 1);
    read_on(call, svc);
}

static void on_chat_half_close(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    finish(call, SB_OK);
}

static const struct aisbx__test__echo_service__server echo_service = {
    .echo = {.start = on_echo, .done = on_done},
    .count = {.start = on_count, .drained = on_count_drained, .done = on_done},
    .collect = {.start = on_stream_start,
                .message = on_collect_message,
                .half_close = on_collect_half_close,
                .done = on_done},
    .chat = {.start = on_stream_start,
             .message = on_chat_message,
             .half_close = on_chat_half_close,
             .drained = on_chat_drained,
             .done = on_done},
};

/* ---- thread ---- */

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    (void)ctx;
    struct job *job = NULL;
    if (read(fd, &job, sizeof(void *)) == sizeof(void *)) {
        job->fn(job->ctx);
        atomic_store(&job->is_done, true);
    }
}

void fixture_on_loop(struct fixture *fixture, void (*fn)(void *ctx), void *ctx)
{
    struct job job = {fn, ctx, false};
    struct job *pointer = &job;
    assert_int_equal(write(fixture->wake_fds[1], &pointer, sizeof(void *)), sizeof(void *));
    while (!atomic_load(&job.is_done)) {
        (void)poll(NULL, 0, 1);
    }
}

static void *run_loop(void *ctx)
{
    struct fixture *fixture = ctx;
    (void)event_base_dispatch(fixture->base);
    return NULL;
}

/** The files of one end; empty where there is none. */
struct tls_files {
    char cert[96];
    char key[96];
    char ca[96];
    struct sb_rpc_tls tls;
};

static const struct sb_rpc_tls *
tls_of(const struct fixture *fixture, struct tls_files *files, const char *name, bool has_ca)
{
    (void)snprintf(files->cert, sizeof files->cert, "%s/%s.pem", fixture->dir, name);
    (void)snprintf(files->key, sizeof files->key, "%s/%s.key", fixture->dir, name);
    (void)snprintf(files->ca, sizeof files->ca, "%s/ca.pem", fixture->dir);
    files->tls = (struct sb_rpc_tls){
        .cert_file = files->cert, .key_file = files->key, .ca_file = has_ca ? files->ca : NULL};
    return &files->tls;
}

#ifdef TEST_HAS_GRPC
static const struct sb_rpc_server_transport *grpc_transport(void)
{
    return is_local() ? NULL : sb_rpc_grpc_server_transport();
}

static int listen_tcp(struct fixture *fixture, struct sb_err *err)
{
    struct tls_files files;
    const struct sb_rpc_tls *tls = NULL;
    if (strcmp(transport_name, "tcp") != 0) {
        certs_make_ca(fixture->dir, "ca");
        certs_make(fixture->dir, "server", "ca", "IP:127.0.0.1");
        certs_make(fixture->dir, "client", "ca", "URI:spiffe://test/client");
        tls = tls_of(fixture, &files, "server", strcmp(transport_name, "mtls") == 0);
    }
    int port = 0;
    if (sb_rpc_server_listen(fixture->server, "ipv4:127.0.0.1:0", 0, tls, &port, err) < 0) {
        return -1;
    }
    (void)snprintf(fixture->target, sizeof fixture->target, "ipv4:127.0.0.1:%d", port);
    return 0;
}
#else
static int listen_tcp(struct fixture *fixture, struct sb_err *err)
{
    (void)fixture;
    return sb_err_set(err, SB_UNIMPLEMENTED, "no gRPC");
}

static const struct sb_rpc_server_transport *grpc_transport(void)
{
    return NULL;
}
#endif

static int listen_unix(struct fixture *fixture, struct sb_err *err)
{
    char address[112];
    (void)snprintf(address, sizeof address, "unix:%s", fixture->socket);
    (void)snprintf(fixture->target, sizeof fixture->target, "%s%s", is_local() ? "" : "grpc+",
                   address);
    return sb_rpc_server_listen(fixture->server, address, 0600, NULL, NULL, err);
}

static void start_server(struct fixture *fixture, const struct sb_rpc_server_options *options)
{
    struct sb_rpc_server_options filled = *options;
    filled.base = fixture->base;
    filled.grpc = grpc_transport();
    struct sb_err err;
    fixture->server = sb_rpc_server_new(&filled, &err);
    if (fixture->server == NULL ||
        aisbx__test__echo_service__serve(fixture->server, &echo_service, fixture, &err) < 0 ||
        (is_unix() ? listen_unix(fixture, &err) : listen_tcp(fixture, &err)) < 0 ||
        sb_rpc_server_start(fixture->server, &err) < 0) {
        fail_msg("server: %s", err.text);
    }
}

struct fixture *fixture_start(const struct sb_rpc_server_options *options)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    memset(&seen, 0, sizeof seen);
    atomic_store(&is_server_deaf, false);
    (void)snprintf(fixture->dir, sizeof fixture->dir, "/tmp/aisbx-test-rpc-XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    (void)snprintf(fixture->socket, sizeof fixture->socket, "%s/sock", fixture->dir);
    fixture->base = event_base_new();
    assert_non_null(fixture->base);
    assert_int_equal(pipe(fixture->wake_fds), 0);
    fixture->wake =
        event_new(fixture->base, fixture->wake_fds[0], EV_READ | EV_PERSIST, on_wake, fixture);
    assert_int_equal(event_add(fixture->wake, NULL), 0);

    start_server(fixture, options);
    assert_int_equal(pthread_create(&fixture->thread, NULL, run_loop, fixture), 0);
    fixture->is_running = true;
    return fixture;
}

static void stop_on_loop(void *ctx)
{
    struct fixture *fixture = ctx;
    sb_rpc_server_free(fixture->server);
    fixture->server = NULL;
    (void)event_base_loopbreak(fixture->base);
}

void fixture_stop(struct fixture *fixture)
{
    fixture_on_loop(fixture, stop_on_loop, fixture);
    (void)pthread_join(fixture->thread, NULL);
    event_free(fixture->wake);
    event_base_free(fixture->base);
    (void)close(fixture->wake_fds[0]);
    (void)close(fixture->wake_fds[1]);
    static const char *const left[] = {"sock.lock",  "ca.pem",     "ca.key",    "server.pem",
                                       "server.key", "client.pem", "client.key"};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", fixture->dir, left[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(fixture->dir), 0); /* the socket is gone */
    free(fixture);
}

static void restart_on_loop(void *ctx)
{
    struct fixture *fixture = ctx;
    struct sb_rpc_server_options options = {0};
    sb_rpc_server_free(fixture->server);
    start_server(fixture, &options);
}

void fixture_restart(struct fixture *fixture)
{
    fixture_on_loop(fixture, restart_on_loop, fixture);
}

int fixture_setup(void **state)
{
    struct sb_rpc_server_options options = {0};
    *state = fixture_start(&options);
    return 0;
}

int fixture_teardown(void **state)
{
    fixture_stop(*state);
    return 0;
}

const char *fixture_socket(const struct fixture *fixture)
{
    return fixture->socket;
}

struct sb_rpc_server *fixture_server(const struct fixture *fixture)
{
    return fixture->server;
}

struct sb_rpc_channel *fixture_open(const struct fixture *fixture)
{
    struct sb_rpc_channel_options options = {.module_dir = getenv("AISBX_BIN")};
    struct tls_files files;
    if (strcmp(transport_name, "tls") == 0 || strcmp(transport_name, "mtls") == 0) {
        options.tls = tls_of(fixture, &files, "client", true);
    }
    struct sb_rpc_channel *channel = NULL;
    struct sb_err err;
    if (sb_rpc_channel_open(fixture->target, &options, &channel, &err) < 0) {
        fail_msg("open %s: %s", fixture->target, err.text);
    }
    return channel;
}

static void release_on_loop(void *ctx)
{
    struct fixture *fixture = ctx;
    while (fixture->n_held > 0) {
        struct sb_rpc_call *call = fixture->held[--fixture->n_held];
        Aisbx__Test__EchoReply reply = AISBX__TEST__ECHO_REPLY__INIT;
        atomic_fetch_add(&seen.replied, 1);
        aisbx__test__echo_service__echo__reply(call, &reply);
        sb_rpc_call_unref(call);
    }
}

void fixture_release(struct fixture *fixture)
{
    fixture_on_loop(fixture, release_on_loop, fixture);
}

static void poke_on_loop(void *ctx)
{
    struct fixture *fixture = ctx;
    atomic_store(&is_server_deaf, false);
    while (fixture->n_held > 0) {
        struct sb_rpc_call *call = fixture->held[--fixture->n_held];
        sb_rpc_call_read(call);
        sb_rpc_call_unref(call);
    }
}

void fixture_poke(struct fixture *fixture)
{
    fixture_on_loop(fixture, poke_on_loop, fixture);
}

struct live {
    struct fixture *fixture;
    unsigned n;
};

static void live_on_loop(void *ctx)
{
    struct live *live = ctx;
    live->n = sb_rpc_server_live_calls(live->fixture->server);
}

unsigned fixture_live(struct fixture *fixture)
{
    struct live live = {fixture, 0};
    fixture_on_loop(fixture, live_on_loop, &live);
    return live.n;
}
