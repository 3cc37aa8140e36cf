#include "service/worker/idem.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/sha256.h"
#include "service/worker/idem_store.h"
#include "service/worker/limits.h"

struct entry {
    struct sb_list link;
    char *key; /* owned; heap */
    size_t key_len;
    char hash[SB_IDEM_HASH_SIZE];
    uint64_t time_ms;
    char id[SB_ID_SIZE];
    bool is_recalled; /* of a worker before this one */
};

void sb_idem_init(struct sb_idem *idem, size_t max, uint64_t max_age_ms)
{
    *idem = (struct sb_idem){.max_age_ms = max_age_ms, .max = max};
    sb_map_init(&idem->entries, max);
    sb_list_init(&idem->by_age);
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

int sb_idem_hash(const ProtobufCMessage *content,
                 char ret_hash[SB_IDEM_HASH_SIZE],
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
    sb_sha256_hex(sb_str_of(bytes, len), ret_hash);
    return 0;
}

int sb_idem_key(const struct sb_idem_call *call, struct sb_buf *key, struct sb_err *err)
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

/** The clock may have been set back: then it is not. */
static bool is_old(const struct sb_idem *idem, const struct entry *entry, uint64_t now_ms)
{
    return now_ms > entry->time_ms && now_ms - entry->time_ms >= idem->max_age_ms;
}

static void forget_old(struct sb_idem *idem, uint64_t now_ms)
{
    SB_FOREACH (node, &idem->by_age) {
        struct entry *entry = SB_LIST_ENTRY(node, struct entry, link);
        bool is_full = sb_map_count(&idem->entries) >= idem->max;
        if (!is_full && !is_old(idem, entry, now_ms)) {
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
    SB_CLEANUP(sb_buf_done) struct sb_buf key = SB_BUF_INIT(SB_IDEM_KEY_MAX);
    if (sb_idem_key(call, &key, err) < 0) {
        return -1;
    }
    const struct entry *entry = sb_map_get(&idem->entries, sb_buf_str(&key));
    if (entry == NULL || is_old(idem, entry, now_ms)) {
        ret_id[0] = '\0';
        return 0;
    }
    char hash[SB_IDEM_HASH_SIZE];
    if (sb_idem_hash(call->content, hash, err) < 0) {
        return -1;
    }
    if (memcmp(hash, entry->hash, sizeof hash) != 0) {
        return sb_err_set(err, SB_EXISTS,
                          "request_id %s was used before with another content; use a new one",
                          call->request_id);
    }
    if (entry->is_recalled) {
        return sb_err_set(err, SB_PRECONDITION,
                          "request_id %s was used before this worker started: the call may have "
                          "been done, and %s went with the worker before; use a new one to do it "
                          "again",
                          call->request_id, entry->id[0] == '\0' ? "what it made" : entry->id);
    }
    memcpy(ret_id, entry->id, SB_ID_SIZE);
    return 0;
}

bool sb_idem_knows(const struct sb_idem *idem, const struct sb_idem_call *call, uint64_t now_ms)
{
    struct sb_err ignored;
    SB_CLEANUP(sb_buf_done) struct sb_buf key = SB_BUF_INIT(SB_IDEM_KEY_MAX);
    const struct entry *entry =
        sb_idem_key(call, &key, &ignored) < 0 ? NULL : sb_map_get(&idem->entries, sb_buf_str(&key));
    return entry != NULL && !is_old(idem, entry, now_ms);
}

bool sb_idem_has(const struct sb_idem *idem, struct sb_str key)
{
    return sb_map_get(&idem->entries, key) != NULL;
}

/** @key  taken over, also when it fails. */
static int put(struct sb_idem *idem, struct sb_buf *key, struct entry *entry, struct sb_err *err)
{
    struct entry *old = sb_map_get(&idem->entries, sb_buf_str(key));
    if (old != NULL) {
        forget(idem, old);
    }
    entry->key_len = key->len;
    entry->key = sb_buf_steal(key);
    if (entry->key == NULL) {
        return sb_err_oom(err);
    }
    if (sb_map_put(&idem->entries, sb_str_of(entry->key, entry->key_len), entry, err) < 0) {
        free(entry->key);
        return -1;
    }
    sb_list_append(&idem->by_age, &entry->link);
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
    SB_CLEANUP(sb_buf_done) struct sb_buf key = SB_BUF_INIT(SB_IDEM_KEY_MAX);
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        return sb_err_oom(err);
    }
    entry->time_ms = now_ms;
    (void)strncpy(entry->id, id, SB_ID_SIZE - 1);
    if (sb_idem_key(call, &key, err) < 0 || sb_idem_hash(call->content, entry->hash, err) < 0 ||
        put(idem, &key, entry, err) < 0) {
        free(entry);
        return -1;
    }
    if (idem->store != NULL) {
        sb_idem_store_result(idem->store, sb_str_of(entry->key, entry->key_len), entry->hash,
                             now_ms, entry->id);
    }
    return 0;
}

int sb_idem_recall(struct sb_idem *idem,
                   struct sb_str key,
                   const char *hash,
                   const char *id,
                   uint64_t time_ms,
                   struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf copy = SB_BUF_INIT(SB_IDEM_KEY_MAX);
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL || sb_buf_append(&copy, key.ptr, key.len) < 0) {
        free(entry);
        return sb_err_oom(err);
    }
    entry->time_ms = time_ms;
    entry->is_recalled = true;
    memcpy(entry->hash, hash, SB_IDEM_HASH_SIZE - 1);
    (void)strncpy(entry->id, id, SB_ID_SIZE - 1);
    if (put(idem, &copy, entry, err) < 0) {
        free(entry);
        return -1;
    }
    return 0;
}

void sb_idem_drop(struct sb_idem *idem, const char *id)
{
    SB_FOREACH (node, &idem->by_age) {
        struct entry *entry = SB_LIST_ENTRY(node, struct entry, link);
        if (strcmp(entry->id, id) == 0) {
            if (idem->store != NULL) {
                sb_idem_store_forget(idem->store, sb_str_of(entry->key, entry->key_len));
            }
            forget(idem, entry);
            return;
        }
    }
}
