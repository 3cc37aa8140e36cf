/* ListAuditRecords: read by the thread that writes, between two batches; what a question may look
 * at is bounded, and a page that found nothing so far says where to go on. */
#include "service/worker/api_audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "service/worker/api.h"
#include "service/worker/api_pb.h"
#include "service/worker/page.h"
#include "service/worker/store/store.h"
#include "service/worker/worker.h"
#include "trail/action.h"
#include "trail/read.h"

enum { MAX_SEEN = 20000, MAX_BYTES = 2 << 20 };

struct list {
    struct sb_store_job job;
    struct sb_worker *worker;
    struct sb_rpc_call *call; /* a reference */
    Aisbx__V1__ListAuditRecordsResponse *msg;
    size_t size;
    size_t n_bytes;
    char sandbox_id[SB_ID_SIZE];
    char action[64];
    char tenant[SB_TENANT_SIZE]; /* "": of all */
    uint64_t start_ms;
    uint64_t end_ms;
    uint64_t after;
    bool is_ascending;
    uint64_t cursor;
    uint64_t question;
    uint64_t next;
};

static Aisbx__V1__AuditRecord *make(const struct sb_trail_record *record)
{
    char hex[SB_TRAIL_HEX_SIZE];
    Aisbx__V1__AuditRecord *item = sb_api_pb_new(&aisbx__v1__audit_record__descriptor);
    if (item == NULL) {
        return NULL;
    }
    item->sequence = record->sequence;
    sb_trail_hex(record->hash, hex);
    char **const members[SB_TRAIL_PARTS] = {
        &item->actor,      &item->tenant,  &item->action,      &item->outcome,
        &item->sandbox_id, &item->exec_id, &item->policy_hash, &item->detail,
    };
    bool is_good = sb_api_pb_time(record->time_ms, &item->time) && sb_api_pb_text(&item->hash, hex);
    for (size_t i = 0; is_good && i < SB_TRAIL_PARTS; i++) {
        char *copy = sb_str_dup(sb_trail_part_of(record, i));
        is_good = copy != NULL && sb_api_pb_text(members[i], copy);
        free(copy);
    }
    if (!is_good) {
        protobuf_c_message_free_unpacked(&item->base, NULL);
        return NULL;
    }
    return item;
}

static int on_found(void *ctx, const struct sb_trail_record *record, struct sb_err *err)
{
    struct list *list = ctx;
    Aisbx__V1__AuditRecord *item = make(record);
    if (item == NULL) {
        return sb_err_oom(err);
    }
    list->msg->records[list->msg->n_records++] = item;
    list->n_bytes += record->detail.len;
    if (list->n_bytes > MAX_BYTES) {
        list->next = record->sequence + (list->is_ascending ? 1 : UINT64_MAX); /* full by bytes */
        return sb_err_set(err, SB_RANGE, "full");
    }
    return 0;
}

/* Nothing of the call is touched here: this is the writer's thread. */
static int run_list(struct sb_store_job *job, struct sqlite3 *db, struct sb_err *err)
{
    struct list *list = SB_LIST_ENTRY(job, struct list, job);
    for (size_t i = 0; i < list->msg->n_records; i++) { /* run again */
        protobuf_c_message_free_unpacked(&list->msg->records[i]->base, NULL);
    }
    list->msg->n_records = 0;
    list->n_bytes = 0;
    list->next = 0;
    const struct sb_trail_query query = {
        .filter =
            {
                .sandbox_id = sb_str_from(list->sandbox_id),
                .action = sb_str_from(list->action),
                .tenant = sb_str_from(list->tenant),
                .start_ms = list->start_ms,
                .end_ms = list->end_ms,
            },
        .from = list->cursor == UINT64_MAX ? (list->is_ascending ? list->after + 1 : 0)
                                           : list->cursor - 1,
        .is_ascending = list->is_ascending,
        .max = list->size,
        .max_seen = MAX_SEEN,
        .found = on_found,
        .ctx = list,
    };
    uint64_t next = 0;
    if (sb_trail_find(db, &query, &next, err) == 0) {
        list->next = next;
        return 0;
    }
    return err->code == SB_RANGE ? 0 : -1;
}

