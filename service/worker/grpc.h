#pragma once
/** gRPC of the worker: a module, as loading it and its start take longer than all else at a start.
 */

struct sb_err;
struct sb_worker;

/** Opens the module, while the rights of the start are there. A worker of one's own that listens on
 *  unix sockets alone does without it until somebody speaks gRPC to it. */
int sb_worker_find_grpc(struct sb_worker *worker, struct sb_err *err);

/** After the privilege is dropped, as it may start threads, and before anything but unix sockets
 *  listens. */
int sb_worker_prepare_grpc(struct sb_worker *worker, struct sb_err *err);
