#pragma once
#include "aisbx/v1/sandbox_service.pb-c.h"

/* What --verbose and --json tell about a run. */

/** On stderr: sandbox, profile, driver, controls in force and weaker ones, notices. */
void sb_report_sandbox(const Aisbx__V1__Sandbox *sandbox);

/** On stderr: verdict, usage, what was weaker, denials. */
void sb_report_verdict(const Aisbx__V1__Verdict *verdict);

/** One line on what was denied; nothing when nothing was. */
void sb_report_denials(const Aisbx__V1__Verdict *verdict);
