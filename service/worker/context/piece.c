/* Pieces of code: their turn, what they say, their end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "service/worker/context/answer.h"
#include "service/worker/context/context.h"
#include "service/worker/context/interpreter.h"
#include "service/worker/exec.h"
#include "service/worker/exec_io.h"
#include "service/worker/limits.h"
#include "service/worker/policy/policy.h"
#include "service/worker/sandbox.h"
#include "service/worker/timer.h"
#include "service/worker/worker.h"

struct sb_piece *sb_pieces_running(const struct sb_context *context)
{
    struct sb_piece *first = SB_LIST_ENTRY(context->pieces.next, struct sb_piece, link);
    return sb_list_is_empty(&context->pieces) || first->number == 0 ? NULL : first;
}

static void piece_free(struct sb_piece *piece)
{
    free(piece->code);
    free(piece);
}

static void unlink_piece(struct sb_piece *piece)
{
    struct sb_context *context = piece->context;
    sb_list_remove(&piece->link);
    context->n_pieces--;
    context->code_bytes -= piece->code_len;
}

/** Its reader may free it from within. */
static void fail(struct sb_piece *piece, const struct sb_err *err)
{
    unlink_piece(piece);
    if (piece->reader == NULL) {
        piece_free(piece);
    } else {
        piece->reader->failed(piece, err);
    }
}

void sb_pieces_fail(struct sb_context *context, const char *why)
{
    struct sb_err err;
    const struct sb_piece *running = sb_pieces_running(context);
    (void)sb_err_set(&err, SB_ABORTED, "context %s: %s before this code had its turn", context->id,
                     why);
    SB_FOREACH (node, &context->pieces) {
        struct sb_piece *piece = SB_LIST_ENTRY(node, struct sb_piece, link);
        if (piece != running) {
            fail(piece, &err);
        }
    }
}

/* ---- its turn ---- */

static void begin(struct sb_context *context)
{
    struct sb_err err;
    struct sb_piece *piece = SB_LIST_ENTRY(context->pieces.next, struct sb_piece, link);
    const struct sb_str code = sb_str_of(piece->code, piece->code_len);
    if (sb_channel_send(context, code, &err) < 0) {
        fail(piece, &err);
        return;
    }
    context->n_unheard = 0;
    free(piece->code);
    piece->code = NULL;
    piece->number = ++context->execution_count;
    piece->start_mono_ms = sb_clock_mono_ms();
    piece->start_real_ms = sb_clock_real_ms();
    piece->exec_start_ms = context->exec->start_mono_ms;
    piece->n_denials = context->exec->denials.n;
    for (int i = 0; i < 2; i++) {
        piece->start_bytes[i] = context->offsets[i];
    }
    if (piece->wall_ms != 0) {
        sb_timer_arm(&context->wall_timer, piece->wall_ms);
    }
    sb_context_set_state(context, SB_CONTEXT_BUSY);
}

static bool may_begin(const struct sb_context *context)
{
    return context->state == SB_CONTEXT_IDLE && !sb_list_is_empty(&context->pieces) &&
           context->channel >= 0 && !context->is_wanted && !context->exec->is_interrupting;
}

/* ---- what it says ---- */

/** Hands one chunk on. False: there is none, or the reader takes no more. */
static bool give_output(struct sb_context *context, struct sb_piece *piece, int stream)
{
    const struct sb_spool *spool = &context->exec->out[stream].spool;
    uint64_t *offset = &context->offsets[stream];
    uint64_t from = 0;
    struct sb_err err;
    if (piece->reader == NULL || *offset >= spool->total) {
        *offset = spool->total;
        return false;
    }
    unsigned char *chunk = context->worker->chunk;
    int64_t n = sb_spool_read(spool, *offset, chunk, SB_MAX_CHUNK_BYTES, &from, &err);
    if (n < 0) { /* its file cannot be read */
        *offset = spool->total;
        return false;
    }
    uint64_t dropped = from - *offset;
    *offset = from + (uint64_t)n;
    piece->is_blocked =
        !piece->reader->output(piece, stream, from, sb_str_of(chunk, (size_t)n), dropped);
    return !piece->is_blocked;
}

