#pragma once
#include "aisbx/v1/worker_service.pb-c.h"

struct sb_cli;
struct sb_err;
struct sb_findings;

enum { SB_LINT_WEAK = 3, SB_LINT_WRONG = 4 }; /* exit statuses: something warns, is wrong */

/** System calls about which a worker is asked for a profile that is looked at. Ended by NULL. */
extern const char *const sb_lint_syscalls[];

/** Looks at one explained profile; files that it names are looked at on this machine.
 *  @reply  with sb_lint_syscalls answered. */
void sb_lint_profile(const Aisbx__V1__ExplainProfileResponse *reply, struct sb_findings *findings);

/** The verb "profile lint". */
int sb_lint_run(struct sb_cli *cli, int *ret_status, struct sb_err *err);
