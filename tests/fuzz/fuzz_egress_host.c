#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "service/egress/host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted is canonical: it reads as itself again, and an address says so. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_host host;
    struct sb_host again;
    struct sb_err err;
    unsigned char address[SB_ADDR_SIZE];
    uint16_t port = 0;
    if (sb_host_parse_authority(sb_str_of(data, size), 80, &host, &port, &err) < 0) {
        return 0;
    }
    if (port == 0 || strlen(host.name) > SB_HOST_MAX ||
        sb_host_parse(sb_str_from(host.name), false, &again, &err) < 0 ||
        !sb_host_eq(&host, &again) ||
        host.is_address != sb_addr_parse(sb_str_from(host.name), address) ||
        (host.is_address && memcmp(address, host.address, sizeof address) != 0)) {
        abort();
    }
    return 0;
}
