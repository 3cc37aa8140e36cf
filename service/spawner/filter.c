#include "service/spawner/filter.h"

/* Theory of operation. What a sandbox may call is said by two lists of rules:
 *
 *   allow  what the profile says: its default action and its rules, and what init needs;
 *   deny   allows by default and holds refusals only: all of the profile, and the floor, which no
 *          profile can lift.
 *
 * They count as two stacked filters would: of both answers the more severe one (kill, then trap,
 * then errno, then allow), of equals that of deny, so that its errno values win. Within a list of
 * the rules that hold the most severe one counts, of equals one without conditions, else the first.
 * As all of it is known beforehand, bpf/ makes one program of the lists: the kernel has half as
 * much to keep, to look through when it is put on, and to run.
 *
 * The program kills the process on a call of another architecture (x32 and 32-bit x86 too), whose
 * numbers mean other calls.
 *
 * Some refusals are told (service/shared/denial.h): the worker answers them, by way of a listener
 * (seccomp_unotify(2)), with the errno that the filter would have given. An errno of any list wins
 * over that, so the allowing list lets exactly these pass, and the denying one alone decides, in
 * which they have a mark that no message can name. The program exists in two forms: "plain" refuses
 * by itself; "asking" asks the worker where it is marked. Whoever cannot have a listener (a process
 * has one at most) gets the plain one.
 *
 * To learn which calls a program makes, there is another filter below that one that asks about all
 * of them. Refusals win over the question, so whatever the worker answers opens nothing. */

#include <linux/seccomp.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mutate.h"
#include "service/shared/frame.h"
#include "service/spawner/bpf/compile.h"
#include "service/spawner/bpf/rules.h"
#include "service/spawner/filter_rules.h"

/* Fixed: the cache is filled by the worker, whose fault collisions would be alone. */
static const struct sb_hash_key content_key = {0x61697362782d6264ULL, 0x2d66696c74657273ULL};

/* Layers of defence that tests leave out. */
static void mutate(struct sb_bpf_lists *lists, struct sb_bpf_target *target)
{
    if (sb_mutated("filter.allow")) {
        lists->allow.default_action = SECCOMP_RET_ALLOW;
        lists->allow.n_rules = 0;
    }
    if (sb_mutated("filter.deny")) {
        lists->deny.n_rules = 0;
    }
    if (sb_mutated("filter.abi")) {
        target->on_foreign = SECCOMP_RET_ALLOW;
    }
}

int sb_filter_compile(const Spawn__V1__LoadFilter *msg,
                      struct sb_filter *ret_filter,
                      struct sb_err *err)
{
    SB_CLEANUP(sb_bpf_lists_done) struct sb_bpf_lists lists = {{0}, {0}};
    struct sb_bpf_target target = sb_bpf_native;
    if (sb_filter_rules(msg, &lists, err) < 0) {
        return -1;
    }
    mutate(&lists, &target);
    return sb_bpf_compile(&lists, &target, &ret_filter->forms, err);
}

void sb_filter_done(struct sb_filter *filter)
{
    sb_bpf_forms_done(&filter->forms);
}

/* What a message says, however it came. */
static int
hash_of(const Spawn__V1__LoadFilter *msg, size_t len, uint64_t *ret_hash, struct sb_err *err)
{
    SB_CLEANUP(sb_freep) uint8_t *packed = malloc(len + 1);
    if (packed == NULL) {
        return sb_err_oom(err);
    }
    (void)spawn__v1__load_filter__pack(msg, packed);
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): its cleanup frees what it holds
    *ret_hash = sb_hash_sip13(content_key, packed, len);
    return 0;
}

int sb_filter_load(struct sb_filter_cache *cache,
                   const Spawn__V1__LoadFilter *msg,
                   uint64_t *ret_id,
                   struct sb_err *err)
{
    uint64_t hash = 0;
    size_t len = spawn__v1__load_filter__get_packed_size(msg);
    if (len > SB_FRAME_MAX) {
        return sb_err_set(err, SB_INVALID, "rules: %zu bytes, at most %d", len, SB_FRAME_MAX);
    }
    if (hash_of(msg, len, &hash, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < cache->n; i++) {
        if (cache->entries[i].hash == hash && cache->entries[i].packed_len == len) {
            *ret_id = i + 1;
            return 0;
        }
    }
    if (cache->n == SB_FILTER_MAX_CACHED) {
        return sb_err_set(err, SB_EXHAUSTED, "%d different filters are loaded, which is the most",
                          SB_FILTER_MAX_CACHED);
    }
    struct sb_filter filter;
    if (sb_filter_compile(msg, &filter, err) < 0) {
        return sb_err_wrap(err, "filter %.64s", msg->name);
    }
    cache->entries[cache->n].hash = hash;
    cache->entries[cache->n].packed_len = len;
    cache->entries[cache->n].filter = filter;
    *ret_id = ++cache->n;
    return 0;
}

const struct sb_filter *sb_filter_find(const struct sb_filter_cache *cache, uint64_t id)
{
    return id == 0 || id > cache->n ? NULL : &cache->entries[id - 1].filter;
}

void sb_filter_cache_done(struct sb_filter_cache *cache)
{
    for (size_t i = 0; i < cache->n; i++) {
        sb_filter_done(&cache->entries[i].filter);
    }
    cache->n = 0;
}
