#pragma once
/** SIGHUP: the configuration is checked by `aisbx-worker --check`, so that a wrong one is told with
 *  line and column and never reaches the worker; then the worker is asked to read it. */
#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"

struct event;
struct sb_err;
struct sb_supervisor;

struct sb_reload {
    pid_t pid; /* of the check; 0: none */
    int fd;    /* its output; -1: none */
    struct event *event;
    struct sb_buf said;
    bool is_due; /* asked again meanwhile */
};

void sb_reload_init(struct sb_reload *reload);
void sb_reload_done(struct sb_reload *reload);
void sb_reload_start(struct sb_supervisor *supervisor);
/** A process ended. False: it is another's. */
bool sb_reload_reaped(struct sb_supervisor *supervisor, pid_t pid, int status);
