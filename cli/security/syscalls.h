#pragma once
/** System calls that were learnt, and what is written of them. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aisbx/v1/verdict.pb-c.h"
#include "aisbx/v1/worker_service.pb-c.h"
#include "base/str.h"

struct sb_err;
struct sb_out;

struct sb_syscall {
    char *name;     /* owned */
    uint64_t count; /* of all runs; 0: only the sandbox itself needs it */
    bool is_wider;  /* the profile it was learnt under refuses it */
};

/** Sorted by name, each once. Zeroed is empty. */
struct sb_syscalls {
    struct sb_syscall *items;
    size_t n;
};

/** Adds what one run made. Errors: SB_EXHAUSTED. */
int sb_syscalls_add(struct sb_syscalls *calls,
                    const Aisbx__V1__Verdict *verdict,
                    struct sb_err *err);
/** Notes which of them a profile refuses, and leaves out those that the program did not make.
 *  @answers  one per call, in their order. */
void sb_syscalls_compare(struct sb_syscalls *calls, Aisbx__V1__ProfileAnswer *const *answers);
/** How many the program made. */
size_t sb_syscalls_made(const struct sb_syscalls *calls);
void sb_syscalls_done(struct sb_syscalls *calls);

/** What the texts say of their making. */
struct sb_syscalls_source {
    struct sb_str program; /* its name, without arguments: those may be secret */
    uint64_t runs;
    const char *profile; /* under which it was learnt */
    const char *kernel;
};

/** An OCI seccomp profile that allows these calls and answers ENOSYS to all others. */
void sb_syscalls_put_json(const struct sb_syscalls *calls,
                          const struct sb_syscalls_source *source,
                          struct sb_out *out);
/** A configuration with one profile that extends source->profile and has that list.
 *  @path  of the list, absolute. */
void sb_syscalls_put_yaml(const struct sb_syscalls_source *source,
                          const char *path,
                          struct sb_out *out);

/** The configuration text of one profile under another name and with another list.
 *  @yaml  as Profile.yaml.   @seccomp  path; NULL: keeps its own. */
void sb_syscalls_put_profile(struct sb_str yaml,
                             const char *name,
                             const char *seccomp,
                             struct sb_out *out);
