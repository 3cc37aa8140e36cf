#include "service/worker/idem.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "service/worker/limits.h"

enum { KEY_MAX = 1024 };

struct entry {
    struct sb_list link;
    char *key; /* owned; heap */
    size_t key_len;
    uint64_t hash[2];
    uint64_t time_ms;
    char id[SB_ID_SIZE];
};

void sb_idem_init(struct sb_idem *idem, size_t max, uint64_t max_age_ms)
{
    *idem = (struct sb_idem){.max_age_ms = max_age_ms, .max = max};
    sb_map_init(&idem->entries, max);
    sb_list_init(&idem->by_age);
    idem->keys[0] = sb_hash_key_random();
    idem->keys[1] = sb_hash_key_random();
}

static void forget(struct sb_idem *idem, struct entry *entry)
{
    (void)sb_map_remove(&idem->entries, sb_str_of(entry->key, entry->key_len));
    sb_list_remove(&entry->link);
    free(entry->key);
    free(entry);
}

void sb_idem_done(struct sb_idem *idem)
{
    if (idem->by_age.next == NULL) {
        return;
    }
    SB_FOREACH (node, &idem->by_age) {
        forget(idem, SB_LIST_ENTRY(node, struct entry, link));
    }
    sb_map_done(&idem->entries);
}

static int by_key(const void *a, const void *b)
{
    const ProtobufCMessage *left = *(const ProtobufCMessage *const *)a;
    const ProtobufCMessage *right = *(const ProtobufCMessage *const *)b;
    const char *key_left =
        *(char *const *)(const void *)((const char *)left + left->descriptor->fields[0].offset);
    const char *key_right =
        *(char *const *)(const void *)((const char *)right + right->descriptor->fields[0].offset);
    return strcmp(key_left, key_right);
}

static bool is_map_entry(const ProtobufCMessageDescriptor *desc)
{
    return desc->n_fields == 2 && strcmp(desc->fields[0].name, "key") == 0 &&
           strcmp(desc->fields[1].name, "value") == 0 &&
           desc->fields[0].type == PROTOBUF_C_TYPE_STRING;
}

