#pragma once
#include <stddef.h>

struct sb_err;
struct sb_sandbox;

/** A child of the spawner on its way into a sandbox. */
struct sb_visit {
    int user_fd; /* owned; namespaces */
    int mnt_fd;  /* borrowed in the parent */
    int pid_fd;  /* likewise */
    unsigned setup_id;
};

#define SB_VISIT_NONE                                                                              \
    (struct sb_visit)                                                                              \
    {                                                                                              \
        .user_fd = -1, .mnt_fd = -1, .pid_fd = -1                                                  \
    }

/** In the parent. Errors: SB_PRECONDITION: it does not run, or its driver takes no visits. */
int sb_visit_open(const struct sb_sandbox *sandbox, struct sb_visit *ret_visit, struct sb_err *err);
void sb_visit_done(struct sb_visit *visit);

/** In the child: keeps those descriptors and of the visit's namespaces, and no others.
 *  @fds  -1 is skipped; at most 48. */
int sb_visit_arrange(struct sb_visit *visit, int *const *fds, size_t n, struct sb_err *err);
/** In the child: enters the namespaces, and takes the ids that set the sandbox up. */
int sb_visit_enter(const struct sb_visit *visit, struct sb_err *err);
