#include "service/worker/api_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "service/worker/api.h"
#include "service/worker/api_gate.h"
#include "service/worker/api_pb.h"
#include "service/worker/auth/key_store.h"
#include "service/worker/events.h"
#include "service/worker/worker.h"

enum { NOTE_USE_MS = 60000 };

#define TTL_MAX_MS (10ULL * 365 * 86400000)

/* ---- messages ---- */

static Aisbx__V1__ApiKey *key_message(const struct sb_key *key)
{
    Aisbx__V1__ApiKey *msg = sb_api_pb_new(&aisbx__v1__api_key__descriptor);
    if (msg == NULL) {
        return NULL;
    }
    msg->role = (Aisbx__V1__Role)key->role; /* the same numbers */
    if (sb_api_pb_text(&msg->key_id, key->id) && sb_api_pb_text(&msg->tenant, key->tenant) &&
        sb_api_pb_text(&msg->title, key->title) &&
        sb_api_pb_text(&msg->created_by, key->created_by) &&
        sb_api_pb_time(key->create_ms, &msg->create_time) &&
        (key->expire_ms == 0 || sb_api_pb_time(key->expire_ms, &msg->expire_time)) &&
        (key->revoke_ms == 0 || sb_api_pb_time(key->revoke_ms, &msg->revoke_time)) &&
        (key->last_use_ms == 0 || sb_api_pb_time(key->last_use_ms, &msg->last_use_time))) {
        return msg;
    }
    protobuf_c_message_free_unpacked(&msg->base, NULL);
    return NULL;
}

/** A call that waits until its key is on the disk. Outlives the call. */
struct wait {
    struct sb_rpc_call *call; /* reference */
    struct sb_worker *worker;
    char id[SB_KEY_ID_SIZE];
    char text[SB_KEY_TEXT_SIZE]; /* of a new key; "" when one is revoked */
};

static void wait_free(struct wait *wait)
{
    explicit_bzero(wait->text, sizeof wait->text);
    sb_rpc_call_unref(wait->call);
    free(wait);
}

static struct wait *wait_new(struct sb_rpc_call *call, struct sb_worker *worker, const char *id)
{
    struct wait *wait = calloc(1, sizeof *wait);
    if (wait != NULL) {
        sb_rpc_call_ref(call);
        wait->call = call;
        wait->worker = worker;
        (void)snprintf(wait->id, sizeof wait->id, "%s", id);
    }
    return wait;
}

/* ---- CreateKey ---- */

static int check_create(const Aisbx__V1__CreateKeyRequest *req, struct sb_err *err)
{
    if (req->role <= AISBX__V1__ROLE__ROLE_UNSPECIFIED || req->role > AISBX__V1__ROLE__ROLE_ADMIN) {
        return sb_err_set(err, SB_INVALID, "role: say ROLE_USER, ROLE_AUDITOR or ROLE_ADMIN");
    }
    if (sb_key_check((enum sb_role)req->role, sb_str_from(req->tenant), sb_str_from(req->title),
                     err) < 0) {
        return -1;
    }
    if (req->ttl_ms > TTL_MAX_MS) {
        return sb_err_set(err, SB_INVALID, "ttl_ms: more than ten years; 0 is never");
    }
    return 0;
}

static int make_key(const struct sb_caller *caller,
                    const Aisbx__V1__CreateKeyRequest *req,
                    struct sb_key *ret_key,
                    char ret_text[SB_KEY_TEXT_SIZE],
                    struct sb_err *err)
{
    struct sb_key key = {.role = (enum sb_role)req->role, .create_ms = sb_clock_real_ms()};
    if (check_create(req, err) < 0 || sb_key_text_make(key.id, ret_text, err) < 0) {
        return -1;
    }
    sb_key_text_hash(sb_str_from(ret_text), key.hash);
    (void)snprintf(key.tenant, sizeof key.tenant, "%s",
                   req->tenant[0] == '\0' ? SB_TENANT_LOCAL : req->tenant);
    (void)snprintf(key.title, sizeof key.title, "%s", req->title);
    (void)snprintf(key.created_by, sizeof key.created_by, "%s", caller->actor);
    key.expire_ms = req->ttl_ms == 0 ? 0 : key.create_ms + req->ttl_ms;
    *ret_key = key;
    return 0;
}

