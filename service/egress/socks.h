#pragma once
/** SOCKS5 (RFC 1928) as far as the proxy speaks it: no authentication, CONNECT. */
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "service/egress/host.h"

struct sb_err;

enum {
    SB_SOCKS_VERSION = 5,
    SB_SOCKS_REPLY_SIZE = 10,
    SB_SOCKS_MAX_BYTES = 520, /* longer than any greeting or request */
};

/** Second byte of a reply. */
enum sb_socks_reply {
    SB_SOCKS_OK = 0,
    SB_SOCKS_FAILED = 1,
    SB_SOCKS_NOT_ALLOWED = 2,
    SB_SOCKS_UNREACHABLE = 4,
    SB_SOCKS_REFUSED = 5,
    SB_SOCKS_NO_COMMAND = 7,
    SB_SOCKS_NO_ADDRESS_TYPE = 8,
};

struct sb_socks_request {
    struct sb_host host;
    uint16_t port;
};

/* Both return the bytes that were read, 0 when more are needed, or -1 with SB_INVALID. */

/** The greeting, which has to offer "no authentication". */
int sb_socks_read_greeting(struct sb_str bytes, struct sb_err *err);

/** @ret_reply  set with -1: what to answer. */
int sb_socks_read_request(struct sb_str bytes,
                          struct sb_socks_request *ret_request,
                          enum sb_socks_reply *ret_reply,
                          struct sb_err *err);

void sb_socks_make_reply(enum sb_socks_reply reply, unsigned char ret_bytes[SB_SOCKS_REPLY_SIZE]);
