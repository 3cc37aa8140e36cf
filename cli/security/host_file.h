#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct sb_host;

enum { SB_HOST_FILE_MAX = 16384 };

/** One file below the host's root. */
struct sb_host_file {
    char data[SB_HOST_FILE_MAX];
    struct sb_str text; /* points into data; what is longer is cut */
};

/** Reads that file, a path relative to the root. False: it is not there, or not readable. */
bool sb_host_file_read(const struct sb_host *host, const char *path, struct sb_host_file *file);

/** Reads a file that holds one number. False: likewise, or it does not. */
bool sb_host_file_number(const struct sb_host *host, const char *path, uint64_t *ret_number);

/** True when a list parted by blanks holds that word. */
bool sb_host_file_has(struct sb_str list, const char *word);
