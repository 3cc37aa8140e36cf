#include "mcp-gateway/ports/place.h"

#include "base/err.h"
#include "base/id.h"
#include "base/num.h"

static bool take(struct sb_str *rest, struct sb_str text)
{
    if (!sb_str_starts_with(*rest, text)) {
        return false;
    }
    *rest = sb_str_skip(*rest, text.len);
    return true;
}

static bool is_token(struct sb_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_alnum && c != '_' && c != '-') {
            return false;
        }
    }
    return text.len > 0;
}

bool sb_port_place_parse(struct sb_str target, struct sb_port_place *ret_place)
{
    struct sb_port_place place = {.prefix = {NULL, 0}};
    struct sb_str rest = target;
    struct sb_str number;
    struct sb_str segment;
    struct sb_str behind;
    struct sb_err ignored;
    uint64_t port = 0;
    if (!take(&rest, SB_STR("/api/v1/sandboxes/")) ||
        !sb_str_split(rest, '/', &place.sandbox_id, &rest) ||
        !sb_id_valid(place.sandbox_id, "sb_") || !take(&rest, SB_STR("ports/")) ||
        !sb_str_split(rest, '/', &number, &behind) || number.ptr[0] == '0' ||
        sb_num_u64(number, 1, UINT16_MAX, &port, &ignored) < 0) {
        return false;
    }
    rest = sb_str_skip(rest, number.len);
    if (sb_str_starts_with(behind, SB_STR(SB_PLACE_TOKEN_MARK)) &&
        sb_str_split(behind, '/', &segment, &behind) && is_token(sb_str_skip(segment, 1))) {
        place.token = sb_str_skip(segment, 1);
        rest = sb_str_skip(rest, 1 + segment.len);
    }
    place.port = (uint16_t)port;
    place.prefix = sb_str_head(target, target.len - rest.len);
    place.rest = rest;
    *ret_place = place;
    return true;
}
