#include "proto/rpc/heap.h"

#include <malloc.h>

enum { KEEP_BYTES = 8 << 20, MAP_BYTES = 1 << 20 };

void sb_heap_keep(void)
{
    (void)mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
    (void)mallopt(M_MMAP_THRESHOLD, MAP_BYTES); /* setting one fixes the other at its default */
}
