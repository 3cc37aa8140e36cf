#pragma once
/** What spawner.c and spawner_ask.c share: the conversation, and one request of it. */
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "service/worker/policy/seccomp_json.h"
#include "service/worker/spawner.h"

enum { SB_SPAWNER_MAX_LOADED = 32 };

/** One request, waiting to be sent or to be answered. */
struct sb_ask {
    struct sb_list link;
    bool is_spawning; /* counted in n_spawning */
    Spawn__V1__Request req;
    Spawn__V1__Spawn spawn; /* body; owns its plan */
    Spawn__V1__Kill kill;
    Spawn__V1__Count count;
    Spawn__V1__Freeze freeze;
    Spawn__V1__Probe probe;
    Spawn__V1__StartEgress start_egress;
    Spawn__V1__TakeLayer take_layer;
    Spawn__V1__DropLayer drop_layer;
    Spawn__V1__ReadChanges read_changes;
    Spawn__V1__CompareMounts compare;
    struct sb_filter *filter;    /* reference, or NULL */
    int fds[SB_SPAWNER_MAX_FDS]; /* owned; n_fds of them */
    size_t n_fds;
    sb_spawner_reply_fn *on_reply;
    void *ctx;
};

/** A filter that the spawner has compiled. */
struct sb_loaded {
    char hash[sizeof((struct sb_filter *)NULL)->hash];
    uint64_t id;
};

struct sb_spawner {
    int sock;
    int audit_fd; /* until taken; -1: none */
    bool is_lost;
    bool is_process; /* ours, to be waited for */
    bool is_attached;
    uint64_t next_tag;
    size_t n_asks;
    struct sb_loaded
        loaded[SB_SPAWNER_MAX_LOADED]; /* a ring: filters change only when profiles do */
    size_t n_loaded;                   /* that ever were */
    struct sb_ask *front;              /* being sent; NULL: none */
    struct sb_list unsent;             /* struct sb_ask, behind it */
    struct sb_list sent;
    struct sb_list held;       /* sandboxes that are asked for when others have been made */
    size_t n_spawning;         /* asked for, those held not counted */
    Spawn__V1__Reply *welcome; /* owned */
    struct event readable;
    struct event writable;
    struct event dead; /* made active to tell of the death from the loop */
    struct sb_spawner_events events;
    void *ctx;
};

/** Sends an ask that is in no list yet when none is ahead of it and the socket takes it. False: it
 *  is as before, whatever was the matter. */
bool sb_spawner_send_now(struct sb_spawner *spawner, struct sb_ask *ask);
/** Lets go of sandboxes that were held, as many as may be made at once. */
void sb_spawner_release(struct sb_spawner *spawner);
/** Ends the conversation: everybody is told from the loop. */
void sb_spawner_lose(struct sb_spawner *spawner, const char *why);
