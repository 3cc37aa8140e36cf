#pragma once
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Owners are defined and assigned in one statement:
 *   SB_CLEANUP(sb_closep) int fd = open(...);
 *   SB_CLEANUP(sb_freep) char *text = malloc(n);
 * and give ownership away with SB_STEAL_*. */
#define SB_CLEANUP(fn) __attribute__((cleanup(fn)))

/** Closes *fd unless it is negative; keeps errno. */
static inline void sb_closep(const int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        (void)close(*fd);
        errno = saved;
    }
}

/** Frees the pointer that @owner points to (any `T **`). */
static inline void sb_freep(void *owner)
{
    void *ptr = NULL;
    memcpy(&ptr, owner, sizeof ptr);
    free(ptr);
}

/** Defines @name for SB_CLEANUP of owners of that type, as @end frees them. */
#define SB_CLEANUP_BY(name, type, end)                                                             \
    static inline void name(__typeof__(type) *owner)                                               \
    {                                                                                              \
        (void)end(*owner);                                                                         \
    }

/** Value of the lvalue @owner, which becomes @empty. */
#define SB_STEAL(owner, empty)                                                                     \
    __extension__({                                                                                \
        __typeof__(owner) sb_stolen_ = (owner);                                                    \
        (owner) = (empty);                                                                         \
        sb_stolen_;                                                                                \
    })
#define SB_STEAL_FD(fd)   SB_STEAL(fd, -1)
#define SB_STEAL_PTR(ptr) SB_STEAL(ptr, NULL)
