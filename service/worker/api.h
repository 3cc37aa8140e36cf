#pragma once
/** The services, as tables of handlers. svc is the struct sb_worker. The api_*.c files translate
 *  between messages and the core, and decide nothing. */
#include <stdbool.h>
#include <stddef.h>

#include "aisbx/v1/exec.pb-c.h"
#include "aisbx/v1/sandbox.pb-c.h"
#include "service/worker/auth/caller.h"

struct sb_context;
struct sb_err;
struct sb_exec;
struct sb_exec_options;
struct sb_pairs;
struct sb_rate;
struct sb_rpc_call;
struct sb_rpc_server;
struct sb_sandbox;
struct sb_snapshot;
struct sb_stage;
struct sb_worker;

/** Shows what is served to gRPC's reflection and health, where there is gRPC. */
void sb_api_present(struct sb_worker *worker);
/** Registers every service of the contract. */
int sb_api_serve(struct sb_worker *worker, struct sb_err *err);

/* ---- shared by the handlers ---- */

/** Who calls, and may they call this method (auth/auth.h)? When not, the call is failed and false
 *  returned. Every handler begins with it. */
bool sb_api_identify(struct sb_rpc_call *call,
                     struct sb_worker *worker,
                     struct sb_caller *ret_caller);

/** Tells how a rate of the caller stands, by trailers. */
void sb_api_tell_rate(struct sb_rpc_call *call, const struct sb_rate *rate);
/** Ends the call with err, and with trailers that say how the rate or the quota stands.
 *  @rate  limit 0: none refused it. */
void sb_api_refuse(struct sb_rpc_call *call, const struct sb_rate *rate, const struct sb_err *err);

/** The sandbox or exec with that id, if the caller may know of it. Errors: SB_NOT_FOUND;
 *  SB_INVALID: not an id at all. */
int sb_api_find_sandbox(const struct sb_worker *worker,
                        const struct sb_caller *caller,
                        const char *id,
                        struct sb_sandbox **ret_sandbox,
                        struct sb_err *err);
/** The same of who makes the call. NULL: the call has failed. */
struct sb_sandbox *
sb_api_call_sandbox(struct sb_rpc_call *call, struct sb_worker *worker, const char *id);
/** The snapshot with that id, in whatever state; as sb_api_find_sandbox. */
int sb_api_find_snapshot(const struct sb_worker *worker,
                         const struct sb_caller *caller,
                         const char *id,
                         struct sb_snapshot **ret_snapshot,
                         struct sb_err *err);
int sb_api_find_exec(const struct sb_worker *worker,
                     const struct sb_caller *caller,
                     const char *id,
                     struct sb_exec **ret_exec,
                     struct sb_err *err);

int sb_api_find_context(const struct sb_worker *worker,
                        const struct sb_caller *caller,
                        const char *id,
                        struct sb_context **ret_context,
                        struct sb_err *err);

/** Ends the call: with err when it is not SB_OK, with RESOURCE_EXHAUSTED when msg is NULL, else
 * with msg, which is freed. */
void sb_api_finish(struct sb_rpc_call *call, void *msg, const struct sb_err *err);

/** A new exec from what a call asks for, in the sandbox it names or in a new one for itself.
 *  @has_stdin  somebody will send input.   @passed  three fds, or NULL.
 *  Errors: everything that can be wrong with a request. */
struct sb_api_start {
    const struct sb_caller *caller;
    const Aisbx__V1__ExecTarget *target;
    const Aisbx__V1__ExecSpec *spec;
    bool has_stdin;
    struct sb_rpc_call *call; /* its fds are taken when the spec says PASSED */
    struct sb_rate *rate;     /* filled when a quota refuses; for sb_api_refuse */
    struct sb_stage *stage;   /* files to be put there before; borrowed; NULL: none */
    bool keeps_sandbox;       /* a new one stays when the exec has ended: the caller destroys it */
};
int sb_api_start_exec(struct sb_worker *worker,
                      const struct sb_api_start *start,
                      struct sb_exec **ret_exec,
                      struct sb_err *err);
