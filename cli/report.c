#include "cli/report.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/out.h"
#include "base/say.h"
#include "cli/status.h"
#include "proto/json/control.h"

/* "seccomp, userns" of all controls in that state. */
static void
put_controls(struct sb_out *out, const Aisbx__V1__Sandbox *sandbox, Aisbx__V1__ControlState state)
{
    size_t before = out->buf.len;
    for (size_t i = 0; i < sandbox->n_controls; i++) {
        const Aisbx__V1__ControlStatus *control = sandbox->controls[i];
        if (control->state == state) {
            sb_out_printf(out, "%s%s", out->buf.len == before ? "" : " ",
                          sb_control_name(control->control));
        }
    }
    if (out->buf.len == before) {
        sb_out_put(out, "none");
    }
}

static void say_weaker(const Aisbx__V1__ControlStatus *control)
{
    const char *state =
        control->state == AISBX__V1__CONTROL_STATE__CONTROL_STATE_DEGRADED ? "degraded" : "absent";
    sb_say_detail("%s %s: %s%s%s", state, sb_control_name(control->control), control->detail,
                  *control->fix == '\0' ? "" : "; to have it: ", control->fix);
}

void sb_report_sandbox(const Aisbx__V1__Sandbox *sandbox)
{
    struct sb_out out;
    sb_say_detail("sandbox %s, profile %s, driver %s", sandbox->sandbox_id, sandbox->profile,
                  sandbox->driver);
    sb_out_init(&out, -1);
    sb_out_put(&out, "enforced: ");
    put_controls(&out, sandbox, AISBX__V1__CONTROL_STATE__CONTROL_STATE_ENFORCED);
    sb_say_detail("%s", sb_buf_cstr(&out.buf));
    sb_out_done(&out);
    for (size_t i = 0; i < sandbox->n_controls; i++) {
        if (sandbox->controls[i]->state != AISBX__V1__CONTROL_STATE__CONTROL_STATE_ENFORCED) {
            say_weaker(sandbox->controls[i]);
        }
    }
    sb_report_packages(sandbox);
    for (size_t i = 0; i < sandbox->n_notices; i++) {
        sb_say_detail("notice: %s", sandbox->notices[i]);
    }
}

void sb_report_getting(const Aisbx__V1__SandboxSpec *spec)
{
    struct sb_out out;
    if (spec->n_packages == 0 || isatty(STDERR_FILENO) == 0) {
        return;
    }
    sb_out_init(&out, -1);
    for (size_t i = 0; i < spec->n_packages; i++) {
        sb_out_put(&out, i == 0 ? "" : ", ");
        sb_out_put_safe(&out, sb_str_from(spec->packages[i]));
    }
    sb_say_note("getting %s", sb_buf_cstr(&out.buf));
    sb_out_done(&out);
}

static void say_packages(const Aisbx__V1__PackageSet *set)
{
    enum { MAX_NAMES = 16 };
    struct sb_out out;
    sb_out_init(&out, -1);
    for (size_t i = 0; i < set->n_installed && i < MAX_NAMES; i++) {
        sb_out_put(&out, " ");
        sb_out_put_safe(&out, sb_str_from(set->installed[i]));
    }
    if (set->n_installed > MAX_NAMES) {
        sb_out_printf(&out, " and %zu more", set->n_installed - MAX_NAMES);
    }
    if (set->cached) {
        sb_say_detail("%s, as installed before:%s", set->manager, sb_buf_cstr(&out.buf));
    } else {
        sb_say_detail("%s, installed in %" PRIu64 ".%" PRIu64 " s:%s", set->manager,
                      set->install_ms / 1000, set->install_ms % 1000 / 100, sb_buf_cstr(&out.buf));
    }
    sb_out_done(&out);
}

void sb_report_packages(const Aisbx__V1__Sandbox *sandbox)
{
    for (size_t i = 0; i < sandbox->n_packages; i++) {
        say_packages(sandbox->packages[i]);
    }
}

static bool is_limit(const Aisbx__V1__Violation *violation)
{
    return violation->kind == AISBX__V1__VIOLATION_KIND__VIOLATION_KIND_LIMIT;
}

static void say_violation(const Aisbx__V1__Violation *violation)
{
    if (is_limit(violation)) {
        sb_say_detail(
            "met limit %s, %" PRIu64 "x (%s): profile %s, %s%s%s", violation->subject,
            violation->count, violation->detail, violation->profile, violation->decided_by,
            *violation->allow_with == '\0' ? "" : "; to allow more: ", violation->allow_with);
        return;
    }
    sb_say_detail("denied %s, %" PRIu64 "x (%s) by profile %s, %s%s%s", violation->subject,
                  violation->count, violation->detail, violation->profile, violation->decided_by,
                  *violation->allow_with == '\0' ? "" : "; to allow: ", violation->allow_with);
}

/* What would let the first host through, as that is what people want to know next. */
static void hint_host(const Aisbx__V1__Verdict *verdict)
{
    for (size_t i = 0; i < verdict->n_violations; i++) {
        const Aisbx__V1__Violation *violation = verdict->violations[i];
        if (violation->kind == AISBX__V1__VIOLATION_KIND__VIOLATION_KIND_HOST &&
            *violation->allow_with != '\0') {
            struct sb_out out;
            sb_out_init(&out, -1);
            sb_out_printf(&out, "to allow %s (profile %s): ", violation->subject,
                          violation->profile);
            sb_out_put(&out, violation->allow_with);
            sb_say_hint(sb_buf_cstr(&out.buf));
            sb_out_done(&out);
            return;
        }
    }
}

void sb_report_denials(const Aisbx__V1__Verdict *verdict)
{
    enum { MAX_NAMES = 4 };
    struct sb_out out;
    size_t first = 0; /* limits come first, and the verdict names them, but for the network's */
    while (first < verdict->n_violations && is_limit(verdict->violations[first])) {
        const Aisbx__V1__Violation *met = verdict->violations[first++];
        if (strncmp(met->subject, "network.", strlen("network.")) == 0) {
            sb_say_note("met %s: %s", met->decided_by, met->detail);
        }
    }
    size_t n = verdict->n_violations - first;
    if (n == 0) {
        return;
    }
    sb_out_init(&out, -1);
    for (size_t i = 0; i < n && i < MAX_NAMES; i++) {
        sb_out_printf(&out, "%s%s", i == 0 ? "" : ", ", verdict->violations[first + i]->subject);
    }
    if (n > MAX_NAMES) {
        sb_out_printf(&out, " and %zu more", n - MAX_NAMES);
    }
    sb_say_note("denied to the program: %s; aisbx run --verbose says why", sb_buf_cstr(&out.buf));
    sb_out_done(&out);
    hint_host(verdict);
}

void sb_report_verdict(const Aisbx__V1__Verdict *verdict)
{
    struct sb_out out;
    sb_out_init(&out, -1);
    sb_status_put(&out, verdict);
    sb_say_detail("%s", sb_buf_cstr(&out.buf));
    sb_out_done(&out);
    for (size_t i = 0; i < verdict->n_degraded; i++) {
        sb_say_detail("weaker than the profile asks: %s", verdict->degraded[i]);
    }
    for (size_t i = 0; i < verdict->n_violations; i++) {
        say_violation(verdict->violations[i]);
    }
}
