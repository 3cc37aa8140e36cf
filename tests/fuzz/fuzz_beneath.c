#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/beneath.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever comes out lies beneath, is normal, and stays what it is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[256];
    char again[256];
    struct sb_err err;
    if (memchr(data, 0, size) != NULL ||
        sb_beneath("/workspace", sb_str_of(data, size), path, sizeof path, &err) < 0) {
        return 0;
    }
    bool is_beneath = strncmp(path, "/workspace", 10) == 0 && (path[10] == '\0' || path[10] == '/');
    if (!is_beneath || strstr(path, "//") != NULL || strstr(path, "/./") != NULL ||
        strstr(path, "/../") != NULL || (size_t)strlen(path) > sizeof path - 1 ||
        sb_beneath("/workspace", sb_str_from(path), again, sizeof again, &err) < 0 ||
        strcmp(path, again) != 0) {
        abort();
    }
    return 0;
}
