#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "service/egress/socks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_err err;
    struct sb_host again;
    struct sb_socks_request request;
    enum sb_socks_reply reply = SB_SOCKS_OK;
    struct sb_str bytes = sb_str_of(data, size);
    int n = sb_socks_read_greeting(bytes, &err);
    if (n > 0) {
        bytes = sb_str_skip(bytes, (size_t)n);
    }
    n = sb_socks_read_request(bytes, &request, &reply, &err);
    if (n > (int)bytes.len || (n < 0 && reply == SB_SOCKS_OK)) {
        abort();
    }
    if (n > 0 && (request.port == 0 ||
                  sb_host_parse(sb_str_from(request.host.name), false, &again, &err) < 0 ||
                  !sb_host_eq(&again, &request.host))) {
        abort();
    }
    return 0;
}
