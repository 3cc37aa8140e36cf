#pragma once

struct sb_child;
struct sb_err;

/** Step of the child: /dev/null as 0, 1 and 2, the control socket as 3; whatever else is open,
 *  except what the steps after it need (all of it close-on-exec), is closed. Errors: by errno. */
int sb_fds_arrange(struct sb_child *child, struct sb_err *err);
