/* The gateway's HTTP alone, with handlers that show what it does: /hello, /echo, /query, /who,
 * /wait (never answered), /later (after the loop's next turn), /stream?bytes=N, /ticks?bytes=N (the
 * same, with a writer beside it). Bodies as they come: /swallow (their length), /hold (one piece
 * and no more), /refuse (none of it), /refuse-late (behind one piece), /refuse-later (when it has
 * held them back for a while). Says on stdout: "port N", "gone PATH", "ended STATUS", "held". Ends
 * when standard input does. */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/num.h"
#include "base/out.h"
#include "mcp-gateway/http/problem.h"
#include "mcp-gateway/http/server.h"

static struct event_base *base;

struct job {
    struct sb_http_request *request;
    struct event *timer;
    uint64_t left;
};

static void free_job(struct job *job)
{
    if (job->timer != NULL) {
        event_free(job->timer);
    }
    free(job);
}

static void on_gone(struct sb_http_request *request, void *user)
{
    printf("gone %.*s\n", SB_STR_ARG(sb_http_path(request)));
    free_job(user);
}

static void pump(struct job *job)
{
    static char block[10000];
    memset(block, 'x', sizeof block);
    while (job->left > 0) {
        size_t n = job->left < sizeof block ? (size_t)job->left : sizeof block;
        job->left -= n;
        if (!sb_http_stream_write(job->request, block, n)) {
            printf("high\n");
            return;
        }
    }
    sb_http_stream_end(job->request);
    free_job(job);
}

static void on_drained(struct sb_http_request *request, void *user)
{
    (void)request;
    pump(user);
}

static void on_timer(evutil_socket_t fd, short what, void *user)
{
    struct job *job = user;
    (void)fd;
    (void)what;
    sb_http_reply(job->request, 200, "text/plain", "later\n", 6);
    free_job(job);
}

/* Writes beside what the job writes, as those do who keep a stream alive. */
static void on_tick(evutil_socket_t fd, short what, void *user)
{
    static const struct timeval next = {0, 1000};
    struct job *job = user;
    (void)fd;
    (void)what;
    (void)sb_http_stream_write(job->request, ".", 1);
    (void)event_add(job->timer, &next);
}

static void put_param(struct sb_str name, struct sb_str value, void *ctx)
{
    sb_out_printf(ctx, "%.*s=%.*s\n", SB_STR_ARG(name), SB_STR_ARG(value));
}

static void reply_out(struct sb_http_request *request, struct sb_out *out)
{
    sb_http_reply(request, 200, "text/plain", sb_buf_cstr(&out->buf), out->buf.len);
    sb_out_done(out);
}

static void begin_job(struct sb_http_request *request, struct sb_str path)
{
    static const struct sb_http_watcher watcher = {on_gone, on_drained};
    static const struct timeval soon = {0, 20000};
    struct sb_err err;
    struct sb_str bytes = SB_STR("0");
    struct job *job = calloc(1, sizeof *job);
    job->request = request;
    sb_http_watch(request, &watcher, job);
    if (sb_str_eq(path, SB_STR("/later"))) {
        job->timer = event_new(base, -1, 0, on_timer, job);
        event_add(job->timer, &soon);
    } else if (sb_str_eq(path, SB_STR("/stream")) || sb_str_eq(path, SB_STR("/ticks"))) {
        (void)sb_http_query(request, "bytes", &bytes);
        (void)sb_num_u64(bytes, 0, 1ULL << 40, &job->left, &err);
        sb_http_stream_begin(request, 200, "application/octet-stream");
        if (sb_str_eq(path, SB_STR("/ticks"))) {
            job->timer = event_new(base, -1, 0, on_tick, job);
            event_add(job->timer, &soon);
        }
        pump(job);
    }
}

/* ---- bodies as they come ---- */

static void on_body_gone(struct sb_http_request *request, void *user)
{
    printf("gone %.*s\n", SB_STR_ARG(sb_http_path(request)));
    free(user);
}

static void refuse(struct sb_http_request *request)
{
    sb_http_problem(
        request, &(struct sb_http_problem){.status = 403, .code = SB_DENIED, .detail = "not here"});
}

static void on_later(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    refuse(user);
}

static bool on_piece(struct sb_http_request *request, struct sb_str piece, void *user)
{
    uint64_t *count = user;
    *count += piece.len;
    if (sb_str_eq(sb_http_path(request), SB_STR("/refuse-late"))) {
        free(user);
        refuse(request);
        return false;
    }
    if (sb_str_eq(sb_http_path(request), SB_STR("/refuse-later"))) {
        static const struct timeval later = {0, 200000};
        free(user);
        sb_http_watch(request, NULL, NULL);
        (void)event_base_once(base, -1, EV_TIMEOUT, on_later, request, &later);
        return false;
    }
    if (sb_str_eq(sb_http_path(request), SB_STR("/hold"))) {
        printf("held\n");
        return false;
    }
    return true;
}

