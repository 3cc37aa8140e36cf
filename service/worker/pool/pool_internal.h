#pragma once
/** What the files of the pool share: requests that are promised a sandbox (order.c), how shelves
 * are filled (fill.c), and the pool. */
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "service/worker/pool/pool.h"
#include "service/worker/pool/shelf.h"

struct sb_err;

enum { SB_FILL_LOOK_MS = 10000 }; /* between two looks back at what was needed */

/** Somebody who is promised a sandbox. */
struct sb_order {
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
    unsigned n_making;   /* coming ones that take a processor now */
    uint64_t used_bytes; /* of parked and coming ones */
    uint64_t max_bytes;
    bool is_closed;
    struct sb_list coming;   /* struct coming */
    struct sb_list due;      /* struct sb_order, each with what it gets */
    struct sb_list checking; /* likewise, while the spawner looks at its mounts */
    struct sb_list asked;    /* struct sb_order, of which the spawner makes one alone */
    struct event deliver;
    struct event refill;
    struct event look;
};

/* ---- order.c ---- */

/** Counts what became of a request: "hit". */
void sb_order_count(struct sb_pool *pool, const char *outcome);
/** With what it holds; nobody is told. */
void sb_order_free(struct sb_order *order);
/** Tells its caller, and frees. */
void sb_order_refuse(struct sb_order *order, const struct sb_err *err);
/** The spawner makes one for it alone.
 *  @fds  taken in every case. Errors: as sb_spawner_spawn; the order is still there. */
int sb_order_spawn_with(struct sb_order *order, int *fds, size_t n_fds, struct sb_err *err);
/** The same, with the connection that the order holds. */
int sb_order_spawn(struct sb_order *order, struct sb_err *err);
/** What was parked does not serve: ends that, and the spawner makes one. */
void sb_order_begin_anew(struct sb_order *order);
/** It has its sandbox, taken: gives it away, from the loop, when its mounts are what they should
 * be. */
void sb_order_fulfil(struct sb_order *order, struct sb_parked *parked);
/** Who has waited longest for one of that shelf; NULL: nobody. */
struct sb_order *sb_order_take_awaited(struct sb_shelf *shelf);
void sb_order_on_deliver(evutil_socket_t fd, short what, void *ctx);

/* ---- fill.c ---- */

/** One that was taken off its shelf and is dead, or ends. */
void sb_fill_forget(struct sb_pool *pool, struct sb_parked *parked);
/** The same, and ends it. */
void sb_fill_end(struct sb_pool *pool, struct sb_parked *parked);
/** Ends what is on it, and frees it. Nothing may be on its way. */
void sb_fill_take_down(struct sb_pool *pool, struct sb_shelf *shelf);
/** The interpreter in it did not come to wait. */
void sb_fill_give_up(struct sb_pool *pool, struct sb_parked *parked);
void sb_fill_on_refill(evutil_socket_t fd, short what, void *ctx);
void sb_fill_on_look(evutil_socket_t fd, short what, void *ctx);
