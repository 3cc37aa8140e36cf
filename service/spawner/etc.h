#pragma once

struct sb_child;
struct sb_err;

/** Step of the child: fills /etc of the new root with generated files, and with those of the host
 *  that programs need and that hold no secret. Errors: by errno. */
int sb_etc_make(struct sb_child *child, struct sb_err *err);
