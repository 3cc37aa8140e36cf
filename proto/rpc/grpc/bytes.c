#include "proto/rpc/grpc/bytes.h"

#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer_reader.h>

#include "base/err.h"
#include "proto/rpc/rpc.h"
#include "proto/rpc/wire.h"

int sb_grpc_bytes_pack(const ProtobufCMessage *msg,
                       size_t max_bytes,
                       grpc_byte_buffer **ret_buffer,
                       struct sb_err *err)
{
    size_t size = protobuf_c_message_get_packed_size(msg);
    if (size > max_bytes) {
        return sb_err_set(err, SB_EXHAUSTED, "message %s of %zu bytes is larger than %zu",
                          msg->descriptor->name, size, max_bytes);
    }
    grpc_slice slice = grpc_slice_malloc(size);
    (void)protobuf_c_message_pack(msg, GRPC_SLICE_START_PTR(slice));
    *ret_buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return 0;
}

int sb_grpc_bytes_unpack(const ProtobufCMessageDescriptor *descriptor,
                         grpc_byte_buffer *buffer,
                         ProtobufCMessage **ret_msg,
                         struct sb_err *err)
{
    grpc_byte_buffer_reader reader;
    if (grpc_byte_buffer_reader_init(&reader, buffer) == 0) {
        return sb_err_set(err, SB_INVALID, "message cannot be decompressed");
    }
    grpc_slice *only = NULL;
    grpc_slice slice;
    if (buffer->data.raw.slice_buffer.count == 1 &&
        buffer->data.raw.compression == GRPC_COMPRESS_NONE &&
        grpc_byte_buffer_reader_peek(&reader, &only) != 0) {
        slice = grpc_slice_ref(*only); /* no copy: most small messages come in one slice */
    } else {
        slice = grpc_byte_buffer_reader_readall(&reader);
    }
    int result = sb_rpc_unpack(descriptor, GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice),
                               ret_msg, err);
    grpc_slice_unref(slice);
    grpc_byte_buffer_reader_destroy(&reader);
    return result;
}

void sb_grpc_bytes_text(grpc_slice slice, char *text, size_t size)
{
    size_t len = GRPC_SLICE_LENGTH(slice);
    if (len >= size) {
        len = size - 1;
    }
    memcpy(text, GRPC_SLICE_START_PTR(slice), len);
    text[len] = '\0';
}

static char *copy_terminated(char **at, const grpc_slice *slice)
{
    char *start = *at;
    size_t len = GRPC_SLICE_LENGTH(*slice);
    memcpy(start, GRPC_SLICE_START_PTR(*slice), len);
    start[len] = '\0';
    *at = start + len + 1;
    return start;
}

int sb_grpc_bytes_metadata(const grpc_metadata_array *array,
                           struct sb_rpc_metadata **ret_list,
                           size_t *ret_n)
{
    if (array->count == 0) {
        *ret_list = NULL;
        *ret_n = 0;
        return 0;
    }
    /* Core has bounded the sum (GRPC_ARG_MAX_METADATA_SIZE). */
    size_t size = array->count * sizeof **ret_list;
    for (size_t i = 0; i < array->count; i++) {
        size += GRPC_SLICE_LENGTH(array->metadata[i].key) + 1;
        size += GRPC_SLICE_LENGTH(array->metadata[i].value) + 1;
    }
    struct sb_rpc_metadata *list = malloc(size);
    if (list == NULL) {
        return -1;
    }
    char *text = (char *)(list + array->count);
    for (size_t i = 0; i < array->count; i++) {
        const grpc_metadata *entry = &array->metadata[i];
        list[i].key = copy_terminated(&text, &entry->key);
        list[i].value = copy_terminated(&text, &entry->value);
        list[i].len = GRPC_SLICE_LENGTH(entry->value);
    }
    *ret_list = list;
    *ret_n = array->count;
    return 0;
}

const char *
sb_grpc_bytes_find(const struct sb_rpc_metadata *list, size_t n, const char *key, size_t *ret_len)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i].key, key) == 0) {
            if (ret_len != NULL) {
                *ret_len = list[i].len;
            }
            return list[i].value;
        }
    }
    return NULL;
}
