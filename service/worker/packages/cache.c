#include "service/worker/packages/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "service/worker/packages/meta.h"
#include "service/worker/packages/sweep.h"
#include "service/worker/timer.h"

enum { META_MAX = 256 << 10, ENTRIES_MAX = 1024, NAME_SIZE = SB_ID_SIZE + 8 };

#define FOLDER "packages"
#define PREFIX "pk_"
#define TREE   "tree"
#define META   "meta"

static const int dir_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

void sb_package_entry_free(struct sb_package_entry *entry)
{
    if (entry != NULL) {
        sb_strings_done(&entry->names);
        sb_strings_done(&entry->installed);
        free(entry);
    }
}

void sb_package_entry_freep(struct sb_package_entry **entry)
{
    sb_package_entry_free(*entry);
}

static void name_with(char out[NAME_SIZE], const char *id, const char *suffix)
{
    (void)snprintf(out, NAME_SIZE, "%s%s", id, suffix);
}

/* ---- removal ---- */

static void on_sweep(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_package_cache *cache = ctx;
    if (!sb_package_sweep(cache->dir, SB_PACKAGE_OLD)) {
        sb_timer_arm(&cache->sweeper, 0);
    }
}

static void throw_away(struct sb_package_cache *cache, const char *id, const char *suffix)
{
    char from[NAME_SIZE];
    char to[NAME_SIZE];
    name_with(from, id, suffix);
    name_with(to, id, SB_PACKAGE_OLD);
    if (renameat(cache->dir, from, cache->dir, to) < 0) {
        SB_LOG_WARN("packages cannot be removed", "entry=%s errno=%d", from, errno);
        return;
    }
    if (cache->has_sweeper) {
        sb_timer_arm(&cache->sweeper, 0);
    }
}

static void remove_entry(struct sb_package_cache *cache, struct sb_package_entry *entry)
{
    throw_away(cache, entry->id, "");
    cache->bytes -= entry->bytes;
    sb_list_remove(&entry->link);
    sb_package_entry_free(entry);
}

void sb_package_cache_forget(struct sb_package_cache *cache, struct sb_package_entry *entry)
{
    entry->is_forgotten = true;
    if (entry->uses == 0) {
        remove_entry(cache, entry);
    }
}

void sb_package_cache_use(struct sb_package_cache *cache, struct sb_package_entry *entry)
{
    entry->uses++;
    sb_list_remove(&entry->link);
    sb_list_prepend(&cache->entries, &entry->link);
}

void sb_package_cache_release(struct sb_package_cache *cache, struct sb_package_entry *entry)
{
    entry->uses--;
    if (entry->uses == 0 && (entry->is_forgotten || cache->bytes > cache->max_bytes)) {
        remove_entry(cache, entry);
    }
}

uint64_t sb_package_cache_in_use(const struct sb_package_cache *cache)
{
    uint64_t bytes = 0;
    SB_FOREACH (node, &cache->entries) {
        const struct sb_package_entry *entry = SB_LIST_ENTRY(node, struct sb_package_entry, link);
        bytes += entry->uses > 0 ? entry->bytes : 0;
    }
    return bytes;
}

static void make_room(struct sb_package_cache *cache)
{
    size_t n = 0;
    SB_FOREACH (node, &cache->entries) {
        n++;
        (void)node;
    }
    while (cache->bytes > cache->max_bytes || n > ENTRIES_MAX) {
        struct sb_list *node = cache->entries.prev;
        while (node != &cache->entries &&
               SB_LIST_ENTRY(node, struct sb_package_entry, link)->uses > 0) {
            node = node->prev;
        }
        if (node == &cache->entries) {
            return; /* all are in use: they go when they are released */
        }
        remove_entry(cache, SB_LIST_ENTRY(node, struct sb_package_entry, link));
        n--;
    }
}

/* ---- what is there ---- */

