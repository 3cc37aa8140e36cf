#pragma once
/** Keys that several workers have in common: a file, or a directory of files, whose lines hold
 * their hashes (proto/key/keyline.h). Empty lines and those that begin with "#" are left out, as
 * are files whose names begin with "." (a mounted Secret's own). Only read, and by the rights of
 * who calls. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sha256.h"

struct sb_err;
struct sb_keys;

enum {
    SB_KEY_FILE_MAX_BYTES = 4 << 20, /* of all files together */
    SB_KEY_FILE_MAX_FILES = 256,
    SB_KEY_FILE_TOLD = 8, /* problems of one reading that are logged */
};

/** Which files there are and when they changed. */
struct sb_key_stamp {
    uint8_t hash[SB_SHA256_BYTES];
    bool is_settled; /* the last change is so old that a later one has another time */
};

/** Errors: by errno; SB_EXHAUSTED: more files than SB_KEY_FILE_MAX_FILES. */
int sb_key_file_stamp(const char *path, struct sb_key_stamp *ret_stamp, struct sb_err *err);

/** Adds what the text holds. A line that is wrong opens nothing, nor do two with one id: each is
 *  logged and counted.
 *  @file  for messages.   @ret_wrong  raised by one for each; the first fills *ret_first. */
int sb_key_file_parse(struct sb_str text,
                      const char *file,
                      struct sb_keys *keys,
                      size_t *ret_wrong,
                      struct sb_err *ret_first,
                      struct sb_err *err);

/** Reads all of it.
 *  @keys  empty; holds what is right in it.   @ret_wrong  lines that are not, of which *ret_first
 *  tells the first.
 *  Errors: as sb_key_file_stamp; SB_EXHAUSTED: too long, too many keys; SB_INVALID: no regular
 * file; SB_UNAVAILABLE: it changes while it is read. *keys is of no use then. */
int sb_key_file_read(const char *path,
                     struct sb_keys *keys,
                     struct sb_key_stamp *ret_stamp,
                     size_t *ret_wrong,
                     struct sb_err *ret_first,
                     struct sb_err *err);
