/* Requests that are promised a sandbox. */
#include <fcntl.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/metrics.h"
#include "service/worker/metrics.h"
#include "service/worker/pool/pool_internal.h"

void sb_order_count(struct sb_pool *pool, const char *outcome)
{
    sb_metrics_add(pool->metrics, SB_M_POOL_REQUESTS, &outcome, 1);
}

void sb_order_free(struct sb_order *order)
{
    sb_list_remove(&order->link);
    sb_parked_free(order->parked);
    if (order->plan != NULL) {
        spawn__v1__plan__free_unpacked(order->plan, NULL);
    }
    sb_closep(&order->peer_fd);
    free(order);
}

void sb_order_refuse(struct sb_order *order, const struct sb_err *err)
{
    order->on_reply(order->ctx, NULL, NULL, NULL, err);
    sb_order_free(order);
}

static void on_spawned(void *ctx,
                       const Spawn__V1__Reply *reply,
                       struct sb_frame *frame,
                       const struct sb_err *failure)
{
    struct sb_order *order = ctx;
    order->on_reply(order->ctx, reply, frame, NULL, failure);
    sb_order_free(order);
}

/* The spawner makes one for it alone.  @fds  taken in every case, as by sb_spawner_spawn. */
int sb_order_spawn_with(struct sb_order *order, int *fds, size_t n_fds, struct sb_err *err)
{
    sb_list_append(&order->pool->asked, &order->link);
    return sb_spawner_spawn(order->pool->spawner, SB_STEAL_PTR(order->plan), fds, n_fds, on_spawned,
                            order, err);
}

int sb_order_spawn(struct sb_order *order, struct sb_err *err)
{
    int fd = SB_STEAL_FD(order->peer_fd);
    return sb_order_spawn_with(order, &fd, fd >= 0 ? 1 : 0, err);
}

/* What was parked does not serve. */
static void end_promised(struct sb_order *order)
{
    if (order->parked != NULL) {
        sb_spawner_kill(order->pool->spawner, order->parked->slot);
        sb_parked_free(SB_STEAL_PTR(order->parked));
    }
}

void sb_order_begin_anew(struct sb_order *order)
{
    struct sb_err err;
    end_promised(order);
    if (sb_order_spawn(order, &err) < 0) {
        sb_order_refuse(order, &err);
    }
}

static void deliver(struct sb_order *order)
{
    struct sb_parked *parked = order->parked;
    if (parked == NULL) {
        sb_order_begin_anew(order);
        return;
    }
    order->on_reply(order->ctx, sb_parked_reply(parked), &parked->frame, parked, NULL);
    sb_order_free(order);
}

static void on_compared(void *ctx,
                        const Spawn__V1__Reply *reply,
                        struct sb_frame *frame,
                        const struct sb_err *failure)
{
    (void)frame;
    (void)failure; /* whatever it is, the way from nothing tells it to the caller */
    struct sb_order *order = ctx;
    sb_list_remove(&order->link);
    if (reply != NULL && reply->compared->same) {
        deliver(order);
        return;
    }
    sb_order_count(order->pool, "changed");
    sb_order_begin_anew(order);
}

/* From the loop, never from inside sb_pool_spawn. */
static void deliver_later(struct sb_order *order)
{
    sb_list_append(&order->pool->due, &order->link);
    event_active(&order->pool->deliver, 0, 0);
}

/* It has its sandbox: gives it away when its mounts are still what they should be. */
void sb_order_fulfil(struct sb_order *order, struct sb_parked *parked)
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

void sb_order_on_deliver(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_pool *pool = ctx;
    for (struct sb_list *node = NULL; (node = sb_list_pop(&pool->due)) != NULL;) {
        deliver(SB_LIST_ENTRY(node, struct sb_order, link));
    }
}

struct sb_order *sb_order_take_awaited(struct sb_shelf *shelf)
{
    struct sb_list *node = sb_list_pop(&shelf->awaited);
    if (node == NULL) {
        return NULL;
    }
    shelf->n_awaited--;
    return SB_LIST_ENTRY(node, struct sb_order, link);
}
