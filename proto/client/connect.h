#pragma once
/** How a client of ours finds its worker, and starts one of its own where none was named. */
#include <stdbool.h>
#include <stddef.h>

#include "proto/rpc/rpc.h"

struct sb_err;

enum { SB_CONNECT_MAX_METADATA = 4 };

/** A channel to the worker and what goes with every call on it. */
struct sb_connect {
    struct sb_rpc_channel *channel; /* owned */
    bool is_local;                  /* descriptors can be passed */
    bool is_embedded;               /* the worker that is started by itself */
    bool is_absent;                 /* SB_CONNECT_PRESENT failed because there is none */
    struct sb_rpc_metadata metadata[SB_CONNECT_MAX_METADATA]; /* the key first, if there is one */
    struct sb_rpc_stream_options options; /* for calls: metadata; copy it to add more */
};

enum sb_connect_mode {
    SB_CONNECT_FRESH,   /* START, and one that has read config.yaml as it is now */
    SB_CONNECT_START,   /* start a worker of one's own when none is there and none was named */
    SB_CONNECT_PRESENT, /* SB_NOT_FOUND and is_absent when none is there and none was named */
};

/** All borrowed; the key for as long as the connection. */
struct sb_connect_options {
    const char *address;  /* NULL: $AISBX_ADDRESS, else the worker of one's own */
    const char *key;      /* NULL: $AISBX_API_KEY when an address is named, else none */
    const char *tls_name; /* that its certificate has, where it is not the address's; NULL: it is */
    enum sb_connect_mode mode;
    const char *expect; /* profile of the first sandbox, if one is started; NULL: not known */
    bool lends_nothing; /* no call on it binds directories of ours */
    char *hint;         /* filled with the next step on failure; NULL: not wanted */
    size_t hint_size;
};

/** The address that was named: @address, else $AISBX_ADDRESS; NULL: none. */
const char *sb_connect_named(const char *address);
/** True when that address is not on this machine, or at least not known to be: it needs gRPC, and
 *  its worker sees none of our files. */
bool sb_connect_leads_away(const char *address);

/** Connects; may start a worker, and block for as long. sb_connect_done frees. *ret_connect must
 *  stay where it is. Errors: SB_INVALID: address or key; SB_UNAVAILABLE and others. */
int sb_connect_worker(const struct sb_connect_options *options,
                      struct sb_connect *ret_connect,
                      struct sb_err *err);
/** Adds what goes with every call on it, at most three; the texts are borrowed. */
void sb_connect_add(struct sb_connect *connect, const char *key, const char *value);
void sb_connect_done(struct sb_connect *connect); /* also for a zeroed one */
