#include "service/worker/policy/network_limits.h"

#include <string.h>

#include "service/shared/egressproto.h"
#include "service/worker/policy/profile.h"

#define AT(member) offsetof(struct sb_network, member)

const struct sb_field sb_network_limits[] = {
    {SB_STR("max_connections"), SB_FIELD_U64, AT(max_connections), 1, SB_EGRESS_MAX_CONNECTIONS,
     NULL, "connections at one time", NULL},
    {SB_STR("max_bytes"), SB_FIELD_BYTES, AT(max_bytes), 1U << 10, UINT64_C(1) << 40, "bytes",
     "bytes both ways over a sandbox's life", NULL},
};
const size_t sb_network_limits_n = sizeof sb_network_limits / sizeof *sb_network_limits;

uint64_t sb_network_limits_get(const struct sb_network *network, const struct sb_field *field)
{
    uint64_t value = 0;
    memcpy(&value, (const char *)network + field->offset, sizeof value);
    return value;
}

void sb_network_limits_put(struct sb_network *network, const struct sb_field *field, uint64_t value)
{
    memcpy((char *)network + field->offset, &value, sizeof value);
}

void sb_network_limits_inherit(struct sb_network *network, const struct sb_network *base)
{
    for (size_t i = 0; i < sb_network_limits_n; i++) {
        const struct sb_field *field = &sb_network_limits[i];
        if (sb_network_limits_get(network, field) == 0) {
            sb_network_limits_put(network, field, sb_network_limits_get(base, field));
        }
    }
}
