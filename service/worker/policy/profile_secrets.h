#pragma once
/** Secrets of a profile: a program has a variable with something that stands for the value; the
 *  egress proxy puts the value in its place, for the hosts that the secret is bound to. Values are
 *  never shown, logged or hashed, and their memory is written over before it is freed. */
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "service/worker/policy/collections.h"

struct sb_err;
struct sb_network;

enum { SB_SECRET_NAME_MAX = 63, SB_SECRET_CA_MAX = 64 << 10 };

struct sb_profile_secret {
    char *name;              /* of the variable */
    char *file;              /* absolute path of its source, or NULL */
    char *env;               /* variable of the worker that is its source, or NULL */
    char *ca_file;           /* absolute path: who vouches for its hosts; NULL: the system's */
    struct sb_strings plain; /* hosts that get it by HTTP: rules with a port */
    struct sb_strings tls;   /* hosts that get it within TLS, which the proxy then opens */
    bool is_left_out;        /* "NAME: ~": what is inherited is not wanted */
    unsigned line;           /* where it is said */
    unsigned column;
    char *value;       /* NULL: not read */
    char *ca;          /* of ca_file, PEM; NULL: there is none, or it was not read */
    char *failure;     /* why there is no value, when it was to be read */
    char *placeholder; /* of a policy; at least as long as the value */
    char *said;        /* of a policy: where it is said, as sb_explain_where */
};

/** Sorted by nothing, each name once. Zeroed is empty. */
struct sb_profile_secrets {
    struct sb_profile_secret *items;
    size_t n;
};

void sb_profile_secret_done(struct sb_profile_secret *secret);
void sb_profile_secrets_done(struct sb_profile_secrets *secrets);
/** Writes over the values: nobody needs them any more. */
void sb_profile_secrets_forget(struct sb_profile_secrets *secrets);

struct sb_profile_secret *sb_profile_secrets_find(const struct sb_profile_secrets *secrets,
                                                  struct sb_str name);
/** @secret  what it holds is the list's when 0 is returned. Errors: SB_EXHAUSTED. */
int sb_profile_secrets_add(struct sb_profile_secrets *secrets,
                           struct sb_profile_secret *secret,
                           struct sb_err *err);
/** A copy of all but placeholder and said. Errors: SB_EXHAUSTED. */
int sb_profile_secrets_copy(struct sb_profile_secrets *to,
                            const struct sb_profile_secret *from,
                            struct sb_err *err);
void sb_profile_secrets_remove(struct sb_profile_secrets *secrets, size_t index);

/** Takes the hosts out that the network does not open, and says how many are left. */
size_t sb_profile_secret_narrow(struct sb_profile_secret *secret, const struct sb_network *network);
/** A host of the secret that the network does not open; NULL: it opens all. */
const char *sb_profile_secret_closed(const struct sb_profile_secret *secret,
                                     const struct sb_network *network);
/** A host of narrow that wide does not have; NULL: it has all. */
const char *sb_profile_secret_wider(const struct sb_profile_secret *narrow,
                                    const struct sb_profile_secret *wide);

/** A host of b within TLS that a has too, while each names another ca_file: a host's certificate is
 *  checked once, so one of the two would be passed over. NULL: there is none. */
const char *sb_profile_secret_disputed(const struct sb_profile_secret *a,
                                       const struct sb_profile_secret *b);

/** Reads value and ca from where they are, or notes why not. May block on the disk.
 *  A file has to be a regular one of the worker's own user or of root, that nobody else may read; a
 *  line end at its end is not part of the value, which is 8 to 4096 printable ASCII characters.
 *  Errors: SB_EXHAUSTED only. */
int sb_profile_secret_read(struct sb_profile_secret *secret, struct sb_err *err);

/** Makes what stands for the value: "aisbx-secret-" and at least 132 random bits, as long as the
 *  value where that is longer. Errors: by errno of getrandom(2); SB_EXHAUSTED. */
int sb_profile_secret_make_placeholder(struct sb_profile_secret *secret, struct sb_err *err);
