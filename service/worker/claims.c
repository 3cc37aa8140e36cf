#include "service/worker/claims.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "service/worker/idem.h"

struct claim {
    struct sb_list link;
    struct sb_str key; /* behind it */
    uint64_t time_ms;
    char worker_id[SB_ID_SIZE];
    char bytes[];
};

void sb_claims_init(struct sb_claims *claims, size_t max, uint64_t max_age_ms)
{
    *claims = (struct sb_claims){.max = max, .max_age_ms = max_age_ms};
    sb_map_init(&claims->entries, max);
    sb_list_init(&claims->by_age);
}

static void forget(struct sb_claims *claims, struct claim *claim)
{
    (void)sb_map_remove(&claims->entries, claim->key);
    sb_list_remove(&claim->link);
    free(claim);
}

void sb_claims_done(struct sb_claims *claims)
{
    if (claims->by_age.next == NULL) {
        return;
    }
    SB_FOREACH (node, &claims->by_age) {
        forget(claims, SB_LIST_ENTRY(node, struct claim, link));
    }
    sb_map_done(&claims->entries);
}

static bool is_old(const struct sb_claims *claims, const struct claim *claim, uint64_t now_ms)
{
    return now_ms > claim->time_ms && now_ms - claim->time_ms >= claims->max_age_ms;
}

static void make_room(struct sb_claims *claims, uint64_t now_ms)
{
    SB_FOREACH (node, &claims->by_age) {
        struct claim *claim = SB_LIST_ENTRY(node, struct claim, link);
        if (sb_map_count(&claims->entries) < claims->max && !is_old(claims, claim, now_ms)) {
            return;
        }
        forget(claims, claim);
    }
}

static struct claim *
find(const struct sb_claims *claims, const struct sb_idem_call *call, struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf key = SB_BUF_INIT(SB_IDEM_KEY_MAX);
    return sb_idem_key(call, &key, err) < 0 ? NULL : sb_map_get(&claims->entries, sb_buf_str(&key));
}

static int add(struct sb_claims *claims,
               const struct sb_idem_call *call,
               const char *worker_id,
               uint64_t now_ms,
               struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf key = SB_BUF_INIT(SB_IDEM_KEY_MAX);
    if (sb_idem_key(call, &key, err) < 0) {
        return -1;
    }
    struct claim *claim = calloc(1, sizeof *claim + key.len);
    if (claim == NULL) {
        return sb_err_oom(err);
    }
    struct sb_str text = sb_buf_str(&key);
    memcpy(claim->bytes, text.ptr, text.len);
    claim->key = sb_str_of(claim->bytes, text.len);
    claim->time_ms = now_ms;
    (void)snprintf(claim->worker_id, sizeof claim->worker_id, "%s", worker_id);
    if (sb_map_put(&claims->entries, claim->key, claim, err) < 0) {
        free(claim);
        return -1;
    }
    sb_list_append(&claims->by_age, &claim->link);
    return 0;
}

int sb_claims_take(struct sb_claims *claims,
                   const struct sb_idem_call *call,
                   const char *worker_id,
                   uint64_t now_ms,
                   char ret_id[SB_ID_SIZE],
                   struct sb_err *err)
{
    make_room(claims, now_ms);
    err->code = SB_OK;
    const struct claim *claim = find(claims, call, err);
    if (err->code != SB_OK || (claim == NULL && add(claims, call, worker_id, now_ms, err) < 0)) {
        return -1;
    }
    (void)snprintf(ret_id, SB_ID_SIZE, "%s", claim == NULL ? worker_id : claim->worker_id);
    return 0;
}

void sb_claims_release(struct sb_claims *claims,
                       const struct sb_idem_call *call,
                       const char *worker_id)
{
    struct sb_err ignored;
    struct claim *claim = find(claims, call, &ignored);
    if (claim != NULL && strcmp(claim->worker_id, worker_id) == 0) {
        forget(claims, claim);
    }
}

int sb_claims_check(struct sb_claims *claims,
                    const struct sb_idem_call *call,
                    const char *worker_id,
                    uint64_t now_ms,
                    struct sb_err *err)
{
    struct sb_err ignored; /* what is wrong with it is said by who looks it up */
    const struct claim *claim = call->request_id[0] == '\0' ? NULL : find(claims, call, &ignored);
    if (claim == NULL || is_old(claims, claim, now_ms) ||
        strcmp(claim->worker_id, worker_id) == 0) {
        return 0;
    }
    return sb_err_set(err, SB_PRECONDITION,
                      "worker_lost: request_id %s went to worker %s before, and may have been done "
                      "there; use a new one to do it again",
                      call->request_id, claim->worker_id);
}
