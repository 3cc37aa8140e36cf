#include "service/worker/pool/pool.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/log.h"
#include "base/metrics.h"
#include "service/worker/metrics.h"
#include "service/worker/pool/shelf.h"
#include "service/worker/timer.h"

enum {
    MAX_COMING = 2,     /* asked of the spawner at one time: whoever needs one now waits for few */
    REFILL_WAIT_MS = 2, /* what was just given away starts its program meanwhile */
    LOOK_MS = 10000,
};

/** Somebody who is promised a sandbox. */
struct order {
    struct sb_list link; /* pool's due, or shelf's awaited */
    sb_spawner_reply_fn *on_reply;
    void *ctx;
    struct sb_parked *parked; /* due: what it gets; NULL: it died meanwhile */
};

/** One that the spawner makes for a shelf. */
struct coming {
    struct sb_list link;
    struct sb_pool *pool;
    struct sb_shelf *shelf; /* stays while something comes */
    uint64_t asked_ns;      /* monotonic */
};

struct sb_pool {
    struct sb_spawner *spawner;
    struct sb_metrics *metrics;
    struct sb_list shelves; /* used most recently first */
    unsigned n_shelves;
    unsigned max; /* parked and coming */
    unsigned n_parked;
    unsigned n_coming;
    bool is_closed;
    struct sb_list coming; /* struct coming */
    struct sb_list due;    /* struct order */
    struct event deliver;
    struct event refill;
    struct event look;
};

static void count(struct sb_pool *pool, const char *outcome)
{
    sb_metrics_add(pool->metrics, SB_M_POOL_REQUESTS, &outcome, 1);
}

/* ---- shelves ---- */

static void end_parked(struct sb_pool *pool, struct sb_parked *parked)
{
    pool->n_parked--;
    sb_spawner_kill(pool->spawner, parked->slot);
    sb_parked_free(parked);
}

static void take_down(struct sb_pool *pool, struct sb_shelf *shelf)
{
    for (struct sb_parked *parked = NULL; (parked = sb_shelf_drop(shelf)) != NULL;) {
        end_parked(pool, parked);
    }
    sb_shelf_free(shelf);
    pool->n_shelves--;
}

/* The one that was used longest ago makes room for a new one. */
static void drop_last(struct sb_pool *pool)
{
    for (struct sb_list *node = pool->shelves.prev; node != &pool->shelves; node = node->prev) {
        struct sb_shelf *shelf = SB_LIST_ENTRY(node, struct sb_shelf, link);
        if (shelf->n_coming == 0) {
            take_down(pool, shelf);
            return;
        }
    }
}

/* The shelf of that plan, first of all from now on. */
static struct sb_shelf *find(struct sb_pool *pool, Spawn__V1__Plan *plan, struct sb_err *err)
{
    uint8_t *key = NULL;
    size_t key_len = 0;
    struct sb_shelf *found = NULL;
    if (sb_shelf_key(plan, &key, &key_len, err) < 0) {
        return NULL;
    }
    SB_FOREACH (node, &pool->shelves) {
        struct sb_shelf *shelf = SB_LIST_ENTRY(node, struct sb_shelf, link);
        if (sb_shelf_is_for(shelf, key, key_len)) {
            found = shelf;
            break;
        }
    }
    if (found != NULL) {
        free(key);
        sb_list_remove(&found->link);
    } else if (sb_shelf_new(key, key_len, &found, err) < 0) {
        return NULL;
    } else if (pool->n_shelves++ >= SB_POOL_SHELVES) {
        drop_last(pool);
    }
    sb_list_prepend(&pool->shelves, &found->link);
    return found;
}

/* ---- filling ---- */

static void refuse(struct order *order, const struct sb_err *err)
{
    order->on_reply(order->ctx, NULL, NULL, err);
    free(order);
}

static struct order *take_awaited(struct sb_shelf *shelf)
{
    struct sb_list *node = sb_list_pop(&shelf->awaited);
    if (node == NULL) {
        return NULL;
    }
    shelf->n_awaited--;
    return SB_LIST_ENTRY(node, struct order, link);
}

static void
park(struct sb_pool *pool, struct sb_shelf *shelf, uint64_t slot, struct sb_frame *frame)
{
    struct sb_err err;
    if (pool->is_closed || sb_shelf_put(shelf, frame, sb_clock_mono_ms(), &err) < 0) {
        sb_spawner_kill(pool->spawner, slot);
        return;
    }
    pool->n_parked++;
}

