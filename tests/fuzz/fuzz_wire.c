#include <stdint.h>
#include <stdlib.h>

#include "aisbx/v1/sandbox_service.pb-c.h"
#include "base/buf.h"
#include "base/err.h"
#include "proto/rpc/rpc.h"
#include "proto/rpc/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** The first byte picks the message. What passes the check must unpack, and pack and pass again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const ProtobufCMessageDescriptor *const descs[] = {
        &aisbx__v1__create_sandbox_request__descriptor,
        &aisbx__v1__run_request__descriptor,
        &aisbx__v1__run_batch_request__descriptor,
        &aisbx__v1__interact_exec_request__descriptor,
        &aisbx__v1__list_execs_response__descriptor,
    };
    if (size == 0) {
        return 0;
    }
    const ProtobufCMessageDescriptor *desc = descs[data[0] % (sizeof descs / sizeof descs[0])];
    ProtobufCMessage *msg = NULL;
    struct sb_err err;
    int checked = sb_wire_check(desc, data + 1, size - 1, SB_RPC_MAX_UNPACKED_BYTES, &err);
    int unpacked = sb_rpc_unpack(desc, data + 1, size - 1, &msg, &err);
    if (checked != unpacked && err.code != SB_EXHAUSTED) {
        abort();
    }
    if (unpacked == 0) {
        struct sb_buf buf = SB_BUF_INIT(SB_RPC_MAX_MESSAGE_BYTES);
        if (sb_rpc_pack(msg, &buf, &err) == 0 &&
            sb_wire_check(desc, sb_buf_cstr(&buf), buf.len, 2 * (size_t)SB_RPC_MAX_UNPACKED_BYTES,
                          &err) < 0) {
            abort();
        }
        sb_buf_done(&buf);
        protobuf_c_message_free_unpacked(msg, NULL);
    }
    return 0;
}
