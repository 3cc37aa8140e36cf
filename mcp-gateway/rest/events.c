/* Streams of events (text/event-stream). */
#include <stdio.h>
#include <string.h>

#include "aisbx/v1/context_service.pb-c.h"
#include "aisbx/v1/exec.pb-c.h"
#include "aisbx/v1/sandbox_service.pb-c.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/out.h"
#include "base/utf8.h"
#include "mcp-gateway/rest/call.h"
#include "proto/json/pbjson.h"

enum {
    BEGIN_MS = 200,        /* an answer's head is held back so long for an error to come first */
    KEEP_ALIVE_MS = 15000, /* a comment, so that nobody between us takes the stream for dead */
};

static void begin(struct sb_rest_call *call)
{
    if (!call->is_begun) {
        call->is_begun = true;
        sb_http_add_header(call->request, "Cache-Control", "no-store");
        sb_http_add_header(call->request, "X-Accel-Buffering", "no");
        sb_http_stream_begin(call->request, 200, "text/event-stream");
    }
}

static void on_timer(evutil_socket_t fd, short what, void *user)
{
    static const struct timeval next = {KEEP_ALIVE_MS / 1000, 0};
    struct sb_rest_call *call = user;
    (void)fd;
    (void)what;
    if (call->request == NULL) {
        return;
    }
    /* A program in the background is answered by what it is, not by a stream. */
    if (!call->is_begun && !call->is_background) {
        begin(call);
    } else if (call->is_begun) {
        (void)sb_http_stream_write(call->request, ": still here\n\n", 14);
    }
    (void)event_add(call->timer, &next);
}

void sb_rest_events_watch(struct sb_rest_call *call)
{
    static const struct timeval first = {0, BEGIN_MS * 1000L};
    call->timer = event_new(call->rest->options.base, -1, 0, on_timer, call);
    if (call->timer != NULL) {
        (void)event_add(call->timer, &first);
    }
}

/* One event; the next message is asked for when there is room for it. */
static void send_event(struct sb_rest_call *call, struct sb_out *out)
{
    begin(call);
    bool has_room = sb_http_stream_write(call->request, sb_buf_cstr(&out->buf), out->buf.len);
    sb_out_done(out);
    if (has_room) {
        sb_backend_read(call->call);
    }
}

/* The word for an event: its field "kind" where it has one. */
static const char *name_of(const ProtobufCMessage *message, char scratch[64])
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, "kind");
    int value = 0;
    if (field == NULL || field->type != PROTOBUF_C_TYPE_ENUM) {
        return "message";
    }
    memcpy(&value, (const char *)message + field->offset, sizeof value);
    return sb_pbjson_enum(field->descriptor, value, scratch);
}

void sb_rest_events_message(struct sb_rest_call *call, const ProtobufCMessage *message)
{
    char scratch[64];
    struct sb_out out;
    struct sb_json json = {.out = &out};
    sb_out_init(&out, -1);
    sb_out_printf(&out, "event: %s\ndata: ", name_of(message, scratch));
    sb_pbjson_message(&json, NULL, message);
    sb_out_put(&out, "\n\n");
    send_event(call, &out);
}

/* How many bytes at the end begin a character that is not whole. */
static size_t cut_character(const char *bytes, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        unsigned char c = (unsigned char)bytes[len - back];
        if ((c & 0xC0) == 0x80) {
            continue;
        }
        size_t want = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
        return want > back ? back : 0;
    }
    return 0;
}

static void put_text(struct sb_json *json,
                     size_t stream,
                     uint64_t offset,
                     struct sb_str text,
                     uint64_t dropped_bytes)
{
    sb_json_open(json, NULL, '{');
    sb_json_cstr(json, "stream", stream == 0 ? "stdout" : "stderr");
    sb_json_u64(json, "offset", offset);
    sb_json_str(json, "data", text);
    sb_json_u64(json, "dropped_bytes", dropped_bytes);
    sb_json_close(json, '}');
}