static void on_created(void *ctx, const struct sb_err *failure)
{
    struct wait *wait = ctx;
    struct sb_keys *keys = &wait->worker->auth.keys;
    struct sb_key *key = sb_keys_get(keys, sb_str_from(wait->id));
    struct sb_err err = {.code = SB_OK};
    Aisbx__V1__CreateKeyResponse *msg = NULL;
    if (failure != NULL) {
        err = *failure;
        if (key != NULL) {
            sb_keys_remove(keys, key);
        }
    } else {
        msg = sb_api_pb_new(&aisbx__v1__create_key_response__descriptor);
        if (msg != NULL && (key == NULL || (msg->key = key_message(key)) == NULL ||
                            !sb_api_pb_text(&msg->text, wait->text))) {
            (void)sb_err_oom(&err);
        }
    }
    sb_api_finish(wait->call, msg, &err);
    wait_free(wait);
}

static void create_key(struct sb_rpc_call *call, const Aisbx__V1__CreateKeyRequest *req, void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err;
    struct sb_caller caller;
    struct sb_key made;
    struct sb_key *key = NULL;
    char text[SB_KEY_TEXT_SIZE];
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    if (make_key(&caller, req, &made, text, &err) < 0 ||
        sb_keys_add(&worker->auth.keys, &made, &key, &err) < 0) {
        sb_rpc_call_fail(call, &err);
        return;
    }
    struct wait *wait = wait_new(call, worker, key->id);
    if (wait == NULL) {
        (void)sb_err_oom(&err);
    } else {
        memcpy(wait->text, text, sizeof text);
    }
    explicit_bzero(text, sizeof text);
    if (wait == NULL || sb_key_store_put(worker->store, key, on_created, wait, &err) < 0) {
        sb_keys_remove(&worker->auth.keys, key);
        if (wait != NULL) {
            wait_free(wait);
        }
        sb_rpc_call_fail(call, &err);
        return;
    }
    sb_event_key(worker, "key.created", &made, caller.actor);
    SB_LOG_INFO("key created", "key=%s role=%s tenant=%s by=%s", made.id, sb_role_names[made.role],
                made.tenant, caller.actor);
}

/* ---- ListKeys ---- */

static int fill_keys(const struct sb_worker *worker,
                     const Aisbx__V1__ListKeysRequest *req,
                     Aisbx__V1__ListKeysResponse *msg,
                     struct sb_err *err)
{
    char text[SB_TENANT_SIZE + 16];
    int n = snprintf(text, sizeof text, "keys|%.64s", req->tenant);
    uint64_t question = sb_hash_sip13(worker->page_key.key, text, (size_t)n);
    uint64_t cursor = 0;
    uint64_t last = 0;
    size_t size = sb_page_size(req->page_size);
    if (sb_page_cursor(&worker->page_key, sb_str_from(req->page_token), question, &cursor, err) <
        0) {
        return -1;
    }
    msg->keys = calloc(size, sizeof(Aisbx__V1__ApiKey *));
    if (msg->keys == NULL) {
        return sb_err_oom(err);
    }
    SB_FOREACH (node, &worker->auth.keys.list) {
        const struct sb_key *key = SB_LIST_ENTRY(node, struct sb_key, link);
        if (key->seq >= cursor ||
            (req->tenant[0] != '\0' && strcmp(req->tenant, key->tenant) != 0)) {
            continue;
        }
        if (msg->n_keys == size) {
            char token[SB_PAGE_TOKEN_SIZE];
            sb_page_token(&worker->page_key, last, question, token);
            return sb_api_pb_text(&msg->next_page_token, token) ? 0 : sb_err_oom(err);
        }
        Aisbx__V1__ApiKey *item = key_message(key);
        if (item == NULL) {
            return sb_err_oom(err);
        }
        msg->keys[msg->n_keys++] = item;
        last = key->seq;
    }
    return 0;
}

