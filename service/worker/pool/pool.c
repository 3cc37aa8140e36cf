#include "service/worker/pool/pool.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
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
    RAM_SHARE = 32,
    WARM_S = 10, /* until an interpreter that is not ready is given up */
};

/** Somebody who is promised a sandbox. */
struct order {
    struct sb_list link; /* pool's due, checking or asked, or shelf's awaited */
    struct sb_pool *pool;
    sb_pool_reply_fn *on_reply;
    void *ctx;
    Spawn__V1__Plan *plan;    /* to begin from nothing; owned; NULL: the spawner has it */
    int peer_fd;              /* likewise; -1: it binds nothing */
    struct sb_parked *parked; /* what it gets; owned; NULL: nothing yet, or it died meanwhile */
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
    struct event_base *base;
    int null_fd;
    struct sb_list shelves; /* used most recently first */
    unsigned n_shelves;
    unsigned n_parked;
    unsigned n_coming;
    uint64_t used_bytes; /* of parked and coming ones */
    uint64_t max_bytes;
    bool is_closed;
    struct sb_list coming;   /* struct coming */
    struct sb_list due;      /* struct order, each with what it gets */
    struct sb_list checking; /* likewise, while the spawner looks at its mounts */
    struct sb_list asked;    /* struct order, of which the spawner makes one alone */
    struct event deliver;
    struct event refill;
    struct event look;
};

static void count(struct sb_pool *pool, const char *outcome)
{
    sb_metrics_add(pool->metrics, SB_M_POOL_REQUESTS, &outcome, 1);
}

/* ---- orders ---- */

static void free_order(struct order *order)
{
    sb_list_remove(&order->link);
    sb_parked_free(order->parked);
    if (order->plan != NULL) {
        spawn__v1__plan__free_unpacked(order->plan, NULL);
    }
    sb_closep(&order->peer_fd);
    free(order);
}

static void refuse(struct order *order, const struct sb_err *err)
{
    order->on_reply(order->ctx, NULL, NULL, NULL, err);
    free_order(order);
}

static void on_spawned(void *ctx,
                       const Spawn__V1__Reply *reply,
                       struct sb_frame *frame,
                       const struct sb_err *failure)
{
    struct order *order = ctx;
    order->on_reply(order->ctx, reply, frame, NULL, failure);
    free_order(order);
}

/* The spawner makes one for it alone.  @fds  taken in every case, as by sb_spawner_spawn. */
static int spawn_with(struct order *order, int *fds, size_t n_fds, struct sb_err *err)
{
    sb_list_append(&order->pool->asked, &order->link);
    return sb_spawner_spawn(order->pool->spawner, SB_STEAL_PTR(order->plan), fds, n_fds, on_spawned,
                            order, err);
}

static int spawn(struct order *order, struct sb_err *err)
{
    int fd = SB_STEAL_FD(order->peer_fd);
    return spawn_with(order, &fd, fd >= 0 ? 1 : 0, err);
}

/* What was parked does not serve. */
static void end_promised(struct order *order)
{
    if (order->parked != NULL) {
        sb_spawner_kill(order->pool->spawner, order->parked->slot);
        sb_parked_free(SB_STEAL_PTR(order->parked));
    }
}

static void begin_anew(struct order *order)
{
    struct sb_err err;
    end_promised(order);
    if (spawn(order, &err) < 0) {
        refuse(order, &err);
    }
}

static void deliver(struct order *order)
{
    struct sb_parked *parked = order->parked;
    if (parked == NULL) {
        begin_anew(order);
        return;
    }
    order->on_reply(order->ctx, sb_parked_reply(parked), &parked->frame, parked, NULL);
    free_order(order);
}

static void on_compared(void *ctx,
                        const Spawn__V1__Reply *reply,
                        struct sb_frame *frame,
                        const struct sb_err *failure)
{
    (void)frame;
    (void)failure; /* whatever it is, the way from nothing tells it to the caller */
    struct order *order = ctx;
    sb_list_remove(&order->link);
    if (reply != NULL && reply->compared->same) {
        deliver(order);
        return;
    }
    count(order->pool, "changed");
    begin_anew(order);
}

/* From the loop, never from inside sb_pool_spawn. */
static void deliver_later(struct order *order)
{
    sb_list_append(&order->pool->due, &order->link);
    event_active(&order->pool->deliver, 0, 0);
}

