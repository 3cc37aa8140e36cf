#pragma once

struct sb_child;
struct sb_err;

/** Step of the child: null, zero, full, random, urandom and tty of the host, a devpts of its own,
 *  and the usual links. Errors: by errno; SB_PRECONDITION: a host node is not what it should be. */
int sb_dev_make(struct sb_child *child, struct sb_err *err);
