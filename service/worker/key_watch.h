#pragma once
/** Keys of a file that several workers have in common (--keys; auth/key_file.h): read at the start,
 *  again when it changes, and on SIGHUP. Loop thread; blocks on the disk.
 *
 *  What counts is what stands there: a key whose line is gone or wrong opens nothing any more, and
 *  where the file as a whole cannot be read none of it does. */
#include <event2/event_struct.h>
#include <stdbool.h>

#include "service/worker/auth/key_file.h"

struct sb_err;
struct sb_worker;

enum { SB_KEY_WATCH_MS = 5000 }; /* between two looks whether it has changed */

struct sb_key_watch {
    struct event timer;
    bool is_begun;
    bool is_unread; /* the last reading failed, or was of a file that still changed */
    struct sb_key_stamp stamp;
    size_t n_wrong; /* lines that open nothing; 1 when the file cannot be read */
};

/** Errors: as sb_key_file_read; SB_INVALID: a line is wrong. Without --keys it does nothing. */
int sb_key_watch_begin(struct sb_worker *worker, struct sb_err *err);
void sb_key_watch_end(struct sb_worker *worker);
/** Reads it now. What is wrong is logged. */
void sb_key_watch_reload(struct sb_worker *worker);
