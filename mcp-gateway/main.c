/* aisbx-mcp: sandboxes for programs that let a language model use tools.
 *
 * Theory of operation. One thread, one event loop: MCP over the pipes of the program that started
 * us, or MCP and REST over HTTP; behind it calls of a worker, which decides who may do what.
 * Nothing is looked up, started or connected before the first call of a tool: programs start a
 * second copy of us only to see what we offer. */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/argv.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "mcp-gateway/backend.h"
#include "mcp-gateway/fusion/fusion.h"
#include "mcp-gateway/http/problem.h"
#include "mcp-gateway/http/server.h"
#include "mcp-gateway/mcp/tool.h"
#include "mcp-gateway/options.h"
#include "mcp-gateway/ports/ports.h"
#include "mcp-gateway/rest/rest.h"
#include "mcp-gateway/sandboxd/sandboxd.h"
#include "mcp-gateway/serve.h"
#include "mcp-gateway/spans.h"
#include "mcp-gateway/tools/tools.h"

enum { EXIT_USAGE = 2 };

/* What is beside MCP, over HTTP. */
struct others {
    struct sb_rest *rest;
    struct sb_fusion *fusion;
    struct sb_ports *ports;
    struct sb_sandboxd *sandboxd; /* NULL: without --sandboxd */
    struct sb_tracer *tracer;     /* NULL: no spans are wanted */
};

static void on_other(struct sb_http_request *request, void *user)
{
    const struct others *others = user;
    if (sb_fusion_take(others->fusion, request)) {
        return;
    }
    if (others->sandboxd != NULL && sb_sandboxd_take(others->sandboxd, request)) {
        return;
    }
    if (!sb_rest_take(others->rest, request)) {
        sb_http_problem(request, &(struct sb_http_problem){
                                     .status = 404,
                                     .code = SB_NOT_FOUND,
                                     .detail = "there is nothing at this path",
                                     .hint = "MCP is at /mcp, REST at /api/v1/openapi.json"});
    }
}

static void on_ended(const struct sb_http_request *request, int status, uint64_t us, void *user)
{
    const struct others *others = user;
    sb_rest_ended(others->rest, request, status, us);
    sb_gateway_span_end(others->tracer, request, status);
}

static void on_listening(struct sb_http_server *server, void *user)
{
    const struct others *others = user;
    sb_rest_set_server(others->rest, server);
}

static void on_ending(void *user)
{
    const struct others *others = user;
    sb_rest_set_ending(others->rest);
}

static bool streams(const struct sb_http_request *request, void *user)
{
    const struct others *others = user;
    return sb_rest_streams(request) || (others->sandboxd != NULL && sb_sandboxd_streams(request));
}

static enum sb_http_relays relays(struct sb_str target, void *user)
{
    (void)user;
    return sb_ports_relays(target);
}

static void on_relay(struct sb_http_request *request, void *user)
{
    const struct others *others = user;
    sb_ports_relay(others->ports, request);
}

static int
serve(const struct sb_gateway_options *options, struct event_base *base, struct sb_err *err)
{
    struct sb_mcp_definition definition = {
        .name = "aisbx",
        .title = "aisbx sandboxes",
        .version = SB_VERSION,
    };
    struct sb_backend *backend = NULL;
    struct others others = {.tracer = NULL};
    struct sb_tools *tools = NULL;
    const struct sb_shared_options shared = sb_gateway_options_shared(options);
    const struct sb_backend_options to_worker = {
        .base = base,
        .address = options->worker,
        .workers = options->workers,
        .shared = &shared,
        .serves_others = options->transport == SB_GATEWAY_HTTP,
    };
    int rc = sb_gateway_tracer(options, &others.tracer, err);
    definition.tracer = others.tracer;
    if (rc == 0) {
        rc = sb_backend_new(&to_worker, &backend, err);
    }
    if (rc == 0) {
        const struct sb_rest_options rest_options = {.base = base,
                                                     .backend = backend,
                                                     .worker = options->worker,
                                                     .tracer = others.tracer,
                                                     .loopback_without_key =
                                                         options->loopback_without_key};
        rc = sb_rest_new(&rest_options, &others.rest, err);
    }
    if (rc == 0) {
        const struct sb_fusion_options fusion = {
            .backend = backend, .loopback_without_key = options->loopback_without_key};
        rc = sb_fusion_new(&fusion, &others.fusion, err);
    }
    if (rc == 0) {
        const struct sb_ports_options ports = {.base = base,
                                               .backend = backend,
                                               .loopback_without_key =
                                                   options->loopback_without_key};
        rc = sb_ports_new(&ports, &others.ports, err);
    }
    if (rc == 0 && options->sandboxd) {
        const struct sb_sandboxd_options sandboxd = {
            .backend = backend, .loopback_without_key = options->loopback_without_key};
        rc = sb_sandboxd_new(&sandboxd, &others.sandboxd, err);
    }
    if (rc == 0) {
        rc = sb_tools_new(base, backend, &tools, err);
    }
    if (rc == 0) {
        sb_tools_define(tools, &definition);
        const struct sb_serve serve = {.options = options,
                                       .base = base,
                                       .definition = &definition,
                                       .listening = on_listening,
                                       .ending = on_ending,
                                       .other = on_other,
                                       .ended = on_ended,
                                       .streams = streams,
                                       .relays = relays,
                                       .relay = on_relay,
                                       .tracer = others.tracer,
                                       .user = &others};
        rc = sb_serve_run(&serve, err);
    }
    sb_fusion_free(others.fusion);
    sb_ports_free(others.ports);
    sb_sandboxd_free(others.sandboxd);
    sb_rest_free(others.rest);
    sb_tools_free(tools);
    sb_backend_free(backend);
    sb_tracer_free(others.tracer);
    return rc;
}

static int run(const struct sb_gateway_options *options)
{
    struct sb_err err;
    struct event_base *base = sb_serve_base(options);
    if (base == NULL) {
        SB_LOG_ERROR("cannot start", "why=%s", "no event loop");
        return EXIT_FAILURE;
    }
    int rc = serve(options, base, &err);
    if (rc < 0) {
        SB_LOG_ERROR("cannot start", "why=%s", err.text);
    }
    event_base_free(base);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct sb_err err;
    struct sb_gateway_options options;
    sb_fd_standard();
    sb_log_start("aisbx-mcp");
    if (sb_gateway_options_parse(argc, argv, &options, &err) < 0 ||
        sb_fd_check_given(options.ready_fd, "ready-fd", &err) < 0 ||
        sb_gateway_options_take_given(&options, &err) < 0) {
        (void)fprintf(stderr, "aisbx-mcp: %s\n", err.text);
        sb_gateway_options_done(&options);
        return EXIT_USAGE;
    }
    int status = EXIT_SUCCESS;
    if (options.wants_help) {
        sb_gateway_options_help(stdout);
    } else if (options.wants_man) {
        sb_gateway_options_man(stdout);
    } else if (options.wants_version) {
        (void)puts("aisbx-mcp " SB_VERSION);
    } else {
        status = run(&options);
        sb_gateway_options_done(&options);
        return status;
    }
    status = sb_argv_printed("aisbx-mcp");
    sb_gateway_options_done(&options);
    return status;
}
