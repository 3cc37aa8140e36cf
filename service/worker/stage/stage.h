#pragma once
/** Files on their way into a sandbox or out of it, in memory and within a bound. Shared by those
 * who put the same ones into many sandboxes. Loop thread. */
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "service/worker/policy/collections.h"

struct sb_err;

enum {
    SB_STAGE_MAX_FILES = 256,
    SB_STAGE_MAX_BYTES = 64 << 20, /* all files of one together */
};

/** What all files on their way take together. */
struct sb_budget {
    size_t used; /* bytes */
    size_t max;
};

struct sb_stage_file {
    char *path;    /* owned; absolute, inside */
    uint32_t mode; /* permission bits; 0: the usual ones */
    char *data;    /* owned; NULL: empty */
    size_t len;
    size_t cap;
};

struct sb_stage {
    unsigned refs;
    struct sb_budget *budget; /* borrowed */
    size_t bytes;
    size_t max_bytes;
    struct sb_strings errors; /* of files that were asked for and could not be had */
    size_t n;
    struct sb_stage_file files[SB_STAGE_MAX_FILES];
};

/** Takes of a budget. Errors: SB_EXHAUSTED: it is used up. */
int sb_budget_take(struct sb_budget *budget, size_t bytes, struct sb_err *err);
void sb_budget_give(struct sb_budget *budget, size_t bytes);

/** One without files and with one reference.
 *  @budget  outlives it.   @max_bytes  at most SB_STAGE_MAX_BYTES. NULL: memory is out. */
struct sb_stage *sb_stage_new(struct sb_budget *budget, size_t max_bytes);
struct sb_stage *sb_stage_ref(struct sb_stage *stage);
/** NULL is fine. */
void sb_stage_unref(struct sb_stage *stage);
void sb_stage_unrefp(struct sb_stage **stage); /* for SB_CLEANUP */

/** Adds an empty file. @path  copied. Errors: SB_EXHAUSTED. */
int sb_stage_add(struct sb_stage *stage, struct sb_str path, uint32_t mode, struct sb_err *err);
/** Adds bytes to the file that was added last. Errors: SB_EXHAUSTED. */
int sb_stage_append(struct sb_stage *stage, const void *data, size_t len, struct sb_err *err);

/** Takes the file that was added last away. */
void sb_stage_drop(struct sb_stage *stage);

/** Below the workspace: "/workspace/" and a relative path, checked: no empty part, no "." or "..".
 *  @field  for messages, "files".   @ret_path  SB_FILE_MAX_PATH bytes.
 *  Errors: SB_INVALID naming the field. */
int sb_stage_path(const char *path, const char *field, char *ret_path, struct sb_err *err);
