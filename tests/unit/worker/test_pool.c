/** Sandboxes that are made before they are asked for, with the spawner played by the test. */
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "fake.h"
#include "service/worker/exec.h"
#include "service/worker/policy/policy.h"
#include "service/worker/pool/pool.h"
#include "service/worker/pool/shelf.h"
#include "service/worker/sandbox.h"
#include "service/worker/spawner.h"

enum { MAX = 4, REFILL_MS = 20, KEPT = 32, PATIENCE = 500 };

/* Requests come when timers say so: those that nobody has asked about yet are kept. */
struct setting {
    struct fake *fake;
    struct sb_pool *pool;
    struct sb_frame kept[KEPT];
    unsigned n_kept;
};

static int setup(void **state)
{
    struct setting *setting = calloc(1, sizeof *setting);
    void *fake = NULL;
    struct sb_err err;
    assert_non_null(setting);
    assert_int_equal(fake_setup(&fake), 0);
    setting->fake = fake;
    struct sb_worker *worker = &setting->fake->worker;
    const struct sb_pool_options options = {.spawner = worker->spawner,
                                            .base = worker->base,
                                            .metrics = &worker->metrics,
                                            .max_bytes = MAX * SB_SHELF_PARKED_BYTES};
    assert_int_equal(sb_pool_new(&options, &setting->pool, &err), 0);
    *state = setting;
    return 0;
}

static int teardown(void **state)
{
    struct setting *setting = *state;
    void *fake = setting->fake;
    for (unsigned i = 0; i < setting->n_kept; i++) {
        sb_frame_done(&setting->kept[i]);
    }
    sb_pool_free(setting->pool);
    free(setting);
    return fake_teardown(&fake);
}

/* Who asks for a sandbox. */
struct caller {
    unsigned n_answers;
    uint64_t slot; /* 0: refused */
    bool has_socket;
    bool is_warm;
};

static const struct sb_warm_plan nothing = {.packet = NULL};

static void on_reply(void *ctx,
                     const Spawn__V1__Reply *reply,
                     struct sb_frame *frame,
                     struct sb_parked *parked,
                     const struct sb_err *err)
{
    struct caller *caller = ctx;
    caller->n_answers++;
    caller->slot = reply == NULL ? 0 : reply->spawned->slot;
    SB_CLEANUP(sb_closep) int fd = reply == NULL ? -1 : sb_frame_take_fd(frame, 0);
    caller->has_socket = fd >= 0;
    caller->is_warm = parked != NULL && parked->warm.sock >= 0;
    assert_true(reply != NULL || err != NULL);
}

static char *heap(const char *text)
{
    char *copy = strdup(text);
    assert_non_null(copy);
    return copy;
}

static Spawn__V1__Plan *plan_of(uint64_t pids, const char *source)
{
    Spawn__V1__Plan *plan = malloc(sizeof *plan);
    assert_non_null(plan);
    spawn__v1__plan__init(plan);
    plan->sandbox_id = heap("sb_asked");
    plan->pids = pids;
    if (source != NULL) {
        Spawn__V1__HostMount *mount = malloc(sizeof *mount);
        plan->mounts = (Spawn__V1__HostMount **)calloc(1, sizeof *plan->mounts);
        assert_non_null(mount);
        assert_non_null(plan->mounts);
        spawn__v1__host_mount__init(mount);
        mount->source = heap(source);
        mount->target = heap("/workspace");
        plan->mounts[plan->n_mounts++] = mount;
    }
    return plan;
}

static int request(struct sb_pool *pool,
                   Spawn__V1__Plan *plan,
                   const char *tenant,
                   const struct sb_warm_plan *warm,
                   int *fds,
                   size_t n_fds,
                   struct caller *caller)
{
    struct sb_err err;
    struct sb_pool_request asked = {plan, tenant, warm, fds, n_fds, on_reply, caller};
    return sb_pool_spawn(pool, &asked, &err);
}

static void
ask_as(struct setting *setting, struct caller *caller, const char *tenant, uint64_t pids)
{
    *caller = (struct caller){0};
    assert_int_equal(request(setting->pool, plan_of(pids, NULL), tenant, &nothing, NULL, 0, caller),
                     0);
    assert_int_equal(caller->n_answers, 0); /* never from inside */
}