/* It has its sandbox: gives it away when its mounts are still what they should be. */
static void fulfil(struct order *order, struct sb_parked *parked)
{
    struct sb_pool *pool = order->pool;
    struct sb_err err;
    pool->used_bytes -= parked->shelf->bytes;
    sb_parked_leave(parked);
    order->parked = parked;
    if (order->peer_fd < 0) {
        deliver_later(order);
        return;
    }
    sb_list_append(&pool->checking, &order->link);
    int fd = fcntl(order->peer_fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0 ||
        sb_spawner_compare(pool->spawner, parked->slot, fd, on_compared, order, &err) < 0) {
        sb_list_remove(&order->link);
        end_promised(order);
        deliver_later(order);
    }
}

static void on_deliver(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_pool *pool = ctx;
    for (struct sb_list *node = NULL; (node = sb_list_pop(&pool->due)) != NULL;) {
        deliver(SB_LIST_ENTRY(node, struct order, link));
    }
}

/* ---- shelves ---- */

/* It was taken off its shelf. */
static void forget_parked(struct sb_pool *pool, struct sb_parked *parked)
{
    pool->n_parked--;
    pool->used_bytes -= parked->shelf->bytes;
    sb_parked_free(parked);
}

static void end_parked(struct sb_pool *pool, struct sb_parked *parked)
{
    sb_spawner_kill(pool->spawner, parked->slot);
    forget_parked(pool, parked);
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
                                     struct order *order,
                                     const char *tenant,
                                     const struct sb_warm_plan *warm,
                                     struct sb_err *err)
{
    SB_CLEANUP(sb_shelf_key_done) struct sb_shelf_key key = {.bytes = NULL};
    if (sb_shelf_key_make(order->plan, tenant, order->peer_fd, warm, &key, err) < 0) {
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

static struct order *take_awaited(struct sb_shelf *shelf)
{
    struct sb_list *node = sb_list_pop(&shelf->awaited);
    if (node == NULL) {
        return NULL;
    }
    shelf->n_awaited--;
    return SB_LIST_ENTRY(node, struct order, link);
}

/* ---- filling ---- */

static void arrive(struct sb_pool *pool, struct sb_shelf *shelf)
{
    shelf->n_coming--;
    pool->n_coming--;
    sb_timer_arm(&pool->refill, 0);
}

/* It goes to who waits for it, else on the shelf. */
static void place(struct sb_pool *pool, struct sb_parked *parked)
{
    struct order *order = take_awaited(parked->shelf);
    if (order != NULL) {
        fulfil(order, parked);
        return;
    }
    pool->n_parked++;
    if (pool->is_closed) {
        end_parked(pool, parked);
        return;
    }
    sb_shelf_put(parked->shelf, parked, sb_clock_mono_ms());
}

/* Its interpreter did not come to wait. */
static void give_up(struct sb_pool *pool, struct sb_parked *parked)
{
    struct sb_shelf *shelf = parked->shelf;
    sb_list_remove(&parked->link);
    SB_LOG_INFO("no interpreter waits", "slot=%" PRIu64, parked->slot);
    shelf->is_cold = true;
    pool->used_bytes -= shelf->bytes;
    sb_spawner_kill(pool->spawner, parked->slot);
    sb_parked_free(parked);
    arrive(pool, shelf);
    struct order *order = take_awaited(shelf);
    if (order != NULL) {
        begin_anew(order);
    }
}

static void on_said(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    struct sb_parked *parked = ctx;
    struct sb_pool *pool = parked->pool;
    bool was_ready = parked->warm.pid != 0;
    int is = (what & EV_TIMEOUT) != 0 ? -1 : sb_warm_look(&parked->warm);
    if (is == 0) {
        return;
    }
    if (was_ready) {
        (void)sb_shelf_find(parked->shelf, parked->slot);
        end_parked(pool, parked);
    } else if (is < 0) {
        give_up(pool, parked);
    } else {
        sb_list_remove(&parked->link);
        (void)event_remove_timer(&parked->said); /* from now on it tells whether it ends */
        sb_metrics_observe(pool->metrics, SB_M_POOL_REFILL_SECONDS, NULL,
                           (double)(sb_clock_mono_ns() - parked->asked_ns) / 1e9);
        arrive(pool, parked->shelf);
        place(pool, parked);
    }
}

/* Starts an interpreter in it. False: none is wanted, or it cannot be. */
static bool warm_up(struct sb_pool *pool, struct sb_parked *parked)
{
    static const struct timeval wait = {.tv_sec = WARM_S};
    struct sb_shelf *shelf = parked->shelf;
    struct sb_err err;
    if (shelf->key.warm.packet == NULL || shelf->is_cold || shelf->n_awaited > 0) {
        return false;
    }
    if (sb_warm_start(&shelf->key.warm, parked->frame.fds[0], pool->null_fd, &parked->warm, &err) <
        0) {
        SB_LOG_INFO("no interpreter waits", "why=%s", err.text);
        shelf->is_cold = true;
        return false;
    }
    sb_list_append(&shelf->warming, &parked->link);
    (void)event_assign(&parked->said, pool->base, parked->warm.channel, EV_READ | EV_PERSIST,
                       on_said, parked);
    (void)event_add(&parked->said, &wait);
    parked->is_heard = true;
    return true;
}

static void on_made(void *ctx,
                    const Spawn__V1__Reply *reply,
                    struct sb_frame *frame,
                    const struct sb_err *failure)
{
    struct coming *coming = ctx;
    struct sb_pool *pool = coming->pool;
    struct sb_shelf *shelf = coming->shelf;
    struct sb_parked *parked = NULL;
    struct sb_err err;
    uint64_t asked_ns = coming->asked_ns;
    uint64_t slot = reply == NULL ? 0 : reply->spawned->slot;
    sb_list_remove(&coming->link);
    free(coming);
    if (reply != NULL && sb_parked_new(frame, shelf, pool, &parked, &err) == 0) {
        parked->asked_ns = asked_ns;
        if (!warm_up(pool, parked)) {
            sb_metrics_observe(pool->metrics, SB_M_POOL_REFILL_SECONDS, NULL,
                               (double)(sb_clock_mono_ns() - asked_ns) / 1e9);
            arrive(pool, shelf);
            place(pool, parked);
        }
        return;
    }
    if (reply != NULL) {
        failure = &err;
        sb_spawner_kill(pool->spawner, slot);
    }
    SB_LOG_INFO("nothing parked", "why=%s", failure->text);
    arrive(pool, shelf);
    pool->used_bytes -= shelf->bytes;
    shelf->target = 0; /* until somebody asks again */
    struct order *order = take_awaited(shelf);
    if (order != NULL) { /* it was asked for before that one, whose directory may be there by now */
        begin_anew(order);
    }
}

static int order_one(struct sb_pool *pool, struct sb_shelf *shelf, struct sb_err *err)
{
    char id[SB_ID_SIZE];
    int fd = -1;
    if (sb_id_make(id, "sb_", err) < 0) {
        return -1;
    }
    if (shelf->peer_fd >= 0 && (fd = fcntl(shelf->peer_fd, F_DUPFD_CLOEXEC, 3)) < 0) {
        return sb_err_sys(err, errno, "keep the caller's connection");
    }
    size_t n_fds = fd >= 0 ? 1 : 0;
    struct coming *coming = malloc(sizeof *coming);
    Spawn__V1__Plan *plan = coming == NULL ? NULL : sb_shelf_plan(shelf, id);
    if (plan == NULL) {
        free(coming);
        sb_fd_close_all(&fd, n_fds);
        return sb_err_oom(err);
    }
    *coming = (struct coming){.pool = pool, .shelf = shelf, .asked_ns = sb_clock_mono_ns()};
    if (sb_spawner_spawn(pool->spawner, plan, &fd, n_fds, on_made, coming, err) < 0) {
        free(coming);
        return -1;
    }
    sb_list_append(&pool->coming, &coming->link);
    shelf->n_coming++;
    pool->n_coming++;
    pool->used_bytes += shelf->bytes;
    return 0;
}

/* There is room for one more of that shelf: else those that were used longer ago give theirs. */
static bool make_room(struct sb_pool *pool, const struct sb_shelf *wanting)
{
    struct sb_list *node = pool->shelves.prev;
    while (pool->max_bytes - pool->used_bytes < wanting->bytes && node != &wanting->link) {
        struct sb_shelf *shelf = SB_LIST_ENTRY(node, struct sb_shelf, link);
        struct sb_parked *parked = sb_shelf_drop(shelf);
        if (parked == NULL) {
            node = node->prev;
            continue;
        }
        shelf->target -= shelf->target > 0;
        end_parked(pool, parked);
    }
    return pool->max_bytes - pool->used_bytes >= wanting->bytes;
}

static void on_refill(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_pool *pool = ctx;
    struct sb_err err;
    SB_FOREACH (node, &pool->shelves) {
        struct sb_shelf *shelf = SB_LIST_ENTRY(node, struct sb_shelf, link);
        while (!pool->is_closed && sb_shelf_lacks(shelf) > 0 && make_room(pool, shelf)) {
            if (pool->n_coming >= MAX_COMING) {
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
                 struct order *order,
                 const char *tenant,
                 const struct sb_warm_plan *warm,
                 struct sb_err *err)
{
    struct sb_shelf *shelf = find_or_make(pool, order, tenant, warm, err);
    if (shelf == NULL) {
        return false; /* it is made without, whatever was the matter */
    }
    struct sb_parked *parked =
        sb_shelf_take(shelf, (unsigned)(pool->max_bytes / shelf->bytes), sb_clock_mono_ms());
    sb_timer_arm(&pool->refill, REFILL_WAIT_MS);
    if (!event_pending(&pool->look, EV_TIMEOUT, NULL)) {
        sb_timer_arm(&pool->look, LOOK_MS);
    }
    if (parked != NULL) {
        count(pool, "hit");
        pool->n_parked--;
        fulfil(order, parked);
        return true;
    }
    if (shelf->n_coming > shelf->n_awaited) {
        count(pool, "wait");
        shelf->n_awaited++;
        sb_list_append(&shelf->awaited, &order->link);
        return true;
    }
    count(pool, "miss");
    return false;
}

int sb_pool_spawn(struct sb_pool *pool,
                  Spawn__V1__Plan *plan,
                  const char *tenant,
                  const struct sb_warm_plan *warm,
                  int *fds,
                  size_t n_fds,
                  sb_pool_reply_fn *on_reply,
                  void *ctx,
                  struct sb_err *err)
{
    struct order *order = calloc(1, sizeof *order);
    if (order == NULL) {
        spawn__v1__plan__free_unpacked(plan, NULL);
        sb_fd_close_all(fds, n_fds);
        return sb_err_oom(err);
    }
    *order =
        (struct order){.pool = pool, .on_reply = on_reply, .ctx = ctx, .plan = plan, .peer_fd = -1};
    int done = 0;
    if (!can_be_parked(pool, plan, n_fds)) {
        done = spawn_with(order, fds, n_fds, err);
    } else {
        order->peer_fd = n_fds > 0 ? fds[0] : -1;
        done = take(pool, order, tenant, warm, err) ? 0 : spawn(order, err);
    }
    if (done < 0) {
        free_order(order);
    }
    return done;
}

/* ---- the end ---- */

static bool forget(struct sb_list *orders, uint64_t slot)
{
    SB_FOREACH (node, orders) {
        struct order *order = SB_LIST_ENTRY(node, struct order, link);
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
            give_up(pool, warming);
            return true;
        }
        if (parked != NULL) {
            SB_LOG_WARN("a parked sandbox died", "slot=%" PRIu64, slot);
            shelf->target = 0; /* until somebody asks again */
            forget_parked(pool, parked);
            return true;
        }
    }
    return false;
}

void sb_pool_lost(struct sb_pool *pool, const struct sb_err *err)
{
    pool->is_closed = true; /* what is asked of the spawner was answered by its death */
    for (struct sb_list *node = NULL; (node = sb_list_pop(&pool->due)) != NULL;) {
        refuse(SB_LIST_ENTRY(node, struct order, link), err);
    }
    SB_FOREACH (node, &pool->shelves) { /* who waits for an interpreter */
        struct sb_shelf *shelf = SB_LIST_ENTRY(node, struct sb_shelf, link);
        for (struct order *order = NULL; (order = take_awaited(shelf)) != NULL;) {
            refuse(order, err);
        }
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
        SB_FOREACH (warming, &shelf->warming) {
            give_up(pool, SB_LIST_ENTRY(warming, struct sb_parked, link));
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
    (void)event_assign(&pool->deliver, options->base, -1, 0, on_deliver, pool);
    (void)event_assign(&pool->refill, options->base, -1, 0, on_refill, pool);
    (void)event_assign(&pool->look, options->base, -1, 0, on_look, pool);
    *ret_pool = pool;
    return 0;
}

static void free_orders(struct sb_list *orders)
{
    SB_FOREACH (node, orders) {
        free_order(SB_LIST_ENTRY(node, struct order, link));
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
