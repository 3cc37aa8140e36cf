#include "mcp-gateway/inflow.h"

#include <stdlib.h>
#include <string.h>

#include "aisbx/v1/file_service.pb-c.h"
#include "base/err.h"
#include "mcp-gateway/backend.h"
#include "mcp-gateway/http/relay.h"

struct sb_inflow {
    struct sb_http_request *request;
    struct sb_backend_call *call;
    sb_inflow_send *send;
    bool is_full; /* the call takes no more until drained */
    size_t n;
    char gathered[SB_INFLOW_BYTES];
};

static ProtobufCBinaryData bytes_of(struct sb_str piece)
{
    /* Only packed. NOLINTNEXTLINE(performance-no-int-to-ptr) */
    return (ProtobufCBinaryData){piece.len, (uint8_t *)(uintptr_t)piece.ptr};
}

bool sb_inflow_send_file(struct sb_backend_call *call, struct sb_str piece)
{
    Aisbx__V1__WriteFileRequest msg = AISBX__V1__WRITE_FILE_REQUEST__INIT;
    msg.message_case = AISBX__V1__WRITE_FILE_REQUEST__MESSAGE_DATA;
    msg.data = bytes_of(piece);
    return sb_backend_send(call, &msg.base);
}

bool sb_inflow_send_archive(struct sb_backend_call *call, struct sb_str piece)
{
    Aisbx__V1__ImportTarRequest msg = AISBX__V1__IMPORT_TAR_REQUEST__INIT;
    msg.message_case = AISBX__V1__IMPORT_TAR_REQUEST__MESSAGE_DATA;
    msg.data = bytes_of(piece);
    return sb_backend_send(call, &msg.base);
}

int sb_inflow_new(struct sb_http_request *request,
                  struct sb_backend_call *call,
                  sb_inflow_send *send,
                  struct sb_inflow **ret_inflow,
                  struct sb_err *err)
{
    struct sb_inflow *made = malloc(sizeof *made);
    if (made == NULL) {
        return sb_err_oom(err);
    }
    made->request = request;
    made->call = call;
    made->send = send;
    made->is_full = false;
    made->n = 0;
    *ret_inflow = made;
    return 0;
}

void sb_inflow_free(struct sb_inflow *inflow)
{
    free(inflow);
}

void sb_inflow_read(struct sb_inflow *inflow)
{
    inflow->is_full = false;
    sb_http_relay_read(inflow->request);
}

static void flush(struct sb_inflow *inflow)
{
    if (inflow->n > 0 && !inflow->send(inflow->call, sb_str_of(inflow->gathered, inflow->n))) {
        inflow->is_full = true;
    }
    inflow->n = 0;
}

bool sb_inflow_put(struct sb_inflow *inflow, struct sb_str piece)
{
    while (piece.len > 0) {
        struct sb_str part = sb_str_head(piece, SB_INFLOW_BYTES - inflow->n);
        memcpy(inflow->gathered + inflow->n, part.ptr, part.len);
        inflow->n += part.len;
        if (inflow->n == SB_INFLOW_BYTES) {
            flush(inflow);
        }
        piece = sb_str_skip(piece, part.len);
    }
    return !inflow->is_full;
}

void sb_inflow_end(struct sb_inflow *inflow)
{
    flush(inflow);
    sb_backend_half_close(inflow->call);
}

static bool on_piece(struct sb_http_request *request, struct sb_str piece, void *user)
{
    (void)request;
    return sb_inflow_put(user, piece);
}

static void on_end(struct sb_http_request *request, void *user)
{
    (void)request;
    sb_inflow_end(user);
}

void sb_inflow_watch(struct sb_inflow *inflow)
{
    static const struct sb_http_body_watcher watcher = {.piece = on_piece, .end = on_end};
    sb_http_watch_body(inflow->request, &watcher, inflow);
}
