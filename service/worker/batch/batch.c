#include "service/worker/batch/batch.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/api_pb.h"
#include "service/worker/api_result.h"
#include "service/worker/batch/cell.h"
#include "service/worker/batch/recipe.h"
#include "service/worker/limits.h"
#include "service/worker/sandbox.h"
#include "service/worker/stage/stage.h"
#include "service/worker/timer.h"
#include "service/worker/worker.h"

enum {
    WAIT_MS = 20, /* for room, while nothing of the batch runs */
    MAX_WAITS = 100,
};

/* A case that runs. */
struct slot {
    struct sb_cell *cell; /* NULL: free */
    size_t index;         /* of the case */
};

struct sb_batch {
    struct sb_rpc_call *call;
    struct sb_worker *worker;
    struct sb_caller caller;
    Aisbx__V1__RunBatchRequest *req; /* owned */
    size_t n_bytes;                  /* of it, taken of the budget */
    struct sb_recipe recipe;
    struct sb_stage *stage; /* what every case gets; a reference, NULL: nothing */
    char **fetch;           /* owned */
    struct sb_cell *compile;
    bool has_compiled; /* or there is nothing to compile */
    struct slot slots[SB_BATCH_MAX_PARALLEL];
    size_t parallelism;
    size_t n_running;
    size_t next; /* case */
    unsigned n_waits;
    bool is_stopping; /* no other case begins */
    bool is_blocked;  /* until the caller reads */
    bool is_over;     /* the call was ended */
    struct event pump;
};

static void wake(void *ctx)
{
    struct sb_batch *batch = ctx;
    event_active(&batch->pump, 0, 0);
}

static void fail(struct sb_batch *batch, const struct sb_err *err)
{
    if (!batch->is_over) {
        batch->is_over = true;
        sb_rpc_call_fail(batch->call, err);
    }
}

/* ---- results ---- */

/* Exactly this, to the last byte. */
static bool equals(const struct sb_spool *spool, const ProtobufCBinaryData *wanted, void *scratch)
{
    uint64_t at = 0;
    if (spool->total != wanted->len || sb_spool_dropped(spool) > 0) {
        return false;
    }
    while (at < spool->total) {
        uint64_t from = 0;
        struct sb_err err;
        int64_t n = sb_spool_read(spool, at, scratch, SB_MAX_CHUNK_BYTES, &from, &err);
        if (n <= 0 || from != at || memcmp(scratch, wanted->data + at, (size_t)n) != 0) {
            return false;
        }
        at += (uint64_t)n;
    }
    return true;
}

static bool has_passed(const struct sb_batch *batch,
                       const struct sb_cell *cell,
                       const Aisbx__V1__BatchCase *with)
{
    return sb_cell_has_succeeded(cell) &&
           (with->expected_stdout.len == 0 ||
            equals(&cell->exec->out[0].spool, &with->expected_stdout, batch->worker->chunk));
}

static void
send_result(struct sb_batch *batch, const struct sb_cell *cell, char *case_id, bool has_passed_)
{
    struct sb_err err;
    Aisbx__V1__RunBatchResponse msg = AISBX__V1__RUN_BATCH_RESPONSE__INIT;
    msg.case_id = case_id;
    msg.passed = has_passed_;
    msg.result = sb_api_result(cell->exec, batch->recipe.max_output, batch->caller.is_here,
                               cell->files, &err);
    if (msg.result == NULL) {
        fail(batch, &err);
        return;
    }
    if (!aisbx__v1__sandbox_service__run_batch__send(batch->call, &msg)) {
        batch->is_blocked = true;
    }
    aisbx__v1__run_response__free_unpacked(msg.result, NULL);
}

/* ---- compiling ---- */

static void begin_compile(struct sb_batch *batch)
{
    struct sb_err err;
    struct sb_rate rate = {0};
    struct sb_recipe_step step;
    if (sb_recipe_compile(&batch->recipe, batch->req, &step, &err) < 0) {
        fail(batch, &err);
        return;
    }
    const struct sb_cell_options options = {
        .start = {.caller = &batch->caller,
                  .target = &step.target,
                  .spec = &step.exec,
                  .rate = &rate,
                  .stage = batch->stage},
        .directory = batch->recipe.is_shared ? NULL : batch->recipe.directory,
        .wake = wake,
        .ctx = batch,
    };
    int rc = sb_cell_start(batch->worker, &options, &batch->compile, &err);
    sb_recipe_step_done(&step);
    if (rc < 0) {
        batch->is_over = true;
        sb_api_refuse(batch->call, &rate, &err);
    }
}

