#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "service/worker/audit.h"
#include "service/worker/egress.h"
#include "service/worker/exec.h"
#include "service/worker/limits.h"
#include "service/worker/policy/profiles.h"
#include "service/worker/policy/request.h"
#include "service/worker/probe.h"
#include "service/worker/sandbox.h"
#include "service/worker/spawner.h"

int fake_greeted(int *ret_theirs)
{
    int pair[2];
    struct sb_err err;
    Spawn__V1__Welcome welcome = SPAWN__V1__WELCOME__INIT;
    Spawn__V1__Reply reply = SPAWN__V1__REPLY__INIT;
    reply.tag = 1;
    reply.body_case = SPAWN__V1__REPLY__BODY_WELCOME;
    reply.welcome = &welcome;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(sb_frame_send(pair[1], &reply.base, NULL, 0, &err), 0);
    *ret_theirs = pair[1];
    return pair[0];
}

static void on_gone(void *ctx, const Spawn__V1__Gone *gone)
{
    struct sb_worker *worker = ctx;
    struct sb_sandbox *sandbox = sb_registry_slot(&worker->registry, gone->slot);
    const struct sb_gone what = {.init_status = gone->wait_status};
    assert_non_null(sandbox);
    sb_sandbox_gone(sandbox, &what);
}

static void on_lost(void *ctx, const struct sb_err *err)
{
    struct sb_worker *worker = ctx;
    (void)err;
    SB_FOREACH (node, &worker->registry.sandbox_list) {
        sb_sandbox_lost(SB_LIST_ENTRY(node, struct sb_sandbox, link));
    }
}

int fake_setup(void **state)
{
    static const struct sb_spawner_events events = {.gone = on_gone, .lost = on_lost};
    struct fake *fake = calloc(1, sizeof *fake);
    struct sb_worker *worker = &fake->worker;
    struct sb_err err;
    struct sb_frame hello = SB_FRAME_INIT;
    assert_non_null(fake);
    worker->state_dir = -1;
    assert_int_equal(sb_id_make(worker->id, "wk_", &err), 0);
    worker->base = event_base_new();
    worker->chunk = malloc(SB_MAX_CHUNK_BYTES);
    worker->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    worker->probe = calloc(1, sizeof *worker->probe);
    sb_probe_init(worker->probe, worker);
    worker->egress = sb_egress_new(worker);
    assert_non_null(worker->egress);
    worker->audit = sb_audit_new(worker, -1);
    assert_non_null(worker->audit);
    sb_registry_init(&worker->registry);
    sb_snapshots_init(&worker->snapshots);
    sb_tombs_init(&worker->tombs);
    sb_idem_init(&worker->idem, SB_MAX_REQUEST_IDS, SB_MAX_MEMORY_MS);
    worker->budget.max = SB_MAX_STAGED_BYTES;
    sb_list_init(&worker->watches);
    assert_int_equal(sb_profiles_new(&worker->profiles, &err), 0);
    int sock = fake_greeted(&fake->sock);
    assert_int_equal(sb_spawner_adopt(sock, &worker->spawner, &err), 0);
    assert_int_equal(sb_spawner_attach(worker->spawner, worker->base, &events, worker, &err), 0);
    assert_int_equal(fake_request(fake, &hello)->body_case, SPAWN__V1__REQUEST__BODY_HELLO);
    sb_frame_done(&hello);
    *state = fake;
    return 0;
}

int fake_teardown(void **state)
{
    struct fake *fake = *state;
    struct sb_worker *worker = &fake->worker;
    sb_registry_done(&worker->registry);
    sb_snapshots_done(&worker->snapshots);
    sb_egress_free(worker->egress);
    sb_audit_free(worker->audit);
    sb_spawner_free(worker->spawner);
    sb_idem_done(&worker->idem);
    sb_probe_done(worker->probe);
    sb_profiles_free(worker->profiles);
    free(worker->probe);
    free(worker->chunk);
    close(worker->null_fd);
    event_base_free(worker->base);
    if (fake->sock >= 0) {
        close(fake->sock);
    }
    free(fake);
    return 0;
}

