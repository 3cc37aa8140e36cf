#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A pattern up to the first NUL, behind a byte for upper and lower case, then a line: the answer is
 * the same in one piece and byte by byte. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sb_regex regex;
    static struct sb_regex_matcher matcher;
    if (size == 0) {
        return 0;
    }
    const char *pattern = (const char *)data + 1;
    size_t rest = size - 1;
    const char *nul = memchr(pattern, '\0', rest);
    size_t len = nul == NULL ? rest : (size_t)(nul - pattern);
    if (sb_regex_compile(pattern, len, data[0] & 1, &regex) != SB_REGEX_OK) {
        return 0;
    }
    const char *text = nul == NULL ? "" : nul + 1;
    size_t text_len = nul == NULL ? 0 : rest - len - 1;
    sb_regex_matcher_init(&matcher, &regex);
    size_t taken = sb_regex_read(&matcher, text, text_len);
    int is_match = sb_regex_end(&matcher);
    sb_regex_begin(&matcher);
    for (size_t i = 0; i < text_len && sb_regex_read(&matcher, text + i, 1) == 1; i++) {
    }
    if (taken > text_len || sb_regex_end(&matcher) != is_match) {
        abort();
    }
    return 0;
}
