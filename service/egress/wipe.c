#include "service/egress/wipe.h"

#include <event2/event.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void wipe(void *ptr)
{
    if (ptr != NULL) {
        explicit_bzero(ptr, malloc_usable_size(ptr));
        free(ptr);
    }
}

/* realloc(3) would leave a copy where the memory was. */
static void *grow(void *ptr, size_t size)
{
    void *made = malloc(size);
    if (made != NULL && ptr != NULL) {
        size_t held = malloc_usable_size(ptr);
        memcpy(made, ptr, held < size ? held : size);
        wipe(ptr);
    }
    return made;
}

void sb_wipe_start(void)
{
    event_set_mem_functions(malloc, grow, wipe);
}
