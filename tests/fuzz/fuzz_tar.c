#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t size; /* of the file that is being read */
    uint64_t at;
    int is_open;
};

static int on_entry(void *ctx, const struct sb_tar_entry *entry)
{
    struct seen *seen = ctx;
    if (seen->is_open || strlen(entry->path) >= SB_TAR_MAX_PATH ||
        strlen(entry->link) >= SB_TAR_MAX_PATH || entry->size > INT64_MAX ||
        entry->mtime_ns > 999999999 || entry->mode > 07777) {
        abort();
    }
    *seen = (struct seen){.size = entry->size, .is_open = entry->problem == SB_TAR_FINE};
    return 0;
}

static int on_data(void *ctx, uint64_t offset, const char *bytes, size_t len)
{
    struct seen *seen = ctx;
    if (!seen->is_open || offset < seen->at || len == 0 || bytes == NULL ||
        len > seen->size - offset) {
        abort();
    }
    seen->at = offset + len;
    return 0;
}

static int on_end(void *ctx)
{
    struct seen *seen = ctx;
    if (!seen->is_open) {
        abort();
    }
    seen->is_open = 0;
    return 0;
}

static const struct sb_tar_sink sink = {on_entry, on_data, on_end};

/* The first byte says in which pieces the rest comes. What is told keeps to its order and to the
 * size of its file, and to nothing beyond. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sb_tar_reader reader;
    struct seen seen = {0};
    if (size == 0) {
        return 0;
    }
    size_t piece = 1 + (size_t)data[0] * 7;
    memset(&reader, 0, sizeof reader);
    sb_tar_begin(&reader, &sink, &seen);
    for (size_t at = 1; at < size; at += piece) {
        size_t len = size - at < piece ? size - at : piece;
        if (sb_tar_feed(&reader, (const char *)data + at, len) != SB_TAR_OK) {
            break;
        }
    }
    (void)sb_tar_finish(&reader);
    return 0;
}
