/* Runs one command in a sandbox, as bubblewrap would: for probes and for people who debug.
 *
 *   run_in_sandbox [--ro PATH]... [--rw PATH] [--allow FILE]... [--errno N] -- COMMAND...
 *
 * --ro binds at the same path, --rw at /workspace; --allow makes the filter an allowlist. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/integration/spawner/rig.h"

enum { MAX_LIST = 16 };

struct options {
    Spawn__V1__HostMount mounts[MAX_LIST];
    Spawn__V1__HostMount *pointers[MAX_LIST];
    size_t n_mounts;
    const char *lists[MAX_LIST + 1];
    size_t n_lists;
    unsigned error;
    bool has_workspace;
    const char *const *command;
};

static bool add_mount(struct options *options, char *source, bool is_writable)
{
    static char workspace[] = "/workspace";
    size_t i = options->n_mounts;
    if (i == MAX_LIST) {
        return false;
    }
    spawn__v1__host_mount__init(&options->mounts[i]);
    options->mounts[i].source = source;
    options->mounts[i].target = is_writable ? workspace : source;
    options->mounts[i].writable = is_writable;
    options->pointers[i] = &options->mounts[i];
    options->n_mounts++;
    options->has_workspace = options->has_workspace || is_writable;
    return true;
}

static bool parse(int argc, char **argv, struct options *options)
{
    int i = 1;
    for (; i + 1 < argc && strcmp(argv[i], "--") != 0; i += 2) {
        if (strcmp(argv[i], "--ro") == 0 || strcmp(argv[i], "--rw") == 0) {
            if (!add_mount(options, argv[i + 1], argv[i][3] == 'w')) {
                return false;
            }
        } else if (strcmp(argv[i], "--allow") == 0 && options->n_lists < MAX_LIST) {
            options->lists[options->n_lists++] = argv[i + 1];
        } else if (strcmp(argv[i], "--errno") == 0) {
            options->error = (unsigned)strtoul(argv[i + 1], NULL, 10);
        } else {
            return false;
        }
    }
    options->command = (const char *const *)(argv + i + 1);
    return i + 1 < argc;
}

static int limits(Spawn__V1__Rlimit *limits, Spawn__V1__Rlimit **pointers)
{
    static const struct {
        uint32_t resource;
        uint64_t value;
    } rows[] = {{RLIMIT_NPROC, 256}, {RLIMIT_NOFILE, 1024}, {RLIMIT_FSIZE, 64U << 20}};
    for (size_t i = 0; i < 3; i++) {
        spawn__v1__rlimit__init(&limits[i]);
        limits[i].resource = rows[i].resource;
        limits[i].value = rows[i].value;
        pointers[i] = &limits[i];
    }
    return 3;
}

static int run(struct rig *rig, struct options *options, int *ret_status, struct sb_err *err)
{
    Spawn__V1__Rlimit rlimits[3];
    Spawn__V1__Rlimit *pointers[3];
    Spawn__V1__Plan plan = rig_plan(rig);
    struct rig_box box;
    int other = -1;
    const int stdio[] = {0, 1, 2};
    const struct rig_run command = {.argv = options->command, .flags = SB_INIT_ONLY};
    plan.mounts = options->pointers;
    plan.n_mounts = options->n_mounts;
    plan.n_rlimits = (size_t)limits(rlimits, pointers);
    plan.rlimits = pointers;
    plan.disk_bytes = 64U << 20;
    if (options->has_workspace) {
        plan.workspace = SPAWN__V1__WORKSPACE__WORKSPACE_MOUNT;
    }
    SB_CLEANUP(sb_closep) int peer = rig_peer(&other);
    SB_CLEANUP(sb_closep) int other_owner = other;
    (void)other_owner;
    if (rig_spawn(rig, &plan, peer, &box, err) < 0) {
        return -1;
    }
    int sock = rig_exec_send(&box, &command, stdio, err);
    union {
        uint32_t type;
        struct sb_init_failed failed;
        struct sb_init_exited exited;
    } packet;
    *ret_status = 125;
    while (sock >= 0 && read(sock, &packet, sizeof packet) > 0) {
        if (packet.type == SB_INIT_FAILED) {
            (void)fprintf(stderr, "stage %u: %s\n", packet.failed.stage,
                          strerror(packet.failed.error));
        } else if (packet.type == SB_INIT_EXITED) {
            int status = packet.exited.wait_status;
            *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            break; /* and with us all that is left of it */
        }
    }
    return sock < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
    static struct options options = {.error = 1};
    struct rig rig;
    struct sb_err err;
    int status = 125;
    if (!parse(argc, argv, &options)) {
        (void)fputs("usage: run_in_sandbox [--ro PATH]... [--rw PATH] [--allow FILE]... "
                    "[--errno N] -- COMMAND...\n",
                    stderr);
        return 2;
    }
    if (rig_start(&rig, &err) < 0 ||
        (options.n_lists > 0 &&
         rig_load_listed_filter(&rig, options.lists, options.error, &err) < 0) ||
        run(&rig, &options, &status, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 125;
    }
    (void)rig_stop(&rig);
    return status;
}
