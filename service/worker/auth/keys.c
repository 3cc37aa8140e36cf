#include "service/worker/auth/keys.h"

#include <stdlib.h>

#include "base/err.h"

void sb_keys_init(struct sb_keys *keys)
{
    *keys = (struct sb_keys){.next_seq = 1};
    sb_map_init(&keys->by_id, SB_KEYS_MAX);
    sb_list_init(&keys->list);
}

void sb_keys_done(struct sb_keys *keys)
{
    SB_FOREACH (node, &keys->list) {
        sb_keys_remove(keys, SB_LIST_ENTRY(node, struct sb_key, link));
    }
    sb_map_done(&keys->by_id);
}

int sb_keys_add(struct sb_keys *keys,
                const struct sb_key *key,
                struct sb_key **ret_key,
                struct sb_err *err)
{
    if (sb_map_count(&keys->by_id) >= SB_KEYS_MAX) {
        return sb_err_set(err, SB_EXHAUSTED, "there are %d keys already", SB_KEYS_MAX);
    }
    struct sb_key *copy = malloc(sizeof *copy);
    if (copy == NULL) {
        return sb_err_oom(err);
    }
    *copy = *key;
    if (sb_map_put(&keys->by_id, sb_str_from(copy->id), copy, err) < 0) {
        free(copy);
        return sb_err_wrap(err, "key %s", key->id);
    }
    copy->seq = keys->next_seq++;
    sb_list_prepend(&keys->list, &copy->link);
    *ret_key = copy;
    return 0;
}

struct sb_key *sb_keys_get(const struct sb_keys *keys, struct sb_str id)
{
    return sb_map_get(&keys->by_id, id);
}

void sb_keys_remove(struct sb_keys *keys, struct sb_key *key)
{
    (void)sb_map_remove(&keys->by_id, sb_str_from(key->id));
    sb_list_remove(&key->link);
    free(key);
}

enum sb_key_fault sb_keys_check(const struct sb_keys *keys,
                                struct sb_str text,
                                uint64_t now_ms,
                                struct sb_key **ret_key)
{
    static const unsigned char nothing[SB_KEY_HASH] = {0};
    char id[SB_KEY_ID_SIZE];
    unsigned char hash[SB_KEY_HASH];
    if (!sb_key_text_parse(text, id)) {
        return SB_KEY_NO_KEY;
    }
    struct sb_key *key = sb_keys_get(keys, sb_str_from(id));
    sb_key_text_hash(text, hash);
    if (!sb_key_hash_equal(hash, key == NULL ? nothing : key->hash) || key == NULL) {
        return SB_KEY_WRONG;
    }
    *ret_key = key;
    if (key->revoke_ms != 0) {
        return SB_KEY_REVOKED;
    }
    return key->expire_ms != 0 && key->expire_ms <= now_ms ? SB_KEY_EXPIRED : SB_KEY_GOOD;
}
