#pragma once
#include <stdbool.h>
#include <stddef.h>

/** What a worker leaves where it listens. Without root's rights, which it gave away, it could not
 *  remove that itself; the spawner outlives it by a moment and does. */

enum { SB_TIDY_MAX = 16, SB_TIDY_NAME_SIZE = 108 };

struct sb_tidy_place {
    int dir_fd;
    char name[SB_TIDY_NAME_SIZE]; /* of the socket, in that directory */
    bool keeps_socket;            /* a service manager made it, and listens on */
};

struct sb_tidy {
    struct sb_tidy_place places[SB_TIDY_MAX];
    size_t n;
    bool is_embedded; /* aisbx started it, and put more beside the socket */
};

/** Opens the directories; one that cannot be opened is left out. At start, with all rights.
 *  @sockets  absolute paths; borrowed.  @keeps  by socket; borrowed.  @n  at most SB_TIDY_MAX
 * count.
 */
void sb_tidy_open(
    struct sb_tidy *ret_tidy, char *const *sockets, const bool *keeps, size_t n, bool is_embedded);

/** Removes sockets and locks, of an embedded worker also the note of its configuration, the empty
 *  directory for output and the lock of starts. Leaves all that another worker, or an aisbx that
 *  starts one, holds the lock of. Closes the directories.
 *  @is_orderly  the worker had nothing to complain of: its log goes, too. */
void sb_tidy_run(struct sb_tidy *tidy, bool is_orderly);
