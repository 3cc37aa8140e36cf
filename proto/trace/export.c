/* The thread between the ring and the collector. It alone knows of gRPC, from the first span on.
 *
 *   nothing there --(wake)--> waits for more, delay_ms or a batch --> sends --> nothing there
 *                                                                      |
 *                              waits, 1 s and twice as long each time <-+ may be tried again
 *
 * What was sent leaves the ring when it has been answered, or was given up. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "proto/trace/internal.h"
#include "proto/trace/otlp.h"

enum { TRIES = 5, FIRST_PAUSE_MS = 1000 };

struct exporter {
    struct sb_tracer *tracer;
    struct sb_otlp *otlp;
    struct sb_rpc_channel *channel;
    uint64_t stop_ms; /* monotonic; until then it may send; 0: nobody stops it */
    bool was_failing;
};

/* One call. */
struct sending {
    bool is_done;
    struct sb_err err;
    uint64_t n_rejected;
};

/* ---- waiting ---- */

static bool is_stopping(struct exporter *exporter)
{
    struct sb_tracer *tracer = exporter->tracer;
    if (exporter->stop_ms == 0 && atomic_load(&tracer->is_stopping)) {
        exporter->stop_ms = sb_clock_mono_ms() + tracer->settings.flush_ms;
    }
    return exporter->stop_ms != 0;
}

static void take_wake(const struct exporter *exporter)
{
    uint64_t n = 0;
    ssize_t ignored = read(exporter->tracer->wake_fd, &n, sizeof n);
    (void)ignored;
}

static uint64_t waiting(const struct sb_tracer *tracer)
{
    return atomic_load(&tracer->head) - atomic_load(&tracer->tail);
}

/* Until there is a span, or the end. */
static void wait_for_some(struct exporter *exporter)
{
    struct pollfd wake = {.fd = exporter->tracer->wake_fd, .events = POLLIN};
    while (!is_stopping(exporter) && waiting(exporter->tracer) == 0) {
        if (poll(&wake, 1, -1) > 0) {
            take_wake(exporter);
        }
    }
}

/* @n  spans that are enough to go on before the time has passed */
static void wait_for_more(struct exporter *exporter, uint64_t ms, uint64_t n)
{
    struct pollfd wake = {.fd = exporter->tracer->wake_fd, .events = POLLIN};
    uint64_t until_ms = sb_clock_mono_ms() + ms;
    while (!is_stopping(exporter) && waiting(exporter->tracer) < n) {
        int left_ms = sb_clock_left_ms(until_ms);
        if (left_ms == 0) {
            return;
        }
        if (poll(&wake, 1, left_ms) > 0) {
            take_wake(exporter);
        }
    }
}

/* ---- one call ---- */

static void on_message(struct sb_rpc_stream *stream, const ProtobufCMessage *message, void *user)
{
    (void)stream;
    ((struct sending *)user)->n_rejected = sb_otlp_rejected(message);
}

static void on_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    (void)stream;
    struct sending *sending = user;
    sending->err = *err;
    sending->is_done = true;
}

static int open_channel(struct exporter *exporter, struct sb_err *err)
{
    const struct sb_trace_settings *settings = &exporter->tracer->settings;
    const struct sb_rpc_tls tls = {
        .ca_file = settings->ca_file,
        .cert_file = settings->cert_file,
        .key_file = settings->key_file,
    };
    const struct sb_rpc_channel_options options = {.tls = settings->uses_tls ? &tls : NULL};
    return exporter->channel != NULL
               ? 0
               : sb_rpc_channel_open(settings->address, &options, &exporter->channel, err);
}

/* Cancelled, when the time to stop has come before its own. */
static void await(struct exporter *exporter, struct sb_rpc_stream *stream, struct sending *sending)
{
    struct pollfd fds[2] = {{.fd = -1}, {.fd = exporter->tracer->wake_fd, .events = POLLIN}};
    bool is_cancelled = false;
    while (!sending->is_done) {
        int wait_ms = sb_rpc_channel_prepare(exporter->channel, &fds[0]);
        if (is_stopping(exporter)) {
            int left_ms = sb_clock_left_ms(exporter->stop_ms);
            if (left_ms == 0 && !is_cancelled) {
                is_cancelled = true;
                sb_rpc_stream_cancel(stream);
                continue;
            }
            wait_ms = !is_cancelled && (wait_ms < 0 || wait_ms > left_ms) ? left_ms : wait_ms;
        }
        if (poll(fds, 2, wait_ms) > 0 && fds[1].revents != 0) {
            take_wake(exporter);
        }
        sb_rpc_channel_process(exporter->channel);
    }
}

