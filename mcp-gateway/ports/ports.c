#include "mcp-gateway/ports/ports.h"

#include <stdlib.h>

#include "base/err.h"
#include "mcp-gateway/http/problem.h"
#include "mcp-gateway/http/server.h"
#include "mcp-gateway/ports/place.h"
#include "mcp-gateway/ports/relay.h"

int sb_ports_new(const struct sb_ports_options *options,
                 struct sb_ports **ret_ports,
                 struct sb_err *err)
{
    struct sb_ports *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return sb_err_oom(err);
    }
    made->options = *options;
    sb_list_init(&made->relays);
    *ret_ports = made;
    return 0;
}

void sb_ports_free(struct sb_ports *ports)
{
    if (ports == NULL) {
        return;
    }
    SB_FOREACH (node, &ports->relays) {
        sb_relay_leave(node);
    }
    /* Their done() still unlinks them: the head must not be on memory that is gone. */
    while (!sb_list_is_empty(&ports->relays)) {
        (void)sb_list_pop(&ports->relays);
    }
    free(ports);
}

enum sb_http_relays sb_ports_relays(struct sb_str target)
{
    struct sb_port_place place;
    if (!sb_port_place_parse(target, &place)) {
        return SB_HTTP_RELAYS_NOT;
    }
    return place.token.len > 0 ? SB_HTTP_RELAYS_OPENLY : SB_HTTP_RELAYS;
}

/* What browsers ask before: the server inside need not know of it. */
static bool answer_preflight(struct sb_http_request *request, const struct sb_port_place *place)
{
    const char *method = sb_http_header(request, "access-control-request-method");
    const char *fields = sb_http_header(request, "access-control-request-headers");
    if (sb_http_method(request) != SB_HTTP_OPTIONS || method == NULL) {
        return false;
    }
    if (place->token.len > 0) {
        sb_http_add_header(request, "Access-Control-Allow-Origin", "*");
    }
    sb_http_add_header(request, "Access-Control-Allow-Methods", method);
    if (fields != NULL) {
        sb_http_add_header(request, "Access-Control-Allow-Headers", fields);
    }
    sb_http_add_header(request, "Access-Control-Max-Age", "600");
    sb_http_reply(request, 204, NULL, NULL, 0);
    return true;
}

void sb_ports_relay(struct sb_ports *ports, struct sb_http_request *request)
{
    struct sb_port_place place;
    if (!sb_port_place_parse(sb_http_target(request), &place)) {
        sb_http_problem(request, &(struct sb_http_problem){.status = 404,
                                                           .code = SB_NOT_FOUND,
                                                           .detail = "this leads to no port"});
    } else if (sb_str_eq(sb_http_method_text(request), SB_STR("CONNECT"))) {
        sb_http_problem(request, &(struct sb_http_problem){.status = 501,
                                                           .code = SB_UNIMPLEMENTED,
                                                           .detail = "no tunnels by CONNECT"});
    } else if (!answer_preflight(request, &place)) {
        sb_relay_start(ports, request, &place);
    }
}
