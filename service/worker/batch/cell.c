#include "service/worker/batch/cell.h"

#include <stdlib.h>

#include "service/worker/api_result.h"
#include "service/worker/sandbox.h"
#include "service/worker/stage/take.h"

static bool keeps(const struct sb_cell_options *options)
{
    return options->n_fetch > 0 || options->directory != NULL;
}

bool sb_cell_has_succeeded(const struct sb_cell *cell)
{
    return cell->exec->verdict.kind == SB_VERDICT_EXITED && cell->exec->verdict.exit_code == 0;
}

static void finish(struct sb_cell *cell)
{
    cell->is_over = true;
    cell->options.wake(cell->options.ctx);
}

static void on_taken(void *ctx, struct sb_stage *stage, const struct sb_err *err)
{
    struct sb_cell *cell = ctx;
    cell->err = *err;
    cell->files = stage == NULL ? NULL : sb_stage_ref(stage);
    sb_take_free(cell->take);
    cell->take = NULL;
    finish(cell);
}

static bool wants_files(const struct sb_cell *cell)
{
    return cell->exec->sandbox->state == SB_STATE_RUNNING &&
           (cell->options.n_fetch > 0 ||
            (cell->options.directory != NULL && sb_cell_has_succeeded(cell)));
}

static void on_changed(struct sb_exec_observer *observer, struct sb_exec *exec)
{
    struct sb_cell *cell = SB_LIST_ENTRY(observer, struct sb_cell, observer);
    if (cell->is_over || cell->take != NULL || !sb_exec_has_ended(exec)) {
        return;
    }
    cell->err = exec->start_err;
    if (cell->err.code != SB_OK || !wants_files(cell)) {
        finish(cell);
        return;
    }
    const struct sb_take_options options = {
        .sandbox = exec->sandbox,
        .paths = cell->options.fetch,
        .n_paths = cell->options.n_fetch,
        .directory = cell->options.directory,
        .max_bytes = cell->options.directory != NULL ? SB_STAGE_MAX_BYTES : SB_API_RESULT_MAX_FILES,
        .is_lenient = cell->options.directory == NULL,
    };
    if (sb_take_start(&options, on_taken, cell, &cell->take, &cell->err) < 0) {
        finish(cell);
    }
}

int sb_cell_start(struct sb_worker *worker,
                  const struct sb_cell_options *options,
                  struct sb_cell **ret_cell,
                  struct sb_err *err)
{
    struct sb_cell *cell = calloc(1, sizeof *cell);
    if (cell == NULL) {
        return sb_err_oom(err);
    }
    cell->options = *options;
    cell->observer.changed = on_changed;
    cell->options.start.has_stdin = options->stdin_len > 0;
    cell->options.start.keeps_sandbox = keeps(options);
    if (sb_api_start_exec(worker, &cell->options.start, &cell->exec, err) < 0) {
        free(cell);
        return -1;
    }
    cell->options.start = (struct sb_api_start){.caller = NULL}; /* was for that only */
    struct sb_err ignored; /* one that has ended already takes none */
    (void)sb_exec_write(cell->exec, options->stdin_data, options->stdin_len, &ignored);
    sb_exec_write_eof(cell->exec);
    sb_exec_observe(cell->exec, &cell->observer);
    on_changed(&cell->observer, cell->exec);
    *ret_cell = cell;
    return 0;
}

void sb_cell_free(struct sb_cell *cell)
{
    if (cell == NULL) {
        return;
    }
    struct sb_exec *exec = cell->exec;
    bool has_ended = sb_exec_has_ended(exec);
    sb_exec_unobserve(&cell->observer);
    sb_take_free(cell->take);
    sb_stage_unref(cell->files);
    if (keeps(&cell->options)) {
        sb_sandbox_destroy(exec->sandbox, has_ended ? SB_REASON_EXEC_ENDED : SB_REASON_CANCELLED,
                           NULL);
    } else if (!has_ended) {
        sb_exec_kill(exec, SB_CAUSE_CLIENT_GONE);
    }
    free(cell);
}