static void on_made(void *ctx,
                    const Spawn__V1__Reply *reply,
                    struct sb_frame *frame,
                    const struct sb_err *failure)
{
    struct coming *coming = ctx;
    struct sb_pool *pool = coming->pool;
    struct sb_shelf *shelf = coming->shelf;
    struct order *order = take_awaited(shelf);
    double seconds = (double)(sb_clock_mono_ns() - coming->asked_ns) / 1e9;
    sb_list_remove(&coming->link);
    free(coming);
    shelf->n_coming--;
    pool->n_coming--;
    sb_timer_arm(&pool->refill, 0);
    if (reply == NULL) {
        shelf->target = 0; /* until somebody asks again */
        SB_LOG_INFO("nothing parked", "why=%s", failure->text);
        if (order != NULL) {
            refuse(order, failure);
        }
        return;
    }
    sb_metrics_observe(pool->metrics, SB_M_POOL_REFILL_SECONDS, NULL, seconds);
    if (order == NULL) {
        park(pool, shelf, reply->spawned->slot, frame);
        return;
    }
    order->on_reply(order->ctx, reply, frame, NULL);
    free(order);
}

static int order_one(struct sb_pool *pool, struct sb_shelf *shelf, struct sb_err *err)
{
    char id[SB_ID_SIZE];
    if (sb_id_make(id, "sb_", err) < 0) {
        return -1;
    }
    struct coming *coming = malloc(sizeof *coming);
    Spawn__V1__Plan *plan = coming == NULL ? NULL : sb_shelf_plan(shelf);
    char *name = plan == NULL ? NULL : strdup(id);
    if (name == NULL) {
        if (plan != NULL) {
            spawn__v1__plan__free_unpacked(plan, NULL);
        }
        free(coming);
        return sb_err_oom(err);
    }
    *coming = (struct coming){.pool = pool, .shelf = shelf, .asked_ns = sb_clock_mono_ns()};
    plan->sandbox_id = name; /* in the key it has none */
    if (sb_spawner_spawn(pool->spawner, plan, NULL, 0, on_made, coming, err) < 0) {
        free(coming);
        return -1;
    }
    sb_list_append(&pool->coming, &coming->link);
    shelf->n_coming++;
    pool->n_coming++;
    return 0;
}

/* There is room for one more than is parked: else a shelf that was used longer ago gives one. */
static bool make_room(struct sb_pool *pool, const struct sb_shelf *wanting)
{
    if (pool->n_parked + pool->n_coming < pool->max) {
        return true;
    }
    for (struct sb_list *node = pool->shelves.prev; node != &wanting->link; node = node->prev) {
        struct sb_shelf *shelf = SB_LIST_ENTRY(node, struct sb_shelf, link);
        struct sb_parked *parked = sb_shelf_drop(shelf);
        if (parked != NULL) {
            shelf->target -= shelf->target > 0;
            end_parked(pool, parked);
            return true;
        }
    }
    return false;
}

static void on_refill(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_pool *pool = ctx;
    struct sb_err err;
    SB_FOREACH (node, &pool->shelves) {
        struct sb_shelf *shelf = SB_LIST_ENTRY(node, struct sb_shelf, link);
        while (!pool->is_closed && sb_shelf_lacks(shelf) > 0) {
            if (pool->n_coming >= MAX_COMING || !make_room(pool, shelf)) {
                return;
            }
            if (order_one(pool, shelf, &err) < 0) {
                SB_LOG_INFO("nothing parked", "why=%s", err.text);
                return;
            }
        }
    }
}

static void on_look(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_pool *pool = ctx;
    uint64_t now_ms = sb_clock_mono_ms();
    SB_FOREACH (node, &pool->shelves) {
        struct sb_shelf *shelf = SB_LIST_ENTRY(node, struct sb_shelf, link);
        sb_shelf_look(shelf, now_ms);
        while (shelf->n_parked > shelf->target || sb_shelf_is_stale(shelf, now_ms)) {
            end_parked(pool, sb_shelf_drop(shelf));
        }
        if (shelf->target == 0 && shelf->n_coming == 0) {
            take_down(pool, shelf);
        }
    }
    if (pool->n_shelves > 0) {
        sb_timer_arm(&pool->look, LOOK_MS);
    }
    sb_timer_arm(&pool->refill, 0);
}

/* ---- giving ---- */

static void on_deliver(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_pool *pool = ctx;
    for (struct sb_list *node = NULL; (node = sb_list_pop(&pool->due)) != NULL;) {
        struct order *order = SB_LIST_ENTRY(node, struct order, link);
        struct sb_parked *parked = order->parked;
        if (parked == NULL) {
            struct sb_err err;
            (void)sb_err_set(&err, SB_INTERNAL, "its PID 1 ended before it was used");
            refuse(order, &err);
            continue;
        }
        const Spawn__V1__Reply *reply = (const Spawn__V1__Reply *)(const void *)parked->frame.msg;
        order->on_reply(order->ctx, reply, &parked->frame, NULL);
        sb_parked_free(parked);
        free(order);
    }
}