static int send_batch(struct exporter *exporter, uint64_t first, size_t n, struct sb_err *err)
{
    static const struct sb_rpc_stream_callbacks callbacks = {.message = on_message,
                                                             .done = on_done};
    const struct sb_trace_settings *settings = &exporter->tracer->settings;
    struct sb_rpc_metadata metadata[SB_TRACE_MAX_HEADERS];
    struct sb_rpc_stream *stream = NULL;
    struct sending sending = {.is_done = false};
    for (size_t i = 0; i < settings->n_headers; i++) {
        const struct sb_trace_pair *header = &settings->headers[i];
        metadata[i] = (struct sb_rpc_metadata){header->key, header->value, strlen(header->value)};
    }
    const struct sb_rpc_stream_options options = {
        .timeout_ms = settings->timeout_ms,
        .metadata = metadata,
        .n_metadata = settings->n_headers,
    };
    if (open_channel(exporter, err) < 0 ||
        sb_rpc_stream_start(exporter->channel, &sb_otlp_export,
                            sb_otlp_fill(exporter->otlp, first, n), &options, &callbacks, &sending,
                            &stream, err) < 0) {
        return -1;
    }
    await(exporter, stream, &sending);
    if (sending.err.code != SB_OK) {
        *err = sending.err;
        return -1;
    }
    uint64_t rejected = sending.n_rejected < n ? sending.n_rejected : n;
    atomic_fetch_add(&exporter->tracer->exported, n - rejected);
    atomic_fetch_add(&exporter->tracer->failed, rejected);
    return 0;
}

/* ---- batches ---- */

/* As OTLP has it. */
static bool may_try_again(enum sb_code code)
{
    static const enum sb_code codes[] = {SB_CANCELLED, SB_DEADLINE,    SB_EXHAUSTED, SB_ABORTED,
                                         SB_RANGE,     SB_UNAVAILABLE, SB_DATA_LOSS};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (codes[i] == code) {
            return true;
        }
    }
    return false;
}

/* Said once, and once more when it is over. */
static void tell(struct exporter *exporter, const struct sb_err *failure)
{
    if ((failure != NULL) != exporter->was_failing) {
        exporter->was_failing = failure != NULL;
        if (failure != NULL) {
            SB_LOG_WARN("spans cannot be sent", "to=%s why=%s", exporter->tracer->settings.address,
                        failure->text);
        } else {
            SB_LOG_INFO("spans are sent again", "to=%s", exporter->tracer->settings.address);
        }
    }
}

static void export_some(struct exporter *exporter)
{
    struct sb_tracer *tracer = exporter->tracer;
    struct sb_err err;
    uint64_t first = atomic_load(&tracer->tail);
    uint64_t n = waiting(tracer);
    uint64_t pause_ms = FIRST_PAUSE_MS;
    n = n < SB_TRACE_BATCH ? n : SB_TRACE_BATCH;
    for (int tries = 0;;) {
        int rc = send_batch(exporter, first, n, &err);
        tell(exporter, rc < 0 ? &err : NULL);
        if (rc == 0) {
            break;
        }
        if (++tries == TRIES || !may_try_again(err.code) || is_stopping(exporter)) {
            atomic_fetch_add(&tracer->failed, n);
            break;
        }
        wait_for_more(exporter, pause_ms, UINT64_MAX);
        pause_ms *= 2;
    }
    atomic_store(&tracer->tail, first + n);
}

static bool has_time(struct exporter *exporter)
{
    return !is_stopping(exporter) || sb_clock_left_ms(exporter->stop_ms) > 0;
}

void *sb_trace_export(void *ctx)
{
    struct exporter exporter = {.tracer = ctx};
    struct sb_tracer *tracer = ctx;
    sigset_t all;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL); /* they are the loop's */
    (void)pthread_setname_np(pthread_self(), "spans");
    for (;;) {
        wait_for_some(&exporter);
        wait_for_more(&exporter, tracer->settings.delay_ms, SB_TRACE_BATCH);
        if (waiting(tracer) == 0 || !has_time(&exporter)) {
            break; /* nothing is left, or nothing can be sent any more */
        }
        if (exporter.otlp == NULL && (exporter.otlp = sb_otlp_new(tracer)) == NULL) {
            uint64_t n = waiting(tracer);
            atomic_fetch_add(&tracer->failed, n);
            atomic_fetch_add(&tracer->tail, n);
            continue;
        }
        export_some(&exporter);
    }
    sb_rpc_channel_free(exporter.channel);
    sb_otlp_free(exporter.otlp);
    return NULL;
}
