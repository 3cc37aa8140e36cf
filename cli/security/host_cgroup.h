#pragma once

struct sb_findings;
struct sb_host;

/** Which version of control groups this machine has, and whether a worker of this user may have
 *  some of its own. */
void sb_host_cgroup(const struct sb_host *host, struct sb_findings *findings);
