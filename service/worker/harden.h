#pragma once
/** The worker makes itself harmless before it reads the first byte of anybody.
 *
 *  Started by root it becomes the user `aisbx` of /etc/passwd, or, where there is none, the id
 * SB_HARDEN_RESERVED_ID, which is one below the ids that sandboxes get, so that it is nobody
 * else's. In any case: no capability in any set, no_new_privs, not dumpable, no core files, and a
 * system call filter of its own that refuses new programs, new processes, mounts, namespaces,
 * tracing, modules and the like with EPERM. Everything below runs before any thread is started. */
#include <sys/types.h>

struct sb_err;

enum { SB_HARDEN_RESERVED_ID = 0x6fffffff };

/** Who the worker will be: the same as now unless that is root. */
void sb_harden_ids(uid_t *ret_uid, gid_t *ret_gid);

/** As whom the worker goes on after sb_harden_drop. */
uid_t sb_harden_uid(void);

/** Drops everything. Errors: by errno, with the step; then the process must end. */
int sb_harden_drop(uid_t uid, gid_t gid, struct sb_err *err);
