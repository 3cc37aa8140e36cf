#pragma once
/** The files of profiles/, which are part of the program. */
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/** One file: "python-dev.yaml" or "seccomp/python.json". */
struct sb_builtin_file {
    const char *name;
    const char *start;
    const char *end;
};

/** All files, sorted by name; made by the build. */
extern const struct sb_builtin_file sb_builtin_files[];
extern const size_t sb_builtin_files_n;

/** Text of the seccomp list of that name; ptr is NULL when there is none. Static storage. */
struct sb_str sb_builtin_seccomp(struct sb_str name);
/** Name of the list most like name; empty when none is near. */
struct sb_str sb_builtin_seccomp_near(struct sb_str name);

/** The next file with profiles, from *cursor (start with 0); false at the end. */
bool sb_builtin_next_yaml(size_t *cursor, const char **ret_name, struct sb_str *ret_text);
