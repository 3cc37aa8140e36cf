#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What sanitize writes is valid, printable, and stays as it is when sanitized again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char once[256];
    char twice[256];
    size_t n = sb_utf8_sanitize(once, sizeof once, sb_str_of(data, size), SB_UTF8_ONE_LINE);
    if (n >= sizeof once || !sb_utf8_valid(once, n)) {
        abort();
    }
    struct sb_str rest = sb_str_of(once, n);
    while (rest.len > 0) {
        if (!sb_utf8_printable(sb_utf8_next(&rest))) {
            abort();
        }
    }
    size_t again = sb_utf8_sanitize(twice, sizeof twice, sb_str_of(once, n), SB_UTF8_ONE_LINE);
    if (!sb_str_eq(sb_str_of(once, n), sb_str_of(twice, again))) {
        abort();
    }
    (void)sb_utf8_valid(data, size);
    return 0;
}
