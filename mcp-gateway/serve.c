#include "mcp-gateway/serve.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "mcp-gateway/http/problem.h"
#include "mcp-gateway/http/server.h"
#include "mcp-gateway/mcp/endpoint.h"
#include "mcp-gateway/mcp/stdio.h"
#include "mcp-gateway/mcp/tool.h"
#include "mcp-gateway/options.h"
#include "mcp-gateway/sandboxd/sandboxd.h"

enum {
    N_SIGNALS = 2,
    LINGER_MS = 300, /* as a worker: who sends us calls looks a few times a second how we are */
};

struct running {
    const struct sb_serve *serve;
    struct sb_mcp *mcp;
    struct sb_stdio *stdio;
    struct sb_http_server *http;
    struct sb_mcp_endpoint *endpoint;
    struct event *signals[N_SIGNALS];
    struct event *linger;
    bool is_ending;
};

struct event_base *sb_serve_base(const struct sb_gateway_options *options)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;
    if (config != NULL) {
        if (options->transport == SB_GATEWAY_STDIO) {
            (void)event_config_avoid_method(config, "epoll"); /* refuses files and /dev/null */
        }
        (void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
        base = event_base_new_with_config(config);
        event_config_free(config);
    }
    return base;
}

static void stop(void *ctx)
{
    (void)event_base_loopbreak(((struct running *)ctx)->serve->base);
}

static void drain(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct running *running = ctx;
    sb_mcp_close(running->mcp);
    sb_http_server_drain(running->http, (unsigned)running->serve->options->drain_grace_ms, stop,
                         running);
}

/* One of several is sent calls by somebody who looks whether it is well: first it says that it is
 * not, then it takes no more. */
static void say_and_linger(struct running *running)
{
    static const struct timeval linger = {0, LINGER_MS * 1000L};
    if (running->serve->ending != NULL) {
        running->serve->ending(running->serve->user);
    }
    running->linger = evtimer_new(running->serve->base, drain, running);
    if (running->linger == NULL || event_add(running->linger, &linger) < 0) {
        drain(-1, 0, running);
    }
}

static void on_signal(evutil_socket_t number, short what, void *ctx)
{
    (void)what;
    struct running *running = ctx;
    SB_LOG_DEBUG("ending", "signal=%d", (int)number);
    if (running->is_ending) {
        stop(running); /* asked twice: now */
        return;
    }
    running->is_ending = true;
    if (running->stdio != NULL) {
        sb_stdio_end(running->stdio);
        return;
    }
    if (running->serve->options->workers != NULL) {
        say_and_linger(running);
    } else {
        drain(-1, 0, running);
    }
}

static int watch_signals(struct running *running, struct sb_err *err)
{
    static const int numbers[N_SIGNALS] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < N_SIGNALS; i++) {
        running->signals[i] = evsignal_new(running->serve->base, numbers[i], on_signal, running);
        if (running->signals[i] == NULL || event_add(running->signals[i], NULL) < 0) {
            return sb_err_oom(err);
        }
    }
    return 0;
}

static void tell(const struct sb_gateway_options *options, const char *word, const char *rest)
{
    struct sb_err err;
    char line[SB_ERR_TEXT_SIZE + 16];
    if (options->ready_fd != UINT64_MAX) {
        int n = snprintf(line, sizeof line, "%s %s\n", word, rest);
        (void)sb_fd_write_full((int)options->ready_fd, line, (size_t)n, &err);
        close((int)options->ready_fd);
    }
}

static void tell_ready(const struct running *running, int port)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%d", port);
    tell(running->serve->options, "READY", text);
}

/* ---- stdio ---- */

static int start_stdio(struct running *running, struct sb_err *err)
{
    struct sb_stdio_options options = {
        .mcp = running->mcp, .base = running->serve->base, .on_end = stop, .ctx = running};
    if (sb_stdio_take(&options.in, &options.out, err) < 0) {
        return -1;
    }
    return sb_stdio_new(&options, &running->stdio, err);
}

/* ---- HTTP ---- */

