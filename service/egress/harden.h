#pragma once
/** The proxy makes itself harmless before it reads the first byte of anybody: no capability, no
 *  root, no_new_privs, not dumpable, no core files, ends with its parent; and a filter that permits
 *  the few system calls of a proxy, sockets of IPv4 and IPv6 alone, and files for reading only. */
struct sb_err;

/** Before the loop runs. Errors: by errno; then the process must end. */
int sb_harden_proxy(struct sb_err *err);
