#pragma once
/** What a part writes to its standard output and error, line by line on ours. Lines that our
 *  programs log are passed on as they are; of any other text a log line is made, so that whoever
 *  reads our log reads one format. */
#include <stdbool.h>

#include "base/buf.h"

struct event;
struct event_base;
struct sb_err;

struct sb_relay {
    const char *part; /* borrowed */
    bool is_json;
    int fd; /* owned; -1: closed */
    struct event *event;
    struct sb_buf held; /* a line that is not whole */
};

/** Takes @fd, also on failure. Errors: SB_EXHAUSTED. */
int sb_relay_start(struct sb_relay *relay,
                   struct event_base *base,
                   const char *part,
                   bool is_json,
                   int fd,
                   struct sb_err *err);
/** Passes on what is there already, and closes. Also for a zeroed one with fd -1, and twice. */
void sb_relay_stop(struct sb_relay *relay);
