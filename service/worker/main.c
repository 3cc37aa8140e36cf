/* aisbx-worker: serves sandboxes over gRPC and the local transport.
 *
 * Theory of operation. The order of start is the table `steps`. What needs privilege comes first:
 * the spawner is started, sockets are bound, files are opened. Then the process drops all
 * privilege, and only then gRPC starts its threads and the first byte of anybody is parsed.
 *
 *     aisbx-worker   no capability, its own filter; gRPC threads (check, unpack, post) and one loop
 *       |            thread that owns everything else
 *       +-- aisbx-spawner   holds the privilege; SOCK_SEQPACKET; the end of either ends the other
 *             +-- aisbx-init, PID 1 of each sandbox; its control socket comes to the worker */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/argv.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "proto/rpc/rpc.h"
#include "proto/trace/settings.h"
#include "proto/trace/trace.h"
#include "service/worker/api.h"
#include "service/worker/audit.h"
#include "service/worker/auth/auth.h"
#include "service/worker/auth/key_store.h"
#include "service/worker/egress.h"
#include "service/worker/events.h"
#include "service/worker/grpc.h"
#include "service/worker/harden.h"
#include "service/worker/idem_store.h"
#include "service/worker/limits.h"
#include "service/worker/metrics.h"
#include "service/worker/packages/packages.h"
#include "service/worker/place.h"
#include "service/worker/policy/problems.h"
#include "service/worker/policy/profiles.h"
#include "service/worker/pool/pool.h"
#include "service/worker/probe.h"
#include "service/worker/process/home.h"
#include "service/worker/process/process.h"
#include "service/worker/reload.h"
#include "service/worker/spawner.h"
#include "service/worker/store/store.h"
#include "service/worker/tombs.h"
#include "service/worker/trail/trail.h"
#include "service/worker/worker.h"
#include "service/worker/x509/x509.h"

enum {
    EXIT_USAGE = 2,
    MAX_PEM_BYTES = 1 << 20,
    RECORDS_WAIT_MS = 15000, /* less than clients wait for us: proto/client/embedded.c */
};

static int step_place(struct sb_worker *worker, struct sb_err *err)
{
    worker->start_uid = geteuid();
    worker->parent = getppid();
    worker->start_ms = sb_clock_real_ms();
    worker->page_key.key = sb_hash_key_random();
    sb_registry_init(&worker->registry);
    sb_snapshots_init(&worker->snapshots);
    sb_contexts_init(&worker->contexts);
    sb_idem_init(&worker->idem, SB_MAX_REQUEST_IDS, SB_MAX_MEMORY_MS);
    sb_tombs_init(&worker->tombs);
    sb_claims_init(&worker->claims, SB_MAX_REQUEST_IDS, SB_MAX_MEMORY_MS);
    worker->budget.max = SB_MAX_STAGED_BYTES;
    sb_auth_init(&worker->auth, worker->start_uid);
    sb_list_init(&worker->watches);
    sb_list_init(&worker->lookers);
    if (sb_id_make(worker->id, "wk_", err) < 0 ||
        sb_metrics_init(&worker->metrics, sb_worker_metrics, SB_M_END_, err) < 0) {
        return -1;
    }
    return sb_options_take_given(&worker->options, err) < 0
               ? -1
               : sb_place_settle(&worker->options, err);
}