static void on_end(struct sb_http_request *request, void *user)
{
    const uint64_t *count = user;
    char text[32];
    int n = snprintf(text, sizeof text, "%llu\n", (unsigned long long)*count);
    sb_http_reply(request, 200, "text/plain", text, (size_t)n);
    free(user);
}

static bool streams(const struct sb_http_request *request, void *user)
{
    static const char *const paths[] = {"/swallow", "/hold", "/refuse", "/refuse-late",
                                        "/refuse-later"};
    bool is_one = false;
    (void)user;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        is_one = is_one || sb_str_eq(sb_http_path(request), sb_str_from(paths[i]));
    }
    return is_one;
}

static void take_body(struct sb_http_request *request)
{
    static const struct sb_http_watcher watcher = {.gone = on_body_gone};
    static const struct sb_http_body_watcher body_watcher = {on_piece, on_end};
    uint64_t *count = calloc(1, sizeof *count);
    sb_http_watch(request, &watcher, count);
    sb_http_watch_body(request, &body_watcher, count);
    sb_http_relay_read(request);
}

static void handle(struct sb_http_request *request, void *user)
{
    struct sb_str path = sb_http_path(request);
    struct sb_str body = sb_http_body(request);
    struct sb_out out;
    (void)user;
    sb_out_init(&out, -1);
    if (sb_str_eq(path, SB_STR("/hello"))) {
        sb_http_reply(request, 200, "text/plain", "hello\n", 6);
    } else if (sb_str_eq(path, SB_STR("/echo"))) {
        sb_http_add_header(request, "X-Length", "a\r\nb");
        sb_http_reply(request, 200, sb_http_header(request, "CONTENT-type"), body.ptr, body.len);
    } else if (sb_str_eq(path, SB_STR("/query"))) {
        sb_http_each_query(request, put_param, &out);
        reply_out(request, &out);
    } else if (sb_str_eq(path, SB_STR("/who"))) {
        const char *identity = sb_http_identity(request);
        sb_out_printf(&out, "%s %s\n", sb_http_peer(request), identity == NULL ? "-" : identity);
        reply_out(request, &out);
    } else if (sb_str_eq(path, SB_STR("/empty"))) {
        sb_http_reply(request, 204, NULL, NULL, 0);
    } else if (sb_str_eq(path, SB_STR("/wait")) || sb_str_eq(path, SB_STR("/later")) ||
               sb_str_eq(path, SB_STR("/stream")) || sb_str_eq(path, SB_STR("/ticks"))) {
        begin_job(request, path);
    } else if (sb_str_eq(path, SB_STR("/refuse"))) {
        refuse(request);
    } else if (streams(request, NULL)) {
        take_body(request);
    } else {
        sb_http_problem(request, &(struct sb_http_problem){.status = 404,
                                                           .code = SB_NOT_FOUND,
                                                           .detail = "no such thing"});
    }
}

static void on_ended(const struct sb_http_request *request, int status, uint64_t us, void *user)
{
    (void)request;
    (void)us;
    (void)user;
    printf("ended %d\n", status);
}

static void stop(void *ctx)
{
    (void)ctx;
    (void)event_base_loopbreak(base);
}

static void on_stdin(evutil_socket_t fd, short what, void *ctx)
{
    char byte = 0;
    (void)what;
    if (read(fd, &byte, 1) == 1) {
        sb_http_server_drain(ctx, 300, stop, NULL);
    } else {
        stop(NULL);
    }
}

static unsigned number(const char *name)
{
    const char *text = getenv(name);
    return text == NULL ? 0 : (unsigned)strtoul(text, NULL, 10);
}

int main(void)
{
    static const char *const origins[] = {"https://app.example"};
    static const char *const hosts[] = {"gw.example"};
    struct sb_http_server *server = NULL;
    struct sb_err err = {0};
    int port = 0;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    base = event_base_new();
    struct sb_http_options options = {
        .base = base,
        .address = "127.0.0.1",
        .tls_cert = getenv("T_CERT"),
        .tls_key = getenv("T_KEY"),
        .tls_ca = getenv("T_CA"),
        .max_body_bytes = 1 << 20,
        .max_bodies_bytes = number("T_BODIES"),
        .max_connections = number("T_CONNECTIONS"),
        .timeout_ms = number("T_TIMEOUT_MS"),
        .idle_ms = number("T_IDLE_MS"),
        .origins = origins,
        .n_origins = 1,
        .hosts = hosts,
        .n_hosts = 1,
        .handle = handle,
        .streams = streams,
        .ended = on_ended,
    };
    if (sb_http_server_new(&options, &server, &port, &err) < 0) {
        printf("failed %s: %s\n", sb_code_name(err.code), err.text);
        event_base_free(base);
        return 1;
    }
    struct event *input = event_new(base, 0, EV_READ | EV_PERSIST, on_stdin, server);
    event_add(input, NULL);
    printf("port %d\n", port);
    (void)event_base_dispatch(base);
    event_free(input);
    sb_http_server_free(server);
    event_base_free(base);
    return 0;
}
