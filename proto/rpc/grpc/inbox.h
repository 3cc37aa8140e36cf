#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct sb_err;

/** Something to run on the thread that owns a server or a channel. Embedded in what it concerns; in
 *  the inbox at most once at a time. */
struct sb_grpc_note {
    struct sb_grpc_note *next;
    void (*run)(struct sb_grpc_note *note); /* owner thread; may free the note */
};

/** Many threads post, one thread runs. The eventfd is readable when there is something to run; it
 *  is written only by the post that found the inbox empty, so a burst costs one wake-up. */
struct sb_grpc_inbox {
    _Atomic(struct sb_grpc_note *) head; /* newest first */
    int fd;                              /* eventfd, owned; for the owner to poll for reading */
};

/** Errors: by errno. */
int sb_grpc_inbox_init(struct sb_grpc_inbox *inbox, struct sb_err *err);
/** Closes the eventfd. What is still inside is dropped unseen. */
void sb_grpc_inbox_done(struct sb_grpc_inbox *inbox);

/** Any thread. */
void sb_grpc_inbox_post(struct sb_grpc_inbox *inbox, struct sb_grpc_note *note);

/** Whether nothing is posted yet. Owner thread. */
bool sb_grpc_inbox_is_empty(struct sb_grpc_inbox *inbox);

/** Runs what was posted so far, oldest first; later posts make the eventfd readable again. Owner
 *  thread. Returns how many ran. */
size_t sb_grpc_inbox_run(struct sb_grpc_inbox *inbox);
