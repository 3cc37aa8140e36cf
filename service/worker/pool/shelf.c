#include "service/worker/pool/shelf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/err.h"

enum { MAX_GROUPS = 256 };

/* ---- one parked sandbox ---- */

int sb_parked_new(struct sb_frame *frame,
                  struct sb_shelf *shelf,
                  struct sb_pool *pool,
                  struct sb_parked **ret_parked,
                  struct sb_err *err)
{
    struct sb_parked *parked = calloc(1, sizeof *parked);
    if (parked == NULL) {
        return sb_err_oom(err);
    }
    parked->shelf = shelf;
    parked->pool = pool;
    parked->warm = SB_WARM_NONE;
    parked->frame = *frame;
    *frame = SB_FRAME_INIT;
    parked->slot = sb_parked_reply(parked)->spawned->slot;
    sb_handover_init(&parked->handover);
    if (parked->frame.nfds > 0 &&
        sb_handover_read(&parked->handover, parked->frame.fds[0], err) < 0) {
        sb_parked_free(parked);
        return -1;
    }
    *ret_parked = parked;
    return 0;
}

void sb_parked_leave(struct sb_parked *parked)
{
    if (parked->warm.channel >= 0 && parked->is_heard) {
        (void)event_del(&parked->said);
        parked->is_heard = false;
    }
}

void sb_parked_free(struct sb_parked *parked)
{
    if (parked != NULL) {
        sb_parked_leave(parked);
        sb_warm_done(&parked->warm);
        sb_handover_done(&parked->handover);
        sb_frame_done(&parked->frame);
        free(parked);
    }
}

const Spawn__V1__Reply *sb_parked_reply(const struct sb_parked *parked)
{
    return (const Spawn__V1__Reply *)(const void *)parked->frame.msg;
}

/* ---- keys ---- */

struct caller {
    struct ucred cred;
    gid_t groups[MAX_GROUPS];
    socklen_t groups_len; /* bytes */
};

static int ask_caller(int peer_fd, struct caller *ret_caller, struct sb_err *err)
{
    socklen_t len = sizeof ret_caller->cred;
    ret_caller->groups_len = sizeof ret_caller->groups;
    if (getsockopt(peer_fd, SOL_SOCKET, SO_PEERCRED, &ret_caller->cred, &len) < 0 ||
        getsockopt(peer_fd, SOL_SOCKET, SO_PEERGROUPS, ret_caller->groups,
                   &ret_caller->groups_len) < 0) {
        return sb_err_sys(err, errno, "ask who the caller is");
    }
    ret_caller->cred.pid = 0; /* whichever of its processes */
    return 0;
}

int sb_shelf_key_make(Spawn__V1__Plan *plan,
                      const char *tenant,
                      int peer_fd,
                      const struct sb_warm_plan *warm,
                      struct sb_shelf_key *ret_key,
                      struct sb_err *err)
{
    static char nameless[] = "";
    struct sb_warm_plan warm_copy;
    struct caller caller;
    size_t tenant_len = strlen(tenant) + 1;
    size_t plan_at = tenant_len;
    if (peer_fd >= 0) {
        if (ask_caller(peer_fd, &caller, err) < 0) {
            return -1;
        }
        plan_at += sizeof caller.cred + caller.groups_len;
    }
    if (sb_warm_plan_copy(warm, &warm_copy, err) < 0) {
        return -1;
    }
    char *name = plan->sandbox_id;
    plan->sandbox_id = nameless;
    size_t len = plan_at + spawn__v1__plan__get_packed_size(plan);
    uint8_t *bytes = malloc(len + 1);
    if (bytes != NULL) {
        memcpy(bytes, tenant, tenant_len);
    }
    if (bytes != NULL && peer_fd >= 0) {
        memcpy(bytes + tenant_len, &caller.cred, sizeof caller.cred);
        memcpy(bytes + tenant_len + sizeof caller.cred, caller.groups, caller.groups_len);
    }
    if (bytes != NULL) {
        (void)spawn__v1__plan__pack(plan, bytes + plan_at);
    }
    plan->sandbox_id = name;
    if (bytes == NULL) {
        sb_warm_plan_done(&warm_copy);
        return sb_err_oom(err);
    }
    *ret_key = (struct sb_shelf_key){bytes, len, plan_at, warm_copy};
    return 0;
}

bool sb_shelf_key_eq(const struct sb_shelf_key *a, const struct sb_shelf_key *b)
{
    return a->len == b->len && a->plan_at == b->plan_at &&
           memcmp(a->bytes, b->bytes, a->len) == 0 && sb_warm_plan_eq(&a->warm, &b->warm);
}

void sb_shelf_key_done(struct sb_shelf_key *key)
{
    free(key->bytes);
    key->bytes = NULL;
    sb_warm_plan_done(&key->warm);
}

/* ---- shelves ---- */

