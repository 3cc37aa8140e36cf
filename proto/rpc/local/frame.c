#include "proto/rpc/local/frame.h"

void sb_frame_put_u32(uint8_t ret[4], uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        ret[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

uint32_t sb_frame_get_u32(const uint8_t data[4])
{
    uint32_t value = 0;
    for (unsigned i = 0; i < 4; i++) {
        value = value << 8 | data[i];
    }
    return value;
}

void sb_frame_encode(const struct sb_frame *frame, uint8_t ret_header[SB_FRAME_HEADER_BYTES])
{
    sb_frame_put_u32(ret_header, frame->len);
    sb_frame_put_u32(ret_header + 4, frame->stream);
    ret_header[8] = frame->type;
    ret_header[9] = frame->flags;
}

struct sb_frame sb_frame_decode(const uint8_t header[SB_FRAME_HEADER_BYTES])
{
    return (struct sb_frame){
        .len = sb_frame_get_u32(header),
        .stream = sb_frame_get_u32(header + 4),
        .type = header[8],
        .flags = header[9],
    };
}
