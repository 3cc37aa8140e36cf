#pragma once
/** Packets to and from aisbx-egress (service/shared/egressproto.h). */
#include <stddef.h>
#include <stdint.h>

#include "service/shared/egressproto.h"

struct sb_authority;
struct sb_buf;
struct sb_egress_line;
struct sb_err;
struct sb_policy;
struct sb_profile_secret;

/** An OPEN or UPDATE. @policy  whose network of mode SB_NETWORK_NONE permits nothing.
 *  @out  empty, with room for SB_EGRESS_MAX_PACKET. Errors: SB_EXHAUSTED. */
int sb_egress_packet_rules(enum sb_egress_type type,
                           const char *sandbox_id,
                           const struct sb_policy *policy,
                           const struct sb_egress_line *line,
                           struct sb_buf *out,
                           struct sb_err *err);

/** A SECRET, whose value is then in @out: write over it. Errors: SB_EXHAUSTED. */
int sb_egress_packet_secret(const char *sandbox_id,
                            const struct sb_profile_secret *secret,
                            struct sb_buf *out,
                            struct sb_err *err);

/** The same of an AUTHORITY, with its key. */
int sb_egress_packet_authority(const char *sandbox_id,
                               const struct sb_authority *authority,
                               struct sb_buf *out,
                               struct sb_err *err);

/** One packet of egress, checked. Which of the union is valid follows from type; strings point into
 *  the packet. */
struct sb_egress_heard {
    enum sb_egress_type type;
    union {
        struct sb_egress_ready ready;
        struct sb_egress_updated updated;
        struct sb_egress_denied denied;
        struct sb_egress_decision decision;
        struct sb_egress_closed closed;
    } head;
    char id[SB_EGRESS_ID_SIZE]; /* "" for READY */
    const char *texts[4];       /* in the order of the header; NULL behind them */
};

/** Errors: SB_INVALID: not a packet that egress may send. */
int sb_egress_packet_read(const char *data,
                          size_t len,
                          struct sb_egress_heard *ret_heard,
                          struct sb_err *err);