/* Output as text: a character cut between two pieces waits for its end. */
static void
put_output(struct sb_rest_call *call, struct sb_json *json, const Aisbx__V1__ExecOutput *output)
{
    size_t i = output->stream == AISBX__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDERR ? 1 : 0;
    struct sb_rest_carry *carry = &call->carry[i];
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(256 << 10);
    bool is_next = output->offset == call->offsets[i] + carry->len;
    if (!is_next) {
        carry->len = 0;
    }
    uint64_t offset = output->offset - carry->len;
    (void)sb_buf_append(&text, carry->bytes, carry->len);
    (void)sb_buf_append(&text, output->data.data, output->data.len);
    carry->len = cut_character(sb_buf_cstr(&text), text.len);
    memcpy(carry->bytes, sb_buf_cstr(&text) + text.len - carry->len, carry->len);
    sb_buf_truncate(&text, text.len - carry->len);
    call->offsets[i] = offset + text.len;
    put_text(json, i, offset, sb_buf_str(&text), output->dropped_bytes);
}

static void begin_event(const struct sb_rest_call *call, const char *name, struct sb_out *out)
{
    sb_out_printf(out, "id: %llu.%llu\nevent: %s\ndata: ", (unsigned long long)call->offsets[0],
                  (unsigned long long)call->offsets[1], name);
}

/* The ends that never came: what is there is told all the same. */
static void put_carried(struct sb_rest_call *call, struct sb_out *out)
{
    for (size_t i = 0; i < sizeof call->carry / sizeof *call->carry; i++) {
        struct sb_rest_carry *carry = &call->carry[i];
        struct sb_json json = {.out = out};
        uint64_t offset = call->offsets[i];
        if (carry->len > 0) {
            call->offsets[i] += carry->len;
            begin_event(call, "output", out);
            put_text(&json, i, offset, sb_str_of(carry->bytes, carry->len), 0);
            sb_out_put(out, "\n\n");
            carry->len = 0;
        }
    }
}

static void
put_event(struct sb_rest_call *call, const Aisbx__V1__ExecEvent *event, struct sb_out *out)
{
    SB_CLEANUP(sb_out_done) struct sb_out data;
    struct sb_json json = {.out = &data};
    const char *name = "message";
    sb_out_init(&data, -1);
    switch ((int)event->event_case) {
    case AISBX__V1__EXEC_EVENT__EVENT_STARTED:
        name = "started";
        sb_pbjson_message(&json, NULL, &event->started->base);
        break;
    case AISBX__V1__EXEC_EVENT__EVENT_OUTPUT:
        name = "output";
        put_output(call, &json, event->output);
        break;
    case AISBX__V1__EXEC_EVENT__EVENT_VIOLATION:
        name = "violation";
        sb_pbjson_message(&json, NULL, &event->violation->base);
        break;
    case AISBX__V1__EXEC_EVENT__EVENT_ENDED:
        name = "ended";
        put_carried(call, out);
        sb_pbjson_message(&json, NULL, &event->ended->base);
        break;
    default:
        sb_pbjson_message(&json, NULL, &event->base);
        break;
    }
    begin_event(call, name, out);
    sb_out_write(out, data.buf.len == 0 ? "" : sb_buf_cstr(&data.buf), data.buf.len);
    sb_out_put(out, "\n\n");
}

void sb_rest_exec_message(struct sb_rest_call *call, const ProtobufCMessage *message)
{
    /* StartExecResponse and AttachExecResponse are the same. */
    const Aisbx__V1__ExecEvent *event =
        ((const Aisbx__V1__StartExecResponse *)(const void *)message)->event;
    if (event == NULL) {
        sb_backend_read(call->call);
        return;
    }
    bool is_started = event->event_case == AISBX__V1__EXEC_EVENT__EVENT_STARTED;
    if (is_started && call->is_background && event->started->exec != NULL) {
        char location[128];
        (void)snprintf(location, sizeof location, SB_ROUTE_PREFIX "/execs/%s",
                       event->started->exec->exec_id);
        sb_http_add_header(call->request, "Location", location);
        sb_rest_reply_message(call, 201, &event->started->exec->base);
        sb_rest_leave(call);
        return;
    }
    struct sb_out out;
    sb_out_init(&out, -1);
    put_event(call, event, &out);
    send_event(call, &out);
}

/* ---- what code says ---- */

