#pragma once
/** POST /run_code and GET /v1/ping as SandboxFusion has them, for what trains models against it:
 * one program, compiled and run in sandboxes that go with it.
 *
 *  Theory of operation. A request is one RunBatch of one case, with the caller's credential:
 * limits, quotas and records are those of any call. What cannot be run is told in the answer, as
 *  SandboxError, with status 200. As its clients send much at once and try again only after 504, a
 *  few of each caller's run and the others wait in line; who would wait too long gets 504 at once,
 * as does whom the worker has no room for. When a client goes away its call is cancelled. */
#include <stdbool.h>

struct sb_backend;
struct sb_err;
struct sb_fusion;
struct sb_http_request;

struct sb_fusion_options {
    struct sb_backend *backend; /* borrowed */
    bool loopback_without_key;  /* calls without a credential are the gateway's own */
};

int sb_fusion_new(const struct sb_fusion_options *options,
                  struct sb_fusion **ret_fusion,
                  struct sb_err *err);
/** Calls that live are cancelled. After the HTTP server, before the backend. NULL is fine. */
void sb_fusion_free(struct sb_fusion *fusion);

/** Takes the request when its path is one of ours. */
bool sb_fusion_take(struct sb_fusion *fusion, struct sb_http_request *request);
