#pragma once
/** Who may be speaking to us through somebody's browser: Host and Origin (DNS rebinding). */
#include <stdbool.h>
#include <stddef.h>

struct sb_err;

struct sb_guard {
    const char *const *origins; /* "https://app.example", beside loopback names with any port */
    size_t n_origins;
    const char *const *hosts; /* "gw.example", "gw.example:8443", beside loopback names */
    size_t n_hosts;
    bool is_loopback; /* where we listen; else any Host passes unless hosts has some */
};

/** Errors: SB_DENIED; SB_INVALID for what is no host. */
int sb_guard_check_host(const struct sb_guard *guard, const char *host, struct sb_err *err);
/** @origin  NULL passes: not a browser, or the same origin. Errors: SB_DENIED. */
int sb_guard_check_origin(const struct sb_guard *guard, const char *origin, struct sb_err *err);
/** The origin is on the list, so that its pages may read answers (CORS). */
bool sb_guard_is_listed(const struct sb_guard *guard, const char *origin);
