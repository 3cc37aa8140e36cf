#include "cli/spec.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "cli/args.h"
#include "cli/mount.h"
#include "cli/pairs.h"
#include "cli/tty.h"
#include "proto/client/setting.h"
#include "proto/json/control.h"

enum { MAX_ENV_FILE_BYTES = 1 << 20 };

void sb_spec_done(struct sb_spec *spec)
{
    sb_arena_done(&spec->arena);
}

static int put_labels(struct sb_spec *spec, const struct sb_args *args, struct sb_err *err)
{
    struct sb_pairs pairs = {0};
    for (size_t i = 0; i < args->labels.n; i++) {
        if (sb_pairs_add_label(&pairs, &spec->arena, sb_str_from(args->labels.items[i]), err) < 0) {
            return -1;
        }
    }
    spec->sandbox.n_labels = pairs.n;
    spec->sandbox.labels = sb_pairs_entries(
        &pairs, &spec->arena, &aisbx__v1__sandbox_spec__labels_entry__descriptor, err);
    return spec->sandbox.labels == NULL ? -1 : 0;
}

static int put_require(struct sb_spec *spec, const struct sb_args *args, struct sb_err *err)
{
    size_t n = args->require.n;
    Aisbx__V1__Control *controls = sb_arena_alloc(&spec->arena, n, sizeof *controls, err);
    if (controls == NULL) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (sb_control_from(sb_str_from(args->require.items[i]), &controls[i], err) < 0) {
            return sb_err_wrap(err, "option --require");
        }
    }
    spec->sandbox.require = controls;
    spec->sandbox.n_require = n;
    return 0;
}

/* Room was made by put_mounts. */
static int add_mount(struct sb_spec *spec,
                     const char *source,
                     const char *target,
                     enum sb_mount_mode mode,
                     struct sb_err *err)
{
    static const Aisbx__V1__MountMode modes[] = {
        [SB_MOUNT_UNSAID] = AISBX__V1__MOUNT_MODE__MOUNT_MODE_UNSPECIFIED,
        [SB_MOUNT_RO] = AISBX__V1__MOUNT_MODE__MOUNT_MODE_RO,
        [SB_MOUNT_RW] = AISBX__V1__MOUNT_MODE__MOUNT_MODE_RW,
        [SB_MOUNT_OVERLAY] = AISBX__V1__MOUNT_MODE__MOUNT_MODE_OVERLAY,
    };
    Aisbx__V1__Mount *mount = sb_arena_alloc(&spec->arena, 1, sizeof *mount, err);
    char *from = sb_arena_text(&spec->arena, sb_str_from(source), err);
    char *to = sb_arena_text(&spec->arena, sb_str_from(target), err);
    if (mount == NULL || from == NULL || to == NULL) {
        return -1;
    }
    *mount = (Aisbx__V1__Mount)AISBX__V1__MOUNT__INIT;
    mount->source = from;
    mount->target = to;
    mount->mode = modes[mode];
    spec->sandbox.mounts[spec->sandbox.n_mounts++] = mount;
    return 0;
}

static int add_mount_option(struct sb_spec *spec, const char *text, struct sb_err *err)
{
    struct sb_mount_text mount;
    if (sb_mount_parse(sb_str_from(text), &mount, err) < 0) {
        return -1;
    }
    char *source = sb_mount_real(&spec->arena, mount.source, err);
    if (source == NULL) {
        return -1;
    }
    /* Without a target, an absolute source keeps the name it was given. */
    bool keeps_name = mount.target.len == 0 && mount.source.ptr[0] == '/';
    char *target = sb_arena_text(&spec->arena, keeps_name ? mount.source : mount.target, err);
    if (target == NULL) {
        return -1;
    }
    return add_mount(spec, source, *target == '\0' ? source : target, mount.mode, err);
}

