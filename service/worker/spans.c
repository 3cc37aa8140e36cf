#include "service/worker/spans.h"

#include <string.h>

#include "base/err.h"
#include "proto/rpc/rpc.h"
#include "service/worker/exec.h"
#include "service/worker/metrics.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/profile.h"
#include "service/worker/sandbox.h"
#include "service/worker/worker.h"

#define WORKER_SERVICE "aisbx.v1.WorkerService"

static const struct sb_str parent_name = SB_STR("TRACEPARENT");
static const struct sb_str state_name = SB_STR("TRACESTATE");

/* ---- calls ---- */

void sb_spans_call_begin(struct sb_worker *worker,
                         const struct sb_rpc_call *call,
                         struct sb_span *ret_span)
{
    struct sb_trace parent = {.flags = 0};
    size_t len = 0;
    const char *said = sb_rpc_call_metadata(call, "traceparent", &len);
    *ret_span = (struct sb_span){.start_ns = 0};
    if (said != NULL) {
        (void)sb_trace_parse(sb_str_of(said, len), &parent);
    }
    /* What gateways and monitors ask all the time is nobody's trace. */
    if (sb_trace_is(&parent) || (worker->tracer != NULL &&
                                 strcmp(sb_rpc_call_method(call)->service, WORKER_SERVICE) != 0)) {
        sb_span_begin(worker->tracer, &parent, true, ret_span);
    }
}

void sb_spans_call_end(struct sb_worker *worker,
                       const struct sb_rpc_call *call,
                       const struct sb_span *span,
                       const struct sb_call_end *end)
{
    const struct sb_rpc_method *method = sb_rpc_call_method(call);
    struct sb_span_record *record =
        sb_span_end(worker->tracer, span, SB_SPAN_SERVER, method->path + 1, 0);
    if (record == NULL) {
        return;
    }
    sb_span_text(record, "rpc.system", "grpc");
    sb_span_text(record, "rpc.service", method->service);
    sb_span_text(record, "rpc.method", method->name);
    sb_span_text(record, "rpc.response.status_code", end->code);
    sb_span_text(record, "aisbx.tenant", end->tenant);
    sb_span_text(record, "aisbx.sandbox.id", end->sandbox_id);
    sb_span_text(record, "aisbx.exec.id", end->exec_id);
    if (!end->is_good) {
        sb_span_fail(record, end->code);
    }
    sb_span_commit(worker->tracer, record);
}

struct sb_lineage sb_spans_lineage(const struct sb_rpc_call *call, const struct sb_span *span)
{
    struct sb_lineage lineage = {.trace = span->trace, .state = NULL};
    size_t len = 0;
    const char *state = span->has_parent ? sb_rpc_call_metadata(call, "tracestate", &len) : NULL;
    if (state != NULL && sb_trace_state_is_good(sb_str_of(state, len))) {
        lineage.state = state;
    }
    return lineage;
}

/* ---- sandboxes ---- */

void sb_spans_sandbox_made(struct sb_sandbox *sandbox, bool is_failure)
{
    struct sb_tracer *tracer = sandbox->worker->tracer;
    struct sb_span_record *record =
        sb_span_end(tracer, &sandbox->span, SB_SPAN_INTERNAL, "aisbx.sandbox.start", 0);
    sandbox->span.start_ns = 0;
    if (record == NULL) {
        return;
    }
    sb_span_text(record, "aisbx.sandbox.id", sandbox->id);
    sb_span_text(record, "aisbx.profile", sandbox->policy->profile);
    sb_span_text(record, "aisbx.driver", sb_driver_names[sandbox->policy->driver]);
    sb_span_text(record, "aisbx.tenant", sandbox->tenant);
    if (is_failure) {
        sb_span_fail(record, sb_code_name(sandbox->start_err.code));
    }
    sb_span_commit(tracer, record);
}

/* ---- execs ---- */