static void end_compile(struct sb_batch *batch)
{
    static char none[] = "";
    struct sb_cell *cell = batch->compile;
    struct sb_err err = cell->err;
    bool has_verdict = cell->exec->start_err.code == SB_OK;
    bool has_succeeded = has_verdict && sb_cell_has_succeeded(cell);
    if (!has_verdict || (has_succeeded && err.code != SB_OK)) {
        fail(batch, has_verdict ? sb_err_wrap(&err, "what the compiler left"), &err : &err);
        return;
    }
    struct sb_stage *files = cell->files;
    cell->files = NULL; /* they are nobody's result */
    send_result(batch, cell, none, has_succeeded);
    if (files != NULL) {
        sb_stage_unref(batch->stage);
        batch->stage = files;
    }
    batch->has_compiled = true;
    batch->is_stopping = !has_succeeded;
    batch->compile = NULL;
    sb_cell_free(cell);
}

/* ---- cases ---- */

/* True: it runs. False: not now, or the call has failed. */
static bool begin_case(struct sb_batch *batch, struct slot *slot)
{
    struct sb_err err;
    struct sb_rate rate = {0};
    struct sb_recipe_step step;
    const Aisbx__V1__BatchCase *with = batch->req->cases[batch->next];
    if (sb_recipe_run(&batch->recipe, batch->req, with, &step, &err) < 0) {
        fail(batch, &err);
        return false;
    }
    const struct sb_cell_options options = {
        .start = {.caller = &batch->caller,
                  .target = &step.target,
                  .spec = &step.exec,
                  .rate = &rate,
                  .stage = batch->stage},
        .stdin_data = with->stdin.data,
        .stdin_len = with->stdin.len,
        .fetch = batch->fetch,
        .n_fetch = batch->req->n_fetch,
        .wake = wake,
        .ctx = batch,
    };
    int rc = sb_cell_start(batch->worker, &options, &slot->cell, &err);
    sb_recipe_step_done(&step);
    if (rc == 0) {
        slot->index = batch->next++;
        batch->n_running++;
        return true;
    }
    bool may_have_room =
        err.code == SB_EXHAUSTED && (batch->n_running > 0 || batch->n_waits++ < MAX_WAITS);
    if (!may_have_room) {
        batch->is_over = true;
        sb_api_refuse(batch->call, &rate, &err);
    } else if (batch->n_running == 0) { /* the compiler's sandbox, say, is not gone yet */
        sb_timer_arm(&batch->pump, WAIT_MS);
    }
    return false;
}

static void stop_others(struct sb_batch *batch)
{
    batch->is_stopping = true;
    for (size_t i = 0; i < batch->parallelism; i++) {
        struct sb_cell *cell = batch->slots[i].cell;
        if (cell != NULL && !sb_exec_has_ended(cell->exec)) {
            sb_exec_kill(cell->exec, SB_CAUSE_CANCELLED);
        }
    }
}

static void end_case(struct sb_batch *batch, struct slot *slot)
{
    struct sb_cell *cell = slot->cell;
    const Aisbx__V1__BatchCase *with = batch->req->cases[slot->index];
    slot->cell = NULL;
    batch->n_running--;
    if (cell->exec->start_err.code != SB_OK) {
        fail(batch, &cell->exec->start_err);
    } else {
        bool is_good = has_passed(batch, cell, with);
        send_result(batch, cell, with->case_id, is_good);
        if (!is_good && batch->req->stop_on_failure && !batch->is_stopping) {
            stop_others(batch);
        }
    }
    sb_cell_free(cell);
}

static void reap(struct sb_batch *batch)
{
    if (batch->compile != NULL && batch->compile->is_over) {
        end_compile(batch);
    }
    for (size_t i = 0; i < batch->parallelism && !batch->is_over; i++) {
        struct slot *slot = &batch->slots[i];
        if (slot->cell != NULL && slot->cell->is_over) {
            end_case(batch, slot);
        }
    }
}

static void on_pump(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_batch *batch = ctx;
    if (batch->is_over) {
        return;
    }
    reap(batch);
    if (!batch->is_over && !batch->has_compiled && batch->compile == NULL) {
        begin_compile(batch);
    }
    bool is_going = batch->has_compiled && !batch->is_stopping;
    for (size_t i = 0; i < batch->parallelism && is_going; i++) {
        struct slot *slot = &batch->slots[i];
        is_going = !batch->is_over && !batch->is_blocked && batch->next < batch->req->n_cases &&
                   (slot->cell != NULL || begin_case(batch, slot));
    }
    bool is_done = batch->has_compiled && batch->n_running == 0 &&
                   (batch->is_stopping || batch->next == batch->req->n_cases);
    if (is_done && !batch->is_over) {
        batch->is_over = true;
        sb_rpc_call_reply(batch->call, NULL);
    }
}

void sb_batch_drained(struct sb_batch *batch)
{
    batch->is_blocked = false;
    wake(batch);
}

