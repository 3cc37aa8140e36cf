#include <stdint.h>
#include <stdlib.h>

#include "service/egress/sni.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A verdict stays when more bytes come: what was let through by its start is not another thing. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_host host;
    struct sb_host whole;
    struct sb_str bytes = sb_str_of(data, size);
    enum sb_sni_state all = sb_sni_read(bytes, &whole);
    size_t step = size / 16 + 1;
    for (size_t len = 0; len < size; len += step) {
        enum sb_sni_state state = sb_sni_read(sb_str_head(bytes, len), &host);
        if (state == SB_SNI_MORE) {
            continue;
        }
        if (state != all || (state == SB_SNI_NAME && !sb_host_eq(&host, &whole))) {
            abort();
        }
    }
    return 0;
}
