#pragma once
/** Interpreters that keep their state.
 *
 *  Theory of operation. A context is one long exec of a sandbox (exec.h), with a socket besides its
 *  output: code goes in, answers come out (answer.h), output takes the way of every exec. So
 * limits, kills, verdicts, violations and offsets are those of execs.
 *
 *      STARTING ---> IDLE <---> BUSY          Restart: DEAD or alive ---> STARTING
 *          |           |          |
 *          +-----------+----------+---> DEAD
 *
 *  Pieces of code wait in a list; the first one runs. Before an answer is handed on, the pipes are
 *  read: the interpreter flushes before it answers, so what was printed before comes before. While
 * the reader of a piece takes no more, answers stay in the socket, and the interpreter waits.
 *
 *  A piece ends by an answer, or with the interpreter, whose verdict is then the piece's. Its wall
 *  limit interrupts it, and kills the interpreter when that did not help in SB_MAX_INTERRUPT_MS.
 * The next piece waits until an interrupt has been sent (SB_INIT_SIGNALED), so it hits none but its
 * own.
 *
 *  A context counts for the idle clock of its sandbox while it starts or runs code. It goes with
 * its sandbox. Everything runs on the loop thread. */

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "base/list.h"
#include "base/map.h"
#include "service/worker/exec.h"
#include "service/worker/policy/collections.h"

struct sb_answer;
struct sb_context;
struct sb_interpreter;
struct sb_piece;
struct sb_sandbox;
struct sb_worker;

/** All of a worker. */
struct sb_contexts {
    struct sb_map by_id;
    struct sb_list list; /* newest first */
    uint64_t next_seq;
    size_t n;
};

enum {
    SB_CONTEXT_LOOK_MS = 500,      /* how often a timer looks whether a pause is over */
    SB_CONTEXT_TURN_US = 2000,     /* of the loop, for one context; code inside can talk for ever */
    SB_CONTEXT_MAX_UNHEARD = 1024, /* answers that nobody asked for, until it is killed */
};

/** The numbers of aisbx.v1.ContextState. */
enum sb_context_state {
    SB_CONTEXT_IDLE = 1,
    SB_CONTEXT_BUSY = 2,
    SB_CONTEXT_DEAD = 3,
    SB_CONTEXT_STARTING = 4,
};

/** Told whenever the state changes, or the interpreter is gone. May leave from inside. */
struct sb_context_observer {
    struct sb_list link;
    void (*changed)(struct sb_context_observer *observer, struct sb_context *context);
};

struct sb_context {
    struct sb_list link; /* worker->contexts; not linked: deleted */
    struct sb_worker *worker;
    struct sb_sandbox *sandbox; /* a reference */
    char id[SB_ID_SIZE];
    char exec_id[SB_ID_SIZE]; /* of the last interpreter */
    uint64_t seq;
    const struct sb_interpreter *language;
    char *cwd; /* NULL: the sandbox's */
    struct sb_pairs env;
    uint64_t create_ms; /* real time */

    enum sb_context_state state;
    bool is_wanted;   /* to be started when what runs now is gone */
    char reason[512]; /* why it is DEAD */

    struct sb_exec *exec; /* observed; NULL: gone */
    struct sb_exec_observer exec_observer;
    int channel; /* to the interpreter; -1: closed */
    struct event readable;
    struct event writable;
    struct sb_buf in;
    struct sb_buf out;
    uint64_t offsets[2]; /* output that was handed on, or left out */
    struct event start_timer;
    struct event wall_timer;
    struct event grace_timer;
    struct event again_timer;
    struct event more_timer; /* this turn of the loop was used up */
    unsigned n_unheard;      /* answers that nobody asked for, since a piece began */

    unsigned depth; /* of sb_context_enter */
    bool is_pumping;
    struct sb_list pieces; /* the first one runs when BUSY */
    size_t n_pieces;
    size_t code_bytes; /* of those */
    uint64_t execution_count;
    struct sb_list observers;
};

/** Who wants what; all borrowed. */
struct sb_context_options {
    const char *language;
    const char *cwd; /* NULL: the sandbox's */
    const struct sb_pairs *env;
};

void sb_contexts_init(struct sb_contexts *contexts);
/** Frees all; no piece and no observer is left. */
void sb_contexts_done(struct sb_contexts *contexts);
struct sb_context *sb_contexts_get(const struct sb_contexts *contexts, const char *id);

/** Makes one, STARTING.
 *  Errors: of sb_exec_new; SB_INVALID: no such language; SB_EXHAUSTED: too many. */
int sb_context_new(struct sb_sandbox *sandbox,
                   const struct sb_context_options *options,
                   struct sb_context **ret_context,
                   struct sb_err *err);
