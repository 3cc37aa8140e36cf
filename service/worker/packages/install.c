#include "service/worker/packages/install.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/utf8.h"
#include "service/worker/events.h"
#include "service/worker/exec.h"
#include "service/worker/limits.h"
#include "service/worker/packages/packages.h"
#include "service/worker/packages/script.h"
#include "service/worker/packages/tree.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/request.h"
#include "service/worker/sandbox.h"
#include "service/worker/worker.h"

enum {
    TAIL_MAX = 4096, /* bytes kept of what the manager says */
    SHOWN_MAX = 200, /* of them in an error */
    CODE_NOT_FOUND = 127,
    START_MS = 60000, /* its sandbox may live longer than the install by this */
};

/** What it writes: the files, or what it says. */
struct pipe {
    struct sb_install *install;
    int fd; /* -1: ended */
    struct event event;
};

struct sb_install {
    struct sb_install_links links;
    struct sb_packages *packages;
    struct sb_package_cache *cache;
    struct sb_worker *worker;
    struct sb_package_set set; /* names only */
    struct sb_package_stage stage;
    struct sb_tree tree;
    struct sb_err failure; /* of the tree; SB_OK: none yet */
    struct pipe files;
    struct pipe says;
    char tail[TAIL_MAX];
    size_t tail_len;
    struct sb_sandbox *sandbox; /* observed; NULL: not yet */
    struct sb_sandbox_observer sandbox_observer;
    struct sb_exec *exec;
    struct sb_exec_observer exec_observer;
    struct event over;
    uint64_t start_ms; /* monotonic */
};

struct sb_install_links *sb_install_links(struct sb_install *install)
{
    return &install->links;
}

uint64_t sb_install_bytes(const struct sb_install *install)
{
    return install->tree.bytes;
}

struct sb_install *sb_install_of(struct sb_install_links *links)
{
    return SB_LIST_ENTRY(links, struct sb_install, links);
}

/* ---- the end ---- */

/* The last lines, as one. */
static void put_tail(const struct sb_install *install, char *out, size_t size)
{
    struct sb_str text = sb_str_of(install->tail, install->tail_len);
    while (text.len > 0 && text.ptr[text.len - 1] == '\n') {
        text.len--;
    }
    if (text.len > SHOWN_MAX) {
        text = sb_str_skip(text, text.len - SHOWN_MAX);
        (void)sb_str_split(text, '\n', &(struct sb_str){NULL, 0}, &text);
    }
    size_t n = sb_utf8_sanitize(out, size, text, SB_UTF8_KEEP_LINES);
    for (size_t i = 0; i < n; i++) {
        out[i] = out[i] == '\n' || out[i] == '\t' ? ' ' : out[i];
    }
}

/* The first host that it was refused, and the lines that would open it. */
static void put_refused(const struct sb_install *install, char *out, size_t size)
{
    const struct sb_denials *denials = &install->sandbox->notify.denials;
    out[0] = '\0';
    for (size_t i = 0; i < denials->n; i++) {
        const struct sb_denial *denial = &denials->items[i];
        if (denial->kind == SB_DENIAL_HOST) {
            const char *rule =
                denial->allow == NULL || denial->allow[0] == '\0' ? NULL : denial->allow;
            int n = snprintf(out, size, "; the egress policy refused %.80s", denial->name);
            if (rule != NULL && n > 0 && (size_t)n < size) {
                (void)snprintf(
                    out + n, size - (size_t)n,
                    "; if it is the registry's: packages: {%s: {hosts: [\"%.80s\"]}} and "
                    "network: {allow: [\"%.80s\"]}",
                    sb_manager_names[install->links.manager], rule, rule);
            }
            return;
        }
    }
}

