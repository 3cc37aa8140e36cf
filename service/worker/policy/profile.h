#pragma once
/** A profile: a named policy, as written, or with everything it inherits filled in. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "service/worker/policy/collections.h"
#include "service/worker/policy/limits.h"
#include "service/worker/policy/origin.h"
#include "service/worker/policy/packages.h"
#include "service/worker/policy/profile_secrets.h"

struct sb_buf;
struct sb_err;
struct sb_filter;

#define SB_PROFILE_NAME_MAX 63 /* characters of [a-z0-9-], the first a letter */

/** From the strongest to the weakest; but for lima, which is of clients, the numbers of
 *  spawn.v1.Driver. */
enum sb_driver {
    SB_DRIVER_UNSET,
    SB_DRIVER_NATIVE,
    SB_DRIVER_BWRAP,
    SB_DRIVER_CHROOT,
    SB_DRIVER_LIMA,
    SB_DRIVER_END_,
};

/** The numbers of aisbx.v1.NetworkMode. */
enum sb_network_mode {
    SB_NETWORK_UNSET,
    SB_NETWORK_NONE,    /* only its own loopback */
    SB_NETWORK_LIMITED, /* names on the allow list, through the egress proxy */
};

/** The numbers of aisbx.v1.FilesystemMode. */
enum sb_filesystem {
    SB_FILESYSTEM_UNSET,
    SB_FILESYSTEM_RESTRICTED, /* system read-only, workspace read-write */
    SB_FILESYSTEM_READ_ONLY,  /* the workspace read-only as well; a small private /tmp */
    SB_FILESYSTEM_MINIMAL,    /* only what a command needs to start; no workspace */
};

/** Names for YAML and messages, by number; end with NULL; [0] is "". */
extern const char *const sb_driver_names[];
extern const char *const sb_network_names[];
extern const char *const sb_filesystem_names[];

struct sb_network {
    enum sb_network_mode mode;
    bool has_allow; /* an empty list was said */
    bool has_deny;
    struct sb_strings allow;  /* "host", "*.host", "host:port", CIDR */
    struct sb_strings deny;   /* wins over allow */
    uint64_t max_connections; /* at one time; 0: as many as the proxy gives one sandbox */
    uint64_t max_bytes;       /* both ways, over a sandbox's life; 0: no bound */
};

struct sb_profile {
    char *name;              /* key in the file */
    char *description;       /* one line, or NULL */
    char *extends;           /* or NULL */
    struct sb_strings bases; /* what it inherits from, nearest first; once resolved */
    enum sb_driver driver;
    struct sb_limits limits;
    struct sb_network network;
    enum sb_filesystem filesystem;
    struct sb_mounts mounts;
    struct sb_pairs env;
    struct sb_profile_secrets secrets;
    struct sb_profile_packages packages;
    bool has_preload;          /* an empty list was said */
    struct sb_strings preload; /* modules, as sb_preload_check takes them */
    char *seccomp;             /* name of a built-in list, or path of a file as written; or NULL */
    char *seccomp_path;        /* absolute path of that file; NULL for a built-in list */
    char *origin;              /* "built-in", or "config.yaml:12" */
    struct sb_origins origins;
    bool is_hidden;           /* a base for others: not listed, not usable by itself */
    struct sb_filter *filter; /* reference; NULL until needed for a built-in list */
};

void sb_profile_free(struct sb_profile *profile);

/** Appends the profile as a configuration text that gives the same profile when loaded. */
int sb_profile_yaml(const struct sb_profile *profile, struct sb_buf *out, struct sb_err *err);