static int read_entry(struct sb_package_cache *cache, const char *id, struct sb_err *err)
{
    char path[NAME_SIZE + 8];
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(META_MAX);
    SB_CLEANUP(sb_package_entry_freep)
    struct sb_package_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        return sb_err_oom(err);
    }
    (void)snprintf(path, sizeof path, "%s/" META, id);
    (void)snprintf(entry->id, sizeof entry->id, "%s", id);
    if (sb_fd_read_file(cache->dir, path, META_MAX, &text, err) < 0 ||
        sb_package_meta_read(sb_buf_cstr(&text), entry, err) < 0) {
        return -1;
    }
    cache->bytes += entry->bytes;
    entry->seq = ++cache->last_seq;
    struct sb_list *at = cache->entries.next; /* the newest first */
    while (at != &cache->entries &&
           SB_LIST_ENTRY(at, struct sb_package_entry, link)->made_ms > entry->made_ms) {
        at = at->next;
    }
    sb_list_insert_before(at, &entry->link);
    (void)SB_STEAL_PTR(entry);
    return 0;
}

static void look_at(struct sb_package_cache *cache, const char *name)
{
    struct sb_err err;
    struct sb_str text = sb_str_from(name);
    char id[SB_ID_SIZE];
    bool is_new = sb_str_ends_with(text, SB_STR(SB_PACKAGE_NEW));
    struct sb_str head = sb_str_head(text, is_new ? text.len - strlen(SB_PACKAGE_NEW) : text.len);
    if (!sb_id_valid(head, PREFIX)) {
        return; /* an .old, or not ours */
    }
    (void)snprintf(id, sizeof id, "%.*s", SB_STR_ARG(head));
    if (is_new) {
        throw_away(cache, id, SB_PACKAGE_NEW);
    } else if (read_entry(cache, id, &err) < 0) {
        throw_away(cache, id, "");
    }
}

static int look(struct sb_package_cache *cache, struct sb_err *err)
{
    int fd = openat(cache->dir, ".", dir_flags);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        (void)sb_err_sys(err, errno, FOLDER);
        sb_closep(&fd);
        return -1;
    }
    for (const struct dirent *item = NULL; (item = readdir(dir)) != NULL;) {
        look_at(cache, item->d_name);
    }
    (void)closedir(dir);
    return 0;
}

int sb_package_cache_open(struct sb_package_cache *cache,
                          struct event_base *base,
                          int state_dir,
                          uint64_t max_bytes,
                          struct sb_err *err)
{
    *cache = (struct sb_package_cache){.dir = -1, .state_dir = state_dir, .max_bytes = max_bytes};
    sb_list_init(&cache->entries);
    (void)event_assign(&cache->sweeper, base, -1, 0, on_sweep, cache);
    cache->has_sweeper = true;
    if (state_dir < 0) {
        return 0;
    }
    cache->dir = openat(state_dir, FOLDER, dir_flags);
    if (cache->dir < 0) {
        return errno == ENOENT ? 0 : sb_err_sys(err, errno, FOLDER);
    }
    if (look(cache, err) < 0) {
        return -1;
    }
    make_room(cache);
    sb_timer_arm(&cache->sweeper, 0);
    return 0;
}

void sb_package_cache_done(struct sb_package_cache *cache)
{
    if (!cache->has_sweeper) {
        return;
    }
    (void)event_del(&cache->sweeper);
    cache->has_sweeper = false;
    SB_FOREACH (node, &cache->entries) {
        struct sb_package_entry *entry = SB_LIST_ENTRY(node, struct sb_package_entry, link);
        if (entry->is_forgotten) { /* still in use: removed by the next worker */
            throw_away(cache, entry->id, "");
        }
        sb_list_remove(&entry->link);
        sb_package_entry_free(entry);
    }
    sb_closep(&cache->dir);
    cache->dir = -1;
}

struct sb_package_entry *sb_package_cache_find(struct sb_package_cache *cache,
                                               const char *key,
                                               uint64_t keep_ms,
                                               uint64_t now_ms)
{
    SB_FOREACH (node, &cache->entries) {
        struct sb_package_entry *entry = SB_LIST_ENTRY(node, struct sb_package_entry, link);
        if (entry->is_forgotten || strcmp(entry->key, key) != 0) {
            continue;
        }
        if (entry->made_ms <= now_ms && now_ms - entry->made_ms <= keep_ms) {
            return entry;
        }
        sb_package_cache_forget(cache, entry);
    }
    return NULL;
}

