#include "service/worker/packages/packages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/num.h"
#include "base/sha256.h"
#include "service/worker/packages/cache.h"
#include "service/worker/packages/install.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/request.h"
#include "service/worker/sandbox.h"
#include "service/worker/worker.h"

enum { KEY_INPUT_MAX = 64 << 10 };

struct sb_packages {
    struct sb_worker *worker;
    struct sb_package_cache cache;
    struct sb_list installs;
};

int sb_packages_new(struct sb_worker *worker,
                    uint64_t max_bytes,
                    struct sb_packages **ret_packages,
                    struct sb_err *err)
{
    struct sb_packages *packages = calloc(1, sizeof *packages);
    if (packages == NULL) {
        return sb_err_oom(err);
    }
    packages->worker = worker;
    sb_list_init(&packages->installs);
    if (sb_package_cache_open(&packages->cache, worker->base, worker->state_dir, max_bytes, err) <
        0) {
        sb_packages_free(packages);
        return -1;
    }
    *ret_packages = packages;
    return 0;
}

void sb_packages_end(struct sb_packages *packages)
{
    if (packages == NULL) {
        return;
    }
    SB_FOREACH (node, &packages->installs) {
        struct sb_install_links *links = SB_LIST_ENTRY(node, struct sb_install_links, link);
        while (sb_list_pop(&links->waiting) != NULL) {
        }
        sb_install_free(sb_install_of(links));
    }
}

void sb_packages_free(struct sb_packages *packages)
{
    if (packages == NULL) {
        return;
    }
    sb_package_cache_done(&packages->cache);
    free(packages);
}

struct sb_package_cache *sb_packages_cache(struct sb_packages *packages)
{
    return &packages->cache;
}

/* ---- keys ---- */

/* Every text is followed by its NUL, so that no two wishes have the same bytes. */
static int put(struct sb_buf *out, const char *text)
{
    return sb_buf_append(out, text, strlen(text) + 1);
}

/* What would be started, as far as it can be told from outside: another Python is another file. */
static int put_program(struct sb_buf *out, const struct sb_policy *policy, const char *name)
{
    const char *path = sb_pairs_get(&policy->env, SB_STR("PATH"));
    struct sb_str rest = sb_str_from(path == NULL ? "" : path);
    struct sb_str dir;
    char file[512];
    struct stat st;
    while (sb_str_next(&rest, ':', &dir)) {
        int n = snprintf(file, sizeof file, "%.*s/%s", SB_STR_ARG(dir), name);
        if (dir.len > 0 && dir.ptr[0] == '/' && n > 0 && (size_t)n < sizeof file &&
            stat(file, &st) == 0) {
            return sb_buf_printf(out, "%s %ju %ju %ju", file, (uintmax_t)st.st_ino,
                                 (uintmax_t)st.st_size, (uintmax_t)st.st_mtime) < 0
                       ? -1
                       : sb_buf_append_byte(out, '\0');
        }
    }
    return put(out, "");
}

static int put_set(struct sb_buf *out, const struct sb_package_set *set)
{
    int rc = put(out, set->url);
    for (size_t i = 0; rc == 0 && i < set->names.n; i++) {
        rc = put(out, set->names.items[i]);
    }
    return rc == 0 ? put(out, set->runs_code ? "code" : "") : rc;
}

static int make_key(const struct sb_sandbox *sandbox,
                    enum sb_manager manager,
                    char ret_key[SB_PACKAGE_KEY_SIZE],
                    struct sb_err *err)
{
    static const char *const programs[SB_MANAGER_END_][2] = {
        [SB_MANAGER_PIP] = {"python3", "pip3"}, [SB_MANAGER_NPM] = {"node", "npm"}};
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(KEY_INPUT_MAX);
    SB_CLEANUP(sb_request_freep) struct sb_request *request = NULL;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = NULL;
    struct utsname machine = {.machine = ""};
    (void)uname(&machine);
    if (sb_install_request(sandbox, manager, &request, err) < 0 ||
        sb_policy_make(sandbox->worker->profiles, request, &policy, err) < 0) {
        return -1;
    }
    if (put(&text, sandbox->tenant) < 0 || put(&text, sb_manager_names[manager]) < 0 ||
        put(&text, machine.machine) < 0 || put(&text, policy->hash) < 0 ||
        put_program(&text, policy, programs[manager][0]) < 0 ||
        put_program(&text, policy, programs[manager][1]) < 0 ||
        put_set(&text, &sandbox->policy->packages.sets[manager]) < 0) {
        return sb_err_sys(err, errno, "packages");
    }
    sb_sha256_hex(sb_buf_str(&text), ret_key);
    return 0;
}