static int step_listeners(struct sb_worker *worker, struct sb_err *err)
{
    const struct sb_options *options = &worker->options;
    bool has_pair = options->tls_cert != NULL && options->tls_key != NULL;
    if (options->listen.n == 0) {
        return sb_err_set(err, SB_INVALID, "nothing to listen on: give --listen or --embedded");
    }
    if (!has_pair &&
        (options->tls_cert != NULL || options->tls_key != NULL || options->tls_ca != NULL)) {
        return sb_err_set(err, SB_INVALID, "TLS needs both --tls-cert and --tls-key");
    }
    for (size_t i = 0; i < options->listen.n; i++) {
        if (sb_auth_check_listen(options->listen.items[i], has_pair, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int step_spawner(struct sb_worker *worker, struct sb_err *err)
{
    return sb_spawner_start(&worker->options, &worker->spawner, err);
}

static uint64_t ram_bytes(void)
{
    struct sysinfo info;
    return sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : 0;
}

static int step_loop(struct sb_worker *worker, struct sb_err *err)
{
    worker->base = event_base_new();
    worker->chunk = malloc(SB_MAX_CHUNK_BYTES);
    worker->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    worker->probe = calloc(1, sizeof *worker->probe);
    worker->egress = worker->base == NULL ? NULL : sb_egress_new(worker);
    if (worker->base == NULL || worker->chunk == NULL || worker->probe == NULL ||
        worker->egress == NULL) {
        return sb_err_oom(err);
    }
    if (worker->null_fd < 0) {
        return sb_err_sys(err, errno, "/dev/null");
    }
    sb_probe_init(worker->probe, worker);
    const struct sb_pool_options pool = {
        .spawner = worker->spawner,
        .base = worker->base,
        .metrics = &worker->metrics,
        .null_fd = worker->null_fd,
        .max_bytes = sb_pool_budget(worker->options.pool_bytes, ram_bytes()),
    };
    return sb_pool_new(&pool, &worker->pool, err);
}

static bool is_unix(const char *address)
{
    return strncmp(address, "unix:", 5) == 0;
}

static int listen_at(struct sb_worker *worker,
                     const char *address,
                     const struct sb_rpc_tls *tls,
                     int *ret_port,
                     struct sb_err *err)
{
    int at = sb_options_given(&worker->options, address);
    if (at < 0) {
        return sb_rpc_server_listen(worker->server, address, (unsigned)worker->options.socket_mode,
                                    tls, ret_port, err);
    }
    struct sb_activated *given = &worker->options.given.items[at];
    return sb_rpc_server_listen_on(worker->server, given->address, SB_STEAL_FD(given->fd), err);
}

/** Binds the addresses of one kind. */
static int listen_on(struct sb_worker *worker, bool is_for_unix, struct sb_err *err)
{
    const struct sb_options *options = &worker->options;
    const struct sb_rpc_tls tls = {options->tls_cert, options->tls_key, options->tls_ca,
                                   worker->pems[0],   worker->pems[1],  worker->pems[2]};
    for (size_t i = 0; i < options->listen.n; i++) {
        int port = 0;
        if (is_unix(options->listen.items[i]) != is_for_unix) {
            continue;
        }
        const struct sb_rpc_tls *use = is_for_unix || options->tls_cert == NULL ? NULL : &tls;
        if (listen_at(worker, options->listen.items[i], use, &port, err) < 0) {
            return -1;
        }
        SB_LOG_INFO("listening", "address=%s port=%d", options->listen.items[i], port);
    }
    return 0;
}

static int step_bind(struct sb_worker *worker, struct sb_err *err)
{
    const struct sb_rpc_server_options options = {
        .base = worker->base, .ended = sb_worker_metrics_call, .ended_ctx = worker};
    worker->server = sb_rpc_server_new(&options, err);
    return worker->server == NULL ? -1 : listen_on(worker, true, err);
}

static int step_profiles(struct sb_worker *worker, struct sb_err *err)
{
    return sb_worker_configure(worker, err) < 0 ? -1 : sb_home_check(worker, err);
}

static int step_state(struct sb_worker *worker, struct sb_err *err)
{
    uid_t uid = 0;
    gid_t gid = 0;
    sb_harden_ids(&uid, &gid);
    sb_fd_raise_limit();
    return sb_place_state(&worker->options, uid, gid, &worker->state_dir, err);
}

/* PEM files that only root may read: without its privilege the worker keeps what it read. */
static int read_pem(const char *path, char **ret_text, struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(MAX_PEM_BYTES);
    if (path == NULL || access(path, R_OK) < 0) {
        return 0; /* what is wrong is said by who uses it */
    }
    if (sb_fd_read_file(AT_FDCWD, path, MAX_PEM_BYTES, &text, err) < 0) {
        return sb_err_wrap(err, "TLS file %s", path);
    }
    *ret_text = sb_buf_steal(&text);
    return *ret_text == NULL ? sb_err_oom(err) : 0;
}

static void forget_tls(struct sb_worker *worker)
{
    for (int i = 0; i < 3; i++) {
        if (worker->pems[i] != NULL) {
            explicit_bzero(worker->pems[i], strlen(worker->pems[i]));
            free(worker->pems[i]);
            worker->pems[i] = NULL;
        }
    }
}

static int step_files(struct sb_worker *worker, struct sb_err *err)
{
    const struct sb_options *options = &worker->options;
    sb_x509_find();
    if (sb_worker_find_grpc(worker, err) < 0) {
        return -1;
    }
    if (geteuid() != 0) {
        return 0;
    }
    return read_pem(options->tls_cert, &worker->pems[0], err) < 0 ||
                   read_pem(options->tls_key, &worker->pems[1], err) < 0 ||
                   read_pem(options->tls_ca, &worker->pems[2], err) < 0
               ? -1
               : 0;
}

static int step_drop(struct sb_worker *worker, struct sb_err *err)
{
    uid_t uid = 0;
    gid_t gid = 0;
    sb_harden_ids(&uid, &gid);
    if (sb_harden_drop(uid, gid, err) < 0) {
        return -1;
    }
    /* The kernel forgets this when the uid changes; and the parent may have ended before. */
    if (worker->options.dies_with_parent &&
        (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != worker->parent)) {
        return sb_err_set(err, SB_ABORTED, "the process that started us has ended");
    }
    return 0;
}

/* ---- records ---- */

static void on_store_changed(void *ctx, const struct sb_err *why)
{
    (void)why; /* the store has logged it */
    sb_worker_tell_health(ctx);
}

static void on_store_undone(void *ctx)
{
    struct sb_worker *worker = ctx;
    sb_trail_undone(worker->trail);
}

static void on_store_closing(void *ctx)
{
    struct sb_worker *worker = ctx;
    sb_trail_closing(worker->trail);
}

static int check_audit(const struct sb_options *options, struct sb_err *err)
{
    if (options->audit == SB_OPTIONS_AUDIT_OFF && !options->is_embedded) {
        return sb_err_set(err, SB_INVALID,
                          "--audit off: a service writes its decisions down; only an embedded "
                          "worker may do without");
    }
    return 0;
}

/* Without privilege: what lies in the file was written without any. */
static int step_records(struct sb_worker *worker, struct sb_err *err)
{
    const struct sb_options *options = &worker->options;
    int audit = options->audit;
    if (audit == SB_OPTIONS_AUDIT_UNSET) {
        audit = options->is_embedded ? SB_OPTIONS_AUDIT_COMMIT : SB_OPTIONS_AUDIT_DISK;
    }
    const struct sb_store_options store = {
        .dir = worker->state_dir,
        .wait_ms = RECORDS_WAIT_MS,
        .durability = audit == SB_OPTIONS_AUDIT_DISK ? SB_DURABLE_DISK : SB_DURABLE_COMMIT,
        .changed = on_store_changed,
        .undone = on_store_undone,
        .closing = on_store_closing,
        .ctx = worker,
    };
    if (check_audit(options, err) < 0 || sb_store_open(&store, &worker->store, err) < 0) {
        return -1;
    }
    const struct sb_trail_options kept = {
        .store = worker->store,
        .keep_ms = options->audit_keep_ms,
        .max_bytes = options->audit_max_bytes,
    };
    if (audit != SB_OPTIONS_AUDIT_OFF && sb_trail_open(&kept, &worker->trail, err) < 0) {
        return -1;
    }
    if (worker->state_dir >= 0 &&
        (sb_tombs_find_lost(worker, err) < 0 ||
         sb_idem_store_load(worker->store, &worker->idem, sb_clock_real_ms(), err) < 0)) {
        return -1;
    }
    if (sb_key_store_load(worker->store, &worker->auth.keys, err) < 0 ||
        sb_store_start(worker->store, worker->base, err) < 0) {
        return -1;
    }
    if (worker->trail != NULL) {
        sb_trail_start(worker->trail, worker->base);
        sb_event_worker(worker, "worker.start");
    }
    sb_tombs_tell(worker);
    return 0;
}

static int step_grpc(struct sb_worker *worker, struct sb_err *err)
{
    if (sb_worker_prepare_grpc(worker, err) < 0) {
        return -1;
    }
    int rc = listen_on(worker, false, err);
    forget_tls(worker); /* who needs it has a copy */
    return rc;
}

/* A thread, which connects with the first span. */
static int step_tracing(struct sb_worker *worker, struct sb_err *err)
{
    const struct sb_options *options = &worker->options;
    const struct sb_trace_options wanted = {options->otlp_endpoint, options->trace_sampler,
                                            options->trace_ratio};
    SB_CLEANUP(sb_trace_settings_done) struct sb_trace_settings settings;
    if (sb_trace_settings_read(&wanted, "aisbx-worker", &settings, err) < 0) {
        return -1;
    }
    return settings.address == NULL ? 0
                                    : sb_tracer_new(&settings, worker->id, &worker->tracer, err);
}

static int step_welcome(struct sb_worker *worker, struct sb_err *err)
{
    if (sb_spawner_await(worker->spawner, err) < 0) {
        return -1;
    }
    worker->audit = sb_audit_new(worker, sb_spawner_take_audit(worker->spawner));
    return worker->audit == NULL ? sb_err_oom(err) : sb_worker_watch_spawner(worker, err);
}

/* Without privilege, as all that is ever written there. */
static int step_packages(struct sb_worker *worker, struct sb_err *err)
{
    return sb_packages_new(worker, worker->options.packages_max_bytes, &worker->packages, err);
}

static int step_serve(struct sb_worker *worker, struct sb_err *err)
{
    return sb_processes_new(&worker->processes, err) < 0 || sb_api_serve(worker, err) < 0 ||
                   sb_worker_arm(worker, err) < 0
               ? -1
               : sb_rpc_server_start(worker->server, err);
}

/* The spawner compiles it while the first call is on its way. What is wrong with it is told to
 * whoever asks for a sandbox. */
static int step_expect(struct sb_worker *worker, struct sb_err *err)
{
    struct sb_err ignored;
    struct sb_filter *filter = NULL;
    const struct sb_profiles *profiles = worker->profiles;
    const char *name = worker->options.expect == NULL ? "" : worker->options.expect;
    const struct sb_profile *profile = NULL;
    (void)err;
    if (sb_profiles_get(profiles, sb_str_from(name), &profile, &ignored) == 0 &&
        sb_profiles_filter(profiles, profile, &filter, &ignored) == 0) {
        (void)sb_spawner_load_filter(worker->spawner, filter, NULL, NULL, &ignored);
    }
    return 0;
}

/* The order is the security argument: see the theory of operation. */
static const struct {
    const char *name;
    int (*run)(struct sb_worker *worker, struct sb_err *err);
} steps[] = {
    {"runtime directory", step_place},
    {"listeners", step_listeners},
    {"spawner", step_spawner}, /* before any thread; with our privilege; gets ready meanwhile */
    {"event loop", step_loop},
    {"bind", step_bind},         /* needs rights in the socket's directory */
    {"profiles", step_profiles}, /* needs to read the configuration */
    {"state directory", step_state},
    {"files", step_files}, /* may be where only root can go */
    {"drop privilege", step_drop},
    {"records", step_records},    /* starts a thread; parses what was written without privilege */
    {"keys", sb_key_watch_begin}, /* without privilege, as it is read again so */
    {"packages", step_packages},
    {"gRPC", step_grpc}, /* starts threads */
    {"tracing", step_tracing},
    {"welcome", step_welcome},
    {"expect", step_expect},
    {"serve", step_serve}, /* the first byte of anybody */
};

static int start(struct sb_worker *worker, struct sb_err *err)
{
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        uint64_t before_ns = sb_clock_mono_ns();
        if (steps[i].run(worker, err) < 0) {
            return sb_err_wrap(err, "%s", steps[i].name);
        }
        SB_LOG_DEBUG("started", "step=%s us=%ju", steps[i].name,
                     (uintmax_t)((sb_clock_mono_ns() - before_ns) / 1000));
    }
    return 0;
}

static void tell(const struct sb_worker *worker, const struct sb_err *failure)
{
    struct sb_err err;
    char line[SB_ERR_TEXT_SIZE + 16];
    if (worker->options.ready_fd == UINT64_MAX) {
        return;
    }
    int n = failure == NULL ? snprintf(line, sizeof line, "READY\n")
                            : snprintf(line, sizeof line, "ERROR %s\n", failure->text);
    int fd = (int)worker->options.ready_fd;
    (void)sb_fd_write_full(fd, line, (size_t)n, &err);
    close(fd);
}

static void finish(struct sb_worker *worker, bool is_orderly)
{
    sb_store_settle(worker->store); /* what waits for it holds calls of the server */
    sb_rpc_server_free(worker->server);
    sb_processes_free(worker->processes);
    sb_packages_end(worker->packages);
    sb_contexts_done(&worker->contexts);
    sb_registry_done(&worker->registry);
    sb_packages_free(worker->packages);
    sb_snapshots_done(&worker->snapshots);
    sb_pool_free(worker->pool);
    sb_egress_free(worker->egress);
    sb_audit_free(worker->audit);
    sb_event_worker(worker, "worker.stop");
    sb_trail_stop(worker->trail);
    sb_store_free(worker->store);
    sb_trail_free(worker->trail);
    sb_tracer_free(worker->tracer);
    if (is_orderly) {
        sb_spawner_end(worker->spawner);
    }
    sb_spawner_free(worker->spawner);
    sb_idem_done(&worker->idem);
    sb_claims_done(&worker->claims);
    sb_key_watch_end(worker);
    sb_auth_done(&worker->auth);
    sb_metrics_done(&worker->metrics);
    if (worker->probe != NULL) {
        sb_probe_done(worker->probe);
        free(worker->probe);
    }
    sb_profiles_free(worker->profiles);
    free(worker->chunk);
    if (worker->null_fd >= 0) {
        close(worker->null_fd);
    }
    if (worker->state_dir >= 0) {
        close(worker->state_dir);
    }
    if (worker->grpc_fd >= 0) {
        close(worker->grpc_fd);
    }
    if (worker->base != NULL) {
        event_base_free(worker->base);
    }
    forget_tls(worker);
    sb_options_done(&worker->options);
}

static int run(struct sb_worker *worker)
{
    struct sb_err err;
    if (start(worker, &err) < 0) {
        SB_LOG_ERROR("cannot start", "why=%s", err.text);
        tell(worker, &err);
        return EXIT_FAILURE;
    }
    SB_LOG_INFO("ready", "version=%s worker=%s mode=%s uid=%u", SB_VERSION, worker->id,
                sb_spawner_welcome(worker->spawner)->is_root ? "root" : "user",
                (unsigned)geteuid());
    tell(worker, NULL);
    (void)event_base_dispatch(worker->base);
    SB_LOG_INFO("stopped", "exit=%d", worker->exit_code);
    return worker->exit_code;
}

static int check(const char *path)
{
    struct sb_err err;
    struct sb_problems problems = {0};
    SB_CLEANUP(sb_profiles_freep) struct sb_profiles *profiles = NULL;
    if (sb_profiles_open(path, &problems, &profiles, &err) == 0) {
        return EXIT_SUCCESS;
    }
    for (size_t i = 0; i < problems.n; i++) {
        (void)printf("%u:%u: %s\n", problems.items[i].line, problems.items[i].column,
                     problems.items[i].text);
    }
    if (problems.n == 0) {
        (void)printf("1:1: %s\n", err.text);
    }
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    static struct sb_worker worker = {.state_dir = -1, .null_fd = -1, .grpc_fd = -1};
    struct sb_err err;
    sb_fd_standard();
    sb_log_start("aisbx-worker");
    if (sb_options_parse(argc, argv, &worker.options, &err) < 0 ||
        sb_fd_check_given(worker.options.ready_fd, "ready-fd", &err) < 0) {
        (void)fprintf(stderr, "aisbx-worker: %s\n", err.text);
        sb_options_done(&worker.options);
        return EXIT_USAGE;
    }
    if (worker.options.wants_help || worker.options.wants_version || worker.options.wants_man) {
        if (worker.options.wants_help) {
            sb_options_help(stdout);
        } else if (worker.options.wants_man) {
            sb_options_man(stdout);
        } else {
            (void)puts("aisbx-worker " SB_VERSION);
        }
        sb_options_done(&worker.options);
        return sb_argv_printed("aisbx-worker");
    }
    if (worker.options.check != NULL) {
        int result = check(worker.options.check);
        sb_options_done(&worker.options);
        return result;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    int status = run(&worker);
    finish(&worker, status == EXIT_SUCCESS);
    return status;
}
