#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "service/worker/auth/key_file.h"
#include "service/worker/auth/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever a file of keys holds: what is taken is whole, and written again it is the same key. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_keys keys;
    struct sb_err err;
    struct sb_err first;
    struct sb_key_line line;
    struct sb_key_line again;
    char text[SB_KEY_LINE_SIZE];
    char text_again[SB_KEY_LINE_SIZE];
    size_t n_wrong = 0;
    sb_log_init(SB_LOG_FORMAT_LOGFMT, SB_LOG_LEVEL_NONE, "fuzz");
    sb_keys_init(&keys);
    if (sb_key_file_parse(sb_str_of(data, size), "keys", &keys, &n_wrong, &first, &err) == 0 &&
        sb_map_count(&keys.by_id) + n_wrong > size + 1) {
        abort();
    }
    sb_keys_done(&keys);
    if (sb_key_line_parse(sb_str_of(data, size), &line, &err) == 0) {
        if (line.role == SB_ROLE_NONE ||
            (strcmp(line.tenant, SB_TENANT_ALL) == 0 && line.role != SB_ROLE_AUDITOR)) {
            abort();
        }
        if (sb_key_line_parse(sb_str_from(sb_key_line_format(&line, text)), &again, &err) < 0 ||
            strcmp(sb_key_line_format(&again, text_again), text) != 0) {
            abort();
        }
    }
    return 0;
}