/** Sorts map entries, whose order a client may choose anew each time. Depth is bounded by the
 *  contract, which has no recursive message. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static void sort_maps(ProtobufCMessage *msg)
{
    for (unsigned i = 0; i < msg->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &msg->descriptor->fields[i];
        if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
            continue;
        }
        void *at = (char *)msg + field->offset;
        if (field->label != PROTOBUF_C_LABEL_REPEATED) {
            bool is_other =
                (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
                *(uint32_t *)(void *)((char *)msg + field->quantifier_offset) != field->id;
            ProtobufCMessage *child = is_other ? NULL : *(ProtobufCMessage **)at;
            if (child != NULL) {
                sort_maps(child);
            }
            continue;
        }
        size_t n = *(size_t *)(void *)((char *)msg + field->quantifier_offset);
        ProtobufCMessage **items = *(ProtobufCMessage ***)at;
        if (n > 1 && is_map_entry(field->descriptor)) {
            qsort(items, n, sizeof(ProtobufCMessage *), by_key);
        }
        for (size_t k = 0; k < n; k++) {
            sort_maps(items[k]);
        }
    }
}

static int hash_of(const struct sb_idem *idem,
                   const ProtobufCMessage *content,
                   uint64_t ret_hash[2],
                   struct sb_err *err)
{
    size_t len = protobuf_c_message_get_packed_size(content);
    SB_CLEANUP(sb_freep) uint8_t *bytes = malloc(len + 1);
    if (bytes == NULL) {
        return sb_err_oom(err);
    }
    (void)protobuf_c_message_pack(content, bytes);
    ProtobufCMessage *copy = protobuf_c_message_unpack(content->descriptor, NULL, len, bytes);
    if (copy == NULL) {
        return sb_err_oom(err);
    }
    sort_maps(copy);
    len = protobuf_c_message_pack(copy, bytes);
    protobuf_c_message_free_unpacked(copy, NULL);
    ret_hash[0] = sb_hash_sip13(idem->keys[0], bytes, len);
    ret_hash[1] = sb_hash_sip13(idem->keys[1], bytes, len);
    return 0;
}

static int key_of(const struct sb_idem_call *call, struct sb_buf *key, struct sb_err *err)
{
    if (strlen(call->request_id) > SB_MAX_REQUEST_ID_BYTES) {
        return sb_err_set(err, SB_INVALID, "request_id: longer than %d bytes",
                          SB_MAX_REQUEST_ID_BYTES);
    }
    if (sb_buf_append(key, call->owner, strlen(call->owner) + 1) < 0 ||
        sb_buf_append(key, call->method, strlen(call->method) + 1) < 0 ||
        sb_buf_append(key, call->request_id, strlen(call->request_id)) < 0) {
        return sb_err_oom(err);
    }
    return 0;
}

static void forget_old(struct sb_idem *idem, uint64_t now_ms)
{
    SB_FOREACH (node, &idem->by_age) {
        struct entry *entry = SB_LIST_ENTRY(node, struct entry, link);
        bool is_full = sb_map_count(&idem->entries) >= idem->max;
        if (!is_full && now_ms - entry->time_ms < idem->max_age_ms) {
            return;
        }
        forget(idem, entry);
    }
}

int sb_idem_find(struct sb_idem *idem,
                 const struct sb_idem_call *call,
                 uint64_t now_ms,
                 char ret_id[SB_ID_SIZE],
                 struct sb_err *err)
{
    if (call->request_id[0] == '\0') {
        ret_id[0] = '\0';
        return 0;
    }
    SB_CLEANUP(sb_buf_done) struct sb_buf key = SB_BUF_INIT(KEY_MAX);
    if (key_of(call, &key, err) < 0) {
        return -1;
    }
    const struct entry *entry = sb_map_get(&idem->entries, sb_buf_str(&key));
    if (entry == NULL || now_ms - entry->time_ms >= idem->max_age_ms) {
        ret_id[0] = '\0';
        return 0;
    }
    uint64_t hash[2];
    if (hash_of(idem, call->content, hash, err) < 0) {
        return -1;
    }
    if (memcmp(hash, entry->hash, sizeof hash) != 0) {
        return sb_err_set(err, SB_EXISTS,
                          "request_id %s was used before with another content; use a new one",
                          call->request_id);
    }
    memcpy(ret_id, entry->id, SB_ID_SIZE);
    return 0;
}

int sb_idem_add(struct sb_idem *idem,
                const struct sb_idem_call *call,
                uint64_t now_ms,
                const char *id,
                struct sb_err *err)
{
    if (call->request_id[0] == '\0') {
        return 0;
    }
    forget_old(idem, now_ms);
    struct sb_buf key = SB_BUF_INIT(KEY_MAX);
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        return sb_err_oom(err);
    }
    if (key_of(call, &key, err) < 0 || hash_of(idem, call->content, entry->hash, err) < 0) {
        sb_buf_done(&key);
        free(entry);
        return -1;
    }
    entry->time_ms = now_ms;
    entry->key_len = key.len;
    (void)strncpy(entry->id, id, SB_ID_SIZE - 1);
    struct entry *old = sb_map_get(&idem->entries, sb_buf_str(&key));
    if (old != NULL) {
        forget(idem, old);
    }
    entry->key = sb_buf_steal(&key);
    if (entry->key == NULL) {
        sb_buf_done(&key);
        free(entry);
        return sb_err_oom(err);
    }
    if (sb_map_put(&idem->entries, sb_str_of(entry->key, entry->key_len), entry, err) < 0) {
        free(entry->key);
        free(entry);
        return -1;
    }
    sb_list_append(&idem->by_age, &entry->link);
    return 0;
}

void sb_idem_drop(struct sb_idem *idem, const char *id)
{
    SB_FOREACH (node, &idem->by_age) {
        struct entry *entry = SB_LIST_ENTRY(node, struct entry, link);
        if (strcmp(entry->id, id) == 0) {
            forget(idem, entry);
            return;
        }
    }
}
