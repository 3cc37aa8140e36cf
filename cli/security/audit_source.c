#include "cli/security/audit_source.h"

#include <inttypes.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/json.h"
#include "base/num.h"
#include "base/out.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/json/when.h"

enum { PAGE = 1000 };
#define DAY_MS     86400000ULL
#define AGO_MAX_MS (36500 * DAY_MS)

/* ---- what is asked for ---- */

/* A point in time, or how long ago: "30d", "1h30m". */
static int read_time(const char *option, const char *text, uint64_t *ret_ms, struct sb_err *err)
{
    struct sb_str whole = sb_str_from(text);
    int64_t seconds = 0;
    int32_t nanos = 0;
    uint64_t ago = 0;
    uint64_t now = sb_clock_real_ms();
    if (sb_when_parse(whole, &seconds, &nanos) && seconds >= 0) {
        *ret_ms = (uint64_t)seconds * 1000 + (uint64_t)nanos / 1000000;
        return 0;
    }
    if (sb_str_ends_with(whole, SB_STR("d")) &&
        sb_num_u64(sb_str_head(whole, whole.len - 1), 1, AGO_MAX_MS / DAY_MS, &ago, err) == 0) {
        ago *= DAY_MS;
    } else if (sb_num_millis(whole, 1, AGO_MAX_MS, &ago, err) < 0) {
        return sb_err_set(err, SB_INVALID,
                          "%s: \"%s\" is no time; e.g. 2026-01-31T23:59:59Z, or how long ago: 10m, "
                          "2d",
                          option, text);
    }
    *ret_ms = ago < now ? now - ago : 1;
    return 0;
}

int sb_audit_filter(struct sb_cli *cli, struct sb_trail_filter *ret_filter, struct sb_err *err)
{
    const struct sb_args *args = &cli->args;
    struct sb_trail_filter filter = {0};
    if ((args->since != NULL && read_time("--since", args->since, &filter.start_ms, err) < 0) ||
        (args->until != NULL && read_time("--until", args->until, &filter.end_ms, err) < 0)) {
        return -1;
    }
    if (args->sandbox != NULL && !sb_id_valid(sb_str_from(args->sandbox), "sb_")) {
        return sb_err_set(err, SB_INVALID,
                          "--sandbox: \"%s\" is not the whole id of a sandbox (aisbx list --all "
                          "shows what there is), and no record would match",
                          args->sandbox);
    }
    filter.sandbox_id = args->sandbox != NULL ? sb_str_from(args->sandbox) : SB_STR("");
    filter.action = args->action != NULL ? sb_str_from(args->action) : SB_STR("");
    *ret_filter = filter;
    return 0;
}

static void put_time(uint64_t ms, Google__Protobuf__Timestamp *time)
{
    *time = (Google__Protobuf__Timestamp)GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    time->seconds = (int64_t)(ms / 1000);
    time->nanos = (int32_t)(ms % 1000 * 1000000);
}

int sb_audit_source_open(struct sb_audit_source *source,
                         struct sb_cli *cli,
                         const struct sb_trail_filter *filter,
                         struct sb_err *err)
{
    Aisbx__V1__ListAuditRecordsRequest *request = &source->request;
    *request = (Aisbx__V1__ListAuditRecordsRequest)AISBX__V1__LIST_AUDIT_RECORDS_REQUEST__INIT;
    source->max = UINT64_MAX;
    request->sandbox_id = sb_arena_text(&source->arena, filter->sandbox_id, err);
    if (request->sandbox_id == NULL) {
        return -1;
    }
    request->action = sb_arena_text(&source->arena, filter->action, err);
    if (request->action == NULL) {
        return -1;
    }
    if (filter->start_ms > 0) {
        put_time(filter->start_ms, &source->start);
        request->start_time = &source->start;
    }
    if (filter->end_ms > 0) {
        put_time(filter->end_ms, &source->end);
        request->end_time = &source->end;
    }
    return sb_connect_open(cli, SB_CONNECT_START, &source->connect, err);
}

void sb_audit_source_done(struct sb_audit_source *source)
{
    sb_connect_done(&source->connect);
    sb_arena_done(&source->arena);
}

void sb_audit_source_after(struct sb_audit_source *source, uint64_t sequence)
{
    source->request.oldest_first = true;
    source->request.after_sequence = sequence;
    source->max = UINT64_MAX;
}

/* ---- pages ---- */

