#pragma once
/** MCP over the pipes of the program that started us: one message a line.
 *
 *  Theory of operation. Nothing but messages may come out of us, so the first thing is to take
 *  descriptors 0 and 1 away from everybody else. Reading never waits for writing: what the client
 *  does not take is queued, up to a bound, so that it can always cancel. The end of its side
 * cancels what is under way and ends us. */
#include "base/err.h"

struct event_base;
struct sb_mcp;
struct sb_mcp_caller;
struct sb_stdio;

/** Moves 0 and 1 to private descriptors that no child inherits; 0 becomes /dev/null, 1 stderr.
 *  Neither blocks afterwards. Call it before anything else can write. */
int sb_stdio_take(int *ret_in, int *ret_out, struct sb_err *err);

/** @in, @out  owned from here on, also on failure.  @caller  copied, its strings borrowed.
 *  @on_end  the client is gone, or sb_stdio_end was done; free it then, or later. */
int sb_stdio_new(struct sb_mcp *mcp,
                 struct event_base *base,
                 int in,
                 int out,
                 const struct sb_mcp_caller *caller,
                 void (*on_end)(void *ctx),
                 void *ctx,
                 struct sb_stdio **ret_stdio,
                 struct sb_err *err);
/** Cancels what is under way, writes what was answered for at most 100 ms, then on_end. */
void sb_stdio_end(struct sb_stdio *stdio);
void sb_stdio_free(struct sb_stdio *stdio);
