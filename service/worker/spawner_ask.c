/* What can be asked of the spawner. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "service/worker/limits.h"
#include "service/worker/spawner.h"
#include "service/worker/spawner_internal.h"

static struct sb_ask *
new_ask(struct sb_spawner *spawner, sb_spawner_reply_fn *on_reply, void *ctx, struct sb_err *err)
{
    if (spawner->is_lost) {
        (void)sb_err_set(err, SB_UNAVAILABLE, "the worker's spawner died");
        return NULL;
    }
    if (spawner->n_asks >= SB_MAX_SPAWNER_REQUESTS) {
        (void)sb_err_set(err, SB_EXHAUSTED, "too many requests wait for the spawner; try again");
        return NULL;
    }
    struct sb_ask *ask = calloc(1, sizeof *ask);
    if (ask == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    spawn__v1__request__init(&ask->req);
    ask->req.tag = spawner->next_tag++;
    ask->on_reply = on_reply;
    ask->ctx = ctx;
    return ask;
}

/** What cannot be sent at once may have to be answered (too long a message), which must not happen
 *  from inside a request: then the loop sends. */
static void enqueue(struct sb_spawner *spawner, struct sb_ask *ask)
{
    spawner->n_asks++;
    if (ask->req.body_case == SPAWN__V1__REQUEST__BODY_SPAWN) {
        sb_list_append(&spawner->held, &ask->link);
        sb_spawner_release(spawner);
        return;
    }
    if (!sb_spawner_send_now(spawner, ask)) {
        sb_list_append(&spawner->unsent, &ask->link);
        event_active(&spawner->writable, EV_WRITE, 0);
    }
}

bool sb_spawner_knows_filter(const struct sb_spawner *spawner,
                             const struct sb_filter *filter,
                             uint64_t *ret_id)
{
    size_t n =
        spawner->n_loaded < SB_SPAWNER_MAX_LOADED ? spawner->n_loaded : SB_SPAWNER_MAX_LOADED;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(spawner->loaded[i].hash, filter->hash) == 0) {
            *ret_id = spawner->loaded[i].id;
            return true;
        }
    }
    return false;
}

int sb_spawner_load_filter(struct sb_spawner *spawner,
                           struct sb_filter *filter,
                           sb_spawner_reply_fn *on_reply,
                           void *ctx,
                           struct sb_err *err)
{
    struct sb_ask *ask = new_ask(spawner, on_reply, ctx, err);
    if (ask == NULL) {
        return -1;
    }
    ask->filter = sb_filter_ref(filter);
    ask->req.body_case = SPAWN__V1__REQUEST__BODY_LOAD_FILTER;
    ask->req.load_filter = filter->message;
    enqueue(spawner, ask);
    return 0;
}

int sb_spawner_spawn(struct sb_spawner *spawner,
                     Spawn__V1__Plan *plan,
                     int *fds,
                     size_t n_fds,
                     sb_spawner_reply_fn *on_reply,
                     void *ctx,
                     struct sb_err *err)
{
    struct sb_ask *ask = new_ask(spawner, on_reply, ctx, err);
    if (ask == NULL) {
        spawn__v1__plan__free_unpacked(plan, NULL);
        sb_fd_close_all(fds, n_fds);
        return -1;
    }
    spawn__v1__spawn__init(&ask->spawn);
    ask->spawn.plan = plan;
    assert(n_fds <= SB_SPAWNER_MAX_FDS);
    for (size_t i = 0; i < n_fds; i++) {
        ask->fds[ask->n_fds++] = fds[i];
    }
    ask->req.body_case = SPAWN__V1__REQUEST__BODY_SPAWN;
    ask->req.spawn = &ask->spawn;
    enqueue(spawner, ask);
    return 0;
}

void sb_spawner_kill(struct sb_spawner *spawner, uint64_t slot)
{
    struct sb_err err;
    struct sb_ask *ask = new_ask(spawner, NULL, NULL, &err);
    if (ask == NULL) {
        /* A kill that cannot be asked for must not be forgotten: without the spawner all end. */
        sb_spawner_lose(spawner, err.text);
        return;
    }
    spawn__v1__kill__init(&ask->kill);
    ask->kill.slot = slot;
    ask->req.body_case = SPAWN__V1__REQUEST__BODY_KILL;
    ask->req.kill = &ask->kill;
    enqueue(spawner, ask);
}

int sb_spawner_count(struct sb_spawner *spawner,
                     uint64_t slot,
                     sb_spawner_reply_fn *on_reply,
                     void *ctx,
                     struct sb_err *err)
{
    struct sb_ask *ask = new_ask(spawner, on_reply, ctx, err);
    if (ask == NULL) {
        return -1;
    }
    spawn__v1__count__init(&ask->count);
    ask->count.slot = slot;
    ask->req.body_case = SPAWN__V1__REQUEST__BODY_COUNT;
    ask->req.count = &ask->count;
    enqueue(spawner, ask);
    return 0;
}

