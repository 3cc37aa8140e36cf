#pragma once
/** Bounds of the proxy. Every queue has one, and every wait. */
enum {
    SB_EGRESS_MAX_BOXES = 1024,      /* sandboxes; fewer when descriptors are few */
    SB_EGRESS_REJECTED = 64,         /* sandboxes not taken that the worker was not told of yet */
    SB_EGRESS_ALL_CONNS = 4096,      /* connections of all; fewer when descriptors are few */
    SB_EGRESS_ACCEPT_TURN = 16,      /* connections taken before others have their turn */
    SB_EGRESS_CONTROL_TURN = 16,     /* packets of the worker, likewise */
    SB_EGRESS_BUFFER = 64 << 10,     /* bytes held per direction before reading stops */
    SB_EGRESS_BUFFER_LOW = 16 << 10, /* ... and goes on */
    SB_EGRESS_ADDRESSES = 8,         /* of a name that are tried */
    SB_EGRESS_BOX_LOOKUPS = 8,       /* of one sandbox at a time; its next ones wait */
    SB_EGRESS_PENDING = 16,       /* kinds of refusals of a sandbox kept while the worker is slow */
    SB_EGRESS_HEAD_MS = 10000,    /* until a request is whole */
    SB_EGRESS_RESOLVE_MS = 10000, /* for a name */
    SB_EGRESS_DIAL_MS = 10000,    /* for one address */
    SB_EGRESS_HELLO_MS = 10000,   /* for the ClientHello, on port 443 */
    SB_EGRESS_IDLE_MS = 300000,   /* nothing in either direction */
    SB_EGRESS_HALF_IDLE_MS = 60000, /* the same, when one direction has ended */
    SB_EGRESS_LINGER_MS = 2000,     /* for the client's end, when it has all */
    SB_EGRESS_RESUME_MS = 100,      /* after accept(2) failed */
    SB_EGRESS_DNS_CHECK_MS = 5000,  /* between looks at /etc/resolv.conf */
};
