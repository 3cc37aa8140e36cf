#pragma once
/** One worker of a fleet: its channel, what is known of it, and the calls that are there.
 *
 *    CONNECTING --GetInfo, first load--> SERVING <--> DRAINING
 *        ^                                   \          /
 *        |  after a while                     \        /   the connection is gone, or the worker
 *        +------------------------------------- LOST <-+   says nothing any more
 *
 *  Three calls tell how it is: GetInfo once (its id), WatchLoad (what lives there, whether it
 *  drains; the end of that stream is the end of the connection) and Watch of grpc.health.v1, where
 *  it has that (a worker that cannot work, at once). One thread, as all of the gateway. */
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/list.h"
#include "mcp-gateway/fleet/members.h"
#include "mcp-gateway/line.h"

struct sb_fleet;

enum sb_member_state {
    SB_MEMBER_CONNECTING,
    SB_MEMBER_SERVING,
    SB_MEMBER_DRAINING, /* what is there goes on, nothing new goes there */
    SB_MEMBER_LOST,
    SB_MEMBER_STATES_,
};

extern const char *const sb_member_states[SB_MEMBER_STATES_];

struct sb_member {
    struct sb_list node; /* fleet->members */
    struct sb_fleet *fleet;
    char address[SB_MEMBERS_ADDRESS_SIZE];
    char name[SB_MEMBERS_ADDRESS_SIZE]; /* that its certificate has; "": by the address */
    char id[SB_ID_SIZE];                /* "": not known yet; of a lost one: what it was */
    enum sb_member_state state;
    struct sb_line line;
    struct event *timer;
    struct sb_list legs;
    unsigned n_legs;
    struct sb_rpc_stream *info; /* the three calls; NULL: not under way */
    struct sb_rpc_stream *load;
    struct sb_rpc_stream *health;
    bool has_info; /* id is of this connection */
    bool has_load;
    bool is_draining; /* as its load says */
    bool is_ill;      /* as its health says */
    bool is_named;    /* among the addresses that there are now */
    uint32_t slots;
    uint32_t active;
    uint32_t n_sent; /* what was begun there since it told how many are active */
    uint64_t available_memory;
    unsigned n_losses; /* since it served last */
};

/** Connects soon. @name  NULL: none.   Errors: SB_EXHAUSTED. */
int sb_member_new(struct sb_fleet *fleet,
                  const char *address,
                  const char *name,
                  struct sb_member **ret_member,
                  struct sb_err *err);
/** Legs that live get done() with SB_CANCELLED. */
void sb_member_free(struct sb_member *member);

/** What the loop does later with one that is not named any more: true, it can be freed. */
bool sb_member_is_over(const struct sb_member *member);

/* ---- calls there ---- */

/** One stream of a call. Part of what begins it. */
struct sb_leg {
    struct sb_list node; /* member->legs */
    struct sb_member *member;
    struct sb_rpc_stream *stream;
    const struct sb_leg_callbacks *callbacks;
    void *user;
};

struct sb_leg_callbacks {
    void (*message)(struct sb_leg *leg, const ProtobufCMessage *message, void *user);
    void (*drained)(struct sb_leg *leg, void *user);  /* may be NULL */
    void (*accepted)(struct sb_leg *leg, void *user); /* may be NULL */
    /** Last; trailers are readable within. member is NULL when a new call cannot go there. */
    void (*done)(struct sb_leg *leg, const struct sb_err *err, void *user);
};

/** Begins a call there. Errors: those of the channel; then nothing is called. */
int sb_leg_start(struct sb_leg *leg,
                 struct sb_member *member,
                 const struct sb_rpc_method *method,
                 const ProtobufCMessage *message,
                 const struct sb_rpc_stream_options *options,
                 struct sb_err *err);
void sb_leg_read(struct sb_leg *leg);
bool sb_leg_send(struct sb_leg *leg, const ProtobufCMessage *message);
void sb_leg_half_close(struct sb_leg *leg);
void sb_leg_cancel(struct sb_leg *leg);
/** Within done() only. */
const char *sb_leg_trailer(const struct sb_leg *leg, const char *key);
