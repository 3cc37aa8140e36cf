#pragma once
/** Keeps a worker and a gateway running. One per process, one thread, one loop.
 *
 *  Theory of operation. The worker is started first; when it is ready the first time, the gateway
 *  is. From then on each is started again by itself (part.h): a gateway without a worker answers
 *  503 and finds the next one. To stop, the gateway goes first, for its calls need the worker.
 *  Sockets that a service manager gave us stay open here: a part gets copies each time it is
 * started, so who connects while it is gone waits for the next one. Whatever we start ends with us:
 * by PDEATHSIG, and the worker, which loses that as it drops its privilege, sets it again
 * (--die-with-parent). As PID 1 we reap what others leave. */
#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/activation.h"
#include "base/err.h"
#include "service/supervisor/notify.h"
#include "service/supervisor/options.h"
#include "service/supervisor/part.h"
#include "service/supervisor/reload.h"

struct event;
struct event_base;
struct sb_err;
struct sb_status;

enum sb_supervisor_part { SB_SUPERVISOR_WORKER, SB_SUPERVISOR_GATEWAY, SB_SUPERVISOR_PARTS };
enum { SB_SUPERVISOR_SIGNALS = 4, SB_SUPERVISOR_PROBE_MS = 5000 };

struct sb_supervisor {
    const struct sb_supervisor_options *options;
    struct event_base *base;
    char dir[PATH_MAX - 64]; /* of sockets */
    char worker_path[PATH_MAX];
    char gateway_path[PATH_MAX];
    char socket[PATH_MAX]; /* "unix:..." of the worker */
    const char *address;   /* of the gateway: of --address, or of its given socket */
    char given_address[INET6_ADDRSTRLEN];
    char port[16];
    char grace[32];
    char ready_fds[SB_SUPERVISOR_PARTS][16];
    int given[SB_SUPERVISOR_PARTS][SB_ACTIVATION_MAX]; /* by the service manager; owned */
    size_t n_given[SB_SUPERVISOR_PARTS];
    struct sb_part parts[SB_SUPERVISOR_PARTS];
    size_t n_parts;
    struct sb_probe_http http;
    struct sb_notify notify;
    struct sb_status *status;
    struct sb_reload reload;
    char reload_why[512]; /* why the last configuration was not taken; "": it was */
    struct event *signals[SB_SUPERVISOR_SIGNALS];
    struct event *watchdog;
    bool has_begun;        /* all parts ran once */
    struct sb_err refused; /* why it ends by itself; SB_OK: it does not */
    bool is_stopping;
};

/** Where the sockets are: --runtime-dir, $RUNTIME_DIRECTORY, or the default. */
int sb_supervisor_dir(const struct sb_supervisor_options *options,
                      char *out,
                      size_t size,
                      struct sb_err *err);

/** Runs until it is told to end. Errors: what hinders the start. */
int sb_supervisor_run(struct sb_supervisor *supervisor,
                      const struct sb_supervisor_options *options,
                      struct sb_err *err);

/** All parts run and answer. */
bool sb_supervisor_is_well(const struct sb_supervisor *supervisor);
/** "well", "starting", "unwell", "stopping" */
const char *sb_supervisor_word(const struct sb_supervisor *supervisor);
/** Tells the service manager how it is. */
void sb_supervisor_tell(const struct sb_supervisor *supervisor);
