#pragma once

struct sb_cli;
struct sb_err;

/** The verbs "keys create", "keys list" and "keys revoke". They ask the worker, and write nothing
 *  themselves. */
int sb_keys_create_run(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_keys_list_run(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_keys_revoke_run(struct sb_cli *cli, int *ret_status, struct sb_err *err);
