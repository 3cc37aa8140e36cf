#pragma once
/** The conversation with the worker (service/shared/egressproto.h). The worker is never waited for:
 *  refusals it does not read are added up, and beyond a bound only counted. */
#include <stdint.h>

struct sb_box;
struct sb_err;
struct sb_proxy;
struct sb_refusal;

/** Says READY and listens. The loop ends when the worker does, or says what it may not.
 *  @fd  non-blocking from now on; borrowed. */
int sb_control_start(struct sb_proxy *proxy, int fd, struct sb_err *err);

/** Call before the program inside learns of it. */
void sb_control_tell_denied(struct sb_box *box, const struct sb_refusal *refusal);
/** @address  numeric. */
void sb_control_tell_decision(struct sb_box *box,
                              const char *host,
                              const char *address,
                              uint16_t port,
                              uint64_t out_bytes,
                              uint64_t in_bytes);