static int put_mounts(struct sb_spec *spec, const struct sb_args *args, struct sb_err *err)
{
    const struct sb_workspace *workspace = &spec->workspace;
    /* Two more: the workspace and the command. */
    spec->sandbox.mounts = sb_arena_alloc(&spec->arena, args->mounts.n + 2, sizeof(void *), err);
    if (spec->sandbox.mounts == NULL) {
        return -1;
    }
    if (workspace->source != NULL &&
        add_mount(spec, workspace->source, SB_MOUNT_WORKSPACE, workspace->mode, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < args->mounts.n; i++) {
        if (add_mount_option(spec, args->mounts.items[i], err) < 0) {
            return sb_err_wrap(err, "option --mount");
        }
    }
    return 0;
}

/* Messages take char *, but nobody writes through it. */
static char *borrow(const char *text)
{
    char *ptr = NULL;
    memcpy(&ptr, &text, sizeof ptr);
    return ptr;
}

static void put_limits(struct sb_spec *spec, const struct sb_args *args)
{
    spec->limits = (Aisbx__V1__Limits)AISBX__V1__LIMITS__INIT;
    spec->limits.cpu_millis = args->cpu_millis;
    spec->limits.memory_bytes = args->memory_bytes;
    spec->limits.pids = args->pids;
    spec->limits.disk_bytes = args->disk_bytes;
    spec->sandbox.limits = &spec->limits;
}

/* Messages take char *, but nobody writes through it. */
static int borrow_texts(const struct sb_texts *texts,
                        struct sb_arena *arena,
                        size_t *ret_n,
                        char ***ret_texts,
                        struct sb_err *err)
{
    char **copy = sb_arena_alloc(arena, texts->n, sizeof *copy, err);
    if (copy == NULL) {
        return -1;
    }
    for (size_t i = 0; i < texts->n; i++) {
        copy[i] = borrow(texts->items[i]);
    }
    *ret_n = texts->n;
    *ret_texts = copy;
    return 0;
}

/* A comma is also within a list of versions ("numpy>=1.26,<2") or extras ("uvicorn[a,b]"). */
static bool goes_on(const char *before, const char *text)
{
    const char *bracket = strrchr(before, '[');
    return (*text != '\0' && strchr("<>=!~", *text) != NULL) ||
           (bracket != NULL && strchr(bracket, ']') == NULL);
}

static int put_packages(struct sb_spec *spec, const struct sb_args *args, struct sb_err *err)
{
    const struct sb_texts *texts = &args->packages;
    char **packages = sb_arena_alloc(&spec->arena, texts->n, sizeof *packages, err);
    size_t n = 0;
    if (packages == NULL) {
        return -1;
    }
    for (size_t i = 0; i < texts->n; i++) {
        SB_CLEANUP(sb_freep) char *joined = NULL;
        bool is_part = n > 0 && goes_on(packages[n - 1], texts->items[i]);
        if (asprintf(&joined, "%s%s%s", is_part ? packages[n - 1] : "", is_part ? "," : "",
                     texts->items[i]) < 0) {
            joined = NULL;
            return sb_err_oom(err);
        }
        n -= is_part ? 1 : 0;
        packages[n] = sb_arena_text(&spec->arena, sb_str_from(joined), err);
        if (packages[n++] == NULL) {
            return -1;
        }
    }
    spec->sandbox.packages = packages;
    spec->sandbox.n_packages = n;
    return 0;
}

bool sb_spec_has_network(const struct sb_args *args)
{
    return args->network != NULL || args->allow_hosts.n > 0 || args->deny_hosts.n > 0;
}

int sb_spec_network(struct sb_spec *spec, const struct sb_args *args, struct sb_err *err)
{
    spec->network = (Aisbx__V1__Network)AISBX__V1__NETWORK__INIT;
    if (args->network != NULL) {
        spec->network.mode = strcmp(args->network, "none") == 0
                                 ? AISBX__V1__NETWORK_MODE__NETWORK_MODE_NONE
                                 : AISBX__V1__NETWORK_MODE__NETWORK_MODE_LIMITED;
    }
    return borrow_texts(&args->allow_hosts, &spec->arena, &spec->network.n_allow,
                        &spec->network.allow, err) < 0
               ? -1
               : borrow_texts(&args->deny_hosts, &spec->arena, &spec->network.n_deny,
                              &spec->network.deny, err);
}

static int put_network(struct sb_spec *spec, const struct sb_args *args, struct sb_err *err)
{
    if (!sb_spec_has_network(args)) {
        return 0;
    }
    spec->sandbox.network = &spec->network;
    return sb_spec_network(spec, args, err);
}

int sb_spec_sandbox(struct sb_spec *spec, const struct sb_args *args, struct sb_err *err)
{
    const char *profile =
        args->profile != NULL ? args->profile : sb_setting_get(SB_SETTING_DEFAULT_PROFILE);
    spec->sandbox = (Aisbx__V1__SandboxSpec)AISBX__V1__SANDBOX_SPEC__INIT;
    if (sb_workspace_choose(args, profile, spec->is_remote, &spec->arena, &spec->workspace, err) <
        0) {
        return -1;
    }
    if (profile != NULL) {
        spec->sandbox.profile = borrow(profile);
    }
    if (args->driver != NULL) {
        spec->sandbox.driver = borrow(args->driver);
    }
    if (args->hostname != NULL) {
        spec->sandbox.hostname = borrow(args->hostname);
    }
    spec->sandbox.ttl_ms = args->ttl_ms;
    spec->sandbox.idle_ms = args->idle_ms;
    put_limits(spec, args);
    if (put_network(spec, args, err) < 0 || put_mounts(spec, args, err) < 0 ||
        put_packages(spec, args, err) < 0 || put_labels(spec, args, err) < 0 ||
        put_require(spec, args, err) < 0 ||
        borrow_texts(&args->without_secrets, &spec->arena, &spec->sandbox.n_without_secrets,
                     &spec->sandbox.without_secrets, err) < 0) {
        return -1;
    }
    return 0;
}

static int
add_env_file(struct sb_spec *spec, struct sb_pairs *pairs, const char *path, struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(MAX_ENV_FILE_BYTES);
    if (sb_fd_read_file(AT_FDCWD, path, MAX_ENV_FILE_BYTES, &text, err) < 0) {
        return sb_err_wrap(err, "option --env-file");
    }
    return sb_pairs_add_env_lines(pairs, &spec->arena, sb_buf_str(&text), path, err);
}

static int put_env(struct sb_spec *spec, const struct sb_args *args, struct sb_err *err)
{
    struct sb_pairs pairs = {0};
    for (size_t i = 0; i < args->env_files.n; i++) {
        if (add_env_file(spec, &pairs, args->env_files.items[i], err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < args->env.n; i++) {
        if (sb_pairs_add_env(&pairs, &spec->arena, sb_str_from(args->env.items[i]), err) < 0) {
            return sb_err_wrap(err, "option --env");
        }
    }
    spec->exec.n_env = pairs.n;
    spec->exec.env =
        sb_pairs_entries(&pairs, &spec->arena, &aisbx__v1__exec_spec__env_entry__descriptor, err);
    return spec->exec.env == NULL ? -1 : 0;
}

static void put_alone(struct sb_spec *spec, const struct sb_args *args)
{
    spec->alone = (Aisbx__V1__ExecLimits)AISBX__V1__EXEC_LIMITS__INIT;
    spec->alone.output_bytes = args->output_bytes;
    spec->alone.process_cpu_ms = args->cpu_time_ms;
    spec->alone.process_address_bytes = args->address_bytes;
    spec->alone.process_open_files = args->open_files;
    spec->alone.file_bytes = args->file_bytes;
    bool is_asked = args->output_bytes != 0 || args->cpu_time_ms != 0 || args->address_bytes != 0 ||
                    args->open_files != 0 || args->file_bytes != 0;
    spec->exec.limits = is_asked ? &spec->alone : NULL;
}

static void put_terminal(struct sb_spec *spec)
{
    const char *name = sb_tty_name();
    spec->terminal = (Aisbx__V1__Terminal)AISBX__V1__TERMINAL__INIT;
    sb_tty_size(&spec->terminal.rows, &spec->terminal.columns);
    if (name != NULL) {
        spec->terminal.term = borrow(name);
    }
    spec->exec.terminal = &spec->terminal;
}

int sb_spec_exec(struct sb_spec *spec, const struct sb_args *args, char **words, struct sb_err *err)
{
    spec->command = (Aisbx__V1__Command)AISBX__V1__COMMAND__INIT;
    spec->exec = (Aisbx__V1__ExecSpec)AISBX__V1__EXEC_SPEC__INIT;
    for (spec->command.n_args = 0; words[spec->command.n_args] != NULL;) {
        spec->command.n_args++;
    }
    if (spec->command.n_args > 0 && *words[0] == '\0') {
        return sb_err_set(err, SB_INVALID, "the name of the program is empty");
    }
    spec->command.args = words;
    spec->exec.program_case = AISBX__V1__EXEC_SPEC__PROGRAM_COMMAND;
    spec->exec.command = &spec->command;
    spec->exec.wall_ms = args->timeout_ms;
    spec->exec.background = args->detach;
    spec->exec.open_stdin = args->detach && args->interactive;
    if (args->cwd != NULL) {
        spec->exec.cwd = borrow(args->cwd);
    }
    if (args->user != NULL) {
        spec->exec.user = borrow(args->user);
    }
    put_alone(spec, args);
    if (args->tty) {
        put_terminal(spec);
    }
    return put_env(spec, args, err);
}

int sb_spec_bind_command(struct sb_spec *spec, struct sb_err *err)
{
    struct sb_workspace_command command;
    char **words = spec->command.args;
    if (spec->is_remote) {
        return 0;
    }
    if (sb_workspace_locate(&spec->workspace, words[0], &spec->arena, &command, err) < 0) {
        return -1;
    }
    words[0] = borrow(command.path);
    for (size_t i = 0; command.bind != NULL && i < spec->sandbox.n_mounts; i++) {
        if (sb_workspace_is_below(command.path, spec->sandbox.mounts[i]->target)) {
            return 0; /* there already */
        }
    }
    return command.bind == NULL ? 0 : add_mount(spec, command.bind, command.bind, SB_MOUNT_RO, err);
}
