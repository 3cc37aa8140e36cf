#pragma once
/** An entry of a directory as getdents64(2) gives it, for who may not call malloc, as readdir(3)
 *  does. Entries lie one behind the other in a buffer that is aligned for the first. */
#include <stdint.h>

struct sb_dirent {
    uint64_t ino;
    int64_t off;
    uint16_t len; /* bytes until the next one */
    uint8_t type; /* DT_DIR */
    char name[];  /* ends with NUL */
};
