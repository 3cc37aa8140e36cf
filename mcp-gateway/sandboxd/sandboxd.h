#pragma once
/** Files of a caller's own sandbox under /v1/files, as the clients of Kubernetes agent-sandbox ask
 *  for them (packages/sandboxd/spec/filesystem/v1/filesystem.yaml of
 * kubernetes-sigs/agent-sandbox): the HTTP side of what the worker serves as process.v1.
 *
 *  Theory of operation. A request is an operation: which sandbox (GetSandbox home, and
 * CreateSandbox home when there is none) -> what the path is -> the calls of FileService -> the
 * answer. What is written goes to the worker as it comes (inflow.h). One call after the other, each
 * with the caller's credential; when the client goes away the call under way is cancelled, and the
 * operation ends with it. Errors are that contract's
 * {"code", "message"}. */
#include <stdbool.h>

struct sb_backend;
struct sb_err;
struct sb_http_request;
struct sb_sandboxd;

/** Below it nothing of a path is refused or changed before sb_sandboxd_take: its clients encode
 *  slashes. */
#define SB_SANDBOXD_FILES "/v1/files/"

struct sb_sandboxd_options {
    struct sb_backend *backend; /* borrowed */
    bool loopback_without_key;  /* calls without a credential are the gateway's own */
};

int sb_sandboxd_new(const struct sb_sandboxd_options *options,
                    struct sb_sandboxd **ret_sandboxd,
                    struct sb_err *err);
/** Calls that live are cancelled. After the HTTP server, before the backend. NULL is fine. */
void sb_sandboxd_free(struct sb_sandboxd *sandboxd);

/** Whether the body of a request is taken as it comes (sb_http_options.streams). */
bool sb_sandboxd_streams(const struct sb_http_request *request);
/** Takes the request when its path is one of ours (/v1/...). */
bool sb_sandboxd_take(struct sb_sandboxd *sandboxd, struct sb_http_request *request);
