#include "mcp-gateway/tools/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "aisbx/v1/verdict.pb-c.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/out.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "mcp-gateway/mcp/tool.h"
#include "proto/json/pbjson.h"

enum { MAX_EVIDENCE = 4, MAX_VIOLATIONS = 8, LEAST_OF_STDERR = 2000, MAX_PACKAGES = 12 };

#define KIND(name) AISBX__V1__VERDICT_KIND__VERDICT_KIND_##name

static const char *const streams[] = {"stdout", "stderr"};

/* ---- verdicts ---- */

static void put_seconds(struct sb_out *out, const Aisbx__V1__Verdict *verdict)
{
    if (verdict->usage != NULL) {
        sb_out_printf(out, " after %" PRIu64 ".%02u s", verdict->usage->wall_ms / 1000,
                      (unsigned)(verdict->usage->wall_ms % 1000 / 10));
    }
}

static void put_end(struct sb_out *out, const Aisbx__V1__Verdict *verdict)
{
    char scratch[64];
    if (verdict->kind == KIND(EXITED)) {
        sb_out_printf(out, "exit %d", verdict->exit_code);
        put_seconds(out, verdict);
        sb_out_put(out, "\n");
        return;
    }
    sb_out_put(out,
               sb_pbjson_enum(&aisbx__v1__verdict_kind__descriptor, (int)verdict->kind, scratch));
    put_seconds(out, verdict);
    if (verdict->message[0] != '\0') {
        sb_out_put(out, ": ");
        sb_out_put_safe(out, sb_str_from(verdict->message));
    }
    sb_out_put(out, "\n");
}

static void put_evidence(struct sb_out *out, const Aisbx__V1__Verdict *verdict)
{
    for (size_t i = 0; i < verdict->n_evidence && i < MAX_EVIDENCE; i++) {
        sb_out_printf(out, "%s%s=%" PRIu64, i == 0 ? "evidence: " : ", ",
                      verdict->evidence[i]->source, verdict->evidence[i]->value);
    }
    sb_out_put(out, verdict->n_evidence > 0 ? "\n" : "");
}

static void put_violation(struct sb_out *out, const Aisbx__V1__Violation *violation)
{
    bool is_limit = violation->kind == AISBX__V1__VIOLATION_KIND__VIOLATION_KIND_LIMIT;
    sb_out_put(out, is_limit ? "limit met: " : "denied: ");
    sb_out_put_safe(out, sb_str_from(violation->subject));
    if (violation->detail[0] != '\0') {
        sb_out_put(out, " (");
        sb_out_put_safe(out, sb_str_from(violation->detail));
        sb_out_put(out, ")");
    }
    sb_out_printf(out, ", %" PRIu64 "x, by profile %s, %s", violation->count, violation->profile,
                  violation->decided_by);
    if (violation->allow_with[0] != '\0') {
        sb_out_put(out, "; what would allow it (the operator's to change): ");
        sb_out_put_safe(out, sb_str_from(violation->allow_with));
    }
    sb_out_put(out, "\n");
}

void sb_report_verdict(struct sb_out *out, const Aisbx__V1__Exec *exec)
{
    const Aisbx__V1__Verdict *verdict = exec->verdict;
    if (verdict == NULL) {
        sb_out_put(out, "running\n");
        return;
    }
    put_end(out, verdict);
    if (verdict->kind != KIND(EXITED)) {
        put_evidence(out, verdict);
    }
    const char *next = verdict->kind == KIND(TIMED_OUT)
                           ? "give it a larger timeout_s within the profile's limit, or run it by "
                             "shell with background"
                           : verdict->next_step;
    if (next[0] != '\0') {
        sb_out_put(out, "next step: ");
        sb_out_put_safe(out, sb_str_from(next));
        sb_out_put(out, "\n");
    }
    for (size_t i = 0; i < verdict->n_violations && i < MAX_VIOLATIONS; i++) {
        put_violation(out, verdict->violations[i]);
    }
    if (verdict->n_violations > MAX_VIOLATIONS) {
        sb_out_printf(out, "and %zu more kinds of denials\n",
                      verdict->n_violations - MAX_VIOLATIONS);
    }
}

static bool has_exit_code(const Aisbx__V1__Verdict *verdict)
{
    static const Aisbx__V1__VerdictKind kinds[] = {KIND(EXITED), KIND(START_FAILED),
                                                   KIND(OUTPUT_TRUNCATED), KIND(PIDS_EXHAUSTED),
                                                   KIND(DISK_FULL)};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (verdict->kind == kinds[i]) {
            return true;
        }
    }
    return false;
}

void sb_report_verdict_fields(struct sb_json *json, const Aisbx__V1__Exec *exec)
{
    char scratch[64];
    const Aisbx__V1__Verdict *verdict = exec->verdict;
    if (verdict == NULL) {
        sb_json_cstr(json, "verdict", "running");
        return;
    }
    sb_json_cstr(json, "verdict",
                 sb_pbjson_enum(&aisbx__v1__verdict_kind__descriptor, (int)verdict->kind, scratch));
    if (verdict->signal > 0) {
        sb_json_i64(json, "signal", verdict->signal);
    } else if (has_exit_code(verdict)) {
        sb_json_i64(json, "exit_code", verdict->exit_code);
    }
    if (verdict->usage != NULL) {
        sb_json_u64(json, "wall_ms", verdict->usage->wall_ms);
        sb_json_u64(json, "memory_peak_bytes", verdict->usage->memory_peak_bytes);
        sb_json_u64(json, "stdout_bytes", verdict->usage->stdout_bytes);
        sb_json_u64(json, "stderr_bytes", verdict->usage->stderr_bytes);
    }
    if (verdict->n_violations > 0) {
        sb_json_u64(json, "violations", verdict->n_violations);
    }
}