int sb_pool_spawn(struct sb_pool *pool,
                  Spawn__V1__Plan *plan,
                  sb_spawner_reply_fn *on_reply,
                  void *ctx,
                  struct sb_err *err)
{
    if (pool->max == 0 || pool->is_closed) {
        return sb_spawner_spawn(pool->spawner, plan, NULL, 0, on_reply, ctx, err);
    }
    struct sb_shelf *shelf = find(pool, plan, err);
    struct order *order = shelf == NULL ? NULL : calloc(1, sizeof *order);
    if (order == NULL) {
        spawn__v1__plan__free_unpacked(plan, NULL);
        return shelf == NULL ? -1 : sb_err_oom(err);
    }
    *order = (struct order){.on_reply = on_reply, .ctx = ctx};
    order->parked = sb_shelf_take(shelf, pool->max, sb_clock_mono_ms());
    sb_timer_arm(&pool->refill, REFILL_WAIT_MS);
    if (!event_pending(&pool->look, EV_TIMEOUT, NULL)) {
        sb_timer_arm(&pool->look, LOOK_MS);
    }
    if (order->parked != NULL) {
        count(pool, "hit");
        pool->n_parked--;
        sb_list_append(&pool->due, &order->link);
        event_active(&pool->deliver, 0, 0); /* never from inside this call */
    } else if (shelf->n_coming > shelf->n_awaited) {
        count(pool, "wait");
        shelf->n_awaited++;
        sb_list_append(&shelf->awaited, &order->link);
    } else {
        count(pool, "miss");
        free(order);
        return sb_spawner_spawn(pool->spawner, plan, NULL, 0, on_reply, ctx, err);
    }
    spawn__v1__plan__free_unpacked(plan, NULL);
    return 0;
}

bool sb_pool_gone(struct sb_pool *pool, uint64_t slot)
{
    SB_FOREACH (node, &pool->due) {
        struct order *order = SB_LIST_ENTRY(node, struct order, link);
        if (order->parked != NULL && order->parked->slot == slot) {
            sb_parked_free(order->parked);
            order->parked = NULL;
            return true;
        }
    }
    SB_FOREACH (node, &pool->shelves) {
        struct sb_shelf *shelf = SB_LIST_ENTRY(node, struct sb_shelf, link);
        struct sb_parked *parked = sb_shelf_find(shelf, slot);
        if (parked != NULL) {
            SB_LOG_WARN("a parked sandbox died", "init=%jd", (intmax_t)slot);
            shelf->target = 0; /* until somebody asks again */
            pool->n_parked--;
            sb_parked_free(parked);
            return true;
        }
    }
    return false;
}

void sb_pool_lost(struct sb_pool *pool, const struct sb_err *err)
{
    pool->is_closed = true;
    for (struct sb_list *node = NULL; (node = sb_list_pop(&pool->due)) != NULL;) {
        struct order *order = SB_LIST_ENTRY(node, struct order, link);
        sb_parked_free(order->parked);
        refuse(order, err);
    }
}

void sb_pool_close(struct sb_pool *pool)
{
    pool->is_closed = true;
    SB_FOREACH (node, &pool->shelves) {
        struct sb_shelf *shelf = SB_LIST_ENTRY(node, struct sb_shelf, link);
        for (struct sb_parked *parked = NULL; (parked = sb_shelf_drop(shelf)) != NULL;) {
            end_parked(pool, parked);
        }
    }
}

size_t sb_pool_parked(const struct sb_pool *pool)
{
    return pool->n_parked;
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
    pool->max = (unsigned)(options->max_bytes / SB_POOL_PARKED_BYTES);
    sb_list_init(&pool->shelves);
    sb_list_init(&pool->coming);
    sb_list_init(&pool->due);
    (void)event_assign(&pool->deliver, options->base, -1, 0, on_deliver, pool);
    (void)event_assign(&pool->refill, options->base, -1, 0, on_refill, pool);
    (void)event_assign(&pool->look, options->base, -1, 0, on_look, pool);
    *ret_pool = pool;
    return 0;
}

void sb_pool_free(struct sb_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    (void)event_del(&pool->deliver);
    (void)event_del(&pool->refill);
    (void)event_del(&pool->look);
    for (struct sb_list *node = NULL; (node = sb_list_pop(&pool->due)) != NULL;) {
        struct order *order = SB_LIST_ENTRY(node, struct order, link);
        sb_parked_free(order->parked);
        free(order);
    }
    for (struct sb_list *node = NULL; (node = sb_list_pop(&pool->coming)) != NULL;) {
        free(SB_LIST_ENTRY(node, struct coming, link));
    }
    SB_FOREACH (node, &pool->shelves) {
        struct sb_shelf *shelf = SB_LIST_ENTRY(node, struct sb_shelf, link);
        for (struct order *order = NULL; (order = take_awaited(shelf)) != NULL;) {
            free(order);
        }
        sb_shelf_free(shelf);
    }
    free(pool);
}
