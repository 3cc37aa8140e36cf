#pragma once
#include <stddef.h>
#include <stdint.h>

#include "service/spawner/bpf/compile.h"
#include "spawn/v1/spawn.pb-c.h"

struct sb_child;
struct sb_err;

/** A compiled filter in two forms: refuses by itself, or has a listener answer some refusals;
 *  theory of operation: filter.c. */
struct sb_filter {
    struct sb_bpf_forms forms;
};

enum { SB_FILTER_MAX_CACHED = 64 };

/** Compiled filters by content. Zeroed memory is an empty cache. */
struct sb_filter_cache {
    struct {
        uint64_t hash;
        size_t packed_len; /* bytes */
        struct sb_filter filter;
    } entries[SB_FILTER_MAX_CACHED];
    size_t n;
};

/** Compiles, or finds it compiled. The id is never 0 and lives as long as the cache.
 *  Errors: SB_INVALID: the text names rule and field; SB_EXHAUSTED: cache, memory. */
int sb_filter_load(struct sb_filter_cache *cache,
                   const Spawn__V1__LoadFilter *msg,
                   uint64_t *ret_id,
                   struct sb_err *err);

/** Borrowed; NULL: no such id. */
const struct sb_filter *sb_filter_find(const struct sb_filter_cache *cache, uint64_t id);

void sb_filter_cache_done(struct sb_filter_cache *cache);

/** Compiles one filter; end it with sb_filter_done. Errors: as sb_filter_load. */
int sb_filter_compile(const Spawn__V1__LoadFilter *msg,
                      struct sb_filter *ret_filter,
                      struct sb_err *err);
void sb_filter_done(struct sb_filter *filter);

/** Puts one form on this process; no_new_privs is set, or CAP_SYS_ADMIN is there. Allocates
 *  nothing.
 *  @ret_listener  NULL: nobody listens, plain; else the listener of asking, close-on-exec, or -1
 *                 with plain when the kernel gives none. Refused calls that are told wait for an
 *                 answer while it is open, and are ENOSYS when it is closed.
 *  Errors: by errno. */
int sb_filter_install(const struct sb_filter *filter, int *ret_listener, struct sb_err *err);

/** Puts the plain form on this process, and a filter that asks a listener about every call that it
 *  does not refuse. The answer may only be to go on. The few calls by which a process hands the
 *  listener over and becomes another program are not asked about.
 *  @ret_listener  close-on-exec. Errors: SB_PRECONDITION: the kernel gives no listener here. */
int sb_filter_learn(const struct sb_filter *filter, int *ret_listener, struct sb_err *err);

/** Step of the child, the last one: no later call may need what a filter refuses. */
int sb_filter_apply(struct sb_child *child, struct sb_err *err);
