/* What the gate writes down: what is about to be done, what became of it, and who was refused. */
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/out.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api_gate_internal.h"
#include "service/worker/trail/detail.h"
#include "service/worker/trail/trail.h"
#include "service/worker/worker.h"

static struct sb_trail_record
record_of(const struct sb_ticket *ticket, const char *outcome, const struct sb_out *detail)
{
    const struct sb_caller *caller = &ticket->caller;
    return (struct sb_trail_record){
        .actor = sb_str_from(caller->actor[0] != '\0' ? caller->actor : "nobody"),
        .tenant = sb_str_from(caller->tenant),
        .action = sb_str_from(ticket->action),
        .outcome = sb_str_from(outcome),
        .sandbox_id = sb_str_from(ticket->sandbox_id),
        .exec_id = sb_str_from(ticket->exec_id),
        .policy_hash = sb_str_from(ticket->policy_hash),
        .detail = sb_buf_str(&detail->buf),
    };
}

static void open_detail(struct sb_json *json, struct sb_out *out, const struct sb_ticket *ticket)
{
    const struct sb_rpc_call *call = ticket->call;
    const struct sb_rpc_peer *peer = sb_rpc_call_peer(call);
    char text[SB_TRACE_TEXT_SIZE];
    struct sb_trace trace;
    sb_out_init(out, -1);
    *json = (struct sb_json){.out = out};
    sb_json_open(json, NULL, '{');
    sb_json_cstr(json, "call", sb_rpc_call_method(call)->name);
    sb_json_cstr(json, "by", ticket->caller.protocol);
    sb_json_cstr(json, "from", ticket->caller.peer);
    if (ticket->caller.gateway[0] != '\0') {
        sb_json_cstr(json, "gateway", ticket->caller.gateway);
    }
    if (!ticket->is_admitted) { /* and what brought it */
        if (peer->uid != (uid_t)-1) {
            sb_json_u64(json, "uid", peer->uid);
        }
        if (peer->identity != NULL) {
            sb_json_cstr(json, "certificate", peer->identity);
        }
    }
    if (peer->pid > 0) {
        sb_json_i64(json, "pid", peer->pid);
    }
    if (sb_span_origin(&ticket->span, &trace)) {
        sb_json_cstr(json, "traceparent", sb_trace_format(&trace, text));
    }
}

int sb_gate_write_intent(struct sb_ticket *ticket,
                         const ProtobufCMessage *msg,
                         const char *detail,
                         void (*done)(void *ctx, const struct sb_err *err),
                         struct sb_err *err)
{
    struct sb_out out;
    struct sb_json json;
    open_detail(&json, &out, ticket);
    if (detail != NULL) {
        sb_detail_write(&json, msg, detail);
    }
    sb_json_close(&json, '}');
    int rc = out.broken != 0 ? sb_err_oom(err) : 0;
    if (rc == 0) {
        const struct sb_trail_record record = record_of(ticket, "allowed", &out);
        rc = sb_trail_intent(ticket->worker->trail, &record, done, ticket, err);
    }
    sb_out_done(&out);
    return rc;
}

bool sb_gate_is_refusal(const struct sb_err *status)
{
    return status != NULL && (status->code == SB_DENIED || status->code == SB_UNAUTHENTICATED);
}

void sb_gate_write_outcome(struct sb_ticket *ticket, const struct sb_err *status)
{
    struct sb_out out;
    struct sb_json json;
    bool is_good = status == NULL ? ticket->goes_on : status->code == SB_OK;
    open_detail(&json, &out, ticket);
    if (status == NULL && !is_good) {
        sb_json_cstr(&json, "code", "CANCELLED");
    } else if (!is_good) {
        sb_json_cstr(&json, "code", sb_code_name(status->code));
        sb_json_cstr(&json, "why", status->text);
    }
    sb_json_close(&json, '}');
    const char *outcome = is_good ? "ended" : (sb_gate_is_refusal(status) ? "denied" : "failed");
    const struct sb_trail_record record = record_of(ticket, outcome, &out);
    if (out.broken == 0) {
        sb_trail_event(ticket->worker->trail, &record);
    }
    sb_out_done(&out);
}

void sb_gate_write_refusal(struct sb_ticket *ticket, const struct sb_err *status)
{
    struct sb_out out;
    struct sb_json json;
    struct sb_decisions *refusals = &ticket->worker->refusals;
    if (!sb_decisions_note(refusals, sb_clock_mono_ms(), 0, 0)) {
        return;
    }
    open_detail(&json, &out, ticket);
    sb_json_cstr(&json, "code", sb_code_name(status->code));
    sb_json_cstr(&json, "why", status->text);
    if (refusals->n_more > 0) {
        sb_json_u64(&json, "more_before", refusals->n_more);
        sb_decisions_told(refusals);
    }
    sb_json_close(&json, '}');
    const struct sb_trail_record record = record_of(ticket, "denied", &out);
    if (out.broken == 0) {
        sb_trail_event(ticket->worker->trail, &record);
    }
    sb_out_done(&out);
}