/** False: the reader takes no more. */
static bool give_outputs(struct sb_context *context, struct sb_piece *piece)
{
    bool has_more = true;
    while (has_more && !piece->is_blocked) {
        has_more = give_output(context, piece, 0);
        if (!piece->is_blocked) {
            has_more = give_output(context, piece, 1) || has_more;
        }
    }
    return !piece->is_blocked;
}

static void drain(struct sb_exec *exec)
{
    sb_exec_io_drain(exec);
    if (sb_exec_io_is_drained(exec)) {
        sb_exec_on_drained(exec);
    }
}

/** A few come late, or to whoever has gone. */
static void take_unheard(struct sb_context *context)
{
    if (++context->n_unheard > SB_CONTEXT_MAX_UNHEARD) {
        sb_buf_clear(&context->in);
        sb_context_refuse(context, "the interpreter says more than anybody asked for");
    }
}

static void take_answer(struct sb_piece *piece, const struct sb_answer *answer)
{
    switch (answer->kind) {
    case SB_ANSWER_RESULT:
        piece->n_values += answer->is_other_form && piece->n_values > 0 ? 0 : 1;
        __attribute__((fallthrough));
    case SB_ANSWER_ERROR:
        if (piece->reader != NULL) {
            piece->is_blocked = !piece->reader->answer(piece, answer);
        } else {
            take_unheard(piece->context);
        }
        break;
    case SB_ANSWER_DONE:
        piece->is_over = true;
        piece->status = answer->status;
        break;
    case SB_ANSWER_READY:
    default:
        take_unheard(piece->context);
        break;
    }
}

/** Answers that belong to no piece are nobody's. */
static void take_stray(struct sb_context *context, const struct sb_answer *answer)
{
    if (context->state == SB_CONTEXT_STARTING && answer->kind == SB_ANSWER_READY) {
        (void)event_del(&context->start_timer);
        for (int i = 0; i < 2; i++) { /* what it says of its own start is no piece's */
            context->offsets[i] = context->exec->out[i].spool.total;
        }
        sb_context_set_state(context, SB_CONTEXT_IDLE);
    } else {
        take_unheard(context);
    }
}

/** Takes the next answer. False: there is none. */
static bool take_next(struct sb_context *context, struct sb_piece *piece)
{
    struct sb_err err;
    struct sb_answer answer;
    size_t len = 0;
    int rc = sb_answer_read(sb_buf_str(&context->in), &answer, &len, &err);
    if (rc < 0) {
        char why[sizeof context->reason];
        (void)snprintf(why, sizeof why, "the interpreter broke off: %s", err.text);
        sb_buf_clear(&context->in);
        sb_context_refuse(context, why);
        return false;
    }
    if (rc == 0) {
        return false;
    }
    if (piece == NULL) {
        take_stray(context, &answer);
    } else {
        drain(context->exec);
        if (!give_outputs(context, piece)) {
            return false;
        }
        take_answer(piece, &answer);
    }
    sb_buf_consume(&context->in, len);
    sb_channel_fill(context);
    return true;
}

/* ---- its end ---- */

static void finish(struct sb_context *context, struct sb_piece *piece)
{
    (void)event_del(&context->wall_timer);
    (void)event_del(&context->grace_timer);
    (void)event_del(&context->again_timer);
    unlink_piece(piece);
    if (piece->reader == NULL) {
        piece_free(piece);
    } else {
        piece->reader->ended(piece); /* it may be freed now */
    }
    if (!sb_exec_has_ended(context->exec)) {
        sb_context_set_state(context, SB_CONTEXT_IDLE);
    }
}

/** False: nothing can be done now. */
static bool step_running(struct sb_context *context, struct sb_piece *piece)
{
    if (piece->is_blocked) {
        return false;
    }
    if (!piece->is_over) {
        bool has_ended = sb_exec_has_ended(context->exec);
        if (has_ended) {
            sb_channel_fill(context); /* its last words */
        }
        if (take_next(context, piece)) {
            return true;
        }
        piece->is_orphan = has_ended;
        piece->is_over = has_ended;
    }
    if (!give_outputs(context, piece) || !piece->is_over) {
        return false;
    }
    finish(context, piece);
    return true;
}

