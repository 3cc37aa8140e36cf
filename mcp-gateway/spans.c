#include "mcp-gateway/spans.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "mcp-gateway/http/head.h"
#include "mcp-gateway/http/server.h"
#include "mcp-gateway/options.h"
#include "mcp-gateway/rest/route.h"
#include "proto/trace/settings.h"

enum { SERVER_ERROR = 500 };

int sb_gateway_tracer(const struct sb_gateway_options *options,
                      struct sb_tracer **ret_tracer,
                      struct sb_err *err)
{
    char instance[SB_ID_SIZE];
    const struct sb_trace_options wanted = {options->otlp_endpoint, options->trace_sampler,
                                            options->trace_ratio};
    SB_CLEANUP(sb_trace_settings_done) struct sb_trace_settings settings;
    if (sb_trace_settings_read(&wanted, "aisbx-mcp", &settings, err) < 0) {
        return -1;
    }
    if (settings.address == NULL) {
        return 0;
    }
    return sb_id_make(instance, "gw_", err) < 0
               ? -1
               : sb_tracer_new(&settings, instance, ret_tracer, err);
}

/* Paths beside the table of routes. "": no span is made of them. */
static const struct {
    struct sb_str prefix;
    const char *route;
} places[] = {
    {SB_STR("/mcp"), ""},     {SB_STR("/health"), ""},
    {SB_STR("/metrics"), ""}, {SB_STR("/run_code"), "/run_code"},
    {SB_STR("/v1/"), "/v1"},
};

/* NULL: it is nobody's route. */
static const char *route_of(const struct sb_http_request *request, char *room, size_t size)
{
    struct sb_route_match match;
    struct sb_str path = sb_http_path(request);
    if (sb_http_is_relayed(request)) {
        return SB_ROUTE_PREFIX "/sandboxes/{sandbox_id}/ports/{port}";
    }
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (sb_str_starts_with(path, places[i].prefix)) {
            return places[i].route;
        }
    }
    sb_route_find(sb_http_method(request), path, &match);
    if (match.route == NULL) {
        return NULL;
    }
    (void)snprintf(room, size, SB_ROUTE_PREFIX "%s", match.route->pattern);
    return room;
}

void sb_gateway_span_end(struct sb_tracer *tracer,
                         const struct sb_http_request *request,
                         int status)
{
    char room[128];
    char name[160];
    const struct sb_span *span = sb_http_span(request);
    if (tracer == NULL || !sb_span_is_recorded(span)) {
        return;
    }
    const char *method = sb_http_method_name(sb_http_method(request));
    const char *route = route_of(request, room, sizeof room);
    if (route != NULL && route[0] == '\0') {
        return;
    }
    (void)snprintf(name, sizeof name, "%s%s%s", method, route == NULL ? "" : " ",
                   route == NULL ? "" : route);
    struct sb_span_record *record = sb_span_end(tracer, span, SB_SPAN_SERVER, name, 0);
    sb_span_text(record, "http.request.method", method);
    sb_span_text(record, "http.route", route);
    sb_span_number(record, "http.response.status_code", status);
    sb_span_text(record, "aisbx.request.id", sb_http_request_id(request));
    if (status >= SERVER_ERROR) {
        sb_span_fail(record, NULL);
    }
    sb_span_commit(tracer, record);
}
