#pragma once
/** MCP over the pipes of the program that started us: one message a line.
 *
 *  Theory of operation. Nothing but messages may come out of us, so the first thing is to take
 *  descriptors 0 and 1 away from everybody else. Reading never waits for writing: what the client
 *  does not take is queued, up to a bound, so that it can always cancel. When its side ends,
 *  everything that it asked for is still done and answered, each call by its own limit and all of
 *  them within 25 hours; then we end. When nobody reads the answers, what is under way is
 *  cancelled. */
#include "base/err.h"
#include "mcp-gateway/mcp/tool.h"

struct event_base;
struct sb_stdio;

/** Moves 0 and 1 to private descriptors that no child inherits; 0 becomes /dev/null, 1 stderr.
 *  Neither blocks afterwards. Call it before anything else can write. */
int sb_stdio_take(int *ret_in, int *ret_out, struct sb_err *err);

struct sb_stdio_options {
    struct sb_mcp *mcp;          /* borrowed */
    struct event_base *base;     /* borrowed */
    int in;                      /* owned from here on, also on failure */
    int out;                     /* the same */
    struct sb_mcp_caller caller; /* strings are borrowed */
    /** The client is gone, or sb_stdio_end was done; free it then, or later. */
    void (*on_end)(void *ctx);
    void *ctx;
};
int sb_stdio_new(const struct sb_stdio_options *options,
                 struct sb_stdio **ret_stdio,
                 struct sb_err *err);
/** Cancels what is under way, writes what was answered for at most 100 ms, then on_end. */
void sb_stdio_end(struct sb_stdio *stdio);
void sb_stdio_free(struct sb_stdio *stdio);