static void on_request(struct sb_http_request *request, void *user)
{
    const struct running *running = user;
    if (sb_str_eq(sb_http_path(request), SB_STR(SB_MCP_PATH))) {
        sb_mcp_endpoint_handle(running->endpoint, request);
    } else if (running->serve->other != NULL) {
        running->serve->other(request, running->serve->user);
    } else {
        sb_http_problem(request,
                        &(struct sb_http_problem){.status = 404,
                                                  .code = SB_NOT_FOUND,
                                                  .detail = "there is nothing at this path",
                                                  .hint = "MCP is at " SB_MCP_PATH});
    }
}

static void on_ended(const struct sb_http_request *request, int status, uint64_t us, void *user)
{
    const struct running *running = user;
    if (running->serve->ended != NULL) {
        running->serve->ended(request, status, us, running->serve->user);
    }
}

static bool streams(const struct sb_http_request *request, void *user)
{
    const struct running *running = user;
    return running->serve->streams != NULL &&
           running->serve->streams(request, running->serve->user);
}

static enum sb_http_relays relays(struct sb_str target, void *user)
{
    const struct running *running = user;
    return running->serve->relays == NULL ? SB_HTTP_RELAYS_NOT
                                          : running->serve->relays(target, running->serve->user);
}

static void on_relay(struct sb_http_request *request, void *user)
{
    const struct running *running = user;
    running->serve->relay(request, running->serve->user);
}

static int start_http(struct running *running, struct sb_err *err)
{
    int port = 0;
    const struct sb_gateway_options *options = running->serve->options;
    const struct sb_mcp_endpoint_options endpoint = {.mcp = running->mcp,
                                                     .base = running->serve->base,
                                                     .is_open = options->loopback_without_key};
    const struct sb_http_options http = {
        .base = running->serve->base,
        .address = options->address,
        .port = (uint16_t)options->port,
        .is_given = options->given_fd >= 0,
        .given_fd = options->given_fd,
        .tls_cert = options->tls_cert,
        .tls_key = options->tls_key,
        .tls_ca = options->tls_ca,
        .origins = (const char *const *)options->origins.items,
        .n_origins = options->origins.n,
        .hosts = (const char *const *)options->hosts.items,
        .n_hosts = options->hosts.n,
        .open_path = options->sandboxd ? SB_SANDBOXD_FILES : NULL,
        .handle = on_request,
        .streams = streams,
        .relays = relays,
        .relay = on_relay,
        .ended = on_ended,
        .user = running,
        .tracer = running->serve->tracer,
    };
    sb_fd_raise_limit();
    if (sb_mcp_endpoint_new(&endpoint, &running->endpoint, err) < 0 ||
        sb_http_server_new(&http, &running->http, &port, err) < 0) {
        return -1;
    }
    if (running->serve->listening != NULL) {
        running->serve->listening(running->http, running->serve->user);
    }
    SB_LOG_INFO("serving", "address=%s port=%d", options->address, port);
    tell_ready(running, port);
    return 0;
}

static void finish(struct running *running)
{
    for (size_t i = 0; i < N_SIGNALS; i++) {
        if (running->signals[i] != NULL) {
            event_free(running->signals[i]);
        }
    }
    if (running->linger != NULL) {
        event_free(running->linger);
    }
    if (running->stdio != NULL) {
        sb_stdio_free(running->stdio);
    }
    sb_http_server_free(running->http);
    sb_mcp_endpoint_free(running->endpoint);
    sb_mcp_free(running->mcp);
}

int sb_serve_run(const struct sb_serve *serve, struct sb_err *err)
{
    struct running running = {.serve = serve};
    (void)signal(SIGPIPE, SIG_IGN);
    int rc = sb_mcp_new(serve->definition, serve->base, &running.mcp, err);
    if (rc == 0 && serve->ready != NULL) {
        serve->ready(running.mcp, serve->user);
    }
    if (rc == 0) {
        rc = watch_signals(&running, err);
    }
    if (rc == 0) {
        rc = serve->options->transport == SB_GATEWAY_STDIO ? start_stdio(&running, err)
                                                           : start_http(&running, err);
    }
    if (rc == 0) {
        (void)event_base_dispatch(serve->base);
    } else {
        tell(serve->options, "ERROR", err->text);
    }
    finish(&running);
    return rc;
}
