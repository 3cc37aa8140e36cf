#pragma once
/** One worker's channel, in the gateway's event loop. One thread. */
#include <stdbool.h>

#include "proto/client/connect.h"

struct event;
struct event_base;
struct sb_err;

struct sb_line {
    struct event_base *base;
    struct sb_connect connect; /* channel NULL: closed */
    struct event *ready;       /* the channel's descriptor, or its timeout */
    bool is_processing;
    bool is_closing; /* calls are told that they end */
};

/** @base  borrowed. Connects to nobody. Errors: SB_EXHAUSTED. */
int sb_line_init(struct sb_line *line, struct event_base *base, struct sb_err *err);
/** Closes, and frees what it has; also of a zeroed one. */
void sb_line_done(struct sb_line *line);

/** Of a closed line. Errors: as sb_connect_worker; the text has its hint, too. */
int sb_line_open(struct sb_line *line,
                 const struct sb_connect_options *options,
                 struct sb_err *err);
/** Not from a callback of its calls. Calls that live get done() with SB_CANCELLED. */
void sb_line_close(struct sb_line *line);

/** After each use of the channel or of a stream on it: what to wait for may have changed. */
void sb_line_rearm(struct sb_line *line);