static bool is_text(const char *mime)
{
    size_t len = strlen(mime);
    return strncmp(mime, "text/", 5) == 0 || strcmp(mime, "application/json") == 0 ||
           (len > 4 && strcmp(mime + len - 4, "+xml") == 0) ||
           (len > 5 && strcmp(mime + len - 5, "+json") == 0);
}

/* Texts as they are; JSON has no other way for bytes than base64. */
static void put_result(struct sb_json *json, const Aisbx__V1__RichResult *result)
{
    const struct sb_str data = sb_str_of(result->data.data, result->data.len);
    sb_json_open(json, NULL, '{');
    sb_json_cstr(json, "mime_type", result->mime_type);
    if (is_text(result->mime_type)) {
        sb_json_str(json, "text", data);
    } else {
        sb_json_base64(json, "base64", data);
    }
    sb_json_bool(json, "is_main", result->is_main != 0);
    sb_json_u64(json, "value_number", result->value_number);
    sb_json_close(json, '}');
}

static const char *put_code_event(struct sb_rest_call *call,
                                  const Aisbx__V1__ExecuteCodeResponse *event,
                                  struct sb_json *json)
{
    switch ((int)event->event_case) {
    case AISBX__V1__EXECUTE_CODE_RESPONSE__EVENT_OUTPUT:
        put_output(call, json, event->output);
        return "output";
    case AISBX__V1__EXECUTE_CODE_RESPONSE__EVENT_RESULT:
        put_result(json, event->result);
        return "result";
    case AISBX__V1__EXECUTE_CODE_RESPONSE__EVENT_ERROR:
        sb_pbjson_message(json, NULL, &event->error->base);
        return "exception"; /* "error" is one of the service */
    case AISBX__V1__EXECUTE_CODE_RESPONSE__EVENT_VIOLATION:
        sb_pbjson_message(json, NULL, &event->violation->base);
        return "violation";
    case AISBX__V1__EXECUTE_CODE_RESPONSE__EVENT_ENDED:
        sb_pbjson_message(json, NULL, &event->ended->base);
        return "ended";
    default:
        sb_pbjson_message(json, NULL, &event->base);
        return "message";
    }
}

void sb_rest_code_message(struct sb_rest_call *call, const ProtobufCMessage *message)
{
    const Aisbx__V1__ExecuteCodeResponse *event = (const void *)message;
    SB_CLEANUP(sb_out_done) struct sb_out data;
    struct sb_json json = {.out = &data};
    struct sb_out out;
    sb_out_init(&data, -1);
    sb_out_init(&out, -1);
    if (event->event_case == AISBX__V1__EXECUTE_CODE_RESPONSE__EVENT_ENDED) {
        put_carried(call, &out);
    }
    const char *name = put_code_event(call, event, &json);
    sb_out_printf(&out, "event: %s\ndata: ", name);
    sb_out_write(&out, data.buf.len == 0 ? "" : sb_buf_cstr(&data.buf), data.buf.len);
    sb_out_put(&out, "\n\n");
    send_event(call, &out);
}

void sb_rest_events_done(struct sb_rest_call *call, const struct sb_err *err)
{
    if (call->route->kind == SB_ROUTE_READ || call->route->kind == SB_ROUTE_EXPORT) {
        if (err->code == SB_OK) {
            sb_http_stream_end(call->request);
        } else {
            sb_http_stream_abort(call->request); /* a part must not look like the whole */
        }
        return;
    }
    begin(call);
    if (err->code != SB_OK) {
        struct sb_out out;
        struct sb_json json = {.out = &out};
        sb_out_init(&out, -1);
        sb_out_put(&out, "event: error\ndata: ");
        sb_json_open(&json, NULL, '{');
        sb_json_u64(&json, "status", (uint64_t)sb_rest_status_of(err->code));
        sb_json_cstr(&json, "code", sb_code_name(err->code));
        sb_json_cstr(&json, "detail", err->text);
        sb_json_close(&json, '}');
        sb_out_put(&out, "\n\n");
        (void)sb_http_stream_write(call->request, sb_buf_cstr(&out.buf), out.buf.len);
        sb_out_done(&out);
    }
    sb_http_stream_end(call->request);
}
