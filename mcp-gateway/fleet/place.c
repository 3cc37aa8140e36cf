#include "mcp-gateway/fleet/place.h"

#include <string.h>

#include "base/hash.h"

enum { LITTLE_MEMORY = 128 << 20 }; /* bytes a machine has left, below which it is a last resort */

/* Less is better. Parts of a thousand of the slots; a full or starved one comes after all others.
 */
static uint64_t burden(const struct sb_place_worker *worker)
{
    uint64_t slots = worker->slots == 0 ? 1 : worker->slots;
    uint64_t used = (uint64_t)worker->taken * 1000 / slots;
    return used + (worker->taken >= slots ? 1000000 : 0) +
           (worker->available_memory < LITTLE_MEMORY ? 100000 : 0);
}

/* The k-th that can take something. */
static int nth(const struct sb_place_worker *workers, size_t n, size_t k)
{
    for (size_t i = 0; i < n; i++) {
        if (workers[i].can_take && k-- == 0) {
            return (int)i;
        }
    }
    return SB_PLACE_NOWHERE;
}

int sb_place_pick(const struct sb_place_worker *workers, size_t n, uint64_t random)
{
    size_t able = 0;
    for (size_t i = 0; i < n; i++) {
        able += workers[i].can_take;
    }
    if (able < 2) {
        return nth(workers, n, 0);
    }
    size_t first = (size_t)(random & UINT32_MAX) % able;
    size_t second = (first + 1 + (size_t)(random >> 32) % (able - 1)) % able;
    int a = nth(workers, n, first);
    int b = nth(workers, n, second);
    return burden(&workers[b]) < burden(&workers[a]) ? b : a;
}

static uint64_t weight(const char *id, const char *what)
{
    /* The same in every gateway, so no secret: who chooses request ids that all go to one worker
     * loads it no more than by as many calls. */
    static const struct sb_hash_key key = {0x616973627866, 0x6c656574};
    const uint64_t parts[2] = {sb_hash_sip13(key, id, strlen(id)),
                               sb_hash_sip13(key, what, strlen(what))};
    return sb_hash_sip13(key, parts, sizeof parts);
}

int sb_place_of(const struct sb_place_worker *workers, size_t n, const char *what, int *ret_second)
{
    int first = SB_PLACE_NOWHERE;
    int second = SB_PLACE_NOWHERE;
    uint64_t most = 0;
    uint64_t next = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t mine = workers[i].can_take ? weight(workers[i].id, what) : 0;
        if (!workers[i].can_take) {
            continue;
        }
        if (first < 0 || mine > most) {
            second = first;
            next = most;
            first = (int)i;
            most = mine;
        } else if (second < 0 || mine > next) {
            second = (int)i;
            next = mine;
        }
    }
    *ret_second = second;
    return first;
}
