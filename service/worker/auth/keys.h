#pragma once
/** The keys, in memory: what a call needs is decided without a look at the disk. Where they are
 *  kept is the store's. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "base/list.h"
#include "base/map.h"
#include "proto/key/keyline.h"
#include "service/worker/auth/bucket.h"

struct sb_err;

#define SB_KEYS_MAX         10000
#define SB_KEY_CREATOR_SIZE 264

struct sb_key {
    struct sb_list link; /* newest first */
    char id[SB_KEY_ID_SIZE];
    unsigned char hash[SB_KEY_HASH];
    enum sb_role role;
    char tenant[SB_TENANT_SIZE]; /* or "*": an auditor of all */
    char title[SB_KEY_TITLE_SIZE];
    char created_by[SB_KEY_CREATOR_SIZE]; /* actor */
    uint64_t create_ms;                   /* real time, as all here */
    uint64_t expire_ms;                   /* 0: never */
    uint64_t revoke_ms;                   /* 0: it is not */
    uint64_t last_use_ms;                 /* 0: never */
    uint64_t noted_use_ms;                /* what the store knows of it */
    uint64_t seq;
    struct sb_bucket bucket;
    char sandbox_id[SB_ID_SIZE]; /* of a link: the one port it opens; else empty */
    uint16_t port;
};

struct sb_keys {
    struct sb_map by_id;
    struct sb_list list; /* newest first */
    uint64_t next_seq;
};

void sb_keys_init(struct sb_keys *keys);
void sb_keys_done(struct sb_keys *keys);

/** Takes over a copy. Errors: SB_EXISTS; SB_EXHAUSTED: too many. */
int sb_keys_add(struct sb_keys *keys,
                const struct sb_key *key,
                struct sb_key **ret_key,
                struct sb_err *err);
/** NULL: there is none. */
struct sb_key *sb_keys_get(const struct sb_keys *keys, struct sb_str id);
void sb_keys_remove(struct sb_keys *keys, struct sb_key *key);

/** Why a text opens nothing; text for the caller is made by who knows what to tell. */
enum sb_key_fault {
    SB_KEY_GOOD,
    SB_KEY_NO_KEY,  /* not the form of one */
    SB_KEY_WRONG,   /* unknown id, or another secret: not told apart */
    SB_KEY_EXPIRED, /* told only to who has the whole text, as is the next */
    SB_KEY_REVOKED,
};
/** @ret_key  set when the secret is right, so also for EXPIRED and REVOKED. */
enum sb_key_fault sb_keys_check(const struct sb_keys *keys,
                                struct sb_str text,
                                uint64_t now_ms,
                                struct sb_key **ret_key);
