#include "service/supervisor/supervisor.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "proto/client/sibling.h"
#include "service/supervisor/given.h"
#include "service/supervisor/status.h"

enum { LATE_MS = 20000 }; /* beyond the grace: what the parts need to end what did not */

/* ---- how it is ---- */

bool sb_supervisor_is_well(const struct sb_supervisor *supervisor)
{
    bool is_well = !supervisor->is_stopping;
    for (size_t i = 0; i < supervisor->n_parts; i++) {
        const struct sb_part *part = &supervisor->parts[i];
        is_well = is_well && part->state == SB_PART_RUNNING && part->is_well;
    }
    return is_well;
}

const char *sb_supervisor_word(const struct sb_supervisor *supervisor)
{
    return supervisor->is_stopping             ? "stopping"
           : sb_supervisor_is_well(supervisor) ? "well"
           : supervisor->has_begun             ? "unwell"
                                               : "starting";
}

void sb_supervisor_tell(const struct sb_supervisor *supervisor)
{
    char lines[1024];
    if (supervisor->is_stopping) {
        sb_notify_send(&supervisor->notify, "STOPPING=1\nSTATUS=stopping");
        return;
    }
    bool is_refused = supervisor->reload_why[0] != '\0';
    (void)snprintf(lines, sizeof lines, "%sSTATUS=%s%s%s", supervisor->has_begun ? "READY=1\n" : "",
                   sb_supervisor_word(supervisor),
                   is_refused ? "; the last configuration was not taken: " : "",
                   supervisor->reload_why);
    sb_notify_send(&supervisor->notify, lines);
}

static void on_watchdog(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    const struct sb_supervisor *supervisor = ctx;
    uint64_t now_ms = sb_clock_mono_ms();
    bool is_fresh = sb_supervisor_is_well(supervisor);
    for (size_t i = 0; i < supervisor->n_parts; i++) {
        is_fresh =
            is_fresh && now_ms - supervisor->parts[i].well_ms < supervisor->notify.watchdog_ms;
    }
    if (is_fresh || supervisor->is_stopping) {
        sb_notify_send(&supervisor->notify, "WATCHDOG=1");
    }
}

/* ---- parts ---- */

static void on_part_ready(struct sb_part *part, void *ctx)
{
    struct sb_supervisor *supervisor = ctx;
    struct sb_part *gateway = &supervisor->parts[SB_SUPERVISOR_GATEWAY];
    (void)part;
    if (supervisor->n_parts > 1 && gateway->state == SB_PART_IDLE && !supervisor->is_stopping) {
        sb_part_start(gateway);
        return;
    }
    bool is_all = true;
    for (size_t i = 0; i < supervisor->n_parts; i++) {
        is_all = is_all && supervisor->parts[i].state == SB_PART_RUNNING;
    }
    if (is_all && !supervisor->has_begun) {
        supervisor->has_begun = true;
        SB_LOG_INFO("ready", "version=%s pid=%d worker=%s port=%d", SB_VERSION, (int)getpid(),
                    supervisor->socket, gateway->port);
    }
    sb_supervisor_tell(supervisor);
}

/* The gateway first. */
static void on_part_stopped(struct sb_part *part, void *ctx)
{
    struct sb_supervisor *supervisor = ctx;
    if (part == &supervisor->parts[SB_SUPERVISOR_WORKER]) {
        (void)event_base_loopbreak(supervisor->base);
        return;
    }
    sb_part_stop(&supervisor->parts[SB_SUPERVISOR_WORKER]);
}

static void on_part_changed(struct sb_part *part, void *ctx)
{
    const struct sb_supervisor *supervisor = ctx;
    (void)part;
    if (supervisor->has_begun) {
        sb_supervisor_tell(supervisor);
    }
}

static void stop(struct sb_supervisor *supervisor)
{
    struct sb_part *gateway = &supervisor->parts[SB_SUPERVISOR_GATEWAY];
    bool has_gateway = supervisor->n_parts > 1 && gateway->state != SB_PART_IDLE;
    supervisor->is_stopping = true;
    sb_supervisor_tell(supervisor);
    sb_part_stop(has_gateway ? gateway : &supervisor->parts[SB_SUPERVISOR_WORKER]);
}

