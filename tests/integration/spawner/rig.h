#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "service/shared/frame.h"
#include "service/shared/initproto.h"
#include "spawn/v1/spawn.pb-c.h"

/** A test's side of the spawner's and init's protocols: it plays the worker. Calls that wait give
 * up after RIG_WAIT_MS. */

enum { RIG_WAIT_MS = 60000 };

struct rig {
    pid_t pid; /* of the spawner */
    int sock;
    uint64_t last_tag;
    uint64_t filter_id;
    bool is_root; /* from Welcome */
    uint64_t id_ranges;
    bool has_idmap;
};

/** A sandbox as the worker sees it. */
struct rig_box {
    uint64_t slot;
    pid_t pid;
    uint32_t host_uid;
    bool is_distinct;
    size_t n_degraded;
    int ctl_fd;
    int pidfd;
};

/** What became of one exec. */
struct rig_result {
    struct sb_buf out; /* stdout */
    struct sb_buf err; /* stderr */
    bool is_failed;
    struct sb_init_failed failed;
    bool has_exited;
    struct sb_init_exited exited;
    bool is_empty;
    struct sb_init_empty empty;
};

/** Starts $AISBX_BIN/aisbx-spawner and says hello. */
int rig_start(struct rig *rig, struct sb_err *err);
/** Starts it and says nothing. */
int rig_start_silent(struct rig *rig, struct sb_err *err);
/** Closes the socket and waits for the spawner to end; returns its wait status. */
int rig_stop(struct rig *rig);

/** Sends a request, whose tag is filled in, and waits for the reply with that tag. */
int rig_call(struct rig *rig,
             Spawn__V1__Request *request,
             const int *fds,
             size_t n_fds,
             struct sb_frame *ret_frame,
             struct sb_err *err);
/** Waits for the next event (tag 0). */
int rig_event(struct rig *rig, struct sb_frame *ret_frame, struct sb_err *err);

/** Loads a filter that allows all that the floor does not refuse; rig->filter_id. */
int rig_load_open_filter(struct rig *rig, struct sb_err *err);
/** Loads a filter with that default errno that allows the names in the files, one name a line. */
int rig_load_listed_filter(struct rig *rig,
                           const char *const *files,
                           unsigned error,
                           struct sb_err *err);

/** The driver that $AISBX_TEST_DRIVER names; native without. */
Spawn__V1__Driver rig_driver(void);

/** Whether $AISBX_TEST_SNAPSHOTS is "copy": the spawner then gives copies of layers, whatever the
 *  kernel can. */
bool rig_copies(void);

/** A plan with all that is needed: that driver, system root, tmpfs workspace, 16 MiB, 1000 inodes.
 */
Spawn__V1__Plan rig_plan(const struct rig *rig);
/** @peer_fd  -1: none is sent. */
int rig_spawn(struct rig *rig,
              Spawn__V1__Plan *plan,
              int peer_fd,
              struct rig_box *ret_box,
              struct sb_err *err);
int rig_kill(struct rig *rig, uint64_t slot, struct sb_err *err);
/** Waits until that sandbox is gone. @ret_gone  may be NULL; its counters are
 *  overwritten by the next call. */
int rig_wait_gone(struct rig *rig, uint64_t slot, Spawn__V1__Gone *ret_gone, struct sb_err *err);
void rig_box_done(struct rig_box *box);

/** What to run. Zeroed members have defaults. */
struct rig_run {
    const char *const *argv;
    const char *const *env; /* NULL: PATH, HOME, LANG */
    const char *cwd;        /* NULL: where the sandbox starts */
    uint32_t flags;         /* enum sb_init_flags */
};

/** Sends an EXEC with these descriptors as stdio; returns the exec's socket. */
int rig_exec_send(const struct rig_box *box,
                  const struct rig_run *run,
                  const int stdio[3],
                  struct sb_err *err);
/** Runs a program to its end, and reads what it writes. */
int rig_exec(const struct rig_box *box,
             const struct rig_run *run,
             struct rig_result *ret_result,
             struct sb_err *err);
/** Receives one packet from an exec's socket: its length, 0 at the end, -1. */
ssize_t rig_exec_recv(int sock, void *data, size_t cap);
void rig_result_done(struct rig_result *result);

/** A connection to rig_socket as the worker has it, whose peer is this process; *ret_other is to be
 * closed last. */
int rig_peer(int *ret_other);
/** Where the worker listens, as spawners are told; there from the first rig_start on. */
char *rig_socket(void);
/** A socket that listens there, for all users; -1: errno says why. */
int rig_listen(const char *path);
/** A client of whoever listens there; -1: errno says why. */
int rig_connect(const char *path);
/** The next connection to rig_socket. May block. */
int rig_accept(void);
