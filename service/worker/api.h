#pragma once
/** The services, as tables of handlers. svc is the struct sb_worker. The api_*.c files translate
 *  between messages and the core, and decide nothing. */
#include <stdbool.h>
#include <stddef.h>

#include "aisbx/v1/exec.pb-c.h"
#include "aisbx/v1/sandbox.pb-c.h"
#include "service/worker/access.h"

struct sb_err;
struct sb_exec;
struct sb_exec_options;
struct sb_pairs;
struct sb_rpc_call;
struct sb_rpc_server;
struct sb_sandbox;
struct sb_worker;

/** Registers every service of the contract. */
int sb_api_serve(struct sb_worker *worker, struct sb_err *err);

/* ---- shared by the handlers ---- */

/** Who calls; when that is nobody we serve, the call is failed and false returned. */
bool sb_api_identify(struct sb_rpc_call *call,
                     const struct sb_worker *worker,
                     struct sb_caller *ret_caller);

/** The sandbox or exec with that id, if the caller may know of it. Errors: SB_NOT_FOUND;
 *  SB_INVALID: not an id at all. */
int sb_api_find_sandbox(const struct sb_worker *worker,
                        const struct sb_caller *caller,
                        const char *id,
                        struct sb_sandbox **ret_sandbox,
                        struct sb_err *err);
int sb_api_find_exec(const struct sb_worker *worker,
                     const struct sb_caller *caller,
                     const char *id,
                     struct sb_exec **ret_exec,
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
};
int sb_api_start_exec(struct sb_worker *worker,
                      const struct sb_api_start *start,
                      struct sb_exec **ret_exec,
                      struct sb_err *err);
