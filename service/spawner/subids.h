#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** A row of /etc/subuid or /etc/subgid. */
struct sb_subids {
    uint32_t first;
    uint32_t count;
};

/** Finds the first range of the user in that file, by name or by number. False: there is none. */
bool sb_subids_find(const char *path, uid_t uid, struct sb_subids *ret_ids);