static int describe_failure(const struct sb_install *install, struct sb_err *err)
{
    const struct sb_verdict *verdict = &install->exec->verdict;
    const char *manager = sb_manager_names[install->links.manager];
    char tail[SHOWN_MAX * 3 + 1];
    char refused[SB_ERR_TEXT_SIZE];
    if (install->sandbox->start_err.code != SB_OK) {
        *err = install->sandbox->start_err;
        return sb_err_wrap(err, "the sandbox that installs");
    }
    if (install->failure.code != SB_OK) {
        *err = install->failure;
        return -1;
    }
    if (verdict->kind == SB_VERDICT_START_FAILED && verdict->exit_code == CODE_NOT_FOUND) {
        return sb_err_set(err, SB_PRECONDITION, "%s needs %s on the worker's host", manager,
                          sb_script_needs(install->links.manager));
    }
    put_refused(install, refused, sizeof refused);
    put_tail(install, tail, sizeof tail);
    if (verdict->kind == SB_VERDICT_EXITED && verdict->exit_code == 0) {
        return sb_err_set(err, SB_INTERNAL, "%s ended without a whole list of files: %.200s",
                          manager, tail);
    }
    if (verdict->kind == SB_VERDICT_EXITED) {
        return sb_err_set(err, SB_PRECONDITION, "%s cannot install %.64s%s: %.200s%s", manager,
                          install->set.names.items[0], install->set.names.n > 1 ? " ..." : "", tail,
                          refused);
    }
    return sb_err_set(err, SB_PRECONDITION, "%s: %.120s; %.120s%s", manager, verdict->message, tail,
                      refused);
}

static bool is_good(const struct sb_install *install)
{
    const struct sb_verdict *verdict = &install->exec->verdict;
    return install->sandbox->start_err.code == SB_OK && install->failure.code == SB_OK &&
           verdict->kind == SB_VERDICT_EXITED && verdict->exit_code == 0 &&
           sb_tree_is_whole(&install->tree);
}

static int
publish(struct sb_install *install, struct sb_package_entry **ret_entry, struct sb_err *err)
{
    SB_CLEANUP(sb_package_entry_freep)
    struct sb_package_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        return sb_err_oom(err);
    }
    memcpy(entry->key, install->links.key, sizeof entry->key);
    memcpy(entry->tenant, install->sandbox->tenant, sizeof entry->tenant);
    entry->manager = install->links.manager;
    entry->made_ms = sb_clock_real_ms();
    entry->took_ms = sb_clock_mono_ms() - install->start_ms;
    entry->bytes = install->tree.bytes;
    entry->files = install->tree.files;
    if (sb_strings_copy(&entry->names, &install->set.names, err) < 0 ||
        sb_strings_copy(&entry->installed, &install->tree.lines, err) < 0 ||
        sb_package_cache_publish(install->cache, &install->stage, entry, err) < 0) {
        return -1;
    }
    SB_LOG_INFO("packages installed", "manager=%s tenant=%s files=%ju bytes=%ju ms=%ju",
                sb_manager_names[entry->manager], entry->tenant, (uintmax_t)entry->files,
                (uintmax_t)entry->bytes, (uintmax_t)entry->took_ms);
    *ret_entry = SB_STEAL_PTR(entry);
    return 0;
}

static void on_over(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_install *install = ctx;
    struct sb_package_entry *entry = NULL;
    struct sb_err err = {.code = SB_OK};
    if (is_good(install)) {
        (void)publish(install, &entry, &err);
    } else {
        (void)describe_failure(install, &err);
        (void)sb_err_wrap(&err, "packages");
    }
    sb_event_packages(install->sandbox, entry, err.text);
    sb_packages_installed(install->packages, install, entry, &err);
}

/* All that could write to the pipes is gone, so they end by themselves. */
static void look(struct sb_install *install)
{
    if (install->sandbox != NULL && install->sandbox->state == SB_STATE_DESTROYED &&
        install->files.fd < 0 && install->says.fd < 0) {
        event_active(&install->over, EV_TIMEOUT, 0);
    }
}

static void on_sandbox(struct sb_sandbox_observer *observer, struct sb_sandbox *sandbox)
{
    (void)sandbox;
    look(SB_LIST_ENTRY(observer, struct sb_install, sandbox_observer));
}

static void on_exec(struct sb_exec_observer *observer, struct sb_exec *exec)
{
    (void)observer;
    (void)exec; /* it is observed so that its verdict is kept */
}

/* ---- what comes out ---- */

static void end_pipe(struct pipe *pipe)
{
    if (pipe->fd >= 0) {
        (void)event_del(&pipe->event);
        sb_closep(&pipe->fd);
        pipe->fd = -1;
    }
}

