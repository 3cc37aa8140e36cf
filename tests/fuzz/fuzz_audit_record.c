#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "service/worker/audit_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says which type of record the rest is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_audit_record record;
    unsigned type = size == 0 ? 0 : 1423U + data[0] % 3U;
    if (size == 0 || !sb_audit_record_read(type, sb_str_of(data + 1, size - 1), &record)) {
        return 0;
    }
    struct sb_str path = sb_str_from(record.path);
    bool is_access = record.type == SB_AUDIT_ACCESS;
    if (record.domain == 0 || (is_access != (path.len > 0)) ||
        (is_access && strncmp(record.blockers, "fs.", 3) != 0) || record.pid < 0) {
        abort();
    }
    while (path.len > 0) {
        if (!sb_utf8_printable(sb_utf8_next(&path))) {
            abort();
        }
    }
    return 0;
}