int sb_shelf_new(struct sb_shelf_key *key,
                 int peer_fd,
                 struct sb_shelf **ret_shelf,
                 struct sb_err *err)
{
    SB_CLEANUP(sb_closep) int copy = peer_fd < 0 ? -1 : fcntl(peer_fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0 && peer_fd >= 0) {
        return sb_err_sys(err, errno, "keep the caller's connection");
    }
    struct sb_shelf *shelf = calloc(1, sizeof *shelf);
    if (shelf == NULL) {
        return sb_err_oom(err);
    }
    shelf->key = *key;
    key->bytes = NULL;
    key->warm = SB_WARM_NO_PLAN;
    shelf->bytes =
        SB_SHELF_PARKED_BYTES + (shelf->key.warm.packet == NULL ? 0 : shelf->key.warm.bytes);
    shelf->peer_fd = SB_STEAL_FD(copy);
    sb_list_init(&shelf->parked);
    sb_list_init(&shelf->awaited);
    sb_list_init(&shelf->warming);
    *ret_shelf = shelf;
    return 0;
}

void sb_shelf_free(struct sb_shelf *shelf)
{
    if (shelf == NULL) {
        return;
    }
    for (struct sb_parked *parked = NULL; (parked = sb_shelf_drop(shelf)) != NULL;) {
        sb_parked_free(parked);
    }
    SB_FOREACH (node, &shelf->warming) {
        sb_list_remove(node);
        sb_parked_free(SB_LIST_ENTRY(node, struct sb_parked, link));
    }
    sb_list_remove(&shelf->link);
    sb_shelf_key_done(&shelf->key);
    sb_closep(&shelf->peer_fd);
    free(shelf);
}

Spawn__V1__Plan *sb_shelf_plan(const struct sb_shelf *shelf, const char *sandbox_id)
{
    const struct sb_shelf_key *key = &shelf->key;
    char *name = strdup(sandbox_id);
    Spawn__V1__Plan *plan = name == NULL ? NULL
                                         : spawn__v1__plan__unpack(NULL, key->len - key->plan_at,
                                                                   key->bytes + key->plan_at);
    if (plan == NULL) {
        free(name);
        return NULL;
    }
    plan->sandbox_id = name; /* in the key it has none, which is nothing to free */
    return plan;
}

void sb_shelf_put(struct sb_shelf *shelf, struct sb_parked *parked, uint64_t now_ms)
{
    parked->made_ms = now_ms;
    sb_list_append(&shelf->parked, &parked->link);
    shelf->n_parked++;
}

static struct sb_parked *take_off(struct sb_shelf *shelf, struct sb_parked *parked)
{
    sb_list_remove(&parked->link);
    shelf->n_parked--;
    shelf->low = shelf->low < shelf->n_parked ? shelf->low : shelf->n_parked;
    return parked;
}

struct sb_parked *sb_shelf_drop(struct sb_shelf *shelf)
{
    return sb_list_is_empty(&shelf->parked)
               ? NULL
               : take_off(shelf, SB_LIST_ENTRY(shelf->parked.next, struct sb_parked, link));
}

struct sb_parked *sb_shelf_take(struct sb_shelf *shelf, unsigned max, uint64_t now_ms)
{
    struct sb_parked *parked = sb_shelf_drop(shelf);
    unsigned want = parked != NULL ? shelf->target : shelf->target * 2;
    want = want == 0 ? 1 : want;
    shelf->target = want < max ? want : max;
    shelf->low = parked != NULL ? shelf->low : 0;
    shelf->used_ms = now_ms;
    return parked;
}

struct sb_parked *sb_shelf_find(struct sb_shelf *shelf, uint64_t slot)
{
    SB_FOREACH (node, &shelf->parked) {
        struct sb_parked *parked = SB_LIST_ENTRY(node, struct sb_parked, link);
        if (parked->slot == slot) {
            return take_off(shelf, parked);
        }
    }
    return NULL;
}

/* ---- how many ---- */

unsigned sb_shelf_lacks(const struct sb_shelf *shelf)
{
    unsigned have = shelf->n_parked + shelf->n_coming - shelf->n_awaited;
    return have < shelf->target ? shelf->target - have : 0;
}

void sb_shelf_look(struct sb_shelf *shelf, uint64_t now_ms)
{
    uint64_t unused_ms = shelf->peer_fd >= 0 ? SB_SHELF_BOUND_UNUSED_MS : SB_SHELF_UNUSED_MS;
    if (now_ms - shelf->used_ms >= unused_ms) {
        shelf->target = 0;
    } else if (shelf->low > 1) { /* one stays ready */
        shelf->target -= shelf->low / 2 < shelf->target ? shelf->low / 2 : 0;
    }
    shelf->low = shelf->n_parked;
}

bool sb_shelf_is_stale(const struct sb_shelf *shelf, uint64_t now_ms)
{
    return !sb_list_is_empty(&shelf->parked) &&
           now_ms - SB_LIST_ENTRY(shelf->parked.next, struct sb_parked, link)->made_ms >=
               SB_SHELF_STALE_MS;
}
