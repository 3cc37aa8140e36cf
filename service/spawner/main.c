/* aisbx-spawner: makes sandboxes on request of the worker, and is the only program with privilege.
 *
 * Theory of operation. It is started by the worker with one end of a socket pair, parses nothing
 * but plans, and holds no state but which sandboxes live. Two modes: with root's capabilities, each
 * sandbox gets a range of host ids of its own; otherwise it moves into a user namespace of the
 * caller's, once, and works with the caller's ids and sub-ids. It ends, and every sandbox with it,
 * when the worker closes the socket or dies, however either dies. */

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mutate.h"
#include "base/num.h"
#include "base/str.h"
#include "service/spawner/audit.h"
#include "service/spawner/caps.h"
#include "service/spawner/cgroup.h"
#include "service/spawner/drivers/bwrap_probe.h"
#include "service/spawner/egress.h"
#include "service/spawner/host.h"
#include "service/spawner/idmap.h"
#include "service/spawner/ids.h"
#include "service/spawner/initfile.h"
#include "service/spawner/landlock.h"
#include "service/spawner/process.h"
#include "service/spawner/serve.h"
#include "service/spawner/tidy.h"
#include "service/spawner/userns.h"

static const char usage[] =
    "usage: aisbx-spawner --fd <n> [--cpu-weight <1..10000>|idle] [--socket <path>]... "
    "[--kept-socket <path>]... [--embedded] [--tell-paths] [--snapshots auto|copy]\n"
    "A helper of aisbx-worker, which starts it; not to be used by hand.\n";

#ifdef SB_SANITIZED
/* The leak check attaches to the process, which is not dumpable. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
#endif

struct options {
    int fd;                     /* -1: none given */
    char *sockets[SB_TIDY_MAX]; /* where the worker listens; borrowed */
    bool keeps[SB_TIDY_MAX];    /* by socket: it is not the worker's to remove */
    size_t n_sockets;
    bool is_embedded;
    bool tells_paths;
    bool copies_snapshots;
    uint64_t cpu_weight; /* of all sandboxes together; or SB_CGROUP_IDLE */
};

/* False: no such option. */
static bool parse_option(char **argv, int *at, struct options *options)
{
    struct sb_err err;
    uint64_t fd = 0;
    const char *name = argv[*at];
    char *value = argv[*at + 1];
    if (strcmp(name, "--embedded") == 0) {
        options->is_embedded = true;
        return true;
    }
    if (strcmp(name, "--tell-paths") == 0) {
        options->tells_paths = true;
        return true;
    }
    (*at)++;
    if (value != NULL && strcmp(name, "--fd") == 0 &&
        sb_num_u64(sb_str_from(value), 3, 1023, &fd, &err) == 0) {
        options->fd = (int)fd;
        return true;
    }
    if (value != NULL && strcmp(name, "--cpu-weight") == 0) {
        if (strcmp(value, "idle") == 0) {
            options->cpu_weight = SB_CGROUP_IDLE;
            return true;
        }
        return sb_num_u64(sb_str_from(value), 1, 10000, &options->cpu_weight, &err) == 0;
    }
    if (value != NULL && strcmp(name, "--snapshots") == 0) {
        options->copies_snapshots = strcmp(value, "copy") == 0;
        return options->copies_snapshots || strcmp(value, "auto") == 0;
    }
    bool is_kept = strcmp(name, "--kept-socket") == 0;
    if (value != NULL && (is_kept || strcmp(name, "--socket") == 0) &&
        options->n_sockets < SB_TIDY_MAX) {
        options->keeps[options->n_sockets] = is_kept;
        options->sockets[options->n_sockets++] = value;
        return true;
    }
    return false;
}

/* False when the program shall end with *ret_status. */
static bool parse_options(int argc, char **argv, struct options *options, int *ret_status)
{
    bool is_known = true;
    *ret_status = EXIT_SUCCESS;
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        (void)puts("aisbx-spawner " SB_VERSION);
        return false;
    }
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        (void)fputs(usage, stdout);
        return false;
    }
    for (int at = 1; is_known && at < argc; at++) {
        is_known = parse_option(argv, &at, options);
    }
    if (is_known && options->fd >= 0) {
        return true;
    }
    (void)fputs(usage, stderr);
    *ret_status = 2;
    return false;
}