/* ---- sandboxes ---- */

static void on_stop(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_sandbox *sandbox = ctx;
    struct sb_err err;
    if (sb_packages_is_waiting(sandbox)) {
        (void)sb_err_set(&err, SB_CANCELLED, "destroyed before its packages were there");
        sb_sandbox_fail(sandbox, &err);
    }
}

void sb_packages_init(struct sb_sandbox *sandbox)
{
    (void)event_assign(&sandbox->packages.stop, sandbox->worker->base, -1, 0, on_stop, sandbox);
    for (int i = 0; i < SB_MANAGER_END_; i++) {
        sandbox->packages.uses[i].sandbox = sandbox;
    }
}

bool sb_packages_is_waiting(const struct sb_sandbox *sandbox)
{
    return sandbox->packages.n_waiting > 0;
}

void sb_packages_stop(struct sb_sandbox *sandbox)
{
    event_active(&sandbox->packages.stop, EV_TIMEOUT, 0);
}

static struct sb_install *find_install(struct sb_packages *packages, const char *key)
{
    SB_FOREACH (node, &packages->installs) {
        struct sb_install_links *links = SB_LIST_ENTRY(node, struct sb_install_links, link);
        if (strcmp(links->key, key) == 0 && links->keeps && !sb_list_is_empty(&links->waiting)) {
            return sb_install_of(links);
        }
    }
    return NULL;
}

static int wait_for(struct sb_packages *packages,
                    struct sb_sandbox *sandbox,
                    enum sb_manager manager,
                    const char *key,
                    struct sb_err *err)
{
    bool keeps = sandbox->policy->packages.sets[manager].keeps;
    struct sb_install *install = keeps ? find_install(packages, key) : NULL;
    if (install == NULL) {
        const struct sb_install_options options = {
            .packages = packages,
            .cache = &packages->cache,
            .wanted_by = sandbox,
            .manager = manager,
            .key = key,
        };
        if (sb_install_start(&options, &install, err) < 0) {
            return -1;
        }
        sb_list_append(&packages->installs, &sb_install_links(install)->link);
    }
    sb_list_append(&sb_install_links(install)->waiting, &sandbox->packages.uses[manager].link);
    sandbox->packages.n_waiting++;
    return 0;
}

static int want(struct sb_packages *packages,
                struct sb_sandbox *sandbox,
                enum sb_manager manager,
                struct sb_err *err)
{
    char key[SB_PACKAGE_KEY_SIZE];
    const struct sb_package_set *set = &sandbox->policy->packages.sets[manager];
    if (make_key(sandbox, manager, key, err) < 0) {
        return -1;
    }
    struct sb_package_entry *entry =
        set->keeps ? sb_package_cache_find(&packages->cache, key, set->keep_ms, sb_clock_real_ms())
                   : NULL;
    if (entry == NULL) {
        return wait_for(packages, sandbox, manager, key, err);
    }
    sb_package_cache_use(&packages->cache, entry);
    sandbox->packages.uses[manager].entry = entry;
    sandbox->packages.uses[manager].was_kept = true;
    return 0;
}

int sb_packages_want(struct sb_sandbox *sandbox, struct sb_err *err)
{
    for (int i = SB_MANAGER_PIP; i < SB_MANAGER_END_; i++) {
        if (sandbox->policy->packages.sets[i].names.n > 0 &&
            want(sandbox->worker->packages, sandbox, (enum sb_manager)i, err) < 0) {
            sb_packages_leave(sandbox);
            return sb_err_wrap(err, "packages of %s", sb_manager_names[i]);
        }
    }
    return sb_packages_is_waiting(sandbox) ? 0 : 1;
}

/* An install that only this one waited for ends. */
static void leave_install(struct sb_packages *packages, struct sb_package_use *use)
{
    sb_list_remove(&use->link);
    SB_FOREACH (node, &packages->installs) {
        struct sb_install_links *links = SB_LIST_ENTRY(node, struct sb_install_links, link);
        if (sb_list_is_empty(&links->waiting)) {
            sb_install_cancel(sb_install_of(links));
        }
    }
}

