#include "service/worker/pool/pool.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "service/worker/pool/pool_internal.h"
#include "service/worker/timer.h"

enum {
    REFILL_WAIT_MS = 5, /* what was just given away runs its program meanwhile, if that is short */
    FIRST_WAIT_MS =
        30, /* the first of its kind is made meanwhile, too, by a worker that just began */
    RAM_SHARE = 32,
};

/* ---- shelves ---- */

/* The one that was used longest ago makes room for a new one. */
static void drop_last(struct sb_pool *pool)
{
    for (struct sb_list *node = pool->shelves.prev; node != &pool->shelves; node = node->prev) {
        struct sb_shelf *shelf = SB_LIST_ENTRY(node, struct sb_shelf, link);
        if (shelf->n_coming == 0) {
            sb_fill_take_down(pool, shelf);
            return;
        }
    }
}

static struct sb_shelf *find(const struct sb_pool *pool, const struct sb_shelf_key *key)
{
    SB_FOREACH (node, &pool->shelves) {
        struct sb_shelf *shelf = SB_LIST_ENTRY(node, struct sb_shelf, link);
        if (sb_shelf_key_eq(&shelf->key, key)) {
            return shelf;
        }
    }
    return NULL;
}

/* The shelf of that plan, first of all from now on. */
static struct sb_shelf *find_or_make(struct sb_pool *pool,
                                     struct sb_order *order,
                                     const struct sb_pool_request *request,
                                     struct sb_err *err)
{
    SB_CLEANUP(sb_shelf_key_done) struct sb_shelf_key key = {.bytes = NULL};
    if (sb_shelf_key_make(order->plan, request->tenant, order->peer_fd, request->warm, &key, err) <
        0) {
        return NULL;
    }
    struct sb_shelf *shelf = find(pool, &key);
    if (shelf != NULL) {
        sb_list_remove(&shelf->link);
    } else if (sb_shelf_new(&key, order->peer_fd, &shelf, err) < 0) {
        return NULL;
    } else if (pool->n_shelves++ >= SB_POOL_SHELVES) {
        drop_last(pool);
    }
    sb_list_prepend(&pool->shelves, &shelf->link);
    return shelf;
}

/* ---- giving ---- */

/* Packages, snapshots and certificates come with descriptors, or are one sandbox's alone; what lies
 * below an overlay must not change while it is mounted; of one that learns each call waits for an
 * answer. */
static bool can_be_parked(const struct sb_pool *pool, const Spawn__V1__Plan *plan, size_t n_fds)
{
    for (size_t i = 0; i < plan->n_mounts; i++) {
        if (plan->mounts[i]->of_worker) {
            return false;
        }
    }
    return pool->max_bytes > 0 && !pool->is_closed && plan->layer_id == 0 && !plan->learn &&
           plan->workspace != SPAWN__V1__WORKSPACE__WORKSPACE_OVERLAY &&
           plan->trusted_certificate[0] == '\0' && plan->n_mounts <= SB_POOL_MOUNTS &&
           n_fds == (plan->n_mounts > 0 ? 1U : 0U);
}

/* What is there for it, or on its way. False: nothing. */
static bool take(struct sb_pool *pool,
                 struct sb_order *order,
                 const struct sb_pool_request *request,
                 struct sb_err *err)
{
    struct sb_shelf *shelf = find_or_make(pool, order, request, err);
    if (shelf == NULL) {
        return false; /* it is made without, whatever was the matter */
    }
    bool is_first = shelf->target == 0;
    struct sb_parked *parked =
        sb_shelf_take(shelf, (unsigned)(pool->max_bytes / shelf->bytes), sb_clock_mono_ms());
    if (!event_pending(&pool->refill, EV_TIMEOUT, NULL)) { /* else who asks often gets nothing */
        sb_timer_arm(&pool->refill, is_first ? FIRST_WAIT_MS : REFILL_WAIT_MS);
    }
    if (!event_pending(&pool->look, EV_TIMEOUT, NULL)) {
        sb_timer_arm(&pool->look, SB_FILL_LOOK_MS);
    }
    if (parked != NULL) {
        sb_order_count(pool, "hit");
        pool->n_parked--;
        sb_order_fulfil(order, parked);
        return true;
    }
    if (shelf->n_coming - shelf->n_late > shelf->n_awaited) {
        sb_order_count(pool, "wait");
        shelf->n_awaited++;
        sb_list_append(&shelf->awaited, &order->link);
        return true;
    }
    sb_order_count(pool, "miss");
    return false;
}

int sb_pool_spawn(struct sb_pool *pool, struct sb_pool_request *request, struct sb_err *err)
{
    struct sb_order *order = calloc(1, sizeof *order);
    if (order == NULL) {
        spawn__v1__plan__free_unpacked(request->plan, NULL);
        sb_fd_close_all(request->fds, request->n_fds);
        return sb_err_oom(err);
    }
    *order = (struct sb_order){.pool = pool,
                               .on_reply = request->on_reply,
                               .ctx = request->ctx,
                               .plan = request->plan,
                               .peer_fd = -1};
    int done = 0;
    if (!can_be_parked(pool, request->plan, request->n_fds)) {
        done = sb_order_spawn_with(order, request->fds, request->n_fds, err);
    } else {
        order->peer_fd = request->n_fds > 0 ? request->fds[0] : -1;
        done = take(pool, order, request, err) ? 0 : sb_order_spawn(order, err);
    }
    if (done < 0) {
        sb_order_free(order);
    }
    return done;
}

