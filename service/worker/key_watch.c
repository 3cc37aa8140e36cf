#include "service/worker/key_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "service/worker/api_gate.h"
#include "service/worker/auth/keys.h"
#include "service/worker/events.h"
#include "service/worker/timer.h"
#include "service/worker/worker.h"

#define ACTOR "worker:--keys"

static struct sb_keys *keys_new(void)
{
    struct sb_keys *keys = malloc(sizeof *keys);
    if (keys != NULL) {
        sb_keys_init(keys);
    }
    return keys;
}

static void keys_free(struct sb_keys *keys)
{
    if (keys != NULL) {
        sb_keys_done(keys);
        free(keys);
    }
}

/* Opens it the same doors? */
static bool is_same(const struct sb_key *a, const struct sb_key *b)
{
    return memcmp(a->hash, b->hash, sizeof a->hash) == 0 && a->role == b->role &&
           strcmp(a->tenant, b->tenant) == 0;
}

/* ---- one set for another ---- */

static void note_added(struct sb_worker *worker, const struct sb_keys *before, struct sb_keys *now)
{
    SB_FOREACH (node, &now->list) {
        struct sb_key *key = SB_LIST_ENTRY(node, struct sb_key, link);
        const struct sb_key *old = sb_keys_get(before, sb_str_from(key->id));
        if (old != NULL && is_same(old, key)) {
            key->bucket = old->bucket;
        } else {
            sb_event_key(worker, "key.created", key, ACTOR);
        }
    }
}

static void cut_gone(struct sb_worker *worker, const struct sb_keys *before, struct sb_keys *now)
{
    char actor[sizeof "key:" + SB_KEY_ID_SIZE];
    SB_FOREACH (node, &before->list) {
        const struct sb_key *old = SB_LIST_ENTRY(node, struct sb_key, link);
        const struct sb_key *key = sb_keys_get(now, sb_str_from(old->id));
        if (key == NULL || !is_same(old, key)) {
            sb_event_key(worker, "key.revoked", old, ACTOR);
            (void)snprintf(actor, sizeof actor, "key:%s", old->id);
            sb_gate_cut(worker, actor);
        }
    }
}

/* Takes over now. */
static void replace(struct sb_worker *worker, struct sb_keys *now)
{
    struct sb_keys *before = worker->auth.filed;
    note_added(worker, before, now);
    worker->auth.filed = now;
    cut_gone(worker, before, now);
    keys_free(before);
}

/* ---- reading ---- */

/* The machine has no room: says nothing of the file. */
static bool is_of_us(const struct sb_err *err)
{
    return err->sys == EMFILE || err->sys == ENFILE || err->sys == ENOMEM;
}

static void refuse_all(struct sb_worker *worker, const struct sb_err *err)
{
    struct sb_keys *none = keys_new();
    if (none == NULL) {
        sb_keys_done(worker->auth.filed); /* calls of theirs go on, and nobody's begin */
        sb_keys_init(worker->auth.filed);
    } else {
        replace(worker, none);
    }
    worker->key_watch.n_wrong = 1;
    SB_LOG_ERROR("no key of the file opens anything until it can be read", "file=%s why=%s",
                 worker->options.keys, err->text);
}

void sb_key_watch_reload(struct sb_worker *worker)
{
    struct sb_key_watch *watch = &worker->key_watch;
    struct sb_err err;
    struct sb_err first;
    size_t n_wrong = 0;
    struct sb_keys *keys = NULL;
    if (!watch->is_begun) {
        return;
    }
    bool was_unread = watch->is_unread;
    watch->is_unread = true;
    if ((keys = keys_new()) == NULL) {
        return; /* the next look tries again */
    }
    if (sb_key_file_read(worker->options.keys, keys, &watch->stamp, &n_wrong, &first, &err) < 0) {
        keys_free(keys);
        if (is_of_us(&err)) {
            SB_LOG_ERROR("the file of keys cannot be read again now", "file=%s why=%s",
                         worker->options.keys, err.text);
        } else if (!was_unread || sb_map_count(&worker->auth.filed->by_id) > 0) {
            refuse_all(worker, &err);
        }
        return;
    }
    watch->is_unread = !watch->stamp.is_settled;
    watch->n_wrong = n_wrong;
    replace(worker, keys);
    SB_LOG_INFO("keys read again", "file=%s keys=%zu wrong=%zu", worker->options.keys,
                sb_map_count(&keys->by_id), n_wrong);
}

static void on_look(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_worker *worker = ctx;
    struct sb_key_watch *watch = &worker->key_watch;
    struct sb_key_stamp now;
    struct sb_err err;
    if (watch->is_unread || sb_key_file_stamp(worker->options.keys, &now, &err) < 0 ||
        memcmp(now.hash, watch->stamp.hash, sizeof now.hash) != 0) {
        sb_key_watch_reload(worker);
    }
    sb_timer_arm(&watch->timer, SB_KEY_WATCH_MS);
}

int sb_key_watch_begin(struct sb_worker *worker, struct sb_err *err)
{
    struct sb_key_watch *watch = &worker->key_watch;
    const char *path = worker->options.keys;
    struct sb_err first;
    size_t n_wrong = 0;
    if (path == NULL) {
        return 0;
    }
    worker->auth.filed = keys_new();
    if (worker->auth.filed == NULL) {
        return sb_err_oom(err);
    }
    if (sb_key_file_read(path, worker->auth.filed, &watch->stamp, &n_wrong, &first, err) < 0) {
        return err->sys == EACCES
                   ? sb_err_wrap(err,
                                 "--keys %s (uid %u and gid %u read it: it holds hashes alone)",
                                 path, (unsigned)geteuid(), (unsigned)getegid())
                   : sb_err_wrap(err, "--keys %s", path);
    }
    if (n_wrong > 0) {
        return sb_err_set(err, SB_INVALID, "--keys %s: %zu lines are wrong; %s", path, n_wrong,
                          first.text);
    }
    watch->is_unread = !watch->stamp.is_settled;
    watch->is_begun = true;
    (void)event_assign(&watch->timer, worker->base, -1, 0, on_look, worker);
    sb_timer_arm(&watch->timer, SB_KEY_WATCH_MS);
    SB_LOG_INFO("keys read", "file=%s keys=%zu", path, sb_map_count(&worker->auth.filed->by_id));
    return 0;
}

void sb_key_watch_end(struct sb_worker *worker)
{
    if (worker->key_watch.is_begun) {
        (void)event_del(&worker->key_watch.timer);
    }
    keys_free(worker->auth.filed);
    worker->auth.filed = NULL;
}
