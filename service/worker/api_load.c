#include "service/worker/api_load.h"

#include <event2/event_struct.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "service/worker/api.h"
#include "service/worker/limits.h"
#include "service/worker/pool/pool.h"
#include "service/worker/worker.h"

enum { DEFAULT_INTERVAL_MS = 1000, MIN_INTERVAL_MS = 100, MAX_INTERVAL_MS = 3600000 };
enum { MEMINFO_MAX = 16 << 10 };

/** One watcher. */
struct load {
    struct sb_rpc_call *call;
    struct sb_worker *worker;
    struct event timer;
    struct timeval interval;
    bool is_blocked;
    bool has_sent;
    Aisbx__V1__WatchLoadResponse last;
};

static uint64_t available_memory(void)
{
    static const struct sb_str key = {"MemAvailable:", 13};
    struct sb_err err;
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(MEMINFO_MAX);
    if (sb_fd_read_file(AT_FDCWD, "/proc/meminfo", MEMINFO_MAX, &text, &err) < 0) {
        return 0;
    }
    struct sb_str rest = sb_buf_str(&text);
    struct sb_str line;
    while (sb_str_next(&rest, '\n', &line)) {
        if (!sb_str_starts_with(line, key)) {
            continue;
        }
        uint64_t kib = 0;
        struct sb_str number = sb_str_trim(sb_str_skip(line, key.len));
        (void)sb_str_split(number, ' ', &number, &line);
        return sb_num_u64(number, 0, UINT64_MAX / 1024, &kib, &err) == 0 ? kib * 1024 : 0;
    }
    return 0;
}

static Aisbx__V1__WatchLoadResponse measure(const struct sb_worker *worker)
{
    Aisbx__V1__WatchLoadResponse load = AISBX__V1__WATCH_LOAD_RESPONSE__INIT;
    struct sysinfo info;
    load.slots = SB_MAX_SANDBOXES;
    load.active_sandboxes = (uint32_t)worker->registry.n_live;
    load.active_execs = (uint32_t)worker->registry.n_active_execs;
    load.pooled_sandboxes = worker->pool == NULL ? 0 : (uint32_t)sb_pool_parked(worker->pool);
    load.available_memory_bytes = available_memory();
    load.cpus = (uint32_t)get_nprocs();
    load.draining = worker->is_draining;
    if (sysinfo(&info) == 0) {
        load.load_millis = (uint32_t)((uint64_t)info.loads[0] * 1000 >> SI_LOAD_SHIFT);
    }
    return load;
}

static bool is_same(const Aisbx__V1__WatchLoadResponse *a, const Aisbx__V1__WatchLoadResponse *b)
{
    return a->active_sandboxes == b->active_sandboxes && a->active_execs == b->active_execs &&
           a->draining == b->draining && a->load_millis == b->load_millis &&
           a->available_memory_bytes == b->available_memory_bytes;
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct load *load = ctx;
    Aisbx__V1__WatchLoadResponse now = measure(load->worker);
    if (!load->is_blocked && (!load->has_sent || !is_same(&now, &load->last))) {
        load->has_sent = true;
        load->last = now;
        load->is_blocked = !aisbx__v1__worker_service__watch_load__send(load->call, &now);
    }
    (void)event_add(&load->timer, &load->interval);
}

void sb_api_load_start(struct sb_rpc_call *call, const Aisbx__V1__WatchLoadRequest *req, void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err;
    struct sb_caller caller;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    uint64_t interval = req->interval_ms == 0 ? DEFAULT_INTERVAL_MS : req->interval_ms;
    if (interval < MIN_INTERVAL_MS || interval > MAX_INTERVAL_MS) {
        (void)sb_err_set(&err, SB_INVALID, "interval_ms: must be %d..%d", MIN_INTERVAL_MS,
                         MAX_INTERVAL_MS);
        sb_rpc_call_fail(call, &err);
        return;
    }
    struct load *load = calloc(1, sizeof *load);
    if (load == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return;
    }
    load->call = call;
    load->worker = worker;
    load->interval =
        (struct timeval){(time_t)(interval / 1000), (suseconds_t)(interval % 1000 * 1000)};
    (void)event_assign(&load->timer, worker->base, -1, 0, on_timer, load);
    sb_rpc_call_set_user(call, load);
    sb_rpc_call_set_looking(call);
    on_timer(-1, 0, load);
}

void sb_api_load_drained(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    struct load *load = sb_rpc_call_user(call);
    if (load != NULL) {
        load->is_blocked = false;
    }
}

void sb_api_load_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    struct load *load = sb_rpc_call_user(call);
    if (load != NULL) {
        sb_rpc_call_set_user(call, NULL);
        (void)event_del(&load->timer);
        free(load);
    }
}
