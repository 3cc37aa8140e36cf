#pragma once
/** Answers the refusals that a sandbox's filter tells, and counts them.
 *
 *  Theory of operation. The child that became init has put on a filter with a listener
 * (seccomp_unotify(2)) and handed it over. A process that makes one of the calls of
 * service/shared/denial.h, or one that a rule of its profile notifies, sleeps until we have
 * answered; the answer is always an errno, never the permission to go on. A sandbox that learns has
 * another listener instead: it asks about what the filters have let through, and the answer is
 * always to go on. Each turn of the loop
 * answers a few and then lets others have theirs, so that a program that does nothing else only
 * slows itself down. When the worker dies, the listener closes, and the calls are ENOSYS. */
#include <event2/event.h>
#include <event2/event_struct.h>

#include "service/worker/denials.h"
#include "service/worker/learnt.h"

struct sb_sandbox;

struct sb_notify {
    int fd; /* the listener, owned; -1: none */
    struct event event;
    struct sb_denials denials; /* of the whole sandbox */
    struct sb_learnt *learnt;  /* owned; NULL: this sandbox does not learn, or nothing yet */
};

void sb_notify_init(struct sb_notify *notify);
/** Listens from now on. @fd  the listener, taken; -1: there is none. */
void sb_notify_start(struct sb_sandbox *sandbox, int fd);
/** Listens no more: whoever waits gets ENOSYS. What was counted stays. */
void sb_notify_stop(struct sb_notify *notify);
void sb_notify_done(struct sb_notify *notify);
