/* REST and nothing else, before the worker of AISBX_ADDRESS: "rest_server [--without-key]". Says
 * "port N" and ends when standard input does. */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "mcp-gateway/backend.h"
#include "mcp-gateway/http/problem.h"
#include "mcp-gateway/http/server.h"
#include "mcp-gateway/rest/rest.h"

static struct event_base *base;
static struct sb_rest *rest;

static void handle(struct sb_http_request *request, void *user)
{
    (void)user;
    if (!sb_rest_take(rest, request)) {
        sb_http_problem(request, &(struct sb_http_problem){
                                     .status = 404, .code = SB_NOT_FOUND, .detail = "not of REST"});
    }
}

static void ended(const struct sb_http_request *request, int status, uint64_t us, void *user)
{
    (void)user;
    sb_rest_ended(rest, request, status, us);
}

static void on_stdin(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    (void)ctx;
    (void)event_base_loopbreak(base);
}

int main(int argc, char **argv)
{
    struct sb_err err = {0};
    struct sb_backend *backend = NULL;
    struct sb_http_server *server = NULL;
    int port = 0;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    base = event_base_new();
    struct sb_http_options http = {
        .base = base, .address = "127.0.0.1", .handle = handle, .ended = ended};
    if (sb_backend_new(&(struct sb_backend_options){.base = base}, &backend, &err) < 0 ||
        sb_rest_new(
            &(struct sb_rest_options){.base = base,
                                      .backend = backend,
                                      .loopback_without_key =
                                          argc > 1 && strcmp(argv[1], "--without-key") == 0},
            &rest, &err) < 0 ||
        sb_http_server_new(&http, &server, &port, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    sb_rest_set_server(rest, server);
    struct event *input = event_new(base, 0, EV_READ, on_stdin, NULL);
    event_add(input, NULL);
    printf("port %d\n", port);
    (void)event_base_dispatch(base);
    event_free(input);
    sb_http_server_free(server);
    sb_rest_free(rest);
    sb_backend_free(backend);
    event_base_free(base);
    return 0;
}