/* Another start would end alike; who started us shall see it. */
static void on_part_refused(struct sb_part *part, void *ctx)
{
    struct sb_supervisor *supervisor = ctx;
    bool is_worker = part == &supervisor->parts[SB_SUPERVISOR_WORKER];
    (void)sb_err_set(&supervisor->refused, SB_INVALID,
                     "the %s refuses its options (exit status %d); what it says of them is above, "
                     "and they are those of --%s-option or of this program",
                     part->name, SB_PART_MISUSED, is_worker ? "worker" : "gateway");
    if (!supervisor->is_stopping) {
        stop(supervisor);
    }
}

static void on_stop(evutil_socket_t number, short what, void *ctx)
{
    (void)what;
    SB_LOG_INFO("stopping", "signal=%d", (int)number);
    stop(ctx);
}

static void on_reload(evutil_socket_t number, short what, void *ctx)
{
    (void)number;
    (void)what;
    sb_reload_start(ctx);
}

static void on_child(evutil_socket_t number, short what, void *ctx)
{
    (void)number;
    (void)what;
    struct sb_supervisor *supervisor = ctx;
    int status = 0;
    for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        bool is_known = sb_reload_reaped(supervisor, pid, status);
        for (size_t i = 0; i < supervisor->n_parts && !is_known; i++) {
            is_known = sb_part_reaped(&supervisor->parts[i], pid, status);
        }
    }
}

/* ---- setting up ---- */

struct args {
    const char **argv;
    size_t n;
    bool is_full;
};

static void put(struct args *args, const char *option, const char *value)
{
    if (args->n + 3 > SB_PART_ARGS_MAX) {
        args->is_full = true;
        return;
    }
    args->argv[args->n++] = option;
    if (value != NULL) {
        args->argv[args->n++] = value;
    }
}

/* @value  NULL: the option is not given. */
static void put_if(struct args *args, const char *option, const char *value)
{
    if (value != NULL) {
        put(args, option, value);
    }
}

static void put_tls(struct args *args, const struct sb_supervisor_options *options)
{
    put_if(args, "--tls-cert", options->tls_cert);
    put_if(args, "--tls-key", options->tls_key);
    put_if(args, "--tls-ca", options->tls_ca);
}

static int fill_worker(struct sb_supervisor *supervisor, struct sb_err *err)
{
    const struct sb_supervisor_options *options = supervisor->options;
    struct args args = {.argv = supervisor->parts[SB_SUPERVISOR_WORKER].argv};
    put(&args, supervisor->worker_path, NULL);
    put(&args, "--ready-fd", supervisor->ready_fds[SB_SUPERVISOR_WORKER]);
    put(&args, "--die-with-parent", NULL);
    put(&args, "--drain-grace", supervisor->grace);
    put(&args, "--listen", supervisor->socket);
    for (size_t i = 0; i < options->listen.n; i++) {
        put(&args, "--listen", options->listen.items[i]);
    }
    put_if(&args, "--config", options->config);
    put_if(&args, "--state-dir", options->state_dir);
    if (options->listen.n > 0) {
        put_tls(&args, options);
    }
    for (size_t i = 0; i < options->worker.n; i++) {
        put(&args, options->worker.items[i], NULL);
    }
    return args.is_full ? sb_err_set(err, SB_INVALID, "too many options") : 0;
}

static int fill_gateway(struct sb_supervisor *supervisor, struct sb_err *err)
{
    const struct sb_supervisor_options *options = supervisor->options;
    struct args args = {.argv = supervisor->parts[SB_SUPERVISOR_GATEWAY].argv};
    put(&args, supervisor->gateway_path, NULL);
    put(&args, "--transport", "http");
    put(&args, "--ready-fd", supervisor->ready_fds[SB_SUPERVISOR_GATEWAY]);
    put(&args, "--drain-grace", supervisor->grace);
    put(&args, "--worker", supervisor->socket);
    put(&args, "--address", supervisor->address);
    put(&args, "--port", supervisor->port);
    if (options->loopback_without_key) {
        put(&args, "--loopback-without-key", NULL);
    }
    put_tls(&args, options);
    for (size_t i = 0; i < options->gateway.n; i++) {
        put(&args, options->gateway.items[i], NULL);
    }
    return args.is_full ? sb_err_set(err, SB_INVALID, "too many options") : 0;
}

