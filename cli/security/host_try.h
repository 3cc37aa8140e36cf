#pragma once

struct sb_findings;
struct sb_host;

/** Tries facilities of the kernel, each in a child of its own. Changes nothing on the host. Not
 *  in a program that has other threads. */
void sb_host_try(const struct sb_host *host, struct sb_findings *findings);
