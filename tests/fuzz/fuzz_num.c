#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/num.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    int (*parse)(
        struct sb_str text, uint64_t min, uint64_t max, uint64_t *ret_value, struct sb_err *err);
    const char *(*format)(char out[SB_NUM_TEXT_SIZE], uint64_t value);
} pairs[] = {
    {sb_num_u64, NULL},
    {sb_num_bytes, sb_num_format_bytes},
    {sb_num_millis, sb_num_format_millis},
    {sb_num_cpu, sb_num_format_cpu},
};

/* Whatever a parser accepts is within the limits, and comes back when formatted and parsed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_str text = sb_str_of(data, size);
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char shown[SB_NUM_TEXT_SIZE];
        struct sb_err err;
        uint64_t value = 0;
        uint64_t back = 0;
        if (pairs[i].parse(text, 5, UINT64_MAX - 5, &value, &err) < 0) {
            if (err.code != SB_INVALID) {
                abort();
            }
            continue;
        }
        if (value < 5 || value > UINT64_MAX - 5) {
            abort();
        }
        if (pairs[i].format != NULL && (pairs[i].parse(sb_str_from(pairs[i].format(shown, value)),
                                                       0, UINT64_MAX, &back, &err) < 0 ||
                                        back != value)) {
            abort();
        }
    }
    return 0;
}