static bool step(struct sb_context *context)
{
    struct sb_piece *piece = sb_pieces_running(context);
    if (piece != NULL) {
        return step_running(context, piece);
    }
    if (context->in.len > 0 && take_next(context, NULL)) {
        return true;
    }
    if (may_begin(context)) {
        begin(context);
        return true;
    }
    return false;
}

void sb_context_pump(struct sb_context *context)
{
    if (context->is_pumping) {
        return;
    }
    sb_context_enter(context);
    context->is_pumping = true;
    bool has_more = false;
    uint64_t until_ns = sb_clock_mono_ns() + SB_CONTEXT_TURN_US * 1000ULL;
    while (!has_more && step(context)) {
        has_more = sb_clock_mono_ns() >= until_ns;
    }
    if (has_more) {
        sb_timer_arm(&context->more_timer, 0);
    } else {
        sb_context_settle(context);
    }
    context->is_pumping = false;
    sb_context_leave(context);
}

static void on_more(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    sb_context_pump(ctx);
}

/** For how long it has run, without the time that its sandbox was paused. */
static uint64_t ran_ms(const struct sb_context *context, const struct sb_piece *piece)
{
    uint64_t paused_ms = context->exec->start_mono_ms - piece->exec_start_ms;
    uint64_t passed_ms = sb_clock_mono_ms() - piece->start_mono_ms;
    return passed_ms > paused_ms ? passed_ms - paused_ms : 0;
}

/** A timer of a paused sandbox looks again. */
static bool is_held(const struct sb_context *context, struct event *timer)
{
    bool is_paused = context->sandbox->state == SB_STATE_PAUSED;
    if (is_paused) {
        sb_timer_arm(timer, SB_CONTEXT_LOOK_MS);
    }
    return is_paused;
}

static void on_wall(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_err err;
    struct sb_context *context = ctx;
    struct sb_piece *piece = sb_pieces_running(context);
    if (piece == NULL || is_held(context, &context->wall_timer)) {
        return;
    }
    uint64_t ran = ran_ms(context, piece);
    if (ran < piece->wall_ms) {
        sb_timer_arm(&context->wall_timer, piece->wall_ms - ran);
        return;
    }
    sb_context_enter(context);
    if (piece->is_over) {
        (void)sb_err_set(&err, SB_ABORTED,
                         "the piece ended, and what it wrote was not read within its wall limit");
        fail(piece, &err);
        sb_context_set_state(context, SB_CONTEXT_IDLE);
        sb_context_pump(context);
    } else {
        sb_context_interrupt(context, SB_CAUSE_TIMEOUT);
        sb_timer_arm(&context->grace_timer, SB_MAX_INTERRUPT_MS);
    }
    sb_context_leave(context);
}

static void on_grace(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_context *context = ctx;
    const struct sb_piece *piece = sb_pieces_running(context);
    if (is_held(context, &context->grace_timer)) {
        return;
    }
    sb_context_enter(context);
    if (piece != NULL && !piece->is_over) {
        sb_exec_kill(context->exec, piece->cause);
        sb_context_pump(context);
    }
    sb_context_leave(context);
}

static void on_again(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_context *context = ctx;
    const struct sb_piece *piece = sb_pieces_running(context);
    if (piece != NULL) {
        sb_context_interrupt(context, piece->cause);
    }
}

void sb_pieces_timers_init(struct sb_context *context)
{
    struct event_base *base = context->worker->base;
    (void)event_assign(&context->wall_timer, base, -1, 0, on_wall, context);
    (void)event_assign(&context->grace_timer, base, -1, 0, on_grace, context);
    (void)event_assign(&context->again_timer, base, -1, 0, on_again, context);
    (void)event_assign(&context->more_timer, base, -1, 0, on_more, context);
}

/* ---- for who has code ---- */