/* ---- the beginning and the end ---- */

static int check(const Aisbx__V1__RunBatchRequest *req, struct sb_err *err)
{
    if (req->n_cases == 0 || req->n_cases > SB_BATCH_MAX_CASES) {
        return sb_err_set(err, SB_INVALID, "cases: %zu are not 1..%d", req->n_cases,
                          SB_BATCH_MAX_CASES);
    }
    if (req->parallelism > SB_BATCH_MAX_PARALLEL) {
        return sb_err_set(err, SB_INVALID, "parallelism: more than %d", SB_BATCH_MAX_PARALLEL);
    }
    if (req->max_output_bytes > SB_API_RESULT_MAX_OUTPUT) {
        return sb_err_set(err, SB_INVALID, "max_output_bytes: more than %d",
                          SB_API_RESULT_MAX_OUTPUT);
    }
    for (size_t i = 0; i < req->n_cases; i++) {
        if (strlen(req->cases[i]->case_id) > 64) {
            return sb_err_set(err, SB_INVALID, "cases[%zu].case_id: longer than 64 bytes", i);
        }
        if (req->cases[i]->stdin.len > SB_API_RESULT_MAX_FILES) {
            return sb_err_set(err, SB_INVALID, "cases[%zu].stdin: more than %d bytes", i,
                              SB_API_RESULT_MAX_FILES);
        }
    }
    return 0;
}

/* The request is the call's only while the handler runs. */
static Aisbx__V1__RunBatchRequest *copy(const Aisbx__V1__RunBatchRequest *req)
{
    size_t len = aisbx__v1__run_batch_request__get_packed_size(req);
    SB_CLEANUP(sb_freep) uint8_t *bytes = malloc(len == 0 ? 1 : len);
    return bytes == NULL ? NULL
                         : aisbx__v1__run_batch_request__unpack(
                               NULL, aisbx__v1__run_batch_request__pack(req, bytes), bytes);
}

static size_t parallelism_of(const Aisbx__V1__RunBatchRequest *req)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = req->parallelism != 0 ? req->parallelism : cpus < 1 ? 1 : (size_t)cpus;
    n = n < SB_BATCH_MAX_PARALLEL ? n : SB_BATCH_MAX_PARALLEL;
    return n < req->n_cases ? n : req->n_cases;
}

static int fill(struct sb_batch *batch, const Aisbx__V1__RunBatchRequest *req, struct sb_err *err)
{
    size_t n_bytes = sizeof *batch + aisbx__v1__run_batch_request__get_packed_size(req);
    if (sb_budget_take(&batch->worker->budget, n_bytes, err) < 0) {
        return -1;
    }
    batch->n_bytes = n_bytes;
    batch->req = copy(req);
    if (batch->req == NULL) {
        return sb_err_oom(err);
    }
    batch->parallelism = parallelism_of(req);
    if (sb_api_result_stage(req->files, req->n_files, &batch->worker->budget, &batch->stage, err) <
            0 ||
        sb_api_result_paths(req->fetch, req->n_fetch, &batch->fetch, err) < 0 ||
        sb_recipe_make(batch->worker, batch->req, &batch->stage, &batch->recipe, err) < 0) {
        return -1;
    }
    batch->has_compiled = !batch->recipe.compiles;
    return 0;
}

int sb_batch_start(struct sb_rpc_call *call,
                   struct sb_worker *worker,
                   const struct sb_caller *caller,
                   const Aisbx__V1__RunBatchRequest *req,
                   struct sb_batch **ret_batch,
                   struct sb_err *err)
{
    if (check(req, err) < 0) {
        return -1;
    }
    struct sb_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) {
        return sb_err_oom(err);
    }
    batch->call = call;
    batch->worker = worker;
    batch->caller = *caller;
    (void)event_assign(&batch->pump, worker->base, -1, 0, on_pump, batch);
    if (fill(batch, req, err) < 0) {
        sb_batch_free(batch);
        return -1;
    }
    wake(batch);
    *ret_batch = batch;
    return 0;
}

void sb_batch_free(struct sb_batch *batch)
{
    if (batch == NULL) {
        return;
    }
    batch->is_over = true;
    sb_cell_free(batch->compile);
    for (size_t i = 0; i < batch->parallelism; i++) {
        sb_cell_free(batch->slots[i].cell);
    }
    (void)event_del(&batch->pump);
    sb_recipe_done(&batch->recipe);
    sb_stage_unref(batch->stage);
    if (batch->req != NULL) {
        sb_api_result_free_paths(batch->fetch, batch->req->n_fetch);
        aisbx__v1__run_batch_request__free_unpacked(batch->req, NULL);
    }
    sb_budget_give(&batch->worker->budget, batch->n_bytes);
    free(batch);
}
