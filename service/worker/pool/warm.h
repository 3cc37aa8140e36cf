#pragma once
/** An interpreter that was started before anybody has a program for it. Loop thread.
 *
 *  Theory of operation. Starting python takes twenty times as long as starting a sandbox. So in a
 * parked sandbox an interpreter may run already: as the exec that is to come, with its environment,
 * working directory, streams and limits, all but the source and its arguments. It runs nothing but
 * a few lines of ours (warm.py, warm.js) that wait on descriptor 3. It is used once.
 *
 *  The modules that the profile names under preload: are imported by then. A module that is not
 * there, fails or prints is told by its number, a byte from SB_WARM_SKIPPED on, and is no part of
 * the interpreter that waits. What a program imports are the same modules as in one that it
 * started itself: where something in its directory would come first, it is started anew. Only
 * sys.modules (and node's process.moduleLoadList) tells that they are there. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/json/language.h"
#include "service/worker/policy/collections.h"

struct sb_err;
struct sb_pairs;
struct sb_policy;

enum { SB_WARM_SKIPPED = 128 };          /* the byte of the first module */
enum { SB_WARM_MAX_PROGRAM = 64 << 10 }; /* bytes of source and arguments; longer ones start cold */

/** What somebody will run first in a new sandbox. All borrowed. */
struct sb_warm_want {
    enum sb_language language;
    const struct sb_pairs *env; /* added to the sandbox's */
    const char *cwd;            /* NULL: the sandbox's */
    bool has_stdin;
    bool is_only; /* the sandbox ends with it */
};

/** Whether interpreters of that language can wait. */
bool sb_warm_can(enum sb_language language);

/** How one is started: everything it depends on. */
struct sb_warm_plan {
    char *packet; /* for init; owned; NULL: none is started */
    size_t len;
    bool has_stdin;
    uint64_t bytes;            /* of memory that one is reckoned with */
    struct sb_strings modules; /* that it is to import before it waits; owned */
};
#define SB_WARM_NO_PLAN ((struct sb_warm_plan){.packet = NULL})

/** SB_WARM_NO_PLAN where what the interpreter does before it has its program may be the caller's
 * doing, as by a variable, or depends on what lies in a directory of the caller. Errors: as
 * sb_exec_init_pack. */
int sb_warm_plan_make(const struct sb_policy *policy,
                      const struct sb_warm_want *want,
                      struct sb_warm_plan *ret_plan,
                      struct sb_err *err);
int sb_warm_plan_copy(const struct sb_warm_plan *from,
                      struct sb_warm_plan *ret_plan,
                      struct sb_err *err);
bool sb_warm_plan_eq(const struct sb_warm_plan *a, const struct sb_warm_plan *b);
void sb_warm_plan_done(struct sb_warm_plan *plan);

struct sb_warm {
    int sock;    /* of its exec, to init; owned, as all descriptors here; -1: there is none */
    int channel; /* takes the program */
    int in_fd;   /* our ends of its streams; -1: input is empty */
    int out_fds[2];
    int64_t pid;      /* inside; once it is ready */
    uint32_t skipped; /* bit n: it waits without the plan's module n */
};
#define SB_WARM_NONE ((struct sb_warm){.sock = -1, .channel = -1, .in_fd = -1, .out_fds = {-1, -1}})

/** Asks the init of a parked sandbox to start one.
 *  @init_fd  its control socket; borrowed.   @null_fd  /dev/null; borrowed. Errors: by errno. */
int sb_warm_start(const struct sb_warm_plan *plan,
                  int init_fd,
                  int null_fd,
                  struct sb_warm *ret_warm,
                  struct sb_err *err);
/** When the channel is readable. Returns 1: it waits for its program; 0: not yet; -1: it has ended.
 */
int sb_warm_look(struct sb_warm *warm);
/** What it is to run. All borrowed. */
struct sb_warm_program {
    char *const *args; /* of an exec as sb_script_make makes them; SB_WARM_MAX_PROGRAM bytes */
    size_t n_args;
    const char *traceparent; /* for its environment; "": none */
    const char *tracestate;  /* the same */
};
/** Gives it the program. The channel is closed. Errors: SB_UNAVAILABLE: it has ended. */
int sb_warm_run(struct sb_warm *warm,
                enum sb_language language,
                const struct sb_warm_program *program,
                struct sb_err *err);
void sb_warm_done(struct sb_warm *warm);
