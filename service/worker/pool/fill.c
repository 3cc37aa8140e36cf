/* How shelves are filled, and emptied. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/id.h"
#include "base/log.h"
#include "base/metrics.h"
#include "service/worker/metrics.h"
#include "service/worker/pool/pool_internal.h"
#include "service/worker/timer.h"

enum {
    MAX_MAKING = 2, /* at one time: whoever needs a processor or the spawner now waits for few */
    LATE_S = 1,     /* until an interpreter that is not ready is waited for by nobody */
    WARM_S = 9,     /* and then until it is given up */
};

/* It was taken off its shelf. */
void sb_fill_forget(struct sb_pool *pool, struct sb_parked *parked)
{
    pool->n_parked--;
    pool->used_bytes -= parked->shelf->bytes;
    sb_parked_free(parked);
}

void sb_fill_end(struct sb_pool *pool, struct sb_parked *parked)
{
    sb_spawner_kill(pool->spawner, parked->slot);
    sb_fill_forget(pool, parked);
}

void sb_fill_take_down(struct sb_pool *pool, struct sb_shelf *shelf)
{
    for (struct sb_parked *parked = NULL; (parked = sb_shelf_drop(shelf)) != NULL;) {
        sb_fill_end(pool, parked);
    }
    sb_shelf_free(shelf);
    pool->n_shelves--;
}

static void count_warm(struct sb_pool *pool, const char *outcome, unsigned n)
{
    sb_metrics_add(pool->metrics, SB_M_POOL_INTERPRETERS, &outcome, n);
}

static void stop_making(struct sb_pool *pool)
{
    pool->n_making--;
    sb_timer_arm(&pool->refill, 0);
}

/* @is_late  it does not count as being made. */
static void arrive(struct sb_pool *pool, struct sb_shelf *shelf, bool is_late)
{
    shelf->n_coming--;
    if (is_late) {
        shelf->n_late--;
        sb_timer_arm(&pool->refill, 0);
    } else {
        stop_making(pool);
    }
}

/* It goes to who waits for it, else on the shelf. */
static void place(struct sb_pool *pool, struct sb_parked *parked)
{
    struct sb_order *order = sb_order_take_awaited(parked->shelf);
    if (order != NULL) {
        sb_order_fulfil(order, parked);
        return;
    }
    pool->n_parked++;
    if (pool->is_closed) {
        sb_fill_end(pool, parked);
        return;
    }
    sb_shelf_put(parked->shelf, parked, sb_clock_mono_ms());
}

/* Its interpreter did not come to wait. */
void sb_fill_give_up(struct sb_pool *pool, struct sb_parked *parked)
{
    struct sb_shelf *shelf = parked->shelf;
    sb_list_remove(&parked->link);
    SB_LOG_INFO("no interpreter waits", "slot=%" PRIu64, parked->slot);
    bool was_late = parked->is_late;
    shelf->is_cold = true;
    count_warm(pool, "failed", 1);
    pool->used_bytes -= shelf->bytes;
    sb_spawner_kill(pool->spawner, parked->slot);
    sb_parked_free(parked);
    arrive(pool, shelf, was_late);
    struct sb_order *order = sb_order_take_awaited(shelf);
    if (order != NULL) {
        sb_order_begin_anew(order);
    }
}

/* Others are made meanwhile, and who waits for this one begins from nothing. */
static void be_late(struct sb_pool *pool, struct sb_parked *parked)
{
    static const struct timeval wait = {.tv_sec = WARM_S};
    struct sb_shelf *shelf = parked->shelf;
    parked->is_late = true;
    shelf->n_late++;
    count_warm(pool, "late", 1);
    (void)event_add(&parked->said, &wait);
    stop_making(pool);
    while (shelf->n_awaited > shelf->n_coming - shelf->n_late) {
        sb_order_begin_anew(sb_order_take_awaited(shelf));
    }
}