int sb_spawner_freeze(struct sb_spawner *spawner,
                      uint64_t slot,
                      bool is_frozen,
                      sb_spawner_reply_fn *on_reply,
                      void *ctx,
                      struct sb_err *err)
{
    struct sb_ask *ask = new_ask(spawner, on_reply, ctx, err);
    if (ask == NULL) {
        return -1;
    }
    spawn__v1__freeze__init(&ask->freeze);
    ask->freeze.slot = slot;
    ask->freeze.thaw = !is_frozen;
    ask->req.body_case = SPAWN__V1__REQUEST__BODY_FREEZE;
    ask->req.freeze = &ask->freeze;
    enqueue(spawner, ask);
    return 0;
}

int sb_spawner_take_layer(struct sb_spawner *spawner,
                          uint64_t slot,
                          uint64_t max_bytes,
                          bool is_frozen,
                          sb_spawner_reply_fn *on_reply,
                          void *ctx,
                          struct sb_err *err)
{
    struct sb_ask *ask = new_ask(spawner, on_reply, ctx, err);
    if (ask == NULL) {
        return -1;
    }
    spawn__v1__take_layer__init(&ask->take_layer);
    ask->take_layer.slot = slot;
    ask->take_layer.max_bytes = max_bytes;
    ask->take_layer.is_frozen = is_frozen;
    ask->req.body_case = SPAWN__V1__REQUEST__BODY_TAKE_LAYER;
    ask->req.take_layer = &ask->take_layer;
    enqueue(spawner, ask);
    return 0;
}

int sb_spawner_read_changes(struct sb_spawner *spawner,
                            uint64_t slot,
                            const Spawn__V1__ReadChanges *of,
                            sb_spawner_reply_fn *on_reply,
                            void *ctx,
                            struct sb_err *err)
{
    struct sb_ask *ask = new_ask(spawner, on_reply, ctx, err);
    if (ask == NULL) {
        return -1;
    }
    ask->read_changes = *of;
    ask->read_changes.slot = slot;
    ask->req.body_case = SPAWN__V1__REQUEST__BODY_READ_CHANGES;
    ask->req.read_changes = &ask->read_changes;
    enqueue(spawner, ask);
    return 0;
}

void sb_spawner_drop_layer(struct sb_spawner *spawner, uint64_t layer_id)
{
    struct sb_err err;
    struct sb_ask *ask = new_ask(spawner, NULL, NULL, &err);
    if (ask == NULL) {
        if (!spawner->is_lost) { /* memory would stay taken that nobody counts any more */
            sb_spawner_lose(spawner, err.text);
        }
        return;
    }
    spawn__v1__drop_layer__init(&ask->drop_layer);
    ask->drop_layer.layer_id = layer_id;
    ask->req.body_case = SPAWN__V1__REQUEST__BODY_DROP_LAYER;
    ask->req.drop_layer = &ask->drop_layer;
    enqueue(spawner, ask);
}

int sb_spawner_compare(struct sb_spawner *spawner,
                       uint64_t slot,
                       int peer_fd,
                       sb_spawner_reply_fn *on_reply,
                       void *ctx,
                       struct sb_err *err)
{
    struct sb_ask *ask = new_ask(spawner, on_reply, ctx, err);
    if (ask == NULL) {
        sb_fd_close_all(&peer_fd, 1);
        return -1;
    }
    spawn__v1__compare_mounts__init(&ask->compare);
    ask->compare.slot = slot;
    ask->req.body_case = SPAWN__V1__REQUEST__BODY_COMPARE;
    ask->req.compare = &ask->compare;
    ask->fds[ask->n_fds++] = peer_fd;
    enqueue(spawner, ask);
    return 0;
}

int sb_spawner_probe(struct sb_spawner *spawner,
                     sb_spawner_reply_fn *on_reply,
                     void *ctx,
                     struct sb_err *err)
{
    struct sb_ask *ask = new_ask(spawner, on_reply, ctx, err);
    if (ask == NULL) {
        return -1;
    }
    spawn__v1__probe__init(&ask->probe);
    ask->req.body_case = SPAWN__V1__REQUEST__BODY_PROBE;
    ask->req.probe = &ask->probe;
    enqueue(spawner, ask);
    return 0;
}

int sb_spawner_start_egress(struct sb_spawner *spawner,
                            sb_spawner_reply_fn *on_reply,
                            void *ctx,
                            struct sb_err *err)
{
    struct sb_ask *ask = new_ask(spawner, on_reply, ctx, err);
    if (ask == NULL) {
        return -1;
    }
    spawn__v1__start_egress__init(&ask->start_egress);
    ask->req.body_case = SPAWN__V1__REQUEST__BODY_START_EGRESS;
    ask->req.start_egress = &ask->start_egress;
    enqueue(spawner, ask);
    return 0;
}
