#include "service/spawner/ids.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "service/spawner/child.h"
#include "service/spawner/host.h"

void sb_ids_pool_init(struct sb_ids_pool *pool, const struct sb_host *host)
{
    /* The last one is the egress proxy's. */
    unsigned n_subids = host->n_subids > 1 ? host->n_subids - 1 : host->n_subids;
    *pool = host->is_root
                ? (struct sb_ids_pool){.n_ranges = ((uint64_t)SB_IDS_LAST + 1 - SB_IDS_FIRST) /
                                                   SB_IDS_RANGE,
                                       .per_range = SB_IDS_RANGE,
                                       .first = SB_IDS_FIRST}
                : (struct sb_ids_pool){.n_ranges = n_subids > 1 ? n_subids / 2 : n_subids,
                                       .per_range = n_subids > 1 ? 2 : 1,
                                       .first = 1};
    sb_list_init(&pool->taken);
}

static bool is_taken(const struct sb_ids_pool *pool, uint64_t range)
{
    SB_FOREACH (node, &pool->taken) {
        if (SB_LIST_ENTRY(node, struct sb_ids, link)->range == range) {
            return true;
        }
    }
    return false;
}

int sb_ids_take(struct sb_ids_pool *pool, struct sb_ids *ids, struct sb_err *err)
{
    for (uint64_t tried = 0; tried < pool->n_ranges; tried++) {
        uint64_t range = pool->next;
        pool->next = (pool->next + 1) % pool->n_ranges;
        if (is_taken(pool, range)) {
            continue;
        }
        uint32_t outside = pool->first + (uint32_t)range * pool->per_range;
        *ids = (struct sb_ids){
            .range = range,
            .inside = pool->per_range == SB_IDS_RANGE ? 0 : SB_CHILD_ID,
            .outside_uid = outside,
            .outside_gid = outside,
            .count = pool->per_range,
        };
        ids->init_uid =
            pool->per_range == 1 ? 0 : ids->outside_uid + (SB_CHILD_INIT_ID - ids->inside);
        sb_list_append(&pool->taken, &ids->link);
        return 0;
    }
    return sb_err_set(err, SB_EXHAUSTED, "all %llu ranges of host ids are in use",
                      (unsigned long long)pool->n_ranges);
}

void sb_ids_share(struct sb_ids *ids, uint32_t uid, uint32_t gid)
{
    ids->inside = SB_CHILD_ID;
    ids->outside_uid = uid;
    ids->outside_gid = gid;
    ids->count = 1;
    ids->is_shared = true;
}

void sb_ids_release(struct sb_ids *ids)
{
    sb_list_remove(&ids->link);
}

uint32_t sb_ids_job_uid(const struct sb_ids *ids)
{
    return ids->outside_uid + (SB_CHILD_ID - ids->inside);
}

uint32_t sb_ids_job_gid(const struct sb_ids *ids)
{
    return ids->outside_gid + (SB_CHILD_ID - ids->inside);
}

static bool has_all_ids(const char *path)
{
    enum { MAX_MAP = 16384 };
    struct sb_err err;
    SB_CLEANUP(sb_buf_done) struct sb_buf map = SB_BUF_INIT(MAX_MAP);
    if (sb_fd_read_file(AT_FDCWD, path, MAX_MAP, &map, &err) < 0) {
        return false;
    }
    struct sb_str rest = sb_buf_str(&map);
    struct sb_str line;
    while (sb_str_next(&rest, '\n', &line)) {
        char text[64] = "";
        memcpy(text, line.ptr, line.len < sizeof text ? line.len : sizeof text - 1);
        char *at = text; /* "inside outside count", by the kernel */
        unsigned long inside = strtoul(at, &at, 10);
        (void)strtoul(at, &at, 10);
        unsigned long count = strtoul(at, &at, 10);
        if (inside <= SB_IDS_FIRST && count > SB_IDS_LAST - inside) {
            return true;
        }
    }
    return false;
}

bool sb_ids_are_ours(void)
{
    return has_all_ids("/proc/self/uid_map") && has_all_ids("/proc/self/gid_map");
}