int sb_supervisor_dir(const struct sb_supervisor_options *options,
                      char *out,
                      size_t size,
                      struct sb_err *err)
{
    const char *given = getenv("RUNTIME_DIRECTORY");
    const char *own = getenv("AISBX_RUNTIME_DIR");
    const char *xdg = getenv("XDG_RUNTIME_DIR");
    int n = 0;
    if (options->runtime_dir != NULL) {
        n = snprintf(out, size, "%s", options->runtime_dir);
    } else if (given != NULL && given[0] == '/') {
        n = snprintf(out, size, "%.*s", (int)strcspn(given, ":"), given);
    } else if (own != NULL && own[0] == '/') {
        n = snprintf(out, size, "%s", own);
    } else if (geteuid() == 0) {
        n = snprintf(out, size, "/run/aisbx");
    } else if (xdg != NULL && xdg[0] == '/') {
        n = snprintf(out, size, "%s/aisbx", xdg);
    } else {
        n = snprintf(out, size, "/tmp/aisbx-%lu", (unsigned long)geteuid());
    }
    return n < 0 || (size_t)n >= size || out[0] != '/'
               ? sb_err_set(err, SB_INVALID, "--runtime-dir: an absolute path, and not so long")
               : 0;
}

/* Others may look for the worker's socket in it, and only we may change it. */
static int make_dir(const char *dir, struct sb_err *err)
{
    struct stat st;
    if (mkdir(dir, 0755) < 0 && errno != EEXIST) {
        return sb_err_sys(err, errno, "make %s", dir);
    }
    if (lstat(dir, &st) < 0) {
        return sb_err_sys(err, errno, "%s", dir);
    }
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022) != 0) {
        return sb_err_set(err, SB_DENIED, "%s is not a directory that only you can change", dir);
    }
    return 0;
}

static int init_parts(struct sb_supervisor *supervisor, struct sb_err *err)
{
    static const struct sb_part_events events = {.ready = on_part_ready,
                                                 .stopped = on_part_stopped,
                                                 .refused = on_part_refused,
                                                 .changed = on_part_changed};
    static const char *const names[] = {"worker", "gateway"};
    uint64_t every_ms = SB_SUPERVISOR_PROBE_MS;
    if (supervisor->notify.watchdog_ms != 0 && supervisor->notify.watchdog_ms / 4 < every_ms) {
        every_ms = supervisor->notify.watchdog_ms / 4 + 1;
    }
    for (size_t i = 0; i < SB_SUPERVISOR_PARTS; i++) {
        struct sb_part *part = &supervisor->parts[i];
        part->name = names[i];
        part->given = supervisor->given[i];
        part->n_given = supervisor->n_given[i];
        (void)snprintf(supervisor->ready_fds[i], sizeof supervisor->ready_fds[i], "%d",
                       SB_PART_READY_FD + (int)part->n_given);
        part->events = &events;
        part->ctx = supervisor;
        part->is_json = supervisor->options->log_format == SB_LOG_FORMAT_JSON;
        part->grace_ms = supervisor->options->drain_grace_ms + LATE_MS;
        part->probe_every_ms = every_ms;
        if (sb_part_init(part, supervisor->base, err) < 0) {
            return -1;
        }
    }
    struct sb_part *worker = &supervisor->parts[SB_SUPERVISOR_WORKER];
    struct sb_part *gateway = &supervisor->parts[SB_SUPERVISOR_GATEWAY];
    supervisor->http = (struct sb_probe_http){supervisor->address, &gateway->port,
                                              supervisor->options->tls_cert != NULL};
    worker->probe.ask = sb_probe_worker;
    worker->probe.target = supervisor->socket;
    gateway->probe.ask = sb_probe_gateway;
    gateway->probe.target = &supervisor->http;
    return fill_worker(supervisor, err) < 0 ? -1 : fill_gateway(supervisor, err);
}

static int find_programs(struct sb_supervisor *supervisor, struct sb_err *err)
{
    if (!sb_sibling_find("aisbx-worker", supervisor->worker_path)) {
        return sb_err_set(err, SB_NOT_FOUND, "aisbx-worker is not beside us, nor in libexec/aisbx");
    }
    if (!supervisor->options->without_gateway &&
        !sb_sibling_find("aisbx-mcp", supervisor->gateway_path)) {
        return sb_err_set(err, SB_NOT_FOUND, "aisbx-mcp is not beside us, nor in PATH");
    }
    return 0;
}

