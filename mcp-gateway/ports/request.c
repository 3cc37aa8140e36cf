#include "mcp-gateway/ports/request.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "mcp-gateway/http/relay.h"
#include "mcp-gateway/http/server.h"
#include "mcp-gateway/ports/field.h"
#include "mcp-gateway/ports/place.h"

struct writer {
    const struct sb_http_request *request;
    const struct sb_port_place *place;
    struct sb_buf *out;
    struct sb_str connection; /* fields it names are about this hop */
    bool failed;
};

static void put(struct writer *writer, const char *name, struct sb_str value)
{
    writer->failed = writer->failed || sb_buf_append_str(writer->out, sb_str_from(name)) < 0 ||
                     sb_buf_append_str(writer->out, SB_STR(": ")) < 0 ||
                     sb_buf_append_str(writer->out, value) < 0 ||
                     sb_buf_append_str(writer->out, SB_STR("\r\n")) < 0;
}

static void pass(const char *name, const char *value, void *ctx)
{
    struct writer *writer = ctx;
    struct sb_str text = sb_str_from(name);
    if (!sb_field_is_kept_from_server(text) && !sb_field_list_has(writer->connection, text)) {
        put(writer, name, sb_str_from(value));
    }
}

static void put_cookies(struct writer *writer)
{
    const char *cookies = sb_http_header(writer->request, "cookie");
    struct sb_buf own = SB_BUF_INIT(SB_HTTP_MAX_HEAD_BYTES);
    if (cookies != NULL) {
        writer->failed = writer->failed || sb_field_cookies(sb_str_from(cookies), &own) < 0;
        if (own.len > 0) {
            put(writer, "Cookie", sb_buf_str(&own));
        }
        sb_buf_done(&own);
    }
}

/* The page that the gateway shows and the server agree where it is from: servers compare. */
static void put_origin(struct writer *writer, const char *host)
{
    const char *origin = sb_http_header(writer->request, "origin");
    const char *own = sb_http_header(writer->request, "host");
    char text[64];
    if (origin == NULL) {
        return;
    }
    const char *behind = strstr(origin, "://");
    bool is_own = strcmp(origin, "null") == 0 ||
                  (behind != NULL && own != NULL && strcasecmp(behind + 3, own) == 0);
    (void)snprintf(text, sizeof text, "http://%s", host);
    put(writer, "Origin", sb_str_from(is_own ? text : origin));
}

static void put_forwarded(struct writer *writer)
{
    const char *host = sb_http_header(writer->request, "host");
    struct sb_str peer = sb_str_from(sb_http_peer(writer->request));
    while (peer.len > 0 && peer.ptr[peer.len - 1] != ':') {
        peer.len--;
    }
    peer.len -= peer.len > 0;
    if (peer.len > 1 && peer.ptr[0] == '[') { /* "[::1]" */
        peer = sb_str_of(peer.ptr + 1, peer.len - 2);
    }
    put(writer, "X-Forwarded-For", peer);
    put(writer, "X-Forwarded-Proto",
        sb_http_is_tls(writer->request) ? SB_STR("https") : SB_STR("http"));
    put(writer, "X-Forwarded-Host", sb_str_from(host));
    put(writer, "X-Forwarded-Prefix", writer->place->prefix);
    put(writer, "X-Request-Id", sb_str_from(sb_http_request_id(writer->request)));
}

static bool asks_upgrade(const struct sb_http_request *request)
{
    const char *connection = sb_http_header(request, "connection");
    const char *upgrade = sb_http_header(request, "upgrade");
    uint64_t length = 0;
    return connection != NULL && upgrade != NULL && strcasecmp(upgrade, "websocket") == 0 &&
           sb_field_list_has(sb_str_from(connection), SB_STR("upgrade")) &&
           sb_http_method(request) == SB_HTTP_GET && !sb_http_is_http10(request) &&
           sb_http_body_length(request, &length) && length == 0 &&
           sb_http_header(request, "sec-websocket-key") != NULL;
}

static void put_framing(struct writer *writer, bool upgrades)
{
    char text[24];
    uint64_t length = 0;
    if (!sb_http_body_length(writer->request, &length)) {
        put(writer, "Transfer-Encoding", SB_STR("chunked"));
    } else if (length > 0 || sb_http_header(writer->request, "content-length") != NULL) {
        (void)snprintf(text, sizeof text, "%" PRIu64, length);
        put(writer, "Content-Length", sb_str_from(text));
    }
    if (upgrades) {
        put(writer, "Upgrade", SB_STR("websocket"));
    }
    put(writer, "Connection", upgrades ? SB_STR("Upgrade") : SB_STR("close"));
}

int sb_ports_request(const struct sb_http_request *request,
                     const struct sb_port_place *place,
                     struct sb_buf *out,
                     bool *ret_upgrades)
{
    const char *connection = sb_http_header(request, "connection");
    struct writer writer = {.request = request,
                            .place = place,
                            .out = out,
                            .connection = sb_str_from(connection == NULL ? "" : connection)};
    char host[32];
    *ret_upgrades = asks_upgrade(request);
    (void)snprintf(host, sizeof host, "localhost:%u", (unsigned)place->port);
    struct sb_str method = sb_http_method_text(request);
    writer.failed = sb_buf_append_str(out, method) < 0 || sb_buf_append_byte(out, ' ') < 0 ||
                    sb_buf_append_str(out, place->rest) < 0 ||
                    sb_buf_append_str(out, SB_STR(" HTTP/1.1\r\n")) < 0;
    put(&writer, "Host", sb_str_from(host));
    sb_http_each_header(request, pass, &writer);
    put_cookies(&writer);
    put_origin(&writer, host);
    put_forwarded(&writer);
    put_framing(&writer, *ret_upgrades);
    return writer.failed || sb_buf_append_str(out, SB_STR("\r\n")) < 0 ? -1 : 0;
}