/* ---- output ---- */

static bool
put_stream(struct sb_out *out, const struct sb_clip *clip, int i, size_t max, const char *exec_id)
{
    sb_out_printf(out, "--- %s\n", streams[i]);
    if (!sb_clip_is_text(clip)) {
        sb_out_printf(out, "binary, %" PRIu64 " bytes, not shown\n", clip->total);
        return true;
    }
    if (sb_clip_put(clip, max, out) == 0) {
        return false;
    }
    sb_out_printf(out,
                  "(%s has %" PRIu64 " bytes; the rest: exec_output with exec_id %s, stream %s and "
                  "an offset)\n",
                  streams[i], clip->total, exec_id, streams[i]);
    return true;
}

unsigned sb_report_output(struct sb_out *out, const struct sb_clip clips[2], const char *exec_id)
{
    unsigned cut = 0;
    uint64_t wanted[2] = {clips[0].total, clips[1].total};
    size_t max[2] = {SB_REPORT_CHARS, SB_REPORT_CHARS};
    if (wanted[0] + wanted[1] > SB_REPORT_CHARS) {
        uint64_t left = wanted[0] < SB_REPORT_CHARS ? SB_REPORT_CHARS - wanted[0] : 0;
        max[1] = left > LEAST_OF_STDERR ? (size_t)left : LEAST_OF_STDERR;
        max[1] = wanted[1] < max[1] ? (size_t)wanted[1] : max[1];
        max[0] = SB_REPORT_CHARS - max[1];
    }
    for (int i = 0; i < 2; i++) {
        if (clips[i].total > 0 && put_stream(out, &clips[i], i, max[i], exec_id)) {
            cut |= 1U << i;
        }
    }
    if (wanted[0] + wanted[1] == 0) {
        sb_out_put(out, "(no output)\n");
    }
    return cut;
}

void sb_report_link(struct sb_mcp_call *call, const char *exec_id, int i)
{
    char uri[96];
    (void)snprintf(uri, sizeof uri, "aisbx://exec/%.40s/%s", exec_id, streams[i]);
    const struct sb_mcp_resource resource = {
        .uri = uri,
        .name = streams[i],
        .description = "The whole stream as far as it is kept, in ranges: ?offset=N&max_bytes=N",
    };
    sb_mcp_link(call, &resource);
}

/* ---- sandboxes ---- */

int64_t sb_report_expires_s(const Aisbx__V1__Sandbox *sandbox)
{
    if (sandbox == NULL || sandbox->expire_time == NULL || sandbox->destroy_time != NULL) {
        return -1;
    }
    int64_t left = sandbox->expire_time->seconds - (int64_t)(sb_clock_real_ms() / 1000);
    return left < 0 ? 0 : left;
}

void sb_report_sandbox(struct sb_out *out, const Aisbx__V1__Sandbox *sandbox)
{
    int64_t left = sb_report_expires_s(sandbox);
    sb_out_printf(out, "sandbox %s (%s)", sandbox->sandbox_id, sandbox->profile);
    if (left >= 0) {
        sb_out_printf(out, ", expires in %" PRId64 " s", left);
    }
}

void sb_report_packages(struct sb_out *out, const Aisbx__V1__Sandbox *sandbox)
{
    for (size_t i = 0; i < sandbox->n_packages; i++) {
        const Aisbx__V1__PackageSet *set = sandbox->packages[i];
        sb_out_printf(out, "packages of %s:", set->manager);
        for (size_t k = 0; k < set->n_installed && k < MAX_PACKAGES; k++) {
            sb_out_put(out, " ");
            sb_out_put_safe(out, sb_str_from(set->installed[k]));
        }
        if (set->n_installed > MAX_PACKAGES) {
            sb_out_printf(out, " and %zu more", set->n_installed - MAX_PACKAGES);
        }
        if (set->cached) {
            sb_out_put(out, " (as installed before)\n");
        } else {
            sb_out_printf(out, " (installed in %" PRIu64 ".%" PRIu64 " s)\n",
                          set->install_ms / 1000, set->install_ms % 1000 / 100);
        }
    }
}

void sb_report_packages_field(struct sb_json *json, const Aisbx__V1__Sandbox *sandbox)
{
    if (sandbox->n_packages == 0) {
        return;
    }
    sb_json_open(json, "packages", '[');
    for (size_t i = 0; i < sandbox->n_packages; i++) {
        for (size_t k = 0; k < sandbox->packages[i]->n_installed; k++) {
            sb_json_cstr(json, NULL, sandbox->packages[i]->installed[k]);
        }
    }
    sb_json_close(json, ']');
}

void sb_report_sandbox_fields(struct sb_json *json, const Aisbx__V1__Sandbox *sandbox)
{
    char scratch[64];
    int64_t left = sb_report_expires_s(sandbox);
    sb_json_cstr(json, "sandbox_id", sandbox->sandbox_id);
    sb_json_cstr(json, "profile", sandbox->profile);
    sb_json_cstr(
        json, "state",
        sb_pbjson_enum(&aisbx__v1__sandbox_state__descriptor, (int)sandbox->state, scratch));
    if (left >= 0) {
        sb_json_i64(json, "expires_in_s", left);
    }
}
