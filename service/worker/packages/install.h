#pragma once
/** One install: a sandbox with the network of its registry and nothing of the caller's, in which
 *  the package manager runs, and the stream of files that comes out of it. Loop thread. */
#include <stdbool.h>

#include "base/list.h"
#include "service/worker/packages/cache.h"
#include "service/worker/policy/packages.h"

struct sb_err;
struct sb_install;
struct sb_packages;
struct sb_request;
struct sb_sandbox;

struct sb_install_options {
    struct sb_packages *packages;
    struct sb_package_cache *cache;
    const struct sb_sandbox *wanted_by; /* whose owner, tenant, driver and floor it has */
    enum sb_manager manager;
    const char *key;
};

/** The links of an install that packages.c uses. */
struct sb_install_links {
    struct sb_list link;    /* of packages */
    struct sb_list waiting; /* struct sb_package_use */
    enum sb_manager manager;
    bool keeps;
    char key[SB_PACKAGE_KEY_SIZE];
};
struct sb_install_links *sb_install_links(struct sb_install *install);
struct sb_install *sb_install_of(struct sb_install_links *links);

/** What is asked of its sandbox. @ret_request  for sb_request_free. */
int sb_install_request(const struct sb_sandbox *wanted_by,
                       enum sb_manager manager,
                       struct sb_request **ret_request,
                       struct sb_err *err);
/** Starts it. sb_packages_installed follows, not from inside. Errors: of sb_sandbox_new. */
int sb_install_start(const struct sb_install_options *options,
                     struct sb_install **ret_install,
                     struct sb_err *err);
/** Bytes of files that it has begun to write. */
uint64_t sb_install_bytes(const struct sb_install *install);
/** Nobody waits any more: ends it; sb_packages_installed follows. */
void sb_install_cancel(struct sb_install *install);
/** It is over, or the worker ends. */
void sb_install_free(struct sb_install *install);