static void list_free(struct list *list)
{
    if (list->msg != NULL) {
        protobuf_c_message_free_unpacked(&list->msg->base, NULL);
    }
    free(list);
}

static void on_listed(struct sb_store_job *job, const struct sb_err *err)
{
    struct list *list = SB_LIST_ENTRY(job, struct list, job);
    struct sb_err status = {.code = SB_OK};
    if (err != NULL) {
        status = *err;
    } else if (list->next > 0) {
        char token[SB_PAGE_TOKEN_SIZE];
        sb_page_token(&list->worker->page_key, list->next + 1, list->question, token);
        if (!sb_api_pb_text(&list->msg->next_page_token, token)) {
            (void)sb_err_oom(&status);
        }
    }
    if (status.code == SB_OK) {
        sb_rpc_call_reply(list->call, &list->msg->base);
    } else {
        sb_rpc_call_fail(list->call, &status);
    }
    sb_rpc_call_unref(list->call);
    list_free(list);
}

static uint64_t ms_of(const Google__Protobuf__Timestamp *time)
{
    return time == NULL || time->seconds < 0
               ? 0
               : (uint64_t)time->seconds * 1000 + (uint64_t)(time->nanos / 1000000);
}

static int ask(struct list *list,
               const struct sb_caller *caller,
               const Aisbx__V1__ListAuditRecordsRequest *req,
               struct sb_err *err)
{
    char text[SB_TENANT_SIZE + 320];
    if (strlen(req->sandbox_id) >= sizeof list->sandbox_id) {
        return sb_err_set(err, SB_INVALID, "sandbox_id: is no such id");
    }
    if (sb_trail_action_check(sb_str_from(req->action), err) < 0) {
        return -1;
    }
    (void)snprintf(list->sandbox_id, sizeof list->sandbox_id, "%s", req->sandbox_id);
    (void)snprintf(list->action, sizeof list->action, "%s", req->action);
    bool sees_all = sb_caller_is_admin(caller) ||
                    (caller->role == SB_ROLE_AUDITOR && strcmp(caller->tenant, SB_TENANT_ALL) == 0);
    if (!sees_all) {
        (void)snprintf(list->tenant, sizeof list->tenant, "%s", caller->tenant);
    }
    list->start_ms = ms_of(req->start_time);
    list->end_ms = ms_of(req->end_time);
    list->after = req->after_sequence < INT64_MAX ? req->after_sequence : INT64_MAX - 1;
    list->is_ascending = req->oldest_first || req->after_sequence > 0;
    list->size = sb_page_size(req->page_size);
    int n = snprintf(text, sizeof text, "audit|%s|%s|%s|%ju|%ju|%d|%ju", list->tenant,
                     list->sandbox_id, list->action, (uintmax_t)list->start_ms,
                     (uintmax_t)list->end_ms, list->is_ascending, (uintmax_t)list->after);
    list->question = sb_hash_sip13(list->worker->page_key.key, text, (size_t)n);
    if (sb_page_cursor(&list->worker->page_key, sb_str_from(req->page_token), list->question,
                       &list->cursor, err) < 0) {
        return -1;
    }
    list->msg = sb_api_pb_new(&aisbx__v1__list_audit_records_response__descriptor);
    if (list->msg == NULL ||
        (list->msg->records = calloc(list->size, sizeof(Aisbx__V1__AuditRecord *))) == NULL) {
        return sb_err_oom(err);
    }
    return sb_store_post(list->worker->store, &list->job, err);
}

void sb_api_audit_list(struct sb_rpc_call *call,
                       const Aisbx__V1__ListAuditRecordsRequest *req,
                       void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err;
    struct sb_caller caller;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    struct list *list = calloc(1, sizeof *list);
    if (list == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return;
    }
    list->job = (struct sb_store_job){.run = run_list, .done = on_listed};
    list->worker = worker;
    list->call = call;
    if (ask(list, &caller, req, &err) < 0) {
        list_free(list);
        sb_rpc_call_fail(call, &err);
        return;
    }
    /* on_listed frees it */
    sb_rpc_call_ref(call); // NOLINT(clang-analyzer-unix.Malloc)
}
