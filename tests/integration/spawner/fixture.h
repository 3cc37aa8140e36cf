#pragma once
/** What all integration tests of the spawner share: a spawner for the program, a sandbox per test,
 *  and one-line ways to run a shell command in it. Everything asserts. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/integration/spawner/rig.h"

/** The spawner of this program. */
struct rig *fixture_rig(void);

/** For cmocka's groups. A host that permits no user namespaces ends the program with 77. */
int fixture_start(void **state);
int fixture_stop(void **state);

/** A new sandbox of rig_plan. */
struct rig_box fixture_box(void);
/** A new sandbox of that plan, for which this process is the peer. */
struct rig_box fixture_box_of(Spawn__V1__Plan *plan);
/** Kills, and waits until it is gone. */
void fixture_end(struct rig_box *box);

/** A sandbox of the test's own: IN_BOX(test) makes it before, and ends it after. */
extern struct rig_box the_box;
int fixture_make_the_box(void **state);
int fixture_end_the_box(void **state);
#define IN_BOX(test)                                                                               \
    cmocka_unit_test_setup_teardown(test, fixture_make_the_box, fixture_end_the_box)

/** Runs "sh -c script" in a long-lived sandbox to the end of its tree. */
struct rig_result fixture_sh(const struct rig_box *box, const char *script);
/** The same, and only what it wrote to stdout, without the last newline; its status must be 0.
 *  Static memory, overwritten by the next call. */
const char *fixture_out(const struct rig_box *box, const char *script);
/** Exit status of "sh -c script". */
int fixture_status(const struct rig_box *box, const char *script);

/** Uid of the job as it sees itself: without a user namespace, that of the host. */
unsigned fixture_job_id(const struct rig_box *box);

/** Starts "sh -c script" with that flags and waits until it runs; output goes nowhere.
 *  Returns the exec's socket. */
int fixture_start_sh(const struct rig_box *box, uint32_t flags, const char *script);
/** Waits for the packet of that type on an exec's socket, skipping others; fails on end of file. */
void fixture_await(int sock, uint32_t type, void *ret_packet, size_t size);
/** Asks for KILL. */
void fixture_kill_exec(int sock);

/** True when process exists on the host. */
bool fixture_is_alive(pid_t pid);
/** Waits until init of the box is dead, as seen by its pidfd. */
void fixture_await_death(const struct rig_box *box);