/* ---- the end ---- */

static bool forget(struct sb_list *orders, uint64_t slot)
{
    SB_FOREACH (node, orders) {
        struct sb_order *order = SB_LIST_ENTRY(node, struct sb_order, link);
        if (order->parked != NULL && order->parked->slot == slot) {
            sb_parked_free(SB_STEAL_PTR(order->parked));
            return true;
        }
    }
    return false;
}

static struct sb_parked *find_warming(const struct sb_shelf *shelf, uint64_t slot)
{
    SB_FOREACH (node, &shelf->warming) {
        struct sb_parked *parked = SB_LIST_ENTRY(node, struct sb_parked, link);
        if (parked->slot == slot) {
            return parked;
        }
    }
    return NULL;
}

bool sb_pool_gone(struct sb_pool *pool, uint64_t slot)
{
    if (forget(&pool->due, slot) || forget(&pool->checking, slot)) {
        return true;
    }
    SB_FOREACH (node, &pool->shelves) {
        struct sb_shelf *shelf = SB_LIST_ENTRY(node, struct sb_shelf, link);
        struct sb_parked *warming = find_warming(shelf, slot);
        struct sb_parked *parked = warming != NULL ? NULL : sb_shelf_find(shelf, slot);
        if (warming != NULL) {
            sb_fill_give_up(pool, warming);
            return true;
        }
        if (parked != NULL) {
            SB_LOG_WARN("a parked sandbox died", "slot=%" PRIu64, slot);
            shelf->target = 0; /* until somebody asks again */
            sb_fill_forget(pool, parked);
            return true;
        }
    }
    return false;
}

void sb_pool_lost(struct sb_pool *pool, const struct sb_err *err)
{
    pool->is_closed = true; /* what is asked of the spawner was answered by its death */
    for (struct sb_list *node = NULL; (node = sb_list_pop(&pool->due)) != NULL;) {
        sb_order_refuse(SB_LIST_ENTRY(node, struct sb_order, link), err);
    }
    SB_FOREACH (node, &pool->shelves) { /* who waits for an interpreter */
        struct sb_shelf *shelf = SB_LIST_ENTRY(node, struct sb_shelf, link);
        for (struct sb_order *order = NULL; (order = sb_order_take_awaited(shelf)) != NULL;) {
            sb_order_refuse(order, err);
        }
    }
}

void sb_pool_close(struct sb_pool *pool)
{
    pool->is_closed = true;
    SB_FOREACH (node, &pool->shelves) {
        struct sb_shelf *shelf = SB_LIST_ENTRY(node, struct sb_shelf, link);
        for (struct sb_parked *parked = NULL; (parked = sb_shelf_drop(shelf)) != NULL;) {
            sb_fill_end(pool, parked);
        }
        SB_FOREACH (warming, &shelf->warming) {
            sb_fill_give_up(pool, SB_LIST_ENTRY(warming, struct sb_parked, link));
        }
    }
}

size_t sb_pool_parked(const struct sb_pool *pool)
{
    return pool->n_parked;
}

uint64_t sb_pool_budget(uint64_t wanted_bytes, uint64_t ram_bytes)
{
    uint64_t most = ram_bytes / RAM_SHARE;
    return ram_bytes != 0 && most < wanted_bytes ? most : wanted_bytes;
}

int sb_pool_new(const struct sb_pool_options *options,
                struct sb_pool **ret_pool,
                struct sb_err *err)
{
    struct sb_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) {
        return sb_err_oom(err);
    }
    pool->spawner = options->spawner;
    pool->metrics = options->metrics;
    pool->base = options->base;
    pool->null_fd = options->null_fd;
    pool->max_bytes = options->max_bytes;
    sb_list_init(&pool->shelves);
    sb_list_init(&pool->coming);
    sb_list_init(&pool->due);
    sb_list_init(&pool->checking);
    sb_list_init(&pool->asked);
    (void)event_assign(&pool->deliver, options->base, -1, 0, sb_order_on_deliver, pool);
    (void)event_assign(&pool->refill, options->base, -1, 0, sb_fill_on_refill, pool);
    (void)event_assign(&pool->look, options->base, -1, 0, sb_fill_on_look, pool);
    *ret_pool = pool;
    return 0;
}

static void free_orders(struct sb_list *orders)
{
    SB_FOREACH (node, orders) {
        sb_order_free(SB_LIST_ENTRY(node, struct sb_order, link));
    }
}

void sb_pool_free(struct sb_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    (void)event_del(&pool->deliver);
    (void)event_del(&pool->refill);
    (void)event_del(&pool->look);
    free_orders(&pool->due);
    free_orders(&pool->checking);
    free_orders(&pool->asked);
    for (struct sb_list *node = NULL; (node = sb_list_pop(&pool->coming)) != NULL;) {
        free(SB_LIST_ENTRY(node, struct coming, link));
    }
    SB_FOREACH (node, &pool->shelves) {
        struct sb_shelf *shelf = SB_LIST_ENTRY(node, struct sb_shelf, link);
        free_orders(&shelf->awaited);
        sb_shelf_free(shelf);
    }
    free(pool);
}