static void ask(struct setting *setting, struct caller *caller, uint64_t pids)
{
    ask_as(setting, caller, "local", pids);
}

/* With a directory of the host. */
static void ask_bound(struct setting *setting, struct caller *caller, const char *source)
{
    int ends[2];
    *caller = (struct caller){0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(request(setting->pool, plan_of(8, source), "local", &nothing, ends, 1, caller),
                     0);
    close(ends[1]);
}

enum kind { ASKED, PARKED, KILL, COMPARE };

static enum kind kind_of(const struct sb_frame *frame)
{
    const Spawn__V1__Request *request = (const Spawn__V1__Request *)(const void *)frame->msg;
    if (request->body_case == SPAWN__V1__REQUEST__BODY_SPAWN) {
        return strcmp(request->spawn->plan->sandbox_id, "sb_asked") == 0 ? ASKED : PARKED;
    }
    return request->body_case == SPAWN__V1__REQUEST__BODY_KILL ? KILL : COMPARE;
}

static bool take_kept(struct setting *setting, enum kind kind, struct sb_frame *ret_frame)
{
    for (unsigned i = 0; i < setting->n_kept; i++) {
        if (kind_of(&setting->kept[i]) == kind) {
            *ret_frame = setting->kept[i];
            setting->n_kept--;
            memmove(&setting->kept[i], &setting->kept[i + 1],
                    (setting->n_kept - i) * sizeof *setting->kept);
            return true;
        }
    }
    return false;
}

/* Whether the spawner is asked that, now. */
static bool is_asked(struct setting *setting, enum kind kind, struct sb_frame *ret_frame)
{
    while (!fake_is_quiet(setting->fake)) {
        struct sb_frame frame = SB_FRAME_INIT;
        (void)fake_request(setting->fake, &frame);
        assert_true(setting->n_kept < KEPT);
        setting->kept[setting->n_kept++] = frame;
    }
    return take_kept(setting, kind, ret_frame);
}

/* The spawner is asked that, at some time. */
static const Spawn__V1__Request *
next(struct setting *setting, enum kind kind, struct sb_frame *ret_frame)
{
    for (int i = 0; i < PATIENCE; i++) {
        if (is_asked(setting, kind, ret_frame)) {
            return (const Spawn__V1__Request *)(const void *)ret_frame->msg;
        }
        fake_wait(setting->fake, 10);
    }
    fail_msg("the spawner was not asked for %d", (int)kind);
    return NULL;
}

static int answer(struct setting *setting, enum kind kind, uint64_t slot)
{
    struct sb_frame frame = SB_FRAME_INIT;
    uint64_t tag = next(setting, kind, &frame)->tag;
    sb_frame_done(&frame);
    return fake_spawned(setting->fake, tag, slot, -1);
}

/* The spawner is asked for a sandbox by somebody, and makes it. */
static void make(struct setting *setting, uint64_t slot)
{
    close(answer(setting, ASKED, slot));
}

/* By the pool. */
static void refill(struct setting *setting, uint64_t slot)
{
    close(answer(setting, PARKED, slot));
}

/* Nothing more is asked for. */
static void is_quiet(struct setting *setting)
{
    fake_wait(setting->fake, REFILL_MS);
    assert_true(fake_is_quiet(setting->fake));
    assert_int_equal(setting->n_kept, 0);
}

static void is_told_to_end(struct setting *setting, uint64_t slot)
{
    struct sb_frame frame = SB_FRAME_INIT;
    assert_int_equal(next(setting, KILL, &frame)->kill->slot, slot);
    sb_frame_done(&frame);
}

static void compares(struct setting *setting, uint64_t slot, bool is_same)
{
    struct sb_frame frame = SB_FRAME_INIT;
    const Spawn__V1__Request *request = next(setting, COMPARE, &frame);
    Spawn__V1__Compared compared = SPAWN__V1__COMPARED__INIT;
    Spawn__V1__Reply reply = SPAWN__V1__REPLY__INIT;
    assert_int_equal(request->compare->slot, slot);
    assert_int_equal(frame.nfds, 1); /* with whose rights */
    compared.same = is_same;
    reply.tag = request->tag;
    reply.body_case = SPAWN__V1__REPLY__BODY_COMPARED;
    reply.compared = &compared;
    sb_frame_done(&frame);
    fake_reply(setting->fake, &reply, NULL, 0);
}

/* The first one ever asked for is made at once, the next one before it is asked for. */
static void stock(struct setting *setting, uint64_t pids)
{
    struct caller first;
    ask(setting, &first, pids);
    make(setting, 1);
    assert_int_equal(first.slot, 1);
    refill(setting, 2);
    assert_int_equal(sb_pool_parked(setting->pool), 1);
    is_quiet(setting);
}

static void gives_what_is_parked_to_the_same_plan(void **state)
{
    struct setting *setting = *state;
    struct caller second;
    stock(setting, 8);
    ask(setting, &second, 8);
    fake_turn(setting->fake);
    assert_int_equal(second.slot, 2);
    assert_true(second.has_socket);
    assert_int_equal(sb_pool_parked(setting->pool), 0);
    refill(setting, 3);
    assert_int_equal(sb_pool_parked(setting->pool), 1);
}

static void gives_nothing_to_another_plan(void **state)
{
    struct setting *setting = *state;
    struct caller other;
    stock(setting, 8);
    ask(setting, &other, 9);
    make(setting, 3);
    assert_int_equal(other.slot, 3);
    assert_int_equal(sb_pool_parked(setting->pool), 1);
}

static void gives_nothing_to_another_tenant(void **state)
{
    struct setting *setting = *state;
    struct caller other;
    stock(setting, 8);
    ask_as(setting, &other, "other", 8);
    make(setting, 3);
    assert_int_equal(other.slot, 3);
    assert_int_equal(sb_pool_parked(setting->pool), 1);
}

static void gives_one_on_its_way_to_who_waits(void **state)
{
    struct setting *setting = *state;
    struct caller first;
    struct caller second;
    ask(setting, &first, 8);
    make(setting, 1);
    struct sb_frame frame = SB_FRAME_INIT;
    uint64_t tag = next(setting, PARKED, &frame)->tag;
    sb_frame_done(&frame);
    ask(setting, &second, 8);
    close(fake_spawned(setting->fake, tag, 2, -1));
    assert_int_equal(second.slot, 2);
    assert_int_equal(second.n_answers, 1);
    assert_int_equal(sb_pool_parked(setting->pool), 0);
}

/* What was the matter then need not be any more: the directory may be there by now. */
static void asks_anew_for_who_waits_when_none_can_be_made(void **state)
{
    struct setting *setting = *state;
    struct sb_frame frame = SB_FRAME_INIT;
    struct caller first;
    struct caller second;
    ask(setting, &first, 8);
    make(setting, 1);
    uint64_t tag = next(setting, PARKED, &frame)->tag;
    sb_frame_done(&frame);
    ask(setting, &second, 8);
    fake_fail(setting->fake, tag, SB_EXHAUSTED, "full");
    assert_int_equal(second.n_answers, 0);
    tag = next(setting, ASKED, &frame)->tag;
    sb_frame_done(&frame);
    fake_fail(setting->fake, tag, SB_EXHAUSTED, "full");
    assert_int_equal(second.n_answers, 1);
    assert_int_equal(second.slot, 0);
    is_quiet(setting); /* until somebody asks again */
}

static void holds_no_more_than_its_budget(void **state)
{
    struct setting *setting = *state;
    struct caller callers[2 * MAX];
    for (unsigned i = 0; i < 2 * MAX; i++) { /* each of them a miss, so demand doubles */
        ask(setting, &callers[i], 8);
    }
    for (unsigned i = 0; i < 2 * MAX; i++) {
        make(setting, i + 1);
    }
    for (unsigned i = 0; i < MAX; i++) {
        refill(setting, 101 + i);
    }
    is_quiet(setting);
    assert_int_equal(sb_pool_parked(setting->pool), MAX);
    struct caller other; /* what is asked for now has room made for it */
    ask(setting, &other, 9);
    make(setting, 200);
    is_told_to_end(setting, 101);
    refill(setting, 201);
    assert_int_equal(sb_pool_parked(setting->pool), MAX);
}

static void looks_at_directories_before_it_gives(void **state)
{
    struct setting *setting = *state;
    struct caller first;
    struct caller second;
    ask_bound(setting, &first, "/home/me");
    make(setting, 1);
    refill(setting, 2);
    ask_bound(setting, &second, "/home/me");
    assert_int_equal(second.n_answers, 0);
    compares(setting, 2, true);
    assert_int_equal(second.slot, 2);
    assert_true(second.has_socket);
}

static void begins_from_nothing_when_a_directory_is_another(void **state)
{
    struct setting *setting = *state;
    struct caller first;
    struct caller second;
    ask_bound(setting, &first, "/home/me");
    make(setting, 1);
    refill(setting, 2);
    ask_bound(setting, &second, "/home/me");
    compares(setting, 2, false);
    is_told_to_end(setting, 2);
    make(setting, 3);
    assert_int_equal(second.slot, 3);
    assert_int_equal(second.n_answers, 1);
}

static void looks_at_directories_of_one_on_its_way(void **state)
{
    struct setting *setting = *state;
    struct caller first;
    struct caller second;
    struct sb_frame frame = SB_FRAME_INIT;
    ask_bound(setting, &first, "/home/me");
    make(setting, 1);
    uint64_t tag = next(setting, PARKED, &frame)->tag;
    sb_frame_done(&frame);
    ask_bound(setting, &second, "/home/me");
    close(fake_spawned(setting->fake, tag, 2, -1));
    assert_int_equal(second.n_answers, 0);
    compares(setting, 2, true);
    assert_int_equal(second.slot, 2);
}

static void forgets_one_that_died(void **state)
{
    struct setting *setting = *state;
    struct caller second;
    stock(setting, 8);
    assert_true(sb_pool_gone(setting->pool, 2));
    assert_false(sb_pool_gone(setting->pool, 2));
    assert_int_equal(sb_pool_parked(setting->pool), 0);
    ask(setting, &second, 8);
    make(setting, 3);
    assert_int_equal(second.slot, 3);
}

static void begins_from_nothing_when_what_was_promised_died(void **state)
{
    struct setting *setting = *state;
    struct caller second;
    stock(setting, 8);
    ask(setting, &second, 8);
    assert_true(sb_pool_gone(setting->pool, 2));
    make(setting, 3);
    assert_int_equal(second.n_answers, 1);
    assert_int_equal(second.slot, 3);
}

static void refuses_when_the_spawner_died(void **state)
{
    struct setting *setting = *state;
    struct sb_err why;
    struct caller second;
    stock(setting, 8);
    ask(setting, &second, 8);
    (void)sb_err_set(&why, SB_UNAVAILABLE, "the worker's spawner died");
    sb_pool_lost(setting->pool, &why);
    assert_int_equal(second.n_answers, 1);
    assert_int_equal(second.slot, 0);
}

/* ---- interpreters ---- */

/* With an interpreter that is to wait in it. */
static void ask_warm(struct setting *setting, struct caller *caller)
{
    struct sb_init_exec head = {.type = SB_INIT_EXEC, .n_args = 1};
    struct sb_warm_plan plan = {.len = sizeof head, .bytes = SB_SHELF_PARKED_BYTES};
    plan.packet = (char *)&head;
    *caller = (struct caller){0};
    assert_int_equal(request(setting->pool, plan_of(8, NULL), "local", &plan, NULL, 0, caller), 0);
}

/* The spawner makes one for the pool; returns the end of its init. */
static int make_open(struct setting *setting, uint64_t slot)
{
    return answer(setting, PARKED, slot);
}

struct interpreter {
    int sock;
    int channel;
};

/* init is asked to start an interpreter, and has. */
static struct interpreter start_interpreter(int init)
{
    struct sb_err err;
    struct sb_init_exec head;
    struct sb_init_started started = {SB_INIT_STARTED, 7};
    int fds[SB_INIT_MAX_FDS] = {-1, -1, -1, -1, -1};
    struct sb_fd_msg msg = {
        .data = &head, .cap = sizeof head, .fds = fds, .nfds_cap = SB_INIT_MAX_FDS};
    assert_int_equal(sb_fd_recv(init, &msg, MSG_DONTWAIT, &err), 1);
    assert_int_equal(msg.nfds, SB_INIT_MAX_FDS);
    assert_int_equal(head.flags, SB_INIT_CHANNEL);
    assert_int_equal(send(fds[3], &started, sizeof started, 0), sizeof started);
    sb_fd_close_all(fds, 3);
    return (struct interpreter){fds[3], fds[4]};
}

static void give_up_interpreter(struct interpreter *interpreter)
{
    close(interpreter->sock);
    close(interpreter->channel);
}

static void waits_with_an_interpreter_that_is_ready(void **state)
{
    struct setting *setting = *state;
    struct caller first;
    struct caller second;
    ask_warm(setting, &first);
    make(setting, 1);
    assert_false(first.is_warm); /* it starts its own */
    int init = make_open(setting, 2);
    struct interpreter interpreter = start_interpreter(init);
    fake_turn(setting->fake);
    assert_int_equal(sb_pool_parked(setting->pool), 0);
    assert_int_equal(send(interpreter.channel, "r", 1, 0), 1);
    fake_turn(setting->fake);
    assert_int_equal(sb_pool_parked(setting->pool), 1);
    ask_warm(setting, &second);
    fake_turn(setting->fake);
    assert_int_equal(second.slot, 2);
    assert_true(second.is_warm);
    give_up_interpreter(&interpreter);
    close(init);
}

static void parks_without_when_the_interpreter_ends(void **state)
{
    struct setting *setting = *state;
    struct caller first;
    struct caller second;
    ask_warm(setting, &first);
    make(setting, 1);
    int init = make_open(setting, 2);
    struct interpreter interpreter = start_interpreter(init);
    ask_warm(setting, &second); /* waits for it */
    give_up_interpreter(&interpreter);
    is_told_to_end(setting, 2);
    make(setting, 3);
    assert_int_equal(second.slot, 3);
    assert_false(second.is_warm);
    refill(setting, 4);
    assert_int_equal(sb_pool_parked(setting->pool), 1); /* at once: no second try */
    close(init);
}

static void ends_one_whose_interpreter_ends_while_it_waits(void **state)
{
    struct setting *setting = *state;
    struct caller first;
    ask_warm(setting, &first);
    make(setting, 1);
    int init = make_open(setting, 2);
    struct interpreter interpreter = start_interpreter(init);
    assert_int_equal(send(interpreter.channel, "r", 1, 0), 1);
    fake_turn(setting->fake);
    assert_int_equal(sb_pool_parked(setting->pool), 1);
    give_up_interpreter(&interpreter);
    is_told_to_end(setting, 2);
    assert_int_equal(sb_pool_parked(setting->pool), 0);
    close(init);
}

static int count_deadline(const struct event_base *base, const struct event *event, void *ctx)
{
    unsigned *n = ctx;
    (void)base;
    *n += event_get_fd(event) >= 0 && event_pending(event, EV_TIMEOUT, NULL) != 0;
    return 0;
}

static unsigned deadlines(const struct setting *setting)
{
    unsigned n = 0;
    (void)event_base_foreach_event(setting->fake->worker.base, count_deadline, &n);
    return n;
}

static void waits_without_a_deadline_once_it_is_ready(void **state)
{
    struct setting *setting = *state;
    struct caller first;
    ask_warm(setting, &first);
    make(setting, 1);
    int init = make_open(setting, 2);
    struct interpreter interpreter = start_interpreter(init);
    assert_int_equal(deadlines(setting), 1);
    assert_int_equal(send(interpreter.channel, "r", 1, 0), 1);
    fake_turn(setting->fake);
    assert_int_equal(sb_pool_parked(setting->pool), 1);
    assert_int_equal(deadlines(setting), 0);
    give_up_interpreter(&interpreter);
    close(init);
}

static void refuses_who_waits_for_an_interpreter_when_the_spawner_died(void **state)
{
    struct setting *setting = *state;
    struct sb_err why;
    struct caller first;
    struct caller second;
    ask_warm(setting, &first);
    make(setting, 1);
    int init = make_open(setting, 2);
    struct interpreter interpreter = start_interpreter(init);
    ask_warm(setting, &second);
    (void)sb_err_set(&why, SB_UNAVAILABLE, "the worker's spawner died");
    sb_pool_lost(setting->pool, &why);
    assert_int_equal(second.n_answers, 1); /* before its sandbox is told, and forgotten */
    assert_int_equal(second.slot, 0);
    give_up_interpreter(&interpreter);
    fake_turn(setting->fake);
    assert_int_equal(second.n_answers, 1);
    close(init);
}

static void waits_for_no_interpreter_when_it_is_closed(void **state)
{
    struct setting *setting = *state;
    struct caller first;
    struct caller second;
    ask_warm(setting, &first);
    make(setting, 1);
    int init = make_open(setting, 2);
    struct interpreter interpreter = start_interpreter(init);
    ask_warm(setting, &second);
    sb_pool_close(setting->pool);
    is_told_to_end(setting, 2);
    make(setting, 3);
    assert_int_equal(second.slot, 3);
    give_up_interpreter(&interpreter);
    close(init);
}

/* Whether an interpreter would wait in a sandbox of that policy for a program with that variable.
 */
static bool may_wait(const struct sb_policy *policy, const char *name, const char *value)
{
    struct sb_err err;
    struct sb_pairs env = {NULL, 0};
    struct sb_warm_plan plan;
    const struct sb_warm_want want = {.language = SB_LANGUAGE_NODE, .env = &env};
    assert_int_equal(sb_pairs_set(&env, sb_str_from(name), sb_str_from(value), &err), 0);
    assert_int_equal(sb_warm_plan_make(policy, &want, &plan, &err), 0);
    bool may = plan.packet != NULL;
    sb_warm_plan_done(&plan);
    sb_pairs_done(&env);
    return may;
}

static void lets_no_interpreter_wait_that_the_caller_has_a_hand_in(void **state)
{
    struct setting *setting = *state;
    struct sb_policy *policy = fake_sandbox(setting->fake, false)->policy;
    close(fake_spawn(setting->fake, 1));
    assert_true(may_wait(policy, "MINE", "1"));
    assert_true(may_wait(policy, "PYTHONUNBUFFERED", "1"));
    assert_true(may_wait(policy, "NODE_USE_ENV_PROXY", "1")); /* of ours */
    assert_true(may_wait(policy, "PATH", "/usr/local/bin:/bin"));
    assert_false(may_wait(policy, "PATH", "/workspace/venv/bin:/usr/bin"));
    assert_false(may_wait(policy, "PATH", "/usr/../workspace"));
    assert_false(may_wait(policy, "PATH", ":/usr/bin"));
    assert_false(may_wait(policy, "NODE_OPTIONS", "--import=data:text/javascript,1"));
    assert_false(may_wait(policy, "PYTHONPATH", "/workspace/lib"));
    assert_false(may_wait(policy, "LD_PRELOAD", "/workspace/x.so"));
    policy->limits.pids = 4;
    assert_false(may_wait(policy, "MINE", "1"));
    policy->limits.pids = 0;
    policy->mounts.n = 1; /* which nobody reads */
    assert_false(may_wait(policy, "MINE", "1"));
    policy->mounts.n = 0;
}

static void starts_anew_what_was_to_run_in_an_interpreter_that_has_ended(void **state)
{
    struct setting *setting = *state;
    struct sb_sandbox *sandbox = fake_sandbox(setting->fake, false);
    int init = fake_spawn(setting->fake, 1);
    struct sb_err err;
    struct sb_exec *exec = NULL;
    struct fake_job job;
    int pair[2];
    int channel[2];
    char words[][8] = {"python3", "-c", "1"};
    char *args[] = {words[0], words[1], words[2]};
    const enum sb_language language = SB_LANGUAGE_PYTHON;
    const struct sb_exec_options options = {.args = args, .n_args = 3, .waiting = &language};
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
    sandbox->warm = SB_WARM_NONE;
    sandbox->warm.sock = pair[0];
    sandbox->warm.channel = channel[0];
    close(channel[1]); /* out of memory, say */
    assert_int_equal(sb_exec_new(sandbox, &options, false, &exec, &err), 0);
    assert_int_equal(sandbox->state, SB_STATE_RUNNING);
    fake_take_job(init, &job);
    fake_started(&job);
    fake_turn(setting->fake);
    assert_int_equal(exec->state, SB_EXEC_RUNNING);
    fake_job_close(&job);
    close(pair[1]);
    close(init);
}

static void ends_what_is_parked_when_it_is_closed(void **state)
{
    struct setting *setting = *state;
    struct caller second;
    stock(setting, 8);
    sb_pool_close(setting->pool);
    is_told_to_end(setting, 2);
    ask(setting, &second, 8);
    make(setting, 3);
    assert_int_equal(second.slot, 3);
    is_quiet(setting);
}

static void grows_with_misses_and_shrinks_without_use(void **state)
{
    (void)state;
    struct sb_shelf shelf = {.peer_fd = -1};
    sb_list_init(&shelf.parked);
    assert_null(sb_shelf_take(&shelf, 5, 1000));
    assert_int_equal(sb_shelf_lacks(&shelf), 1);
    assert_null(sb_shelf_take(&shelf, 5, 1000));
    assert_int_equal(shelf.target, 2);
    (void)sb_shelf_take(&shelf, 5, 1000);
    (void)sb_shelf_take(&shelf, 5, 1000);
    assert_int_equal(shelf.target, 5);
    shelf.n_parked = shelf.low = 5; /* none was needed */
    sb_shelf_look(&shelf, 2000);
    assert_int_equal(shelf.target, 3);
    sb_shelf_look(&shelf, 2000);
    shelf.n_parked = shelf.low = 1; /* one stays ready */
    sb_shelf_look(&shelf, 3000);
    assert_int_equal(shelf.target, 1);
    sb_shelf_look(&shelf, 1000 + SB_SHELF_UNUSED_MS);
    assert_int_equal(shelf.target, 0);
}

static void takes_little_of_a_small_machine(void **state)
{
    (void)state;
    assert_int_equal(sb_pool_budget(128U << 20, 16ULL << 30), 128U << 20);
    assert_int_equal(sb_pool_budget(128U << 20, 1ULL << 30), 32U << 20);
    assert_int_equal(sb_pool_budget(0, 1ULL << 30), 0);
    assert_int_equal(sb_pool_budget(128U << 20, 0), 128U << 20); /* not known */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(gives_what_is_parked_to_the_same_plan),
        TEST(gives_nothing_to_another_plan),
        TEST(gives_nothing_to_another_tenant),
        TEST(gives_one_on_its_way_to_who_waits),
        TEST(asks_anew_for_who_waits_when_none_can_be_made),
        TEST(holds_no_more_than_its_budget),
        TEST(looks_at_directories_before_it_gives),
        TEST(begins_from_nothing_when_a_directory_is_another),
        TEST(looks_at_directories_of_one_on_its_way),
        TEST(forgets_one_that_died),
        TEST(begins_from_nothing_when_what_was_promised_died),
        TEST(refuses_when_the_spawner_died),
        TEST(waits_with_an_interpreter_that_is_ready),
        TEST(parks_without_when_the_interpreter_ends),
        TEST(ends_one_whose_interpreter_ends_while_it_waits),
        TEST(waits_without_a_deadline_once_it_is_ready),
        TEST(refuses_who_waits_for_an_interpreter_when_the_spawner_died),
        TEST(waits_for_no_interpreter_when_it_is_closed),
        TEST(lets_no_interpreter_wait_that_the_caller_has_a_hand_in),
        TEST(starts_anew_what_was_to_run_in_an_interpreter_that_has_ended),
        TEST(ends_what_is_parked_when_it_is_closed),
        cmocka_unit_test(takes_little_of_a_small_machine),
        cmocka_unit_test(grows_with_misses_and_shrinks_without_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
