#pragma once
/** Which server a TLS client asks for: the first flight of a connection, before it is passed on. */
#include "base/str.h"
#include "service/egress/host.h"

enum sb_sni_state {
    SB_SNI_MORE,    /* the ClientHello is not whole yet */
    SB_SNI_NAME,    /* it asks for the name in ret_host */
    SB_SNI_NONE,    /* it names no server */
    SB_SNI_NOT_TLS, /* these are not the first bytes of TLS */
    SB_SNI_BAD,     /* TLS, but no ClientHello by the book, or one that is too long */
};

enum { SB_SNI_MAX_BYTES = 16 << 10 }; /* of records that hold a ClientHello */

/** @bytes  all that came so far; may hold more than the ClientHello, which may be parted over
 *  records. With Encrypted ClientHello the name is the outer one: that of the server which is
 *  connected to. @ret_host  set with SB_SNI_NAME. */
enum sb_sni_state sb_sni_read(struct sb_str bytes, struct sb_host *ret_host);
