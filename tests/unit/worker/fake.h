#pragma once
/** A worker without server whose spawner and inits are played by the test, all on one thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "service/shared/frame.h"
#include "service/shared/initproto.h"
#include "service/worker/worker.h"
#include "spawn/v1/spawn.pb-c.h"

/** A string where protobuf-c wants one that it will not change. */
static inline char *fake_text(const char *text)
{
    char *plain = NULL;
    memcpy(&plain, &text, sizeof plain);
    return plain;
}

struct sb_exec;
struct sb_exec_options;
struct sb_sandbox;

struct fake {
    struct sb_worker worker;
    int sock; /* the spawner's end; -1: it is dead */
};

/** setup and teardown of one test; *state is the struct fake. */
int fake_setup(void **state);
int fake_teardown(void **state);

/** A socket whose other end has greeted back already, for sb_spawner_adopt. */
int fake_greeted(int *ret_theirs);

/** Lets the loop do what is due. */
void fake_turn(struct fake *fake);
/** Lets the loop run for that long. */
void fake_wait(struct fake *fake, unsigned ms);
/** The next request to the spawner; fails the test when there is none. For sb_frame_done. */
const Spawn__V1__Request *fake_request(struct fake *fake, struct sb_frame *frame);
/** True when the spawner is asked nothing. */
bool fake_is_quiet(struct fake *fake);
void fake_reply(struct fake *fake, const Spawn__V1__Reply *reply, const int *fds, size_t n_fds);
void fake_fail(struct fake *fake, uint64_t tag, uint32_t code, const char *text);
void fake_gone(struct fake *fake, uint64_t slot, int wait_status);
void fake_die(struct fake *fake);

/** A sandbox of the default profile, STARTING. */
struct sb_sandbox *fake_sandbox(struct fake *fake, bool is_only);
/** The same, of that profile. */
struct sb_sandbox *fake_sandbox_of(struct fake *fake, const char *profile, bool is_only);
/** The spawner answers a request to spawn. @handover  given over as SB_HANDOVER_EGRESS; -1: none.
 *  Returns init's end of its control socket. */
int fake_spawned(struct fake *fake, uint64_t tag, uint64_t slot, int handover);
/** Plays the spawner until the sandbox runs; returns init's end of its control socket. */
int fake_spawn(struct fake *fake, uint64_t slot);

/** An exec of `prog`, output kept. */
struct sb_exec *fake_exec(struct sb_sandbox *sandbox, bool is_only, uint64_t wall_ms);

/** What init was asked to start. */
struct fake_job {
    struct sb_init_exec head;
    int stdio[3];
    int sock;
};
void fake_take_job(int init, struct fake_job *job);
void fake_job_close(struct fake_job *job);
void fake_started(const struct fake_job *job);
void fake_exited(const struct fake_job *job, int wait_status);
void fake_empty(const struct fake_job *job, uint32_t killed);
/** The next packet to the exec's socket is of that type. */
bool fake_is_told(const struct fake_job *job, uint32_t type);
