#pragma once
#include <stdbool.h>

#include "proto/rpc/rpc.h"

struct sb_cli;
struct sb_err;

/** A channel to the worker and what goes with every call on it. */
struct sb_connect {
    struct sb_rpc_channel *channel; /* owned */
    bool is_local;                  /* descriptors can be passed */
    bool is_embedded;               /* the worker that aisbx starts by itself */
    bool is_absent;                 /* SB_CONNECT_PRESENT failed because there is none */
    struct sb_rpc_metadata key;
    struct sb_rpc_stream_options options; /* for calls: metadata; copy it to add more */
};

/** The address that was named: --address, else $AISBX_ADDRESS; NULL: none. */
const char *sb_connect_address(const struct sb_cli *cli);
/** True when that address is not on this machine, or at least not known to be: it needs gRPC, and
 *  its worker sees none of our files. */
bool sb_connect_is_remote(const struct sb_cli *cli);

enum sb_connect_mode {
    SB_CONNECT_FRESH,   /* the same, and one that has read config.yaml as it is now */
    SB_CONNECT_START,   /* start a worker of one's own when none is there and none was named */
    SB_CONNECT_PRESENT, /* SB_NOT_FOUND and is_absent when none is there and none was named */
};

/** Connects to --address, $AISBX_ADDRESS, or the worker of one's own. sb_connect_done frees.
 *  *ret_connect must stay where it is. Errors: SB_UNAVAILABLE and others; cli->hint is set. */
int sb_connect_open(struct sb_cli *cli,
                    enum sb_connect_mode mode,
                    struct sb_connect *ret_connect,
                    struct sb_err *err);
void sb_connect_done(struct sb_connect *connect); /* also for a zeroed one */
