#pragma once
/** A pool whose spawner is played by the test, and who asks it for sandboxes. */
#include "fake.h"
#include "service/worker/pool/pool.h"

enum { MAX = 4, REFILL_MS = 20, KEPT = 32 };

/** Requests come when timers say so: those that nobody has asked about yet are kept. */
struct setting {
    struct fake *fake;
    struct sb_pool *pool;
    struct sb_frame kept[KEPT];
    unsigned n_kept;
};

/** Of one test; *state is the struct setting. */
int pool_setup(void **state);
int pool_teardown(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, pool_setup, pool_teardown)

/** Who asks for a sandbox. */
struct caller {
    unsigned n_answers;
    uint64_t slot; /* 0: refused */
    bool has_socket;
    bool is_warm;
};

extern const struct sb_warm_plan pool_nothing_warm;

/** @source  a directory of the host for /workspace; NULL: none. Freed by the pool. */
Spawn__V1__Plan *pool_plan_of(uint64_t pids, const char *source);
/** Asks for a sandbox; the caller is answered later. @fds  given over. */
int pool_request(struct sb_pool *pool,
                 Spawn__V1__Plan *plan,
                 const char *tenant,
                 const struct sb_warm_plan *warm,
                 int *fds,
                 size_t n_fds,
                 struct caller *caller);
void pool_ask_as(struct setting *setting, struct caller *caller, const char *tenant, uint64_t pids);
void pool_ask(struct setting *setting, struct caller *caller, uint64_t pids);

enum kind { ASKED, PARKED, KILL, COMPARE };

/** The spawner is asked that, at some time. For sb_frame_done. */
const Spawn__V1__Request *
pool_next(struct setting *setting, enum kind kind, struct sb_frame *ret_frame);
/** And makes that sandbox; returns the end of its init. */
int pool_answer(struct setting *setting, enum kind kind, uint64_t slot);
/** The spawner is asked for a sandbox by somebody, and makes it. */
void pool_make(struct setting *setting, uint64_t slot);
/** By the pool. */
void pool_refill(struct setting *setting, uint64_t slot);
/** Nothing more is asked for. */
void pool_is_quiet(struct setting *setting);
void pool_is_told_to_end(struct setting *setting, uint64_t slot);