void sb_packages_leave(struct sb_sandbox *sandbox)
{
    struct sb_packages *packages = sandbox->worker->packages;
    sandbox->packages.n_waiting = 0;
    (void)event_del(&sandbox->packages.stop);
    for (int i = SB_MANAGER_PIP; i < SB_MANAGER_END_; i++) {
        struct sb_package_use *use = &sandbox->packages.uses[i];
        if (sb_list_is_linked(&use->link)) {
            leave_install(packages, use);
        }
        if (use->entry != NULL) {
            sb_package_cache_release(&packages->cache, use->entry);
            use->entry = NULL;
        }
    }
}

/* ---- installs ---- */

static void give(struct sb_packages *packages,
                 struct sb_package_use *use,
                 struct sb_package_entry *entry,
                 const struct sb_err *err)
{
    struct sb_sandbox *sandbox = use->sandbox;
    sb_list_remove(&use->link);
    sandbox->packages.n_waiting--;
    if (entry == NULL) {
        sb_sandbox_fail(sandbox, err);
        return;
    }
    sb_package_cache_use(&packages->cache, entry);
    use->entry = entry;
    if (sandbox->packages.n_waiting == 0) {
        sb_sandbox_packed(sandbox);
    }
}

void sb_packages_installed(struct sb_packages *packages,
                           struct sb_install *install,
                           struct sb_package_entry *entry,
                           const struct sb_err *err)
{
    struct sb_install_links *links = sb_install_links(install);
    struct sb_list *node = NULL;
    sb_list_remove(&links->link); /* nobody joins any more */
    while ((node = sb_list_pop(&links->waiting)) != NULL) {
        give(packages, SB_LIST_ENTRY(node, struct sb_package_use, link), entry, err);
    }
    if (entry != NULL) {
        if (!links->keeps) {
            entry->is_forgotten = true;
        }
        sb_package_cache_release(&packages->cache, entry);
    }
    sb_install_free(install);
}

int sb_packages_check_room(struct sb_packages *packages, struct sb_err *err)
{
    const struct sb_package_cache *cache = &packages->cache;
    uint64_t used = sb_package_cache_in_use(cache);
    char text[SB_NUM_TEXT_SIZE];
    SB_FOREACH (node, &packages->installs) {
        used += sb_install_bytes(sb_install_of(SB_LIST_ENTRY(node, struct sb_install_links, link)));
    }
    return used <= 2 * cache->max_bytes
               ? 0
               : sb_err_set(err, SB_EXHAUSTED,
                            "packages that sandboxes have or wait for take more than twice "
                            "--packages-max (%s); destroy some of them",
                            sb_num_format_bytes(text, cache->max_bytes));
}

/* ---- plans ---- */

static int add_mount(Spawn__V1__Plan *plan, int fd, const char *target, struct sb_err *err)
{
    char link[64];
    char source[1024];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, source, sizeof source - 1);
    if (len < 0) {
        return sb_err_sys(err, errno, "packages: %s", link);
    }
    source[len] = '\0';
    Spawn__V1__HostMount **mounts =
        realloc(plan->mounts, (plan->n_mounts + 1) * sizeof *plan->mounts);
    if (mounts == NULL) {
        return sb_err_oom(err);
    }
    plan->mounts = mounts;
    Spawn__V1__HostMount *made = malloc(sizeof *made);
    if (made == NULL) {
        return sb_err_oom(err);
    }
    spawn__v1__host_mount__init(made);
    plan->mounts[plan->n_mounts++] = made;
    char *from = strdup(source);
    char *to = strdup(target);
    if (from != NULL) {
        made->source = from;
    }
    if (to != NULL) {
        made->target = to;
    }
    made->of_worker = true;
    return from == NULL || to == NULL ? sb_err_oom(err) : 0;
}

int sb_packages_bind(const struct sb_sandbox *sandbox,
                     Spawn__V1__Plan *plan,
                     int *fds,
                     size_t *n_fds,
                     struct sb_err *err)
{
    for (int i = SB_MANAGER_PIP; i < SB_MANAGER_END_; i++) {
        const struct sb_package_use *use = &sandbox->packages.uses[i];
        if (use->entry == NULL) {
            continue;
        }
        int fd = sb_package_cache_open_tree(&sandbox->worker->packages->cache, use->entry, err);
        if (fd < 0) {
            return -1;
        }
        fds[(*n_fds)++] = fd;
        if (add_mount(plan, fd, sb_manager_targets[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}
