#pragma once

struct sb_err;

enum { SB_AUDIT_VERSION = 7 }; /* of Landlock: from then on it records what it denies (6.15) */

/** Opens a socket on which the kernel tells what Landlock denies on this host, to whomever: nothing
 *  else of the audit log passes its filter, which cannot be taken off any more. Needs
 *  CAP_AUDIT_READ, so before the capabilities are given up. Whether auditing is on is not asked: it
 *  may be turned on later.
 *  @landlock  version of the kernel's.
 *  Returns the socket, non-blocking. Errors: SB_PRECONDITION with what would help; else by errno.
 */
int sb_audit_open(int landlock, struct sb_err *err);
