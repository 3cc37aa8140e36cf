#pragma once
/** Records of what happens without a call that asks for it just then. Loop thread. */

struct sb_denial;
struct sb_exec;
struct sb_key;
struct sb_package_entry;
struct sb_sandbox;
struct sb_worker;

/** A connection of a sandbox that the proxy let through, and what went over it. */
struct sb_event_connection {
    const char *host;
    const char *address;
    unsigned port;
    unsigned long long out_bytes;
    unsigned long long in_bytes;
    unsigned long long n_more; /* that were not listed since the last one that was */
};

void sb_event_worker(struct sb_worker *worker, const char *action);
/** One of those that a ForkSandbox makes, of which the call's own record names none. */
void sb_event_sandbox_forked(const struct sb_sandbox *sandbox);
void sb_event_sandbox_ended(const struct sb_sandbox *sandbox);
/** With its verdict, and the limits that were met. */
void sb_event_exec_ended(const struct sb_exec *exec);
/** The first refusal of its kind in that sandbox. */
void sb_event_denied(const struct sb_sandbox *sandbox, const struct sb_denial *denial);
/** An install of packages is over. @entry  NULL: it failed, @why says so. */
void sb_event_packages(const struct sb_sandbox *sandbox,
                       const struct sb_package_entry *entry,
                       const char *why);
void sb_event_connected(const struct sb_sandbox *sandbox, const struct sb_event_connection *what);
/** @action  "key.created", "key.revoked".   @actor  who did it */
void sb_event_key(struct sb_worker *worker,
                  const char *action,
                  const struct sb_key *key,
                  const char *actor);
