#pragma once
/** What measurements do again and again: start a program, walled in or not, and take its time.
 *
 *  A line describes one, fields separated by tabs: a name, a kind, and what the kind takes.
 *
 *  - process ARG...: a process to its end
 *  - talk ARG...: likewise; its first byte of output, too
 *  - cold ARG...: a process, after `aisbx worker stop`, which is not measured
 *  - run PROFILE DIR ARG...: SandboxService.Run in a new sandbox
 *  - stream PROFILE DIR ARG...: StartExec likewise; the first byte of output, too
 *  - script PROFILE LANGUAGE SOURCE: StartExec of a source in a new sandbox
 *  - wait MS: nothing for that long; not measured
 *  - spin MS: likewise with a busy processor, as one that just woke up makes what follows slower
 *
 *  DIR is a directory of the host that the sandbox sees at SB_ACT_MOUNT, read-only; "-": none.
 *  Processes find a seccomp filter of the usual size on descriptor SB_ACT_FILTER_FD, for
 *  bubblewrap. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct sb_err;
struct sb_rpc_channel;

#define SB_ACT_MOUNT "/opt/bench"
enum { SB_ACT_FILTER_FD = 9, SB_ACT_MAX_WORDS = 96, SB_ACT_MAX = 64 };

struct sb_act_took {
    uint64_t first_ns; /* until the first byte of output; 0: not seen, or the act has none */
    uint64_t whole_ns;
};

struct sb_act {
    char *line;     /* owned */
    char **words;   /* of line; owned */
    size_t n_words; /* behind them is NULL */
    int (*run)(const struct sb_act *act,
               struct sb_rpc_channel *channel,
               struct sb_act_took *ret_took,
               struct sb_err *err);
};

/** Reads up to SB_ACT_MAX lines. Errors: SB_INVALID, SB_EXHAUSTED. */
int sb_act_read(FILE *in, struct sb_act *acts, size_t *ret_n, struct sb_err *err);
void sb_act_done(struct sb_act *act);
/** Makes the filter that processes find. Once, before the first one runs. */
int sb_act_make_filter(struct sb_err *err);

static inline const char *sb_act_name(const struct sb_act *act)
{
    return act->words[0];
}

/** Does it once. A program that does not end with 0 is an error. Any thread; a channel has one.
 *  @channel  for calls; NULL is fine where there are none. */
int sb_act_do(const struct sb_act *act,
              struct sb_rpc_channel *channel,
              struct sb_act_took *ret_took,
              struct sb_err *err);