/* While the rights of the start are there. @ret_why  keeps the reason why not. */
static void listen_to_landlock(struct sb_host *host, struct sb_err *ret_why)
{
    *host->audit_fd = host->is_root
                          ? sb_audit_open(host->landlock, ret_why)
                          : sb_err_set(ret_why, SB_PRECONDITION, "that needs a start as root");
    host->tells_paths = *host->audit_fd >= 0;
    host->paths_why = host->tells_paths ? NULL : ret_why->text;
}

/* Finds out what we are, and becomes no more than that. */
static int settle(struct sb_host *host,
                  const struct options *options,
                  struct sb_err *ret_paths_why,
                  struct sb_err *err)
{
    host->caller_uid = geteuid();
    host->caller_gid = getegid();
    host->is_root = sb_caps_has_root() && sb_ids_are_ours();
    host->has_no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 0;
    host->init_fd = sb_initfile_load(err);
    if (host->init_fd < 0) {
        return -1;
    }
    host->egress_fd = sb_egress_open();
    /* While the rights of the start are there: the caller's groups may be writable by them only. */
    sb_cgroup_open(host->caller_uid == 0, &host->cgroups);
    sb_cgroup_weigh(&host->cgroups, options->cpu_weight);
    host->landlock = sb_landlock_version();
    if (options->tells_paths) {
        listen_to_landlock(host, ret_paths_why);
    }
    if (host->is_root) {
        host->has_setgroups = true;
        if (!sb_mutated("groups") && setgroups(0, NULL) < 0) {
            return sb_err_sys(err, errno, "drop supplementary groups");
        }
    } else if (sb_userns_enter(host, err) < 0) {
        return -1;
    }
    if (sb_caps_keep(host->is_root, err) < 0 || sb_process_guard(host->parent, err) < 0) {
        return -1;
    }
    host->has_idmap = host->is_root && sb_idmap_works();
    host->self_fd = pidfd_open(getpid(), 0); /* close-on-exec */
    return host->self_fd < 0 ? sb_err_sys(err, errno, "open a pidfd") : 0;
}

static int run(const struct options *options, struct sb_err *err)
{
    struct sb_tidy tidy = {0};
    bool is_orderly = false;
    struct sb_bwrap bwrap = {0};
    struct sb_err paths_why;
    int audit_fd = -1;
    struct sb_host host = {
        .parent = getppid(),
        .sockets = options->sockets,
        .n_sockets = options->n_sockets,
        .self_fd = -1,
        .init_fd = -1,
        .egress_fd = -1,
        .audit_fd = &audit_fd,
        .copies_snapshots = options->copies_snapshots,
        .cgroups = SB_CGROUPS_NONE,
        .bwrap = &bwrap,
    };
    int done = -1;
    int cleaned = sb_process_clean(options->fd, err);
    if (cleaned == 0) {
        sb_tidy_open(&tidy, options->sockets, options->keeps, options->n_sockets,
                     options->is_embedded);
    }
    if (cleaned == 0 && settle(&host, options, &paths_why, err) == 0) {
        int signal_fd = sb_process_signals(err);
        done = signal_fd < 0 ? -1 : sb_serve_run(&host, options->fd, signal_fd, &is_orderly, err);
    }
    /* Below a root that only passing its permissions writes to. */
    struct sb_err ignored;
    if (host.is_root) {
        (void)sb_caps_lend(true, &ignored);
    }
    sb_tidy_run(&tidy, is_orderly);
    sb_cgroup_close(&host.cgroups);
    sb_bwrap_done(&bwrap);
    sb_fd_close_all(&audit_fd, 1);
    return done;
}

int main(int argc, char **argv)
{
    struct options options = {.fd = -1, .cpu_weight = SB_CGROUP_WEIGHT};
    struct sb_err err;
    int status = EXIT_SUCCESS;
    if (!parse_options(argc, argv, &options, &status)) {
        return status;
    }
    sb_log_start("aisbx-spawner");
    if (run(&options, &err) < 0) {
        SB_LOG_ERROR("spawner ends", "reason=%s", err.text);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
