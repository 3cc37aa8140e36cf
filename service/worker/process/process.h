#pragma once
/** process.v1 as Kubernetes agent-sandbox speaks it, over our sandboxes and execs.
 *
 *  Theory of operation. Start is a StartExec whose events are told in other words: the follower of
 *  api_follow.h sends them through one translation. What runs by it has a number, given out upwards
 *  and forgotten when its stream ends, by which WriteStdin, SendSignal and ResizeTTY find it; it is
 *  the tenant's who started it. Execute is a Run. Which sandbox: see home.h. */
#include "process/v1/process.rpc.h"

struct sb_err;
struct sb_processes;
struct sb_worker;

extern const struct process__v1__process_service__server sb_process_service;

/** Before the service is served. */
int sb_processes_new(struct sb_processes **ret_processes, struct sb_err *err);
/** After the server. NULL is fine. */
void sb_processes_free(struct sb_processes *processes);
