#pragma once
/** One page of a list that comes in any order: the first files by path that fit, whatever the
 *  directory holds. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "service/shared/fileproto.h"

struct sb_filepage_item {
    struct sb_file_info info;
    struct sb_str path; /* below the directory */
    struct sb_str link;
    char text[]; /* both */
};

struct sb_filepage {
    struct sb_filepage_item **items; /* owned; the largest path first, as a heap, until sorted */
    size_t n;
    size_t max;
    size_t bytes;
    size_t max_bytes;
    bool has_more;                    /* something did not fit */
    char first_out[SB_FILE_MAX_PATH]; /* the least path that did not: none from there on may stay */
    size_t first_out_len;
};

/** @max  items, at least 1.   @max_bytes  of their texts, three times, and 128 each. False: out of
 *  memory. */
bool sb_filepage_init(struct sb_filepage *page, size_t max, size_t max_bytes);
void sb_filepage_done(struct sb_filepage *page);
/** False: out of memory. */
bool sb_filepage_add(struct sb_filepage *page,
                     const struct sb_file_info *info,
                     struct sb_str path,
                     struct sb_str link);
/** By path, in the order of bytes. Nothing may be added after. */
void sb_filepage_sort(struct sb_filepage *page);
