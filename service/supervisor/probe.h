#pragma once
/** Asks a part whether it answers, in a child, so that one that hangs cannot hang us. */
#include <stdbool.h>
#include <sys/types.h>

struct event;
struct event_base;
struct sb_err;
struct sb_probe;

enum { SB_PROBE_MS = 5000 }; /* for an answer */

struct sb_probe {
    /** In the child, may block for SB_PROBE_MS. Errors: any, with what is wrong. */
    int (*ask)(const struct sb_probe *probe, struct sb_err *err);
    const void *target; /* of ask */
    /** @why  NULL: it answered. */
    void (*answer)(struct sb_probe *probe, const char *why);
    void *user;
    int fd; /* -1: none is under way */
    struct event *event;
    pid_t pid; /* 0: none, or reaped: the owner sets it */
};

/** Asks; nothing happens when a question is under way. Errors: by errno. */
int sb_probe_start(struct sb_probe *probe, struct event_base *base, struct sb_err *err);
/** Forgets what is under way; answer is not called. */
void sb_probe_stop(struct sb_probe *probe);

/** GetInfo over the local transport. @target  const char *: "unix:/path" */
int sb_probe_worker(const struct sb_probe *probe, struct sb_err *err);

struct sb_probe_http {
    const char *address; /* that the gateway listens at */
    const int *port;     /* 0: not known yet */
    bool has_tls;
};
/** GET /health/live. With TLS, which we do not speak: an answer of any kind to what is no TLS, for
 *  only a living loop refuses it. @target  struct sb_probe_http */
int sb_probe_gateway(const struct sb_probe *probe, struct sb_err *err);
