#include "pool_fixture.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "service/worker/pool/shelf.h"
#include "service/worker/spawner.h"

enum { PATIENCE = 500 };

const struct sb_warm_plan pool_nothing_warm = {.packet = NULL};

int pool_setup(void **state)
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

int pool_teardown(void **state)
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

Spawn__V1__Plan *pool_plan_of(uint64_t pids, const char *source)
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

int pool_request(struct sb_pool *pool,
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

void pool_ask_as(struct setting *setting, struct caller *caller, const char *tenant, uint64_t pids)
{
    *caller = (struct caller){0};
    assert_int_equal(pool_request(setting->pool, pool_plan_of(pids, NULL), tenant,
                                  &pool_nothing_warm, NULL, 0, caller),
                     0);
    assert_int_equal(caller->n_answers, 0); /* never from inside */
}

void pool_ask(struct setting *setting, struct caller *caller, uint64_t pids)
{
    pool_ask_as(setting, caller, "local", pids);
}

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
const Spawn__V1__Request *
pool_next(struct setting *setting, enum kind kind, struct sb_frame *ret_frame)
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

int pool_answer(struct setting *setting, enum kind kind, uint64_t slot)
{
    struct sb_frame frame = SB_FRAME_INIT;
    uint64_t tag = pool_next(setting, kind, &frame)->tag;
    sb_frame_done(&frame);
    return fake_spawned(setting->fake, tag, slot, -1);
}

/* The spawner is asked for a sandbox by somebody, and makes it. */
void pool_make(struct setting *setting, uint64_t slot)
{
    close(pool_answer(setting, ASKED, slot));
}

/* By the pool. */
void pool_refill(struct setting *setting, uint64_t slot)
{
    close(pool_answer(setting, PARKED, slot));
}

/* Nothing more is asked for. */
void pool_is_quiet(struct setting *setting)
{
    fake_wait(setting->fake, REFILL_MS);
    assert_true(fake_is_quiet(setting->fake));
    assert_int_equal(setting->n_kept, 0);
}

void pool_is_told_to_end(struct setting *setting, uint64_t slot)
{
    struct sb_frame frame = SB_FRAME_INIT;
    assert_int_equal(pool_next(setting, KILL, &frame)->kill->slot, slot);
    sb_frame_done(&frame);
}
