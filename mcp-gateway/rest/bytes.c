/* Output and files as they are: bytes, never wrapped into text. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "aisbx/v1/file_service.pb-c.h"
#include "aisbx/v1/sandbox_service.pb-c.h"
#include "mcp-gateway/inflow.h"
#include "mcp-gateway/rest/call.h"

#define BYTES "application/octet-stream"

enum { ETAG_SIZE = 128 };

static void add_number(struct sb_http_request *request, const char *name, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    sb_http_add_header(request, name, text);
}

static void add_range(struct sb_http_request *request, uint64_t first, uint64_t n, uint64_t total)
{
    char text[80];
    if (n == 0) {
        (void)snprintf(text, sizeof text, "bytes */%" PRIu64, total);
    } else {
        (void)snprintf(text, sizeof text, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first,
                       first + n - 1, total);
    }
    sb_http_add_header(request, "Content-Range", text);
}

static void refuse_range(struct sb_http_request *request, uint64_t total)
{
    add_range(request, 0, 0, total);
    sb_http_problem(request, &(struct sb_http_problem){.status = 416,
                                                       .code = SB_RANGE,
                                                       .detail = "nothing lies in that range"});
}

void sb_rest_output_message(struct sb_rest_call *call, const ProtobufCMessage *message)
{
    const Aisbx__V1__ReadExecOutputResponse *output = (const void *)message;
    struct sb_http_request *request = call->request;
    size_t n = output->data.len;
    call->request = NULL;
    sb_http_add_header(request, "Cache-Control", "no-store");
    sb_http_add_header(request, "Accept-Ranges", "bytes");
    add_number(request, "Aisbx-Offset", output->offset);
    add_number(request, "Aisbx-Total-Bytes", output->total_bytes);
    sb_http_add_header(request, "Aisbx-End-Of-Stream", output->end_of_stream ? "true" : "false");
    if (call->has_range && n == 0) {
        refuse_range(request, output->total_bytes);
        return;
    }
    if (call->has_range) {
        add_range(request, output->offset, n, output->total_bytes);
    }
    sb_http_reply(request, call->has_range ? 206 : 200, BYTES, output->data.data, n);
}

/* The worker's word for what is there: inode, size and time of change (nanoseconds), which no
 * program can set back. */
static void format_etag(char out[ETAG_SIZE], const Aisbx__V1__FileInfo *file)
{
    (void)snprintf(out, ETAG_SIZE, "\"%.100s\"", file->version);
}

/* The first message says what the file is; true when bytes are to follow. */
static bool begin_read(struct sb_rest_call *call, const Aisbx__V1__FileInfo *file)
{
    struct sb_http_request *request = call->request;
    const char *known = sb_http_header(request, "If-None-Match");
    const char *if_range = sb_http_header(request, "If-Range");
    char etag[ETAG_SIZE];
    format_etag(etag, file);
    uint64_t size = file->size_bytes;
    if (call->has_range && if_range != NULL && strcmp(if_range, etag) != 0) {
        sb_rest_start_over(call);
        return false;
    }
    sb_http_add_header(request, "ETag", etag);
    sb_http_add_header(request, "Accept-Ranges", "bytes");
    sb_http_add_header(request, "Cache-Control", "no-cache");
    /* A list, each with or without W/; the quotes end what is looked for. */
    if (known != NULL && (strstr(known, etag) != NULL || strcmp(known, "*") == 0)) {
        sb_http_reply(request, 304, NULL, NULL, 0);
        sb_rest_leave(call);
        return false;
    }
    if (call->has_range && call->range_first >= size) {
        refuse_range(request, size);
        sb_rest_leave(call);
        return false;
    }
    if (sb_http_method(request) == SB_HTTP_HEAD && !call->has_range) {
        sb_http_reply(request, 200, BYTES, NULL, (size_t)size);
        sb_rest_leave(call);
        return false;
    }
    if (call->has_range) {
        uint64_t left = size - call->range_first;
        uint64_t asked =
            call->range_last == UINT64_MAX ? left : call->range_last - call->range_first + 1;
        add_range(request, call->range_first, asked < left ? asked : left, size);
    }
    call->is_begun = true;
    sb_http_stream_begin(request, call->has_range ? 206 : 200, BYTES);
    return true;
}

void sb_rest_read_message(struct sb_rest_call *call, const ProtobufCMessage *message)
{
    const Aisbx__V1__ReadFileResponse *read = (const void *)message;
    static const Aisbx__V1__FileInfo none = AISBX__V1__FILE_INFO__INIT;
    if (!call->is_begun && !begin_read(call, read->file == NULL ? &none : read->file)) {
        return;
    }
    if (sb_http_stream_write(call->request, read->data.data, read->data.len)) {
        sb_backend_read(call->call);
    }
}

/* ---- bodies that come in ---- */

/* The header of the call was sent. */
static void take_body(struct sb_rest_call *call, sb_inflow_send *send)
{
    struct sb_err err;
    if (sb_inflow_new(call->request, call->call, send, &call->inflow, &err) < 0) {
        struct sb_http_request *request = call->request;
        sb_rest_leave(call);
        sb_rest_reply_error(request, NULL, &err);
        return;
    }
    sb_inflow_watch(call->inflow);
}

void sb_rest_write_start(struct sb_rest_call *call, const ProtobufCMessage *header)
{
    Aisbx__V1__WriteFileRequest first = AISBX__V1__WRITE_FILE_REQUEST__INIT;
    first.message_case = AISBX__V1__WRITE_FILE_REQUEST__MESSAGE_HEADER;
    /* Only packed. NOLINTNEXTLINE(performance-no-int-to-ptr) */
    first.header = (Aisbx__V1__WriteFileHeader *)(uintptr_t)header;
    (void)sb_backend_send(call->call, &first.base);
    take_body(call, sb_inflow_send_file);
}

/* ---- archives ---- */

#define TAR "application/x-tar"

void sb_rest_export_message(struct sb_rest_call *call, const ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, "data");
    ProtobufCBinaryData data;
    memcpy(&data, (const char *)message + field->offset, sizeof data);
    if (!call->is_begun) {
        call->is_begun = true;
        sb_http_add_header(call->request, "Cache-Control", "no-store");
        sb_http_stream_begin(call->request, 200, TAR);
    }
    if (sb_http_stream_write(call->request, data.data, data.len)) {
        sb_backend_read(call->call);
    }
}

void sb_rest_import_start(struct sb_rest_call *call, const ProtobufCMessage *header)
{
    Aisbx__V1__ImportTarRequest first = AISBX__V1__IMPORT_TAR_REQUEST__INIT;
    first.message_case = AISBX__V1__IMPORT_TAR_REQUEST__MESSAGE_HEADER;
    /* Only packed. NOLINTNEXTLINE(performance-no-int-to-ptr) */
    first.header = (Aisbx__V1__ImportTarHeader *)(uintptr_t)header;
    (void)sb_backend_send(call->call, &first.base);
    take_body(call, sb_inflow_send_archive);
}
