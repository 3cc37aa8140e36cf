#pragma once
/** The standard streams of a program that gets ours.
 *
 *  Theory of operation. What the program is given, it can open again by /proc/self/fd: a regular
 *  file could be read where only writing was meant, and a terminal could be typed into. So a
 *  descriptor of ours is passed on only when it is a pipe, a socket or /dev/null; otherwise the
 *  program gets one end of a new pipe and we copy between the other end and ours:
 *
 *      ours (file, tty)  --input pump-->  pipe  -->  program  -->  pipe  --output pump-->  ours
 *
 *  A pump never blocks on the pipe. It may block in write(2) to our terminal or file, as any
 *  program would. */

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

struct sb_err;

struct sb_pump {
    int from; /* -1: no pump, or over */
    int to;
    bool is_input;
    bool waits_for_to; /* the pipe is full */
    bool can_splice;
    char *held; /* owned; read but not yet written */
    size_t held_at;
    size_t held_len;
    int failed; /* errno of a write to our side; 0: none */
};

struct sb_streams {
    int passed[3];  /* for the program; owned when is_own */
    bool is_own[3]; /* made by us: closed once the program has it */
    struct sb_pump pumps[3];
    bool is_released;
};

enum { SB_STREAMS_RECHECK_MS = 500 }; /* how often to look whether we came to the foreground */

enum { SB_STREAMS_POLL_MAX = 3 };

/** Nothing to copy; sb_streams_plan does this itself. */
void sb_streams_init(struct sb_streams *streams);

/** Looks at descriptors 0, 1, 2 and makes the pipes. @no_stdin  gives /dev/null for input.
 *  Errors: by errno. sb_streams_done frees in any case. */
int sb_streams_plan(struct sb_streams *streams, bool no_stdin, struct sb_err *err);
/** Usable with SB_CLEANUP after init or plan. */
void sb_streams_done(struct sb_streams *streams);

/** The descriptors have been sent: closes our copies of the program's ends. */
void sb_streams_release(struct sb_streams *streams);

/** Fills what the pumps wait for (none before sb_streams_release); returns how many (at most
 * SB_STREAMS_POLL_MAX).
 *  @timeout_ms  for poll(2), -1: none; lowered when something cannot be polled for. */
size_t
sb_streams_prepare(const struct sb_streams *streams, struct pollfd *ret_fds, int *timeout_ms);
/** Copies what can be copied after poll(2). @fds  as filled by prepare, n of them. */
void sb_streams_step(struct sb_streams *streams, const struct pollfd *fds, size_t n);

/** False while reading that terminal would stop us, because we run in the background. True for
 *  what is no terminal. */
bool sb_streams_may_read(int fd);

/** The program has ended: copies the output that is in the pipes, and waits for no more. */
void sb_streams_drain(struct sb_streams *streams);

/** Errors: by errno, when output could not be written (a reader that went away is no error). */
int sb_streams_check(const struct sb_streams *streams, struct sb_err *err);