static int
check(const struct sb_context *context, struct sb_str code, uint64_t wall_ms, struct sb_err *err)
{
    char limit[SB_NUM_TEXT_SIZE];
    uint64_t limit_ms = context->sandbox->policy->limits.wall_ms;
    if (code.len > SB_MAX_CODE_BYTES) {
        return sb_err_set(err, SB_INVALID,
                          "code: %zu bytes, at most %d; write it to a file and run that", code.len,
                          SB_MAX_CODE_BYTES);
    }
    if (limit_ms != 0 && wall_ms > limit_ms) {
        return sb_err_set(err, SB_INVALID,
                          "wall_ms: more than the %s of the sandbox's limits.wall_ms",
                          sb_num_format_millis(limit, limit_ms));
    }
    if (context->state == SB_CONTEXT_DEAD && !context->is_wanted) {
        return sb_err_set(err, SB_PRECONDITION, "context %s is DEAD: %.200s; restart or delete it",
                          context->id, context->reason);
    }
    if (context->n_pieces >= SB_MAX_PIECES ||
        code.len > SB_MAX_WAITING_CODE_BYTES - context->code_bytes) {
        return sb_err_set(err, SB_EXHAUSTED,
                          "context %s: %zu pieces of code wait already; try again, or use another "
                          "context",
                          context->id, context->n_pieces);
    }
    return 0;
}

int sb_piece_new(struct sb_context *context,
                 struct sb_str code,
                 uint64_t wall_ms,
                 const struct sb_piece_reader *reader,
                 void *ctx,
                 struct sb_piece **ret_piece,
                 struct sb_err *err)
{
    if (check(context, code, wall_ms, err) < 0) {
        return -1;
    }
    struct sb_piece *piece = calloc(1, sizeof *piece);
    if (piece == NULL || (piece->code = malloc(code.len + 1)) == NULL) {
        free(piece);
        return sb_err_oom(err);
    }
    memcpy(piece->code, code.ptr, code.len);
    piece->code_len = code.len;
    piece->context = context;
    piece->reader = reader;
    piece->ctx = ctx;
    piece->wall_ms = wall_ms != 0 ? wall_ms : context->sandbox->policy->limits.wall_ms;
    context->n_pieces++;
    context->code_bytes += code.len;
    sb_list_append(&context->pieces, &piece->link);
    *ret_piece = piece;
    return 0;
}

void sb_piece_go_on(struct sb_piece *piece)
{
    piece->is_blocked = false;
    if (sb_list_is_linked(&piece->link)) {
        sb_context_pump(piece->context);
    }
}

void sb_piece_leave(struct sb_piece *piece)
{
    struct sb_context *context = piece->context;
    bool is_running = sb_list_is_linked(&piece->link) && piece->number != 0;
    piece->reader = NULL;
    if (!sb_list_is_linked(&piece->link)) {
        piece_free(piece);
        return;
    }
    sb_context_enter(context);
    if (is_running) {
        sb_context_interrupt(context, SB_CAUSE_CLIENT_GONE);
        sb_piece_go_on(piece);
    } else {
        unlink_piece(piece);
        piece_free(piece);
    }
    sb_context_leave(context);
}

void sb_piece_verdict(const struct sb_piece *piece, struct sb_verdict *ret_verdict)
{
    char limit[SB_NUM_TEXT_SIZE];
    struct sb_verdict verdict = {.kind = SB_VERDICT_EXITED};
    const struct sb_context *context = piece->context;
    verdict.exit_code = (int)(piece->status & 0xff);
    if (piece->status != 0 && piece->cause == SB_CAUSE_TIMEOUT) {
        verdict.kind = SB_VERDICT_TIMED_OUT;
        (void)snprintf(verdict.message, sizeof verdict.message,
                       "interrupted after %s, its wall limit; the context lives on",
                       sb_num_format_millis(limit, piece->wall_ms));
        (void)snprintf(verdict.next_step, sizeof verdict.next_step,
                       "raise wall_ms within the sandbox's");
    } else if (piece->status != 0 && piece->cause != SB_CAUSE_NONE) {
        verdict.kind = SB_VERDICT_CANCELLED;
        (void)snprintf(verdict.message, sizeof verdict.message,
                       "interrupted; the context lives on");
    } else if (piece->status != 0) {
        (void)snprintf(verdict.message, sizeof verdict.message, "ended with %s %d",
                       strcmp(context->language->name, "bash") == 0 ? "status" : "an error,",
                       verdict.exit_code);
    } else {
        (void)snprintf(verdict.message, sizeof verdict.message, "ran through");
    }
    *ret_verdict = verdict;
}
