#include "service/worker/spool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/worker/limits.h"

void sb_spool_init(struct sb_spool *spool, int dir, uint64_t max_bytes)
{
    assert(max_bytes >= 2);
    *spool = (struct sb_spool){.max = max_bytes, .head = max_bytes / 2, .fd = -1, .dir = dir};
}

void sb_spool_done(struct sb_spool *spool)
{
    free(spool->heap);
    if (spool->fd >= 0) {
        close(spool->fd);
    }
    spool->heap = NULL;
    spool->fd = -1;
    spool->total = 0;
    spool->good = 0;
}

/** Where the byte at offset lies, and how many follow it without a jump. */
static uint64_t place_of(const struct sb_spool *spool, uint64_t offset, uint64_t *ret_run)
{
    if (offset < spool->head) {
        *ret_run = spool->head - offset;
        return offset;
    }
    uint64_t ring = spool->max - spool->head;
    uint64_t place = (offset - spool->head) % ring;
    *ret_run = ring - place;
    return spool->head + place;
}

/** First offset at or after `offset` whose byte is still there. */
static uint64_t first_kept(const struct sb_spool *spool, uint64_t offset)
{
    uint64_t ring = spool->max - spool->head;
    uint64_t tail = spool->total > spool->max ? spool->total - ring : spool->head;
    return offset < spool->head || offset >= tail ? offset : tail;
}

static int write_all(int fd, const char *data, size_t len, uint64_t place)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, (off_t)place);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return -1;
        }
        data += n;
        len -= (size_t)n;
        place += (uint64_t)n;
    }
    return 0;
}

static int open_file(int dir)
{
    int fd = dir < 0 ? -1 : openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd >= 0 ? fd : memfd_create("aisbx-output", MFD_CLOEXEC);
}

static int move_to_file(struct sb_spool *spool)
{
    SB_CLEANUP(sb_closep) int fd = open_file(spool->dir);
    if (fd < 0 || write_all(fd, spool->heap, (size_t)spool->total, 0) < 0) {
        return -1;
    }
    spool->fd = SB_STEAL_FD(fd);
    free(spool->heap);
    spool->heap = NULL;
    spool->heap_cap = 0;
    return 0;
}

/** Makes place for len more bytes on the heap, or moves to a file. */
static int make_room(struct sb_spool *spool, size_t len)
{
    if (spool->fd >= 0) {
        return 0;
    }
    uint64_t need = spool->total + len;
    if (need > SB_MAX_SPOOL_HEAP_BYTES || need > spool->max) {
        return move_to_file(spool);
    }
    if (need <= spool->heap_cap) {
        return 0;
    }
    size_t cap = spool->heap_cap == 0 ? 256 : spool->heap_cap;
    while (cap < need) {
        cap *= 2;
    }
    char *heap = realloc(spool->heap, cap);
    if (heap == NULL) {
        return -1;
    }
    spool->heap = heap;
    spool->heap_cap = cap;
    return 0;
}

static int store(struct sb_spool *spool, const char *data, size_t len, uint64_t offset)
{
    if (spool->fd < 0) {
        memcpy(spool->heap + offset, data, len);
        return 0;
    }
    while (len > 0) {
        uint64_t run = 0;
        uint64_t place = place_of(spool, offset, &run);
        size_t n = len < run ? len : (size_t)run;
        if (write_all(spool->fd, data, n, place) < 0) {
            return -1;
        }
        data += n;
        len -= n;
        offset += n;
    }
    return 0;
}

void sb_spool_append(struct sb_spool *spool, const void *data, size_t len)
{
    if (len == 0) {
        return;
    }
    errno = 0; /* a write that takes nothing sets none */
    if (spool->broken_errno == 0 &&
        (make_room(spool, len) < 0 || store(spool, data, len, spool->total) < 0)) {
        spool->broken_errno = errno == 0 ? EIO : errno;
        /* A ring that was partly overwritten is worth nothing; the head is. */
        spool->good = spool->total < spool->head ? spool->total : spool->head;
    }
    spool->total += len;
}

int64_t sb_spool_read(const struct sb_spool *spool,
                      uint64_t offset,
                      void *data,
                      size_t cap,
                      uint64_t *ret_offset,
                      struct sb_err *err)
{
    uint64_t end = spool->broken_errno != 0 ? spool->good : spool->total;
    uint64_t from = spool->broken_errno != 0 ? offset : first_kept(spool, offset);
    if (from >= end) {
        *ret_offset = spool->broken_errno != 0 && spool->total > offset ? spool->total : offset;
        return 0;
    }
    uint64_t run = 0;
    uint64_t place = place_of(spool, from, &run);
    uint64_t left = end - from < run ? end - from : run;
    size_t n = cap < left ? cap : (size_t)left;
    if (spool->fd < 0) {
        memcpy(data, spool->heap + place, n);
        *ret_offset = from;
        return (int64_t)n;
    }
    ssize_t got = 0;
    do {
        got = pread(spool->fd, data, n, (off_t)place);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) {
        return sb_err_sys(err, got == 0 ? EIO : errno, "read kept output");
    }
    *ret_offset = from;
    return got;
}

uint64_t sb_spool_kept(const struct sb_spool *spool)
{
    if (spool->broken_errno != 0) {
        return spool->good;
    }
    return spool->total < spool->max ? spool->total : spool->max;
}

uint64_t sb_spool_dropped(const struct sb_spool *spool)
{
    return spool->total - sb_spool_kept(spool);
}
