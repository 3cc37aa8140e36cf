#pragma once
/** What a model is told of sandboxes and of how programs ended: text, short, and the few fields
 *  that code wants. */
#include "aisbx/v1/exec.pb-c.h"
#include "aisbx/v1/sandbox.pb-c.h"
#include "mcp-gateway/tools/clip.h"

struct sb_json;
struct sb_mcp_call;
struct sb_out;

enum { SB_REPORT_CHARS = 8000 }; /* of output in one result */

/** Seconds until it is gone; -1: no limit, or not known. */
int64_t sb_report_expires_s(const Aisbx__V1__Sandbox *sandbox);

/** "exit 0 after 0.21 s", what decided, the next step, and denials with what would allow them. */
void sb_report_verdict(struct sb_out *out, const Aisbx__V1__Exec *exec);
/** verdict, exit_code, signal, wall_ms, stdout_bytes, stderr_bytes, violations of an open object;
 *  "running" without a verdict. */
void sb_report_verdict_fields(struct sb_json *json, const Aisbx__V1__Exec *exec);

/** Both streams, SB_REPORT_CHARS at most. Sets a bit (1 << i) for each that is not there whole. */
unsigned sb_report_output(struct sb_out *out, const struct sb_clip clips[2], const char *exec_id);
/** A link to the whole of a stream. @i  0: stdout, 1: stderr. */
void sb_report_link(struct sb_mcp_call *call, const char *exec_id, int i);

/** "sandbox sb_... (python-dev), expires in 3600 s"; without a line end. */
void sb_report_sandbox(struct sb_out *out, const Aisbx__V1__Sandbox *sandbox);
/** A line for each manager: what is installed. */
void sb_report_packages(struct sb_out *out, const Aisbx__V1__Sandbox *sandbox);
/** packages of an open object, when there are any. */
void sb_report_packages_field(struct sb_json *json, const Aisbx__V1__Sandbox *sandbox);
/** sandbox_id, profile, state, expires_in_s of an open object. */
void sb_report_sandbox_fields(struct sb_json *json, const Aisbx__V1__Sandbox *sandbox);