/** Ends the interpreter, with the pieces, and starts another. SB_PRECONDITION: its sandbox ends. */
int sb_context_restart(struct sb_context *context, struct sb_err *err);
/** Ends the interpreter, and forgets the context when nobody looks at it any more. */
void sb_context_delete(struct sb_context *context);
/** Stops the piece that runs, if one does. */
void sb_context_interrupt(struct sb_context *context, enum sb_cause cause);

/** Keeps the context in memory. */
void sb_context_observe(struct sb_context *context, struct sb_context_observer *observer);
void sb_context_unobserve(struct sb_context *context, struct sb_context_observer *observer);
/** True when no process of it is left. */
bool sb_context_is_gone(const struct sb_context *context);

/* ---- pieces ---- */

/** Who reads what a piece says. output, result and error return false when the reader takes no
 * more: sb_piece_go_on lets it go on. Nothing follows ended or failed. */
struct sb_piece_reader {
    bool (*output)(
        struct sb_piece *piece, int stream, uint64_t offset, struct sb_str data, uint64_t dropped);
    bool (*answer)(struct sb_piece *piece, const struct sb_answer *answer);
    void (*ended)(struct sb_piece *piece);
    void (*failed)(struct sb_piece *piece, const struct sb_err *err);
};

struct sb_piece {
    struct sb_list link; /* context->pieces */
    struct sb_context *context;
    const struct sb_piece_reader *reader; /* NULL: nobody is left who reads */
    void *ctx;                            /* the reader's */
    char *code;                           /* until it runs */
    size_t code_len;
    uint64_t wall_ms; /* 0: no limit */
    uint64_t number;  /* from 1, once it runs */
    uint64_t start_mono_ms;
    uint64_t start_real_ms;
    uint64_t exec_start_ms; /* as it was then; it moves with each pause */
    uint64_t start_bytes[2];
    uint64_t n_values;
    size_t n_denials;    /* of the exec, before it ran */
    bool is_blocked;     /* the reader takes no more for now */
    bool is_over;        /* the interpreter has done with it; what is left is to be read */
    bool is_orphan;      /* the interpreter has ended: the verdict of its exec is the piece's */
    enum sb_cause cause; /* why it was interrupted */
    uint32_t status;
};

/** Lets code run when it is its turn.
 *  @code  without NUL.   @wall_ms  0: the sandbox's.
 *  Errors: SB_INVALID: too long, wall_ms; SB_EXHAUSTED: too many wait; SB_PRECONDITION: DEAD. */
int sb_piece_new(struct sb_context *context,
                 struct sb_str code,
                 uint64_t wall_ms,
                 const struct sb_piece_reader *reader,
                 void *ctx,
                 struct sb_piece **ret_piece,
                 struct sb_err *err);
/** The reader takes more. */
void sb_piece_go_on(struct sb_piece *piece);
/** The reader is gone: the piece does not run, or is interrupted. The piece is the context's now,
 * or freed. */
void sb_piece_leave(struct sb_piece *piece);
/** How it ended, unless it is an orphan; for `ended`. */
void sb_piece_verdict(const struct sb_piece *piece, struct sb_verdict *ret_verdict);

/* ---- between the files of this folder ---- */

/** Around everything that may end a context: it is freed by the last leave, if at all. */
void sb_context_enter(struct sb_context *context);
void sb_context_leave(struct sb_context *context);
void sb_context_set_state(struct sb_context *context, enum sb_context_state state);
/** Starts an interpreter. */
int sb_context_start(struct sb_context *context, struct sb_err *err);
/** The interpreter did what it must not: it is killed. */
void sb_context_refuse(struct sb_context *context, const char *why);

/** Makes the program's end, and the worker's. */
int sb_channel_open(struct sb_context *context, int *ret_theirs, struct sb_err *err);
void sb_channel_close(struct sb_context *context);
/** Sends code; the channel has room for it when none waits. */
int sb_channel_send(struct sb_context *context, struct sb_str code, struct sb_err *err);
/** Reads what is there, as far as there is room. */
void sb_channel_fill(struct sb_context *context);

/** Notes that the interpreter has ended, once no piece waits to be told. */
void sb_context_settle(struct sb_context *context);

/** Does all that can be done now: hands on what came, ends and starts pieces. */
void sb_context_pump(struct sb_context *context);
/** Ends those that wait for their turn. */
void sb_pieces_fail(struct sb_context *context, const char *why);
/** The one that runs; NULL: none. */
struct sb_piece *sb_pieces_running(const struct sb_context *context);
void sb_pieces_timers_init(struct sb_context *context);
