#include "service/worker/pool/shelf.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

int sb_shelf_new(uint8_t *key, size_t key_len, struct sb_shelf **ret_shelf, struct sb_err *err)
{
    struct sb_shelf *shelf = calloc(1, sizeof *shelf);
    if (shelf == NULL) {
        free(key);
        return sb_err_oom(err);
    }
    shelf->key = key;
    shelf->key_len = key_len;
    sb_list_init(&shelf->parked);
    sb_list_init(&shelf->awaited);
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
    sb_list_remove(&shelf->link);
    free(shelf->key);
    free(shelf);
}

int sb_shelf_key(Spawn__V1__Plan *plan, uint8_t **ret_key, size_t *ret_len, struct sb_err *err)
{
    static char nameless[] = "";
    char *name = plan->sandbox_id;
    plan->sandbox_id = nameless;
    size_t len = spawn__v1__plan__get_packed_size(plan);
    uint8_t *key = malloc(len + 1);
    if (key != NULL) {
        (void)spawn__v1__plan__pack(plan, key);
    }
    plan->sandbox_id = name;
    if (key == NULL) {
        return sb_err_oom(err);
    }
    *ret_key = key;
    *ret_len = len;
    return 0;
}

bool sb_shelf_is_for(const struct sb_shelf *shelf, const uint8_t *key, size_t key_len)
{
    return shelf->key_len == key_len && memcmp(shelf->key, key, key_len) == 0;
}

Spawn__V1__Plan *sb_shelf_plan(const struct sb_shelf *shelf)
{
    return spawn__v1__plan__unpack(NULL, shelf->key_len, shelf->key);
}

int sb_shelf_put(struct sb_shelf *shelf,
                 struct sb_frame *frame,
                 uint64_t now_ms,
                 struct sb_err *err)
{
    struct sb_parked *parked = calloc(1, sizeof *parked);
    if (parked == NULL) {
        return sb_err_oom(err);
    }
    const Spawn__V1__Reply *reply = (const Spawn__V1__Reply *)(const void *)frame->msg;
    parked->slot = reply->spawned->slot;
    parked->made_ms = now_ms;
    parked->frame = *frame;
    *frame = SB_FRAME_INIT;
    sb_list_append(&shelf->parked, &parked->link);
    shelf->n_parked++;
    return 0;
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
    unsigned more = parked != NULL ? shelf->target : shelf->target * 2;
    shelf->used_ms = now_ms;
    shelf->low = parked != NULL ? shelf->low : 0;
    more = more == 0 ? 1 : more;
    shelf->target = more < max ? more : max;
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

void sb_parked_free(struct sb_parked *parked)
{
    if (parked != NULL) {
        sb_frame_done(&parked->frame);
        free(parked);
    }
}

unsigned sb_shelf_lacks(const struct sb_shelf *shelf)
{
    unsigned have = shelf->n_parked + shelf->n_coming - shelf->n_awaited;
    return have < shelf->target ? shelf->target - have : 0;
}

void sb_shelf_look(struct sb_shelf *shelf, uint64_t now_ms)
{
    if (now_ms - shelf->used_ms >= SB_SHELF_UNUSED_MS) {
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