/* ---- new ones ---- */

static int make_folder(struct sb_package_cache *cache, struct sb_err *err)
{
    if (cache->dir >= 0) {
        return 0;
    }
    if (cache->state_dir < 0) {
        return sb_err_set(err, SB_PRECONDITION,
                          "this worker has no state directory to install in; start it with "
                          "--state-dir");
    }
    if (mkdirat(cache->state_dir, FOLDER, 0700) < 0 && errno != EEXIST) {
        return sb_err_sys(err, errno, "make " FOLDER);
    }
    cache->dir = openat(cache->state_dir, FOLDER, dir_flags);
    return cache->dir < 0 ? sb_err_sys(err, errno, FOLDER) : 0;
}

int sb_package_cache_stage(struct sb_package_cache *cache,
                           struct sb_package_stage *ret_stage,
                           struct sb_err *err)
{
    char name[NAME_SIZE];
    struct sb_package_stage stage = SB_PACKAGE_STAGE_INIT;
    if (make_folder(cache, err) < 0 || sb_id_make(stage.id, PREFIX, err) < 0) {
        return -1;
    }
    name_with(name, stage.id, SB_PACKAGE_NEW);
    if (mkdirat(cache->dir, name, 0700) < 0) {
        return sb_err_sys(err, errno, "make " FOLDER "/%s", name);
    }
    stage.dir = openat(cache->dir, name, dir_flags);
    if (stage.dir < 0 || mkdirat(stage.dir, TREE, 0755) < 0 ||
        (stage.tree = openat(stage.dir, TREE, dir_flags)) < 0 || fchmod(stage.tree, 0755) < 0) {
        (void)sb_err_sys(err, errno, "make " FOLDER "/%s", name);
        sb_package_cache_drop(cache, &stage);
        return -1;
    }
    *ret_stage = stage;
    return 0;
}

static void close_stage(struct sb_package_stage *stage)
{
    sb_closep(&stage->tree);
    sb_closep(&stage->dir);
    *stage = SB_PACKAGE_STAGE_INIT;
}

void sb_package_cache_drop(struct sb_package_cache *cache, struct sb_package_stage *stage)
{
    if (stage->id[0] != '\0') {
        throw_away(cache, stage->id, SB_PACKAGE_NEW);
    }
    close_stage(stage);
}

static int write_meta(int dir, const struct sb_package_entry *entry, struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(META_MAX);
    SB_CLEANUP(sb_closep)
    int fd = openat(dir, META, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return sb_err_sys(err, errno, "write " META);
    }
    return sb_package_meta_write(entry, &text) < 0
               ? sb_err_sys(err, errno, "write " META)
               : sb_fd_write_full(fd, sb_buf_cstr(&text), text.len, err);
}

int sb_package_cache_publish(struct sb_package_cache *cache,
                             struct sb_package_stage *stage,
                             struct sb_package_entry *entry,
                             struct sb_err *err)
{
    char name[NAME_SIZE];
    name_with(name, stage->id, SB_PACKAGE_NEW);
    if (write_meta(stage->dir, entry, err) < 0) {
        return -1;
    }
    if (renameat(cache->dir, name, cache->dir, stage->id) < 0) {
        return sb_err_sys(err, errno, "keep packages");
    }
    memcpy(entry->id, stage->id, sizeof entry->id);
    close_stage(stage);
    entry->uses = 1;
    entry->seq = ++cache->last_seq;
    cache->bytes += entry->bytes;
    sb_list_prepend(&cache->entries, &entry->link);
    make_room(cache);
    return 0;
}

int sb_package_cache_open_tree(const struct sb_package_cache *cache,
                               const struct sb_package_entry *entry,
                               struct sb_err *err)
{
    char path[NAME_SIZE + 8];
    (void)snprintf(path, sizeof path, "%s/" TREE, entry->id);
    int fd = openat(cache->dir, path, dir_flags);
    return fd < 0 ? sb_err_sys(err, errno, "open packages") : fd;
}
