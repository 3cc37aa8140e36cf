#include "mcp-gateway/ports/fields.h"

#include <strings.h>

#include "base/buf.h"
#include "mcp-gateway/http/relay.h"
#include "mcp-gateway/http/server.h"
#include "mcp-gateway/ports/answer.h"
#include "mcp-gateway/ports/field.h"
#include "mcp-gateway/ports/place.h"

/* What the gateway says itself. */
static const struct {
    const char *name;
    const char *value;
    bool is_of_links; /* which open the port to whoever has them, and nothing else */
} own[] = {
    /* Without allow-same-origin: see ports.h. */
    {"Content-Security-Policy",
     "sandbox allow-scripts allow-forms allow-modals allow-popups allow-downloads "
     "allow-pointer-lock",
     false},
    {"Referrer-Policy", "no-referrer", false},
    {"Cache-Control", "private", false},
    {"Access-Control-Allow-Origin", "*", true},
    {"Access-Control-Expose-Headers", "*", true},
};

/* False: the head has no room. */
static bool add_field(struct sb_http_request *request,
                      const struct sb_port_place *place,
                      struct sb_str name,
                      struct sb_str value)
{
    bool is_location = name.len == 8
                           ? strncasecmp(name.ptr, "location", 8) == 0
                           : name.len == 16 && strncasecmp(name.ptr, "content-location", 16) == 0;
    bool is_cookie = name.len == 10 && strncasecmp(name.ptr, "set-cookie", 10) == 0;
    if (!is_location && !is_cookie) {
        return sb_field_is_kept_from_client(name) || sb_http_add_field(request, name, value);
    }
    struct sb_buf text = SB_BUF_INIT(SB_HTTP_MAX_HEAD_BYTES);
    int rc = is_location ? sb_field_location(value, place, &text)
                         : sb_field_set_cookie(value, place, &text);
    bool fits = rc == 0 && (text.len == 0 || sb_http_add_field(request, name, sb_buf_str(&text)));
    sb_buf_done(&text);
    return fits;
}

bool sb_ports_answer(struct sb_http_request *request,
                     const struct sb_port_place *place,
                     const struct sb_answer *answer)
{
    struct sb_str connection = sb_str_from(answer->connection == NULL ? "" : answer->connection);
    bool is_link = place->token.len > 0;
    /* First: however much the server says, there is room for them. */
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if ((is_link || !own[i].is_of_links) &&
            !sb_http_add_field(request, sb_str_from(own[i].name), sb_str_from(own[i].value))) {
            return false;
        }
    }
    for (size_t i = 0; i < answer->n_fields; i++) {
        struct sb_str name = sb_str_from(answer->fields[i].name);
        if (!sb_field_list_has(connection, name) &&
            !add_field(request, place, name, sb_str_from(answer->fields[i].value))) {
            return false;
        }
    }
    return true;
}
