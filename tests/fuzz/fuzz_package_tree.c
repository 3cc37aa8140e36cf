#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "service/worker/packages/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* It does not matter how a stream is cut, and the bounds hold. Nothing is written. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_err err = {0};
    struct sb_tree whole;
    struct sb_tree cut;
    int rc = 0;
    sb_tree_init(&whole, -1, 4096, 16);
    sb_tree_init(&cut, -1, 4096, 16);
    int expected = sb_tree_feed(&whole, data, size, &err);
    for (size_t i = 0; rc == 0 && i < size; i++) {
        rc = sb_tree_feed(&cut, data + i, 1, &err);
    }
    if (rc != expected || (rc == 0 && sb_tree_is_whole(&cut) != sb_tree_is_whole(&whole)) ||
        whole.bytes > 4096 || whole.files > 16 || whole.lines.n > SB_TREE_LINES_MAX) {
        abort();
    }
    sb_tree_done(&whole);
    sb_tree_done(&cut);
    return 0;
}
