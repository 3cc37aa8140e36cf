#pragma once
/** One program in a sandbox: started by init, its output kept, its end decided.
 *
 *  Theory of operation.
 *
 *      WAITING ---> STARTING ---> RUNNING ---> EXITED ---> ENDED
 *         |             |            |                       ^
 *         +-------------+------------+-----------------------+
 *
 *  WAITING: its sandbox is still being made, is paused, or gets the files of the exec. STARTING:
 * init has the request. EXITED: the main process ended; for a sandbox of its own we wait until the
 * sandbox is gone, else until the output pipes are drained, at most SB_MAX_OUTPUT_GRACE_MS when
 * somebody left behind holds them. ENDED: the verdict stands. An exec that could not even be asked
 * for (its sandbox did not start) ends without verdict, with start_err.
 *
 *  The socket to init stays open after the end while leftovers live: closing it would kill them.
 *  Everything runs on the loop thread. */

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "base/list.h"
#include "proto/json/language.h"
#include "service/shared/initproto.h"
#include "service/worker/denials.h"
#include "service/worker/exec_terminal.h"
#include "service/worker/spans.h"
#include "service/worker/spool.h"
#include "service/worker/verdict.h"

struct sb_exec;
struct sb_gone;
struct sb_pairs;
struct sb_put;
struct sb_sandbox;
struct sb_stage;
struct sb_worker;

enum sb_exec_state {
    SB_EXEC_WAITING,
    SB_EXEC_STARTING,
    SB_EXEC_RUNNING,
    SB_EXEC_EXITED,
    SB_EXEC_ENDED,
};

/** Whether it waits for what was counted in the group of its sandbox: before it starts, so that
 *  nothing of others is blamed on it, and when it failed. */
enum sb_exec_count {
    SB_EXEC_COUNT_NONE,
    SB_EXEC_COUNT_WANTED, /* to be asked for */
    SB_EXEC_COUNT_ASKED,
};

/** Told of everything that happens to an exec: started, output, input taken, ended, leftovers gone.
 *  May leave from inside. An exec is not forgotten while somebody observes it. */
struct sb_exec_observer {
    struct sb_list link;
    void (*changed)(struct sb_exec_observer *observer, struct sb_exec *exec);
};

/** Limits of one exec alone; 0: the sandbox's, or none. */
struct sb_exec_limits {
    uint64_t output_bytes;             /* kept of each stream */
    uint64_t rlimits[SB_INIT_RLIMITS]; /* of each process */
};

/** What to run. All borrowed. */
struct sb_exec_options {
    char *const *args; /* n_args, at least 1 */
    size_t n_args;
    const struct sb_pairs *env; /* added to the sandbox's; may be NULL */
    const char *cwd;            /* NULL: the sandbox's */
    uint64_t wall_ms;           /* 0: the sandbox's */
    bool is_background;
    bool has_stdin;                          /* a pipe that sb_exec_input fills; else empty input */
    const struct sb_exec_limits *limits;     /* NULL: none */
    const struct sb_exec_terminal *terminal; /* checked; NULL: pipes */
    struct sb_stage *stage; /* files to be put there before; NULL: none; a reference is taken */
    const int *passed;      /* three fds, taken (set to -1) on success; NULL: output is kept */
    /** An interpreter, descriptor 3 of which this becomes; taken on success. NULL: none. It has no
     * wall limit and counts as idle: what runs in it has limits and a count of its own. */
    const int *channel;
    /** Of what args run: an interpreter of that language may wait for them in the sandbox. NULL:
     * none does. */
    const enum sb_language *waiting;
    const struct sb_lineage *lineage; /* NULL: of no trace */
};

struct sb_exec_output {
    struct sb_exec *exec;
    int fd; /* -1: never was or drained */
    struct event event;
    struct sb_spool spool;
};

struct sb_exec_input {
    int fd; /* -1: closed, or none */
    struct event event;
    struct sb_buf waiting;
    bool is_eof; /* close when waiting is empty */
};

struct sb_exec {
    struct sb_list link;         /* registry, newest first */
    struct sb_list ended_link;   /* registry, oldest end first */
    struct sb_list sandbox_link; /* sandbox->execs, while a process of it may live */
    struct sb_worker *worker;
    struct sb_sandbox *sandbox; /* a reference */
    char id[SB_ID_SIZE];
    uint64_t seq;
    enum sb_exec_state state;

    char **args; /* one heap block, ends with NULL */
    size_t n_args;
    char *cwd;
    uint64_t wall_ms;
    bool is_background;
    bool is_passed;
    bool is_overdue;      /* its tree did not end in time after it was killed */
    bool is_only;         /* the only one of its sandbox, which ends with it */
    bool is_hanging_up;   /* the kill timer kills what its terminal's end did not */
    bool is_context;      /* an interpreter (context/context.h) */
    bool is_interrupting; /* SIGINT is on its way */
    bool is_awaited;      /* an interpreter of that language may wait for it */
    enum sb_language language;

    struct sb_stage *stage; /* a reference, until its files are there; NULL: nothing to put */
    struct sb_put *put;     /* puts them */

    char *packet; /* for init, until sent */
    size_t packet_len;
    int stdio[3]; /* to be sent with it; -1 afterwards */
    int channel;  /* the same; -1: none */

