#pragma once
/** What was installed, kept for the next sandbox that asks for the same.
 *
 *  Theory of operation. One directory of the worker's own, in its state directory:
 *
 *      <id>/meta   what it is: a line for each fact
 *      <id>/tree/  the files, for sandboxes to have read-only
 *      <id>.new    being written; becomes <id> by one rename, when it is whole
 *      <id>.old    to be removed, a few files at a turn of the loop
 *
 *  What a worker before this one left half done is an .new, and removed at the start. What was
 *  written before the machine was started last is removed too: nothing here is worth an fsync.
 *  Entries in use are never removed; those out of date are forgotten at once, and removed when
 *  nobody uses them any more. Loop thread. */
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/list.h"
#include "service/worker/policy/auth_config.h"
#include "service/worker/policy/collections.h"
#include "service/worker/policy/packages.h"

struct sb_err;

enum { SB_PACKAGE_KEY_SIZE = 65 };

struct sb_package_entry {
    struct sb_list link; /* most recently used first */
    uint64_t seq;        /* in the order they came; of this worker */
    char id[SB_ID_SIZE];
    char key[SB_PACKAGE_KEY_SIZE];
    char tenant[SB_TENANT_SIZE];
    enum sb_manager manager;
    struct sb_strings names;
    struct sb_strings installed;
    uint64_t made_ms; /* real time */
    uint64_t took_ms;
    uint64_t bytes;
    uint64_t files;
    unsigned uses;
    bool is_forgotten; /* not for anybody new */
};

struct sb_package_cache {
    int dir; /* -1: there is none yet */
    int state_dir;
    uint64_t max_bytes;
    uint64_t bytes; /* of all entries */
    uint64_t last_seq;
    struct sb_list entries;
    struct event sweeper;
    bool has_sweeper;
};

/** Something that is being written. */
struct sb_package_stage {
    char id[SB_ID_SIZE];
    int dir;  /* -1: none */
    int tree; /* O_DIRECTORY */
};
#define SB_PACKAGE_STAGE_INIT ((struct sb_package_stage){.dir = -1, .tree = -1})

/** Looks what is there. @state_dir  borrowed; -1: nothing can be kept.
 *  Errors: by errno. */
int sb_package_cache_open(struct sb_package_cache *cache,
                          struct event_base *base,
                          int state_dir,
                          uint64_t max_bytes,
                          struct sb_err *err);
void sb_package_cache_done(struct sb_package_cache *cache);

/** The entry with that key that is not older than keep_ms; NULL: there is none. Older ones are
 *  forgotten. @now_ms  real time */
struct sb_package_entry *sb_package_cache_find(struct sb_package_cache *cache,
                                               const char *key,
                                               uint64_t keep_ms,
                                               uint64_t now_ms);

int sb_package_cache_stage(struct sb_package_cache *cache,
                           struct sb_package_stage *ret_stage,
                           struct sb_err *err);
/** Throws it away. None is fine. */
void sb_package_cache_drop(struct sb_package_cache *cache, struct sb_package_stage *stage);
/** Makes an entry of it, in use once, and makes room by removing those that were not used longest.
 *  @entry  on the heap; the cache's when 0 is returned. */
int sb_package_cache_publish(struct sb_package_cache *cache,
                             struct sb_package_stage *stage,
                             struct sb_package_entry *entry,
                             struct sb_err *err);
void sb_package_entry_free(struct sb_package_entry *entry);
void sb_package_entry_freep(struct sb_package_entry **entry);

/** Bytes of those that sandboxes have now, which are not removed. */
uint64_t sb_package_cache_in_use(const struct sb_package_cache *cache);

void sb_package_cache_use(struct sb_package_cache *cache, struct sb_package_entry *entry);
void sb_package_cache_release(struct sb_package_cache *cache, struct sb_package_entry *entry);
/** Not for anybody new; removed when nobody uses it. */
void sb_package_cache_forget(struct sb_package_cache *cache, struct sb_package_entry *entry);
/** Its files, O_DIRECTORY. Errors: by errno. */
int sb_package_cache_open_tree(const struct sb_package_cache *cache,
                               const struct sb_package_entry *entry,
                               struct sb_err *err);
