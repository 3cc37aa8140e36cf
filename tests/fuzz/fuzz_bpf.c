#include <stddef.h>
#include <stdint.h>

#include "tests/unit/spawner/bpf/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Rules of a filter: the program made of them says what they say, and what libseccomp's does. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_bytes(data, size);
    return 0;
}
