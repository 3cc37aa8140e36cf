#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "mcp-gateway/sandboxd/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first line is Content-Type, the rest the body: what is found lies within it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, '\n', size);
    size_t n = end == NULL ? 0 : (size_t)(end - data);
    struct sb_str content = {NULL, 0};
    struct sb_err err;
    char *type = end == NULL || n > 4096 ? NULL : malloc(n + 1);
    if (type == NULL) {
        return 0;
    }
    memcpy(type, data, n);
    type[n] = '\0';
    /* A copy of just its size, so that a read behind it is seen. */
    size_t left = size - n - 1;
    char *body = malloc(left == 0 ? 1 : left);
    if (body != NULL) {
        memcpy(body, data + n + 1, left);
        if (sb_multipart_find(type, sb_str_of(body, left), "file", &content, &err) == 0 &&
            (content.ptr < body || content.len > left ||
             (size_t)(content.ptr - body) > left - content.len)) {
            abort();
        }
    }
    free(body);
    free(type);
    return 0;
}