void fake_turn(struct fake *fake)
{
    for (int i = 0; i < 4; i++) {
        assert_true(event_base_loop(fake->worker.base, EVLOOP_NONBLOCK) >= 0);
    }
}

void fake_wait(struct fake *fake, unsigned ms)
{
    const struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    (void)event_base_loopexit(fake->worker.base, &tv);
    (void)event_base_loop(fake->worker.base, 0);
    fake_turn(fake);
}

const Spawn__V1__Request *fake_request(struct fake *fake, struct sb_frame *frame)
{
    struct sb_err err;
    fake_turn(fake);
    if (sb_frame_recv(fake->sock, &spawn__v1__request__descriptor, MSG_DONTWAIT, frame, &err) !=
        1) {
        fail_msg("the spawner was asked nothing");
    }
    return (const Spawn__V1__Request *)(const void *)frame->msg;
}

bool fake_is_quiet(struct fake *fake)
{
    char byte = 0;
    fake_turn(fake);
    return recv(fake->sock, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

void fake_reply(struct fake *fake, const Spawn__V1__Reply *reply, const int *fds, size_t n_fds)
{
    struct sb_err err;
    assert_int_equal(sb_frame_send(fake->sock, &reply->base, fds, n_fds, &err), 0);
    fake_turn(fake);
}

void fake_fail(struct fake *fake, uint64_t tag, uint32_t code, const char *text)
{
    Spawn__V1__Failure failure = SPAWN__V1__FAILURE__INIT;
    Spawn__V1__Reply reply = SPAWN__V1__REPLY__INIT;
    failure.code = code;
    failure.step = fake_text("mount");
    failure.text = fake_text(text);
    reply.tag = tag;
    reply.body_case = SPAWN__V1__REPLY__BODY_FAILURE;
    reply.failure = &failure;
    fake_reply(fake, &reply, NULL, 0);
}

void fake_gone(struct fake *fake, uint64_t slot, int wait_status)
{
    Spawn__V1__Gone gone = SPAWN__V1__GONE__INIT;
    Spawn__V1__Reply reply = SPAWN__V1__REPLY__INIT;
    gone.slot = slot;
    gone.wait_status = wait_status;
    reply.body_case = SPAWN__V1__REPLY__BODY_GONE;
    reply.gone = &gone;
    fake_reply(fake, &reply, NULL, 0);
}

void fake_die(struct fake *fake)
{
    close(fake->sock);
    fake->sock = -1;
    fake_turn(fake);
}

struct sb_sandbox *fake_sandbox(struct fake *fake, bool is_only)
{
    return fake_sandbox_of(fake, "", is_only);
}

struct sb_sandbox *fake_sandbox_of(struct fake *fake, const char *profile, bool is_only)
{
    struct sb_err err;
    struct sb_request *request = NULL;
    struct sb_sandbox *sandbox = NULL;
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    spec.profile = fake_text(profile);
    assert_int_equal(sb_request_make(&spec, "sandbox", &request, &err), 0);
    const struct sb_sandbox_options options = {
        .owner = "uid:1", .tenant = "local", .request = request, .is_only = is_only, .peer_fd = -1};
    if (sb_sandbox_new(&fake->worker, &options, &sandbox, &err) < 0) {
        fail_msg("%s", err.text);
    }
    sb_request_free(request);
    return sandbox;
}

int fake_spawn(struct fake *fake, uint64_t slot)
{
    struct sb_frame frame = SB_FRAME_INIT;
    const Spawn__V1__Request *request = fake_request(fake, &frame);
    if (request->body_case == SPAWN__V1__REQUEST__BODY_LOAD_FILTER) {
        Spawn__V1__FilterLoaded loaded = SPAWN__V1__FILTER_LOADED__INIT;
        Spawn__V1__Reply reply = SPAWN__V1__REPLY__INIT;
        loaded.filter_id = 7;
        reply.tag = request->tag;
        reply.body_case = SPAWN__V1__REPLY__BODY_FILTER_LOADED;
        reply.filter_loaded = &loaded;
        sb_frame_done(&frame);
        fake_reply(fake, &reply, NULL, 0);
        frame = SB_FRAME_INIT;
        request = fake_request(fake, &frame);
    }
    assert_int_equal(request->body_case, SPAWN__V1__REQUEST__BODY_SPAWN);
    assert_int_equal(request->spawn->plan->filter_id, 7);
    uint64_t tag = request->tag;
    sb_frame_done(&frame);
    return fake_spawned(fake, tag, slot, -1);
}

int fake_spawned(struct fake *fake, uint64_t tag, uint64_t slot, int handover)
{
    const struct sb_init_handover packet = {SB_INIT_HANDOVER, SB_HANDOVER_EGRESS};
    struct sb_err err;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    if (handover >= 0) {
        assert_true(sb_fd_send(pair[1], &packet, sizeof packet, &handover, 1, &err) > 0);
    }
    Spawn__V1__Spawned spawned = SPAWN__V1__SPAWNED__INIT;
    Spawn__V1__Reply reply = SPAWN__V1__REPLY__INIT;
    spawned.slot = slot;
    spawned.init_pid = 4711;
    spawned.host_uid = 5000;
    reply.tag = tag;
    reply.body_case = SPAWN__V1__REPLY__BODY_SPAWNED;
    reply.spawned = &spawned;
    fake_reply(fake, &reply, pair, 1);
    close(pair[0]);
    return pair[1];
}

struct sb_exec *fake_exec(struct sb_sandbox *sandbox, bool is_only, uint64_t wall_ms)
{
    static char prog[] = "prog";
    static char *const args[] = {prog, NULL};
    struct sb_err err;
    struct sb_exec *exec = NULL;
    const struct sb_exec_options options = {.args = args, .n_args = 1, .wall_ms = wall_ms};
    if (sb_exec_new(sandbox, &options, is_only, &exec, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return exec;
}

void fake_take_job(int init, struct fake_job *job)
{
    static char packet[SB_INIT_MAX_PACKET];
    int fds[SB_INIT_FDS] = {-1, -1, -1, -1};
    struct sb_err err;
    struct sb_fd_msg msg = {
        .data = packet, .cap = sizeof packet, .fds = fds, .nfds_cap = SB_INIT_FDS};
    assert_int_equal(sb_fd_recv(init, &msg, MSG_DONTWAIT, &err), 1);
    assert_int_equal(msg.nfds, SB_INIT_FDS);
    memcpy(&job->head, packet, sizeof job->head);
    assert_int_equal(job->head.type, SB_INIT_EXEC);
    memcpy(job->stdio, fds, sizeof job->stdio);
    job->sock = fds[3];
}

void fake_job_close(struct fake_job *job)
{
    sb_fd_close_all(job->stdio, 3);
    sb_fd_close_all(&job->sock, 1);
}

static void say(const struct fake_job *job, const void *packet, size_t len)
{
    assert_int_equal(send(job->sock, packet, len, MSG_NOSIGNAL), len);
}

void fake_started(const struct fake_job *job)
{
    const struct sb_init_started packet = {.type = SB_INIT_STARTED, .pid = 2};
    say(job, &packet, sizeof packet);
}

void fake_exited(const struct fake_job *job, int wait_status)
{
    const struct sb_init_exited packet = {
        .type = SB_INIT_EXITED, .wait_status = wait_status, .user_us = 11, .max_rss_bytes = 4096};
    say(job, &packet, sizeof packet);
}

void fake_empty(const struct fake_job *job, uint32_t killed)
{
    const struct sb_init_empty packet = {
        .type = SB_INIT_EMPTY, .killed = killed, .user_us = 33, .max_rss_bytes = 8192};
    say(job, &packet, sizeof packet);
}

bool fake_is_told(const struct fake_job *job, uint32_t type)
{
    uint32_t packet[8] = {0};
    return recv(job->sock, packet, sizeof packet, MSG_DONTWAIT) > 0 && packet[0] == type;
}
