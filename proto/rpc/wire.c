/** Theory of operation. One pass over the serialized bytes, guided by protobuf-c's descriptors,
 * with one `struct level` on the stack per nested message. A level remembers where its field began,
 * so that the name of the offending field ("env[2].value") is put together only when there is an
 * error: the index of a repeated field is found by counting again. */
#include "proto/rpc/wire.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/utf8.h"
#include "proto/rpc/rpc.h"

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* What protobuf-c's unpack takes beside the data for each field it meets. */
enum { SCAN_BYTES = 48, UNKNOWN_BYTES = 48 };

enum { MAX_NAME_BYTES = 240 };

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

/** One message on the way down. */
struct level {
    const struct level *parent;
    const ProtobufCMessageDescriptor *desc;
    const uint8_t *start;                  /* of the message */
    const uint8_t *field_start;            /* of the tag being looked at */
    const ProtobufCFieldDescriptor *field; /* NULL: unknown */
    unsigned depth;
};

struct check {
    size_t heap_left;
    struct sb_err *err;
};

struct tag {
    uint32_t id;
    unsigned wire;
};

/* ---- reading ---- */

static bool read_varint(struct cursor *cur, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (cur->at == cur->end) {
            return false;
        }
        uint8_t byte = *cur->at++;
        value |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
        if ((byte & 0x80) == 0) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool read_tag(struct cursor *cur, struct tag *ret)
{
    uint64_t raw = 0;
    if (!read_varint(cur, &raw) || raw > UINT32_MAX || raw >> 3 == 0) {
        return false;
    }
    *ret = (struct tag){(uint32_t)(raw >> 3), (unsigned)(raw & 7)};
    return true;
}

/** Takes the value of one field; for WIRE_BYTES what is inside, else the bytes of the number. */
static bool read_value(struct cursor *cur, unsigned wire, struct cursor *ret_value)
{
    const uint8_t *start = cur->at;
    uint64_t len = 0;
    switch (wire) {
    case WIRE_VARINT:
        if (!read_varint(cur, &len)) {
            return false;
        }
        *ret_value = (struct cursor){start, cur->at};
        return true;
    case WIRE_64:
        len = 8;
        break;
    case WIRE_32:
        len = 4;
        break;
    case WIRE_BYTES:
        if (!read_varint(cur, &len)) {
            return false;
        }
        break;
    default:
        return false;
    }
    if (len > (uint64_t)(cur->end - cur->at)) {
        return false;
    }
    *ret_value = (struct cursor){cur->at, cur->at + len};
    cur->at += len;
    return true;
}

/* ---- errors ---- */

/** Occurrences of the level's field before the one at hand. */
static unsigned count_before(const struct level *level)
{
    struct cursor cur = {level->start, level->field_start};
    unsigned n = 0;
    struct tag tag;
    struct cursor value;
    while (cur.at < cur.end && read_tag(&cur, &tag) && read_value(&cur, tag.wire, &value)) {
        n += tag.id == level->field->id ? 1 : 0;
    }
    return n;
}

/* The recursions below are at most SB_RPC_MAX_DEPTH deep. NOLINTBEGIN(misc-no-recursion) */
static void put_name(const struct level *level, struct sb_buf *name)
{
    if (level->parent != NULL) {
        put_name(level->parent, name);
    }
    if (level->field == NULL) {
        return;
    }
    (void)sb_buf_printf(name, "%s%s", name->len == 0 ? "" : ".", level->field->name);
    if (level->field->label == PROTOBUF_C_LABEL_REPEATED) {
        (void)sb_buf_printf(name, "[%u]", count_before(level));
    }
}

static int fail(struct check *check, const struct level *level, enum sb_code code, const char *what)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf name = SB_BUF_INIT(MAX_NAME_BYTES);
    put_name(level, &name);
    return name.len == 0 ? sb_err_set(check->err, code, "%s: %s", level->desc->short_name, what)
                         : sb_err_set(check->err, code, "%s: %s", sb_buf_cstr(&name), what);
}

/* ---- fields ---- */