/* Once for each shelf in the log: they are the profile's. */
static void tell_skipped(struct sb_pool *pool, const struct sb_parked *parked)
{
    struct sb_shelf *shelf = parked->shelf;
    const struct sb_strings *modules = &shelf->key.warm.modules;
    for (size_t i = 0; i < modules->n && parked->warm.skipped != 0; i++) {
        bool is_skipped = (parked->warm.skipped >> i & 1U) != 0;
        count_warm(pool, "module_skipped", is_skipped);
        if (is_skipped && !shelf->has_told) {
            SB_LOG_WARN("a module of preload is not imported", "module=%s", modules->items[i]);
        }
    }
    shelf->has_told = shelf->has_told || parked->warm.skipped != 0;
}

static void on_said(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    struct sb_parked *parked = ctx;
    struct sb_pool *pool = parked->pool;
    bool was_ready = parked->warm.pid != 0;
    if ((what & EV_TIMEOUT) != 0 && !parked->is_late) {
        be_late(pool, parked);
        return;
    }
    int is = (what & EV_TIMEOUT) != 0 ? -1 : sb_warm_look(&parked->warm);
    if (is == 0) {
        return;
    }
    if (was_ready) {
        (void)sb_shelf_find(parked->shelf, parked->slot);
        sb_fill_end(pool, parked);
    } else if (is < 0) {
        sb_fill_give_up(pool, parked);
    } else {
        sb_list_remove(&parked->link);
        (void)event_remove_timer(&parked->said); /* from now on it tells whether it ends */
        sb_metrics_observe(pool->metrics, SB_M_POOL_REFILL_SECONDS, NULL,
                           (double)(sb_clock_mono_ns() - parked->asked_ns) / 1e9);
        count_warm(pool, "ready", 1);
        tell_skipped(pool, parked);
        arrive(pool, parked->shelf, parked->is_late);
        place(pool, parked);
    }
}

/* Starts an interpreter in it. False: none is wanted, or it cannot be. */
static bool warm_up(struct sb_pool *pool, struct sb_parked *parked)
{
    static const struct timeval wait = {.tv_sec = LATE_S};
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
            arrive(pool, shelf, false);
            place(pool, parked);
        }
        return;
    }
    if (reply != NULL) {
        failure = &err;
        sb_spawner_kill(pool->spawner, slot);
    }
    SB_LOG_INFO("nothing parked", "why=%s", failure->text);
    arrive(pool, shelf, false);
    pool->used_bytes -= shelf->bytes;
    shelf->target = 0; /* until somebody asks again */
    struct sb_order *order = sb_order_take_awaited(shelf);
    if (order != NULL) { /* it was asked for before that one, whose directory may be there by now */
        sb_order_begin_anew(order);
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
    pool->n_making++;
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
        sb_fill_end(pool, parked);
    }
    return pool->max_bytes - pool->used_bytes >= wanting->bytes;
}

void sb_fill_on_refill(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_pool *pool = ctx;
    struct sb_err err;
    SB_FOREACH (node, &pool->shelves) {
        struct sb_shelf *shelf = SB_LIST_ENTRY(node, struct sb_shelf, link);
        while (!pool->is_closed && sb_shelf_lacks(shelf) > 0 && make_room(pool, shelf)) {
            if (pool->n_making >= MAX_MAKING) {
                return;
            }
            if (order_one(pool, shelf, &err) < 0) {
                SB_LOG_INFO("nothing parked", "why=%s", err.text);
                return;
            }
        }
    }
}

void sb_fill_on_look(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_pool *pool = ctx;
    uint64_t now_ms = sb_clock_mono_ms();
    SB_FOREACH (node, &pool->shelves) {
        struct sb_shelf *shelf = SB_LIST_ENTRY(node, struct sb_shelf, link);
        sb_shelf_look(shelf, now_ms);
        while (shelf->n_parked > shelf->target || sb_shelf_is_stale(shelf, now_ms)) {
            sb_fill_end(pool, sb_shelf_drop(shelf));
        }
        if (shelf->target == 0 && shelf->n_coming == 0) {
            sb_fill_take_down(pool, shelf);
        }
    }
    if (pool->n_shelves > 0) {
        sb_timer_arm(&pool->look, SB_FILL_LOOK_MS);
    }
    sb_timer_arm(&pool->refill, 0);
}