void sb_spans_exec_begin(struct sb_exec *exec, const struct sb_lineage *lineage)
{
    if (lineage != NULL && sb_trace_is(&lineage->trace)) {
        sb_span_begin(exec->worker->tracer, &lineage->trace, false, &exec->spans.span);
    }
}

int sb_spans_exec_env(struct sb_exec *exec,
                      const struct sb_lineage *lineage,
                      const struct sb_pairs *own,
                      struct sb_pairs *to,
                      struct sb_err *err)
{
    struct sb_exec_spans *spans = &exec->spans;
    char text[SB_TRACE_TEXT_SIZE];
    if (!sb_trace_is(&spans->span.trace) ||
        sb_pairs_get(&exec->sandbox->policy->env, parent_name) != NULL ||
        (own != NULL && sb_pairs_get(own, parent_name) != NULL)) {
        return 0;
    }
    spans->is_told = true;
    if (sb_pairs_set(to, parent_name, sb_str_from(sb_trace_format(&spans->span.trace, text)), err) <
            0 ||
        (lineage->state != NULL &&
         sb_pairs_set(to, state_name, sb_str_from(lineage->state), err) < 0)) {
        return -1;
    }
    if (lineage->state != NULL && exec->is_awaited) {
        spans->state = sb_str_dup(sb_str_from(lineage->state));
        return spans->state == NULL ? sb_err_oom(err) : 0;
    }
    return 0;
}

/* A part of it, which is over. */
static void put_part(struct sb_exec *exec, const char *name, uint64_t from_ns, uint64_t to_ns)
{
    struct sb_tracer *tracer = exec->worker->tracer;
    struct sb_span part;
    if (from_ns == 0 || to_ns == 0) {
        return;
    }
    sb_span_begin(tracer, &exec->spans.span.trace, false, &part);
    part.start_ns = sb_span_is_recorded(&part) ? from_ns : 0;
    sb_span_commit(tracer, sb_span_end(tracer, &part, SB_SPAN_INTERNAL, name, to_ns));
}

void sb_spans_exec_end(struct sb_exec *exec)
{
    struct sb_tracer *tracer = exec->worker->tracer;
    const struct sb_exec_spans *spans = &exec->spans;
    const struct sb_verdict *verdict = &exec->verdict;
    if (tracer == NULL || !sb_span_is_recorded(&spans->span)) {
        return;
    }
    put_part(exec, "aisbx.exec.wait", spans->span.start_ns, spans->asked_ns);
    put_part(exec, "aisbx.exec.spawn", spans->asked_ns, spans->ran_ns);
    struct sb_span_record *record =
        sb_span_end(tracer, &spans->span, SB_SPAN_INTERNAL, "aisbx.exec", 0);
    const char *word =
        exec->start_err.code != SB_OK ? "not_started" : sb_worker_verdict_word(verdict->kind);
    sb_span_text(record, "aisbx.exec.id", exec->id);
    sb_span_text(record, "aisbx.sandbox.id", exec->sandbox->id);
    sb_span_text(record, "aisbx.profile", exec->sandbox->policy->profile);
    sb_span_text(record, "aisbx.verdict", word);
    if (verdict->kind == SB_VERDICT_EXITED) {
        sb_span_number(record, "process.exit.code", verdict->exit_code);
    } else if (verdict->signal != 0) {
        sb_span_number(record, "aisbx.signal", verdict->signal);
    }
    sb_span_number(record, "aisbx.cpu_us",
                   (int64_t)(exec->facts.cpu_user_us + exec->facts.cpu_system_us));
    sb_span_number(record, "aisbx.max_rss_bytes", (int64_t)exec->facts.max_rss_bytes);
    sb_span_number(record, "aisbx.output_bytes",
                   (int64_t)(exec->facts.stdout_bytes + exec->facts.stderr_bytes));
    sb_span_event(record, "first output", spans->output_ns);
    if (verdict->kind != SB_VERDICT_EXITED || verdict->exit_code != 0) {
        sb_span_fail(record, word);
    }
    sb_span_commit(tracer, record);
}
