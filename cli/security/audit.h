#pragma once

struct sb_cli;
struct sb_err;

/** The verbs "audit tail", "audit query" and "audit export" ask the worker, which decides what the
 *  caller may see; export also reads a database. */
int sb_audit_tail_run(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_audit_query_run(struct sb_cli *cli, int *ret_status, struct sb_err *err);
int sb_audit_export_run(struct sb_cli *cli, int *ret_status, struct sb_err *err);
/** "audit verify" reads a database, and nothing else. */
int sb_audit_verify_run(struct sb_cli *cli, int *ret_status, struct sb_err *err);
