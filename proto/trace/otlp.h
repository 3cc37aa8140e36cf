#pragma once
/** Spans as OTLP's request: private to proto/trace. The thread's. */
#include <stddef.h>
#include <stdint.h>

#include "proto/rpc/rpc.h"

struct sb_otlp;
struct sb_tracer;

extern const struct sb_rpc_method sb_otlp_export;

/** Room for one batch, and the resource. NULL: memory is out. */
struct sb_otlp *sb_otlp_new(const struct sb_tracer *tracer);
void sb_otlp_free(struct sb_otlp *otlp);
/** A request with n spans, at most SB_TRACE_BATCH, from that number on. Good until the next one; it
 *  points into the ring. */
const ProtobufCMessage *sb_otlp_fill(struct sb_otlp *otlp, uint64_t first, size_t n);
/** How many spans of an accepted request the collector did not take. */
uint64_t sb_otlp_rejected(const ProtobufCMessage *reply);