    int sock; /* to init or the exec's stub; -1: none */
    struct event sock_event;
    struct sb_exec_output out[2]; /* stdout, stderr */
    struct sb_exec_input in;
    struct sb_exec_terminal terminal;
    struct sb_exec_limits limits;
    struct event wall_timer;
    struct event grace_timer;
    struct event kill_timer;
    unsigned held_timers; /* bits of exec_pause.c: those that run on when its sandbox does */

    struct sb_exec_spans spans;
    int64_t pid;        /* inside */
    int32_t process_id; /* of process.v1; 0: none */
    uint64_t start_real_ms;
    uint64_t start_mono_ms;
    uint64_t end_real_ms;
    enum sb_exec_count count;
    bool has_base;             /* base was counted just before it started */
    struct sb_counters base;   /* of its sandbox */
    struct sb_denials denials; /* of the sandbox, while this one ran */
    struct sb_facts facts;
    struct sb_verdict verdict; /* from ENDED on */
    struct sb_err start_err;   /* not SB_OK: ended without having been asked for */
    struct sb_list observers;
};

/** Makes an exec for a sandbox that is starting or running, and starts it as soon as that runs.
 *  @is_only  the sandbox was made for it.
 *  Errors: SB_INVALID naming the field; SB_EXHAUSTED; SB_PRECONDITION: the sandbox's state. */
int sb_exec_new(struct sb_sandbox *sandbox,
                const struct sb_exec_options *options,
                bool is_only,
                struct sb_exec **ret_exec,
                struct sb_err *err);
/** Registry only: nobody observes it, and no process of it lives. */
void sb_exec_free(struct sb_exec *exec);

void sb_exec_observe(struct sb_exec *exec, struct sb_exec_observer *observer);
void sb_exec_unobserve(struct sb_exec_observer *observer);

/** True from the verdict (or start_err) on. */
bool sb_exec_has_ended(const struct sb_exec *exec);
/** True when no process of it is left. */
bool sb_exec_is_empty(const struct sb_exec *exec);

/** Kills the whole tree, leftovers included. The first cause counts; none after the main process
 *  ended by itself. A terminal hangs up first when a caller is the cause. */
void sb_exec_kill(struct sb_exec *exec, enum sb_cause cause);
/** SB_PRECONDITION: it has ended. */
int sb_exec_signal(struct sb_exec *exec, int signal, bool is_tree, struct sb_err *err);
/** SIGINT to the process group, as a terminal does; is_interrupting until init has sent it. */
void sb_exec_interrupt(struct sb_exec *exec);

/** Queues bytes for standard input. SB_EXHAUSTED: SB_MAX_STDIN_BYTES wait already; SB_PRECONDITION:
 *  it has no open input. A program that does not want the bytes any more makes them vanish. */
int sb_exec_write(struct sb_exec *exec, const void *data, size_t len, struct sb_err *err);
/** No more input follows. */
void sb_exec_write_eof(struct sb_exec *exec);
/** Bytes that wait for the program to read. */
size_t sb_exec_waiting_input(const struct sb_exec *exec);

/* ---- for sandbox.c ---- */

/** The sandbox runs: asks init to start it. */
void sb_exec_begin(struct sb_exec *exec);
/** What it waited for; all 0 when it cannot be had. */
void sb_exec_counted(struct sb_exec *exec, const struct sb_counters *counters);
/** The control socket of init takes packets again. True when there is nothing more to send. */
bool sb_exec_send(struct sb_exec *exec);
/** The sandbox did not start. */
void sb_exec_fail(struct sb_exec *exec, const struct sb_err *err);
/** Reads what init has said so far. */
void sb_exec_settle(struct sb_exec *exec);
/** The last process of the sandbox is gone.
 *  @cause  why, when the exec had no cause of its own. */
void sb_exec_gone(struct sb_exec *exec, enum sb_cause cause, const struct sb_gone *gone);

/* ---- for exec_kill.c ---- */

/** The verdict is decided. */
void sb_exec_end(struct sb_exec *exec);
/** Its sandbox, of which it is the only one, ends with it. */
void sb_exec_expect_gone(struct sb_exec *exec);

/* ---- of exec_kill.c, for exec.c ---- */

/** The whole tree, without a word before. */
void sb_exec_kill_now(struct sb_exec *exec);
void sb_exec_on_wall_timeout(evutil_socket_t fd, short what, void *ctx);
void sb_exec_on_kill_timeout(evutil_socket_t fd, short what, void *ctx);

/* ---- for exec_make.c ---- */

/** Nothing runs yet. */
void sb_exec_timers_init(struct sb_exec *exec);

/* ---- for exec_io.c and exec_init.c ---- */

void sb_exec_notify(struct sb_exec *exec);
/** What init said.
 *  @terminal_fd  -1, or taken and set to -1. */
void sb_exec_on_started(struct sb_exec *exec, int64_t pid, int *terminal_fd);
void sb_exec_on_signaled(struct sb_exec *exec);
void sb_exec_on_failed(struct sb_exec *exec, int sys, unsigned stage);
void sb_exec_on_exited(struct sb_exec *exec, const struct sb_init_exited *exited);
void sb_exec_on_empty(struct sb_exec *exec, const struct sb_init_empty *empty);
/** The socket ended without EMPTY. */
void sb_exec_on_hangup(struct sb_exec *exec);
/** An output pipe came to its end. */
void sb_exec_on_drained(struct sb_exec *exec);
