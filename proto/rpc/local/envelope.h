#pragma once
/** What stands in request and response frames (ttrpc.proto). */

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "proto/rpc/internal.h"
#include "proto/rpc/local/ttrpc.pb-c.h"

struct sb_buf;

/** Appends the data of a request frame. */
int sb_envelope_put_request(struct sb_buf *buf,
                            const struct sb_rpc_start *start,
                            uint64_t timeout_ms,
                            struct sb_err *err);

/** Appends the data of a response frame.
 *  @reply  NULL: none. */
int sb_envelope_put_response(struct sb_buf *buf,
                             const struct sb_err *status,
                             const ProtobufCMessage *reply,
                             const struct sb_rpc_call *trailers_of,
                             struct sb_err *err);

/** Metadata of either kind of envelope as the call interface has it. */
struct sb_envelope_metadata {
    struct sb_rpc_metadata *entries; /* owned, one block with what they point to */
    size_t n;
};
/** Copies and checks. */
int sb_envelope_get_metadata(Aisbx__Ttrpc__KeyValue *const *pairs,
                             size_t n,
                             struct sb_envelope_metadata *ret_metadata,
                             struct sb_err *err);
void sb_envelope_metadata_done(struct sb_envelope_metadata *metadata);

/** The status of a response; made printable. */
void sb_envelope_get_status(const Aisbx__Ttrpc__Response *response, struct sb_err *ret_status);
