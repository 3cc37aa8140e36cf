#pragma once
/** Where the control groups of this process are; and the texts in the kernel's files about them. */
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct sb_err;

enum { SB_CGROUP_FILE_SIZE = 16384 };

/** /proc/self/mountinfo and /proc/self/cgroup, as text. */
struct sb_cgroup_view {
    struct sb_str mounts;
    struct sb_str groups;
};

/** The directory of the group this process is in.
 *  @controller  of version 1: "memory"; NULL: version 2.
 *  @ret_dir  PATH_MAX bytes.   @ret_root  the mount point; PATH_MAX bytes.
 *  False: no such hierarchy is mounted. */
bool sb_cgroup_find(const struct sb_cgroup_view *view,
                    const char *controller,
                    char *ret_dir,
                    char *ret_root);

/** The number in the line "<key> <number>"; false: there is none. */
bool sb_cgroup_keyed(struct sb_str text, const char *key, uint64_t *ret_value);
/** True when a list of words, separated by @separator, has the word. */
bool sb_cgroup_has_word(struct sb_str list, char separator, const char *word);

/** Writes text to a file of a group.
 *  @group  below @dir; "": @dir itself. Errors: by errno, naming the file. */
int sb_cgroup_write(
    int dir, const char *group, const char *file, const char *text, struct sb_err *err);
int sb_cgroup_write_u64(
    int dir, const char *group, const char *file, uint64_t value, struct sb_err *err);
/** Reads a file of a group; empty when it is not there.   @ret_text  SB_CGROUP_FILE_SIZE bytes. */
struct sb_str sb_cgroup_get(int dir, const char *group, const char *file, char *ret_text);
/** The number a file holds; 0: no file, or "max". */
uint64_t sb_cgroup_get_u64(int dir, const char *group, const char *file);