static int watch_signals(struct sb_supervisor *supervisor, struct sb_err *err)
{
    static const struct {
        int number;
        event_callback_fn run;
    } signals[SB_SUPERVISOR_SIGNALS] = {
        {SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_reload}, {SIGCHLD, on_child}};
    for (size_t i = 0; i < SB_SUPERVISOR_SIGNALS; i++) {
        supervisor->signals[i] =
            evsignal_new(supervisor->base, signals[i].number, signals[i].run, supervisor);
        if (supervisor->signals[i] == NULL || event_add(supervisor->signals[i], NULL) < 0) {
            return sb_err_oom(err);
        }
    }
    if (supervisor->notify.watchdog_ms != 0) {
        uint64_t ms = supervisor->notify.watchdog_ms / 2 + 1;
        const struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
        supervisor->watchdog = event_new(supervisor->base, -1, EV_PERSIST, on_watchdog, supervisor);
        if (supervisor->watchdog == NULL || event_add(supervisor->watchdog, &tv) < 0) {
            return sb_err_oom(err);
        }
    }
    return 0;
}

static int prepare(struct sb_supervisor *supervisor, struct sb_err *err)
{
    const struct sb_supervisor_options *options = supervisor->options;
    supervisor->n_parts = options->without_gateway ? 1 : SB_SUPERVISOR_PARTS;
    supervisor->address = options->address;
    (void)snprintf(supervisor->port, sizeof supervisor->port, "%u", (unsigned)options->port);
    if (sb_given_take(supervisor, err) < 0 ||
        sb_supervisor_dir(options, supervisor->dir, sizeof supervisor->dir, err) < 0 ||
        make_dir(supervisor->dir, err) < 0 || find_programs(supervisor, err) < 0) {
        return -1;
    }
    (void)snprintf(supervisor->socket, sizeof supervisor->socket, "unix:%s/worker.sock",
                   supervisor->dir);
    (void)snprintf(supervisor->grace, sizeof supervisor->grace, "%jums",
                   (uintmax_t)options->drain_grace_ms);
    sb_notify_init(&supervisor->notify);
    sb_reload_init(&supervisor->reload);
    if (options->log_format == SB_LOG_FORMAT_JSON && setenv(SB_LOG_ENV_FORMAT, "json", 1) < 0) {
        return sb_err_oom(err);
    }
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* what a dead worker leaves is ours to reap */
    supervisor->base = event_base_new();
    if (supervisor->base == NULL) {
        return sb_err_oom(err);
    }
    return init_parts(supervisor, err) < 0 || watch_signals(supervisor, err) < 0
               ? -1
               : sb_status_new(supervisor, supervisor->dir, &supervisor->status, err);
}

static void finish(struct sb_supervisor *supervisor)
{
    sb_status_free(supervisor->status);
    sb_reload_done(&supervisor->reload);
    for (size_t i = 0; i < SB_SUPERVISOR_PARTS; i++) {
        sb_part_done(&supervisor->parts[i]);
    }
    for (size_t i = 0; i < SB_SUPERVISOR_SIGNALS; i++) {
        if (supervisor->signals[i] != NULL) {
            event_free(supervisor->signals[i]);
        }
    }
    if (supervisor->watchdog != NULL) {
        event_free(supervisor->watchdog);
    }
    if (supervisor->base != NULL) {
        event_base_free(supervisor->base);
    }
    sb_given_done(supervisor);
}

int sb_supervisor_run(struct sb_supervisor *supervisor,
                      const struct sb_supervisor_options *options,
                      struct sb_err *err)
{
    *supervisor = (struct sb_supervisor){.options = options, .reload.fd = -1};
    int rc = prepare(supervisor, err);
    if (rc == 0) {
        sb_part_start(&supervisor->parts[SB_SUPERVISOR_WORKER]);
        (void)event_base_dispatch(supervisor->base);
        SB_LOG_INFO("stopped");
        if (supervisor->refused.code != SB_OK) {
            *err = supervisor->refused;
            rc = -1;
        }
    }
    finish(supervisor);
    return rc;
}