static void list_keys(struct sb_rpc_call *call, const Aisbx__V1__ListKeysRequest *req, void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_caller caller;
    struct sb_err err = {.code = SB_OK};
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    Aisbx__V1__ListKeysResponse *msg = sb_api_pb_new(&aisbx__v1__list_keys_response__descriptor);
    if (msg != NULL) {
        (void)fill_keys(worker, req, msg, &err);
    }
    sb_api_finish(call, msg, &err);
}

/* ---- RevokeKey ---- */

static void answer_revoked(struct sb_rpc_call *call, const struct sb_key *key)
{
    struct sb_err err = {.code = SB_OK};
    Aisbx__V1__RevokeKeyResponse *msg = sb_api_pb_new(&aisbx__v1__revoke_key_response__descriptor);
    if (msg != NULL && (msg->key = key_message(key)) == NULL) {
        (void)sb_err_oom(&err);
    }
    sb_api_finish(call, msg, &err);
}

static void on_revoked(void *ctx, const struct sb_err *failure)
{
    struct wait *wait = ctx;
    const struct sb_key *key = sb_keys_get(&wait->worker->auth.keys, sb_str_from(wait->id));
    struct sb_err err;
    if (failure != NULL || key == NULL) {
        /* It stays refused here; who asked is told that a restart could bring it back. */
        (void)sb_err_set(&err, SB_UNAVAILABLE,
                         "the key is refused from now on, but that could not be kept for the next "
                         "start of the worker: %s",
                         failure == NULL ? "it is gone" : failure->text);
        sb_rpc_call_fail(wait->call, &err);
    } else {
        answer_revoked(wait->call, key);
    }
    wait_free(wait);
}

static void revoke_key(struct sb_rpc_call *call, const Aisbx__V1__RevokeKeyRequest *req, void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err;
    struct sb_caller caller;
    char id[SB_KEY_ID_SIZE];
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    struct sb_str name = sb_str_from(req->key_id);
    struct sb_key *key =
        sb_keys_get(&worker->auth.keys, sb_key_text_parse(name, id) ? sb_str_from(id) : name);
    if (key == NULL && worker->auth.filed != NULL &&
        sb_keys_get(worker->auth.filed, sb_key_text_parse(name, id) ? sb_str_from(id) : name) !=
            NULL) {
        (void)sb_err_set(&err, SB_PRECONDITION,
                         "key_id: that key is of the file of keys that this worker shares with "
                         "others; take its line out of %s, or of the Secret that it comes from",
                         worker->options.keys);
        sb_rpc_call_fail(call, &err);
        return;
    }
    if (key == NULL) {
        (void)sb_err_set(&err, SB_NOT_FOUND,
                         "key_id: no such key (aisbx-security keys list shows what there is)");
        sb_rpc_call_fail(call, &err);
        return;
    }
    if (key->revoke_ms == 0) {
        key->revoke_ms = sb_clock_real_ms(); /* at once, whatever the disk says */
        sb_event_key(worker, "key.revoked", key, caller.actor);
        char actor[sizeof "key:" + SB_KEY_ID_SIZE];
        (void)snprintf(actor, sizeof actor, "key:%s", key->id);
        sb_gate_cut(worker, actor);
        SB_LOG_INFO("key revoked", "key=%s tenant=%s by=%s", key->id, key->tenant, caller.actor);
    }
    struct wait *wait = wait_new(call, worker, key->id);
    if (wait == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
    } else if (sb_key_store_put(worker->store, key, on_revoked, wait, &err) < 0) {
        wait_free(wait);
        sb_rpc_call_fail(call, &err);
    }
}

void sb_api_key_used(struct sb_worker *worker, const struct sb_caller *caller)
{
    struct sb_err err;
    struct sb_key *key = strncmp(caller->actor, "key:", 4) == 0
                             ? sb_keys_get(&worker->auth.keys, sb_str_from(caller->actor + 4))
                             : NULL;
    if (key != NULL && key->last_use_ms - key->noted_use_ms >= NOTE_USE_MS) {
        key->noted_use_ms = key->last_use_ms;
        (void)sb_key_store_put(worker->store, key, NULL, NULL, &err); /* the next one tries again */
    }
}

const struct aisbx__v1__key_service__server sb_api_key_service = {
    .create_key = {create_key, NULL},
    .list_keys = {list_keys, NULL},
    .revoke_key = {revoke_key, NULL},
};
