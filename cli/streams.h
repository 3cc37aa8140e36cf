#pragma once
/** The standard streams of a program that gets ours.
 *
 *  Theory of operation. What the program is given, it can open again by /proc/self/fd, and flags
 *  like O_NONBLOCK belong to whoever shares the open file: a regular file could be read where only
 *  writing was meant, a terminal typed into, the caller's own pipe made non-blocking. So nothing of
 *  ours is given on. The program gets one end of a new pipe, and we copy between the other end and
 *  ours, up to the limit of what may be put out; what comes after that is counted and dropped:
 *
 *      ours  --input pump-->  pipe  -->  program  -->  pipe  --output pump-->  ours
 *
 *  As root, a pipe on our standard input is opened anew instead: it has flags of its own then, and
 *  what the program does not read stays there for the next one, as it should in a shell script.
 *
 *  A pump never blocks on a pipe or a socket. It may block in write(2) to our terminal or file, as
 *  any program would. */

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sb_err;

enum sb_sink { SB_SINK_FILE, SB_SINK_PIPE, SB_SINK_SOCKET };

struct sb_pump {
    int from; /* -1: no pump, or over */
    int to;
    bool is_input;
    bool waits_for_to; /* the pipe is full */
    bool can_splice;
    char *held; /* owned; read but not yet written */
    size_t held_at;
    size_t held_len;
    enum sb_sink sink; /* what `to` is */
    uint64_t left;     /* bytes that may still be put out */
    uint64_t dropped;  /* bytes that came after these */
    int failed;        /* errno of a write to our side; 0: none */
};

struct sb_streams {
    int passed[3];  /* for the program; owned when is_own */
    bool is_own[3]; /* made by us: closed once the program has it */
    struct sb_pump pumps[3];
    int null_fd; /* where dropped bytes go; -1: none yet */
    bool is_released;
};

enum { SB_STREAMS_RECHECK_MS = 500 }; /* how often to look whether we came to the foreground */

enum { SB_STREAMS_POLL_MAX = 6 };

/** Nothing to copy; sb_streams_plan does this itself. */
void sb_streams_init(struct sb_streams *streams);

/** Looks at descriptors 0, 1, 2 and makes the pipes. @no_stdin  gives /dev/null for input.
 *  Errors: by errno. sb_streams_done frees in any case. */
int sb_streams_plan(struct sb_streams *streams, bool no_stdin, struct sb_err *err);
/** Usable with SB_CLEANUP after init or plan. */
void sb_streams_done(struct sb_streams *streams);

/** At most so many bytes of each output are put out. Before the first is. */
void sb_streams_limit(struct sb_streams *streams, uint64_t bytes);

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

/** The program has ended: copies the output that is in the pipes, and waits for no more of it.
 *  @may_wait  for a pipe or socket of ours whose reader is slow, until @stop_fd (-1: none) can be
 *  read. */
void sb_streams_drain(struct sb_streams *streams, bool may_wait, int stop_fd);

/** Errors: by errno, when output could not be written (a reader that went away is no error). */
int sb_streams_check(const struct sb_streams *streams, struct sb_err *err);