static void take_files(struct sb_install *install, const char *data, size_t len)
{
    if (install->failure.code == SB_OK &&
        (sb_tree_feed(&install->tree, data, len, &install->failure) < 0 ||
         sb_packages_check_room(install->packages, &install->failure) < 0)) {
        sb_sandbox_destroy(install->sandbox, SB_REASON_CANCELLED, install->failure.text);
    }
}

static void take_words(struct sb_install *install, const char *data, size_t len)
{
    if (len >= TAIL_MAX) {
        data += len - TAIL_MAX;
        len = TAIL_MAX;
    }
    size_t over = install->tail_len + len > TAIL_MAX ? install->tail_len + len - TAIL_MAX : 0;
    memmove(install->tail, install->tail + over, install->tail_len - over);
    install->tail_len -= over;
    memcpy(install->tail + install->tail_len, data, len);
    install->tail_len += len;
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    struct pipe *pipe = ctx;
    struct sb_install *install = pipe->install;
    char *chunk = (char *)install->worker->chunk;
    ssize_t n = 0;
    do {
        n = read(fd, chunk, SB_MAX_CHUNK_BYTES);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) {
        return;
    }
    if (n <= 0) {
        end_pipe(pipe);
        look(install);
    } else if (pipe == &install->files) {
        take_files(install, chunk, (size_t)n);
    } else {
        take_words(install, chunk, (size_t)n);
    }
}

/* The program may have another user id than the worker: let it open /dev/stdout and the like. */
static int open_pipe(struct pipe *pipe, int *ret_theirs, struct sb_err *err)
{
    int ends[2];
    if (sb_fd_pipe(ends, err) < 0) {
        return -1;
    }
    pipe->fd = ends[0];
    *ret_theirs = ends[1];
    (void)fchmod(ends[1], 0666);
    (void)event_assign(&pipe->event, pipe->install->worker->base, pipe->fd, EV_READ | EV_PERSIST,
                       on_readable, pipe);
    return sb_fd_nonblock(pipe->fd, err) < 0 || event_add(&pipe->event, NULL) < 0
               ? sb_err_set(err, SB_INTERNAL, "packages: no pipe")
               : 0;
}

/* ---- the beginning ---- */

/* Of the request for which it is: profile, driver and floor; nothing that programs are told. */
int sb_install_request(const struct sb_sandbox *wanted_by,
                       enum sb_manager manager,
                       struct sb_request **ret_request,
                       struct sb_err *err)
{
    const struct sb_policy *policy = wanted_by->policy;
    const struct sb_package_set *set = &policy->packages.sets[manager];
    SB_CLEANUP(sb_request_freep) struct sb_request *request = NULL;
    if (sb_request_make(NULL, "packages", &request, err) < 0) {
        return -1;
    }
    request->is_install = true;
    request->driver = policy->driver;
    request->require = policy->require;
    request->ttl_ms = set->timeout_ms + START_MS;
    request->network.mode = SB_NETWORK_LIMITED;
    request->network.has_allow = true;
    request->profile = strdup(policy->profile);
    if (request->profile == NULL) {
        return sb_err_oom(err);
    }
    if (sb_strings_copy(&request->network.allow, &set->hosts, err) < 0 ||
        sb_pairs_set(&request->labels, SB_STR("aisbx/installs"),
                     sb_str_from(sb_manager_names[manager]), err) < 0) {
        return -1;
    }
    *ret_request = SB_STEAL_PTR(request);
    return 0;
}

static int
start_sandbox(struct sb_install *install, const struct sb_sandbox *wanted_by, struct sb_err *err)
{
    SB_CLEANUP(sb_request_freep) struct sb_request *request = NULL;
    if (sb_install_request(wanted_by, install->links.manager, &request, err) < 0) {
        return -1;
    }
    const struct sb_sandbox_options options = {
        .owner = wanted_by->owner,
        .tenant = wanted_by->tenant,
        .request = request,
        .is_only = true,
        .is_admin = true, /* the driver was permitted to the one it is for */
        .is_internal = true,
        .peer_fd = -1,
    };
    if (sb_sandbox_new(install->worker, &options, &install->sandbox, err) < 0) {
        install->sandbox = NULL;
        return -1;
    }
    install->sandbox_observer.changed = on_sandbox;
    sb_sandbox_observe(install->sandbox, &install->sandbox_observer);
    return 0;
}

