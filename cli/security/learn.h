#pragma once
struct sb_cli;
struct sb_err;

enum { SB_LEARN_UNPROVED = 5 }; /* exit status: the program ended otherwise under what was learnt */

/** The verb "profile learn". */
int sb_learn_run(struct sb_cli *cli, int *ret_status, struct sb_err *err);