static int spend(struct check *check, const struct level *level, size_t bytes)
{
    if (bytes > check->heap_left) {
        return fail(check, level, SB_EXHAUSTED, "the message takes too much memory");
    }
    check->heap_left -= bytes;
    return 0;
}

static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *desc,
                                                  uint32_t id)
{
    unsigned low = 0;
    unsigned high = desc->n_fields;
    while (low < high) {
        unsigned mid = low + (high - low) / 2;
        if (desc->fields[mid].id == id) {
            return &desc->fields[mid];
        }
        if (desc->fields[mid].id < id) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

struct type_row {
    unsigned wire;
    size_t size; /* in an array */
};

static struct type_row type_row(ProtobufCType type)
{
    static const struct type_row rows[] = {
        [PROTOBUF_C_TYPE_INT32] = {WIRE_VARINT, 4},
        [PROTOBUF_C_TYPE_SINT32] = {WIRE_VARINT, 4},
        [PROTOBUF_C_TYPE_SFIXED32] = {WIRE_32, 4},
        [PROTOBUF_C_TYPE_INT64] = {WIRE_VARINT, 8},
        [PROTOBUF_C_TYPE_SINT64] = {WIRE_VARINT, 8},
        [PROTOBUF_C_TYPE_SFIXED64] = {WIRE_64, 8},
        [PROTOBUF_C_TYPE_UINT32] = {WIRE_VARINT, 4},
        [PROTOBUF_C_TYPE_FIXED32] = {WIRE_32, 4},
        [PROTOBUF_C_TYPE_UINT64] = {WIRE_VARINT, 8},
        [PROTOBUF_C_TYPE_FIXED64] = {WIRE_64, 8},
        [PROTOBUF_C_TYPE_FLOAT] = {WIRE_32, 4},
        [PROTOBUF_C_TYPE_DOUBLE] = {WIRE_64, 8},
        [PROTOBUF_C_TYPE_BOOL] = {WIRE_VARINT, sizeof(protobuf_c_boolean)},
        [PROTOBUF_C_TYPE_ENUM] = {WIRE_VARINT, 4},
        [PROTOBUF_C_TYPE_STRING] = {WIRE_BYTES, sizeof(char *)},
        [PROTOBUF_C_TYPE_BYTES] = {WIRE_BYTES, sizeof(ProtobufCBinaryData)},
        [PROTOBUF_C_TYPE_MESSAGE] = {WIRE_BYTES, sizeof(ProtobufCMessage *)},
    };
    return rows[type];
}

/** Numbers of a packed field: well-formed, and how many. */
static bool count_packed(struct cursor value, unsigned wire, size_t *ret_n)
{
    size_t n = 0;
    struct cursor number;
    while (value.at < value.end) {
        if (!read_value(&value, wire, &number)) {
            return false;
        }
        n++;
    }
    *ret_n = n;
    return true;
}

static int check_message(struct check *check, struct level *level, struct cursor cur);

static int check_bytes(struct check *check, const struct level *level, struct cursor value)
{
    size_t len = (size_t)(value.end - value.at);
    switch ((int)level->field->type) {
    case PROTOBUF_C_TYPE_STRING:
        if (!sb_utf8_valid(value.at, len)) {
            return fail(check, level, SB_INVALID, "not UTF-8");
        }
        if (len > 0 && memchr(value.at, '\0', len) != NULL) {
            return fail(check, level, SB_INVALID, "holds a NUL byte");
        }
        return spend(check, level, len + 1);
    case PROTOBUF_C_TYPE_MESSAGE: {
        if (level->depth == SB_RPC_MAX_DEPTH) {
            return fail(check, level, SB_INVALID, "nested too deeply");
        }
        struct level inner = {.parent = level,
                              .desc = level->field->descriptor,
                              .start = value.at,
                              .depth = level->depth + 1};
        return check_message(check, &inner, value);
    }
    default:
        return spend(check, level, len);
    }
}

static int
check_field(struct check *check, const struct level *level, struct tag tag, struct cursor value)
{
    if (level->field == NULL) {
        return spend(check, level, UNKNOWN_BYTES + (size_t)(value.end - value.at));
    }
    struct type_row row = type_row(level->field->type);
    bool is_repeated = level->field->label == PROTOBUF_C_LABEL_REPEATED;
    if (is_repeated && tag.wire == WIRE_BYTES && row.wire != WIRE_BYTES) {
        size_t n = 0;
        if (!count_packed(value, row.wire, &n)) {
            return fail(check, level, SB_INVALID, "malformed");
        }
        return spend(check, level, n * row.size);
    }
    if (tag.wire != row.wire) {
        return fail(check, level, SB_INVALID, "not of the declared type");
    }
    if (is_repeated && spend(check, level, row.size) < 0) {
        return -1;
    }
    return row.wire == WIRE_BYTES ? check_bytes(check, level, value) : 0;
}

static int check_message(struct check *check, struct level *level, struct cursor cur)
{
    if (spend(check, level, level->desc->sizeof_message) < 0) {
        return -1;
    }
    while (cur.at < cur.end) {
        struct tag tag;
        struct cursor value;
        level->field = NULL;
        level->field_start = cur.at;
        if (!read_tag(&cur, &tag)) {
            return fail(check, level, SB_INVALID, "malformed");
        }
        level->field = find_field(level->desc, tag.id);
        if (!read_value(&cur, tag.wire, &value)) {
            return fail(check, level, SB_INVALID, "malformed");
        }
        if (spend(check, level, SCAN_BYTES) < 0 || check_field(check, level, tag, value) < 0) {
            return -1;
        }
    }
    return 0;
}

/* NOLINTEND(misc-no-recursion) */

int sb_wire_check(const ProtobufCMessageDescriptor *desc,
                  const void *data,
                  size_t len,
                  size_t max_heap_bytes,
                  struct sb_err *err)
{
    static const uint8_t nothing[1];
    const uint8_t *start = len == 0 ? nothing : data;
    struct check check = {.heap_left = max_heap_bytes, .err = err};
    struct level top = {.desc = desc, .start = start, .depth = 1};
    return check_message(&check, &top, (struct cursor){start, start + len});
}

/* ---- unpacking ---- */

/** Plain malloc with a limit, so that the message can be freed without this allocator. */
static void *budget_alloc(void *data, size_t size)
{
    size_t *left = data;
    void *mem = size > *left ? NULL : malloc(size);
    if (mem == NULL) {
        return NULL;
    }
    size_t taken = malloc_usable_size(mem);
    if (taken > *left) {
        free(mem);
        return NULL;
    }
    *left -= taken;
    return mem;
}

static void budget_free(void *data, void *mem)
{
    size_t *left = data;
    *left += mem == NULL ? 0 : malloc_usable_size(mem);
    free(mem);
}

int sb_rpc_unpack(const ProtobufCMessageDescriptor *desc,
                  const void *data,
                  size_t len,
                  ProtobufCMessage **ret_msg,
                  struct sb_err *err)
{
    if (sb_wire_check(desc, data, len, SB_RPC_MAX_UNPACKED_BYTES, err) < 0) {
        return -1;
    }
    size_t left = SB_RPC_MAX_UNPACKED_BYTES;
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &left};
    ProtobufCMessage *msg = protobuf_c_message_unpack(desc, &allocator, len, data);
    if (msg == NULL) {
        return sb_err_set(err, SB_EXHAUSTED, "%s: the message takes too much memory",
                          desc->short_name);
    }
    *ret_msg = msg;
    return 0;
}

int sb_rpc_pack(const ProtobufCMessage *msg, struct sb_buf *buf, struct sb_err *err)
{
    size_t len = protobuf_c_message_get_packed_size(msg);
    if (len == 0) {
        return 0;
    }
    void *room = NULL;
    if (len > sb_buf_room(buf) || sb_buf_reserve(buf, len, &room) < 0) {
        return sb_err_set(err, SB_EXHAUSTED, "%s of %zu bytes is larger than a message may be",
                          msg->descriptor->short_name, len);
    }
    (void)protobuf_c_message_pack(msg, room);
    sb_buf_commit(buf, len);
    return 0;
}