static int
start_exec(struct sb_install *install, const struct sb_package_set *set, struct sb_err *err)
{
    char *args[SB_SCRIPT_ARGS_MAX];
    int stdio[3] = {-1, -1, -1};
    uint64_t limit_ms = install->sandbox->policy->limits.wall_ms;
    stdio[0] = fcntl(install->worker->null_fd, F_DUPFD_CLOEXEC, 3);
    if (stdio[0] < 0) {
        return sb_err_sys(err, errno, "/dev/null");
    }
    const struct sb_exec_options options = {
        .args = args,
        .n_args = sb_script_args(install->links.manager, set, args),
        .cwd = "/tmp",
        .wall_ms = limit_ms != 0 && limit_ms < set->timeout_ms ? limit_ms : set->timeout_ms,
        .passed = stdio,
    };
    if (open_pipe(&install->files, &stdio[1], err) < 0 ||
        open_pipe(&install->says, &stdio[2], err) < 0 ||
        sb_exec_new(install->sandbox, &options, true, &install->exec, err) < 0) {
        sb_fd_close_all(stdio, 3);
        return -1;
    }
    install->exec_observer.changed = on_exec;
    sb_exec_observe(install->exec, &install->exec_observer);
    return 0;
}

static int
begin(struct sb_install *install, const struct sb_install_options *options, struct sb_err *err)
{
    const struct sb_package_set *set = &options->wanted_by->policy->packages.sets[options->manager];
    if (sb_strings_copy(&install->set.names, &set->names, err) < 0 ||
        sb_package_cache_stage(options->cache, &install->stage, err) < 0) {
        return -1;
    }
    sb_tree_init(&install->tree, install->stage.tree, SB_MAX_PACKAGE_BYTES, SB_MAX_PACKAGE_FILES);
    return start_sandbox(install, options->wanted_by, err) < 0 ? -1 : start_exec(install, set, err);
}

int sb_install_start(const struct sb_install_options *options,
                     struct sb_install **ret_install,
                     struct sb_err *err)
{
    struct sb_install *install = calloc(1, sizeof *install);
    if (install == NULL) {
        return sb_err_oom(err);
    }
    install->packages = options->packages;
    install->cache = options->cache;
    install->worker = options->wanted_by->worker;
    install->stage = SB_PACKAGE_STAGE_INIT;
    install->start_ms = sb_clock_mono_ms();
    install->files = (struct pipe){.install = install, .fd = -1};
    install->says = (struct pipe){.install = install, .fd = -1};
    sb_list_init(&install->links.waiting);
    install->links.manager = options->manager;
    install->links.keeps = options->wanted_by->policy->packages.sets[options->manager].keeps;
    (void)snprintf(install->links.key, sizeof install->links.key, "%s", options->key);
    (void)event_assign(&install->over, install->worker->base, -1, 0, on_over, install);
    sb_tree_init(&install->tree, -1, 0, 0);
    if (begin(install, options, err) < 0) {
        if (install->sandbox != NULL) {
            sb_sandbox_destroy(install->sandbox, SB_REASON_CANCELLED, err->text);
        }
        sb_install_free(install);
        return -1;
    }
    *ret_install = install;
    return 0;
}

void sb_install_cancel(struct sb_install *install)
{
    if (install->failure.code == SB_OK) {
        (void)sb_err_set(&install->failure, SB_CANCELLED, "nobody waits for it any more");
    }
    sb_sandbox_destroy(install->sandbox, SB_REASON_CANCELLED, install->failure.text);
}

void sb_install_free(struct sb_install *install)
{
    (void)event_del(&install->over);
    end_pipe(&install->files);
    end_pipe(&install->says);
    if (install->exec != NULL) {
        sb_exec_unobserve(&install->exec_observer);
    }
    if (install->sandbox != NULL) {
        sb_sandbox_unobserve(&install->sandbox_observer);
    }
    sb_list_remove(&install->links.link);
    sb_tree_done(&install->tree);
    sb_package_cache_drop(install->cache, &install->stage);
    sb_strings_done(&install->set.names);
    free(install);
}
