#pragma once
#include "aisbx/v1/sandbox_service.pb-c.h"

/* What --verbose and --json tell about a run. */

/** On stderr, when it is a terminal: that packages are waited for. */
void sb_report_getting(const Aisbx__V1__SandboxSpec *spec);
/** On stderr: what is installed, and whether it was before. */
void sb_report_packages(const Aisbx__V1__Sandbox *sandbox);
/** On stderr: sandbox, profile, driver, controls in force and weaker ones, notices. */
void sb_report_sandbox(const Aisbx__V1__Sandbox *sandbox);

/** On stderr: verdict, usage, what was weaker, denials. */
void sb_report_verdict(const Aisbx__V1__Verdict *verdict);

/** One line on what was denied; nothing when nothing was. */
void sb_report_denials(const Aisbx__V1__Verdict *verdict);