static int list(struct sb_audit_source *source,
                const Aisbx__V1__ListAuditRecordsRequest *request,
                Aisbx__V1__ListAuditRecordsResponse **ret_reply,
                struct sb_err *err)
{
    return aisbx__v1__worker_service__list_audit_records__call(
               source->connect.channel, request, &source->connect.options, ret_reply, err) < 0
               ? sb_err_wrap(err, "cannot read the audit")
               : 0;
}

static int
record_of(const Aisbx__V1__AuditRecord *item, struct sb_trail_record *ret, struct sb_err *err)
{
    const Google__Protobuf__Timestamp *time = item->time;
    struct sb_trail_record record = {
        .sequence = item->sequence,
        .actor = sb_str_from(item->actor),
        .tenant = sb_str_from(item->tenant),
        .action = sb_str_from(item->action),
        .outcome = sb_str_from(item->outcome),
        .sandbox_id = sb_str_from(item->sandbox_id),
        .exec_id = sb_str_from(item->exec_id),
        .policy_hash = sb_str_from(item->policy_hash),
        .detail = sb_str_from(item->detail),
    };
    if (time == NULL || time->seconds < 0 || time->nanos < 0 ||
        sb_trail_unhex(sb_str_from(item->hash), record.hash) < 0) {
        return sb_err_set(err, SB_DATA_LOSS, "record %" PRIu64 " of the worker lacks time or hash",
                          item->sequence);
    }
    record.time_ms = (uint64_t)time->seconds * 1000 + (uint64_t)time->nanos / 1000000;
    *ret = record;
    return 0;
}

int sb_audit_source_walk(struct sb_audit_source *source,
                         sb_audit_found_fn found,
                         void *ctx,
                         struct sb_err *err)
{
    Aisbx__V1__ListAuditRecordsRequest request = source->request;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ListAuditRecordsResponse *before = NULL;
    uint64_t left = source->max;
    do {
        Aisbx__V1__ListAuditRecordsResponse *reply = NULL;
        request.page_size = (uint32_t)(left < PAGE ? left : PAGE);
        if (list(source, &request, &reply, err) < 0) {
            return -1;
        }
        sb_message_freep(&before); /* whose token was asked with */
        before = reply;
        for (size_t i = 0; i < reply->n_records && left > 0; i++, left--) {
            struct sb_trail_record record;
            if (record_of(reply->records[i], &record, err) < 0 || found(ctx, &record, err) < 0) {
                return -1;
            }
        }
        request.page_token = reply->next_page_token;
    } while (left > 0 && *request.page_token != '\0');
    return 0;
}

int sb_audit_source_newest(struct sb_audit_source *source, uint64_t *ret, struct sb_err *err)
{
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ListAuditRecordsResponse *reply = NULL;
    Aisbx__V1__ListAuditRecordsRequest request = AISBX__V1__LIST_AUDIT_RECORDS_REQUEST__INIT;
    request.page_size = 1;
    if (list(source, &request, &reply, err) < 0) {
        return -1;
    }
    *ret = reply->n_records > 0 ? reply->records[0]->sequence : 0;
    return 0;
}

/* ---- for people ---- */

static bool is_one_word(struct sb_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] == '"') { /* also all beyond ASCII */
            return false;
        }
    }
    return true;
}

static void put_word(struct sb_out *out, struct sb_str text)
{
    sb_out_put(out, " ");
    if (text.len == 0) {
        sb_out_put(out, "-");
    } else if (is_one_word(text)) {
        sb_out_put_safe(out, text);
    } else {
        SB_CLEANUP(sb_out_done) struct sb_out quoted;
        struct sb_json json = {.out = &quoted};
        sb_out_init(&quoted, -1);
        sb_json_str(&json, NULL, text);
        sb_out_put_safe(out, sb_buf_str(&quoted.buf));
    }
}

void sb_audit_put_line(const struct sb_trail_record *record, struct sb_out *out)
{
    char when[SB_TRAIL_WHEN_SIZE];
    sb_out_printf(out, "%" PRIu64 " %s", record->sequence, sb_trail_when(record->time_ms, when));
    put_word(out, record->outcome);
    put_word(out, record->action);
    put_word(out, record->actor);
    put_word(out, record->tenant);
    put_word(out, record->sandbox_id);
    put_word(out, record->exec_id);
    sb_out_put(out, " ");
    sb_out_put_safe(out, record->detail);
    sb_out_put(out, "\n");
}
