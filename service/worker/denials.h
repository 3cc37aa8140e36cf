#pragma once
/** What was refused, counted by kind: system calls (which, and what was wanted of it) network
 *  destinations, and paths. A program that tries everything fills the table and no more. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SB_DENIALS_MAX = 63, SB_DENIAL_COMM_SIZE = 16 };

enum sb_denial_kind {
    SB_DENIAL_CALL,
    SB_DENIAL_HOST,
    SB_DENIAL_BOUND, /* of the network */
    SB_DENIAL_PATH,  /* by Landlock */
};

/** One kind, as it was met first. */
struct sb_denial {
    enum sb_denial_kind kind;
    const char *name; /* of the call: static, or the policy's; of a host: "host:port"; of a
                       * bound: "network.max_bytes"; of a path: itself */
    /* Of hosts, bounds and paths, and NULL for calls. These and the name are copied into a table.
     */
    const char *rule;  /* the line of network.deny that refused it, or the secret; NULL: neither */
    bool is_secret;    /* what stands for a secret was sent there */
    const char *why;   /* for people; of a path the rights that were missing */
    const char *allow; /* the rule that would let it through; "": none may */
    int error;         /* errno that was given */
    bool is_by_rule;   /* a rule of the profile refuses it; else the floor */
    int key_arg;       /* index of the argument that tells kinds apart; -1: none */
    uint64_t args[6];
    int64_t pid;                    /* inside the sandbox; 0: not known */
    char comm[SB_DENIAL_COMM_SIZE]; /* the program's word: any bytes */
    uint64_t count;
};

/** Zeroed memory is an empty table. */
struct sb_denials {
    struct sb_denial *items; /* in the order they were met */
    size_t n;
    uint64_t n_more; /* refusals of further kinds, or for which memory was out */
};

void sb_denials_done(struct sb_denials *denials);
/** The row that counts this one; NULL: there is none yet. */
struct sb_denial *sb_denials_find(const struct sb_denials *denials, const struct sb_denial *what);
/** Counts @what->count of them, one for 0. True: it is the first of its kind, and has a row now. */
bool sb_denials_add(struct sb_denials *denials, const struct sb_denial *what);

enum { SB_DENIAL_TEXT_SIZE = 256 };

/** Of a host or path: why. Of a call: "AF_ALG; EAFNOSUPPORT; first by python3 (pid 2), arguments
 * 0x26, 0x5, 0x0". One line, UTF-8. */
const char *sb_denials_describe(const struct sb_denial *denial, char ret_text[SB_DENIAL_TEXT_SIZE]);
