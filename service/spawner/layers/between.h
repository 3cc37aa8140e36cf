#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/spawner/ids.h"

struct sb_err;

/** A user namespace in which the ids of two sandboxes have a meaning, and no others: who reads
 *  what one has written on behalf of the other works there, with no right over anything else. The
 *  ids of @to are what they are in that sandbox; those of @from lie beside them. */
struct sb_between {
    int userns_fd; /* owned; -1: none */
    struct sb_ids from;
    struct sb_ids to;
    bool has_setgroups;
};

#define SB_BETWEEN_NONE                                                                            \
    (struct sb_between)                                                                            \
    {                                                                                              \
        .userns_fd = -1                                                                            \
    }

/** In the parent; blocks for a fork. @has_setgroups  supplementary groups can be dropped here.
 *  @ret_between  SB_BETWEEN_NONE until it worked; sb_between_done ends it. Errors: by errno. */
int sb_between_open(const struct sb_ids *from,
                    const struct sb_ids *to,
                    bool has_setgroups,
                    struct sb_between *ret_between,
                    struct sb_err *err);
void sb_between_done(struct sb_between *between);

/** In a child: enters it, as the first id of @to. Nothing else is left to it. Errors: by errno. */
int sb_between_enter(const struct sb_between *between, struct sb_err *err);

/** What the id of a user or a group that is seen there is in @to; who has none there is the job.
 *  @between  NULL, or none: as it is. */
uint32_t sb_between_id(const struct sb_between *between, uint32_t id);
/** The same in the value of an access control list, in place; bytes that are none stay. */
void sb_between_acl(const struct sb_between *between, void *value, size_t size);
