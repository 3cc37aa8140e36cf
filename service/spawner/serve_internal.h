#pragma once
/** What serve.c and serve_request.c share. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "service/spawner/filter.h"
#include "service/spawner/ids.h"
#include "service/spawner/lane.h"
#include "service/spawner/layers/layer.h"
#include "spawn/v1/spawn.pb-c.h"

struct sb_cgroup_counters;
struct sb_err;
struct sb_frame;
struct sb_host;
struct sb_sandbox;

enum {
    SB_SERVE_MAX_STARTING = 64, /* sandboxes that work on their steps at one time */
    SB_SERVE_MAX_CHANGES = 64,  /* children that compare files at one time */
};

enum sb_server_state {
    SB_SERVER_NEW,   /* nothing said yet */
    SB_SERVER_READY, /* versions agree */
};

struct sb_server {
    const struct sb_host *host;
    int sock;
    int signal_fd;
    enum sb_server_state state;
    bool is_stopping;
    bool is_orderly; /* the worker said so */
    uid_t worker;    /* its user id while it serves */
    uint64_t last_slot;
    size_t n_sandboxes;
    size_t n_starting;
    pid_t egress_pid; /* 0: none */
    int egress_sock;  /* a copy of its socket; -1: none */
    struct sb_list sandboxes;
    struct sb_ids_pool pool;
    struct sb_filter_cache filters;
    struct sb_lanes lanes;
    struct sb_layers layers;
    struct sb_list takes; /* snapshots that are being taken */
    size_t n_takes;
    pid_t changes[SB_SERVE_MAX_CHANGES]; /* children that compare; 0: none */
};

/** To the worker. A socket that fails shows as end of file later.
 *  @fds  borrowed. Errors: as sb_frame_send. */
int sb_serve_reply(struct sb_server *server,
                   Spawn__V1__Reply *message,
                   const int *fds,
                   size_t n_fds,
                   struct sb_err *err);
/** That a request failed, in that step. */
int sb_serve_fail(struct sb_server *server,
                  uint64_t tag,
                  const char *step,
                  const struct sb_err *failure,
                  struct sb_err *err);
/** NULL: there is none in that slot. */
struct sb_sandbox *sb_serve_find(struct sb_server *server, uint64_t slot);
void sb_serve_fill_counters(const struct sb_cgroup_counters *from,
                            Spawn__V1__Counters *ret_counters);
/** Tells aisbx-egress to end, if it runs. */
void sb_serve_end_egress(struct sb_server *server);

/** Does what the worker asks, or refuses. Errors: SB_INVALID: it asks for what is not permitted
 * now. */
int sb_serve_dispatch(struct sb_server *server, struct sb_frame *frame, struct sb_err *err);
