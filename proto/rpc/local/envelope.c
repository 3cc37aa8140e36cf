#include "proto/rpc/local/envelope.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/utf8.h"
#include "proto/rpc/metadata.h"
#include "proto/rpc/wire.h"

enum { NANO_PER_MILLI = 1000000, MAX_TIMEOUT_MS = INT32_MAX };

/** Texts of the descriptors are not const in protobuf-c's structs, which only pack here. */
static char *borrowed(const char *text)
{
    union {
        const char *in;
        char *out;
    } u = {.in = text};
    return u.out;
}

static ProtobufCBinaryData bytes_of(const void *data, size_t len)
{
    return (ProtobufCBinaryData){len, (uint8_t *)borrowed(data)};
}

/** Rows and the pointers to them, as protobuf-c wants repeated messages. */
struct pairs {
    Aisbx__Ttrpc__KeyValue rows[SB_RPC_MAX_METADATA];
    Aisbx__Ttrpc__KeyValue *pointers[SB_RPC_MAX_METADATA];
    size_t n;
};

static void add_pair(struct pairs *pairs, const char *key, const char *value, size_t len)
{
    Aisbx__Ttrpc__KeyValue *row = &pairs->rows[pairs->n];
    aisbx__ttrpc__key_value__init(row);
    row->key = borrowed(key);
    row->value = bytes_of(value, len);
    pairs->pointers[pairs->n++] = row;
}

int sb_envelope_put_request(struct sb_buf *buf,
                            const struct sb_rpc_start *start,
                            uint64_t timeout_ms,
                            struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf payload = SB_BUF_INIT(SB_RPC_MAX_MESSAGE_BYTES);
    if (start->req != NULL && sb_rpc_pack(start->req, &payload, err) < 0) {
        return -1;
    }
    const struct sb_rpc_stream_options *options = start->options;
    struct pairs pairs = {.n = 0};
    for (size_t i = 0; i < options->n_metadata; i++) {
        const struct sb_rpc_metadata *entry = &options->metadata[i];
        add_pair(&pairs, entry->key, entry->value, entry->len);
    }
    Aisbx__Ttrpc__Request request = AISBX__TTRPC__REQUEST__INIT;
    request.service = borrowed(start->method->service);
    request.method = borrowed(start->method->name);
    request.payload = bytes_of(payload.len == 0 ? NULL : sb_buf_cstr(&payload), payload.len);
    request.timeout_nano =
        (int64_t)(timeout_ms < MAX_TIMEOUT_MS ? timeout_ms : MAX_TIMEOUT_MS) * NANO_PER_MILLI;
    request.metadata = pairs.pointers;
    request.n_metadata = pairs.n;
    request.fd_count = (uint32_t)options->n_fds;
    return sb_rpc_pack(&request.base, buf, err);
}

int sb_envelope_put_response(struct sb_buf *buf,
                             const struct sb_err *status,
                             const ProtobufCMessage *reply,
                             const struct sb_rpc_call *trailers_of,
                             struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf payload = SB_BUF_INIT(SB_RPC_MAX_MESSAGE_BYTES);
    if (reply != NULL && sb_rpc_pack(reply, &payload, err) < 0) {
        return -1;
    }
    struct pairs pairs = {.n = 0};
    for (unsigned i = 0; trailers_of != NULL && i < trailers_of->n_trailers; i++) {
        const struct sb_rpc_trailer *trailer = &trailers_of->trailers[i];
        add_pair(&pairs, trailer->key, trailer->value, trailer->len);
    }
    Aisbx__Ttrpc__Status wire_status = AISBX__TTRPC__STATUS__INIT;
    wire_status.code = (int32_t)status->code;
    char text[SB_ERR_TEXT_SIZE * 3]; /* a malformed byte becomes three */
    size_t len = sb_utf8_sanitize(text, sizeof text, sb_str_from(status->text), SB_UTF8_KEEP_LINES);
    wire_status.message = bytes_of(text, len);

    Aisbx__Ttrpc__Response response = AISBX__TTRPC__RESPONSE__INIT;
    response.status = status->code == SB_OK ? NULL : &wire_status;
    response.payload = bytes_of(payload.len == 0 ? NULL : sb_buf_cstr(&payload), payload.len);
    response.trailers = pairs.pointers;
    response.n_trailers = pairs.n;
    return sb_rpc_pack(&response.base, buf, err);
}

int sb_envelope_get_metadata(Aisbx__Ttrpc__KeyValue *const *pairs,
                             size_t n,
                             struct sb_envelope_metadata *ret_metadata,
                             struct sb_err *err)
{
    if (n == 0) {
        *ret_metadata = (struct sb_envelope_metadata){NULL, 0};
        return 0;
    }
    if (n > SB_RPC_MAX_METADATA) {
        return sb_err_set(err, SB_INVALID, "metadata: more than %d entries",
                          (int)SB_RPC_MAX_METADATA);
    }
    size_t size = n * sizeof(struct sb_rpc_metadata);
    for (size_t i = 0; i < n; i++) {
        size += strlen(pairs[i]->key) + 1 + pairs[i]->value.len + 1;
    }
    struct sb_rpc_metadata *entries = malloc(size);
    if (entries == NULL) {
        return sb_err_oom(err);
    }
    char *room = (char *)(entries + n);
    for (size_t i = 0; i < n; i++) {
        size_t key_size = strlen(pairs[i]->key) + 1;
        char *key = memcpy(room, pairs[i]->key, key_size);
        char *value = room + key_size;
        size_t len = pairs[i]->value.len;
        if (len > 0) {
            memcpy(value, pairs[i]->value.data, len);
        }
        value[len] = '\0';
        entries[i] = (struct sb_rpc_metadata){key, value, len};
        room = value + len + 1;
    }
    if (sb_metadata_check_all(entries, n, err) < 0) {
        free(entries);
        return -1;
    }
    *ret_metadata = (struct sb_envelope_metadata){entries, n};
    return 0;
}

void sb_envelope_metadata_done(struct sb_envelope_metadata *metadata)
{
    free(metadata->entries);
    *metadata = (struct sb_envelope_metadata){NULL, 0};
}

void sb_envelope_get_status(const Aisbx__Ttrpc__Response *response, struct sb_err *ret_status)
{
    sb_err_clear(ret_status);
    const Aisbx__Ttrpc__Status *status = response->status;
    if (status == NULL || status->code == SB_OK) {
        return;
    }
    bool is_known = status->code > SB_OK && status->code <= SB_UNAUTHENTICATED;
    ret_status->code = is_known ? (enum sb_code)status->code : SB_UNKNOWN;
    (void)sb_utf8_sanitize(ret_status->text, sizeof ret_status->text,
                           sb_str_of(status->message.data, status->message.len),
                           SB_UTF8_KEEP_LINES);
}
