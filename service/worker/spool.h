#pragma once
/** One output stream of one exec, kept with byte offsets within a bound.
 *
 *  Theory of operation. The store has `max` places: the first half keeps the head of the stream for
 *  ever, the second half is a ring that keeps its tail. As long as no more than max bytes came,
 *  nothing is lost and offset = place. Beyond, what lies between head and tail is gone, and a
 * reader is told how far it has to skip. The first SB_MAX_SPOOL_HEAP_BYTES live on the heap; a
 * longer stream moves to an unlinked file, so that a quiet exec costs no descriptor and a loud one
 * no memory. Appending never fails for good: when the file cannot take bytes they count as dropped.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sb_err;

struct sb_spool {
    uint64_t max;   /* bytes kept; at least 2 */
    uint64_t total; /* bytes that came, kept or not */
    uint64_t head;  /* places of the head: max / 2 */
    char *heap;     /* owned; NULL once there is a file */
    size_t heap_cap;
    int fd;           /* owned; -1: none */
    int dir;          /* borrowed O_DIRECTORY fd for the file; -1: memfd */
    int broken_errno; /* the store failed; readable are the first `good` bytes only. 0: it works */
    uint64_t good;
};

/** @dir  borrowed as long as the spool takes bytes.   @max_bytes  at least 2. */
void sb_spool_init(struct sb_spool *spool, int dir, uint64_t max_bytes);
void sb_spool_done(struct sb_spool *spool);

/** Takes len bytes. Failures of the store (disk full) are remembered, not reported: the program
 * that writes must not stop for them. */
void sb_spool_append(struct sb_spool *spool, const void *data, size_t len);

/** Copies up to cap bytes from the first kept byte at or after offset.
 *  @ret_offset  where the bytes start: larger than offset when what lay there was dropped.
 *  Returns the bytes copied, 0 at the end of what came, or -1. */
int64_t sb_spool_read(const struct sb_spool *spool,
                      uint64_t offset,
                      void *data,
                      size_t cap,
                      uint64_t *ret_offset,
                      struct sb_err *err);

/** Bytes this spool holds, in memory or on disk. */
uint64_t sb_spool_kept(const struct sb_spool *spool);
/** Bytes that came and are no longer held. */
uint64_t sb_spool_dropped(const struct sb_spool *spool);
