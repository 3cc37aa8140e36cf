#pragma once
/** What the worker and aisbx-egress say to each other.
 *
 *  Theory of operation. aisbx-egress is the only way out of sandboxes with a limited network. It
 * has no privilege and runs outside of every sandbox; its control socket (SOCK_SEQPACKET, fd 3 of
 * it; the other end is the worker's) is all it is given. One packet is one struct, in host byte
 * order (both ends run on one machine and come from one build), followed by its strings. End of
 * file on the socket ends it.
 *
 *    egress -> worker   SB_EGRESS_READY, first of all.
 *    worker -> egress   SB_EGRESS_OPEN + 1 fd: a listening socket inside a sandbox; from then on
 * what connects to it is served by these rules. The worker keeps a copy: when egress dies,
 * connections wait in the backlog for the next one, which gets every OPEN again. SB_EGRESS_SECRET:
 * as many as OPEN has announced, right behind it. SB_EGRESS_UPDATE:
 * other rules for an open sandbox; connections that they forbid are ended. SB_EGRESS_CLOSE: ends
 * every connection and closes the listener. egress -> worker   SB_EGRESS_UPDATED, for each UPDATE,
 * when no connection outlives it that the new rules forbid. SB_EGRESS_DENIED, before the program
 * inside learns of the refusal. SB_EGRESS_DECISION for each connection that was let through, when
 * it ends. SB_EGRESS_CLOSED, for each CLOSE, last of that sandbox; and unasked, when egress cannot
 * take a sandbox, or its new rules (memory, descriptors, too many of them): that one has no way out
 * any more, and may be opened again.
 *
 *  Neither side waits for the other: egress drops DENIED and DECISION packets that do not fit (they
 * are counted in n_lost of the next one that does), the worker keeps OPEN, UPDATE and CLOSE until
 * they fit. Packets about a sandbox that is not open are ignored. */

#include <stdint.h>

enum {
    SB_EGRESS_FD = 3,                 /* control socket of egress */
    SB_EGRESS_ID = 0x6ffffffe,        /* its uid and gid in root mode: nobody else's */
    SB_EGRESS_VERSION = 4,            /* of this header */
    SB_EGRESS_MAX_PACKET = 160 << 10, /* an OPEN with its rules; fits the default socket buffer */
    SB_EGRESS_MAX_RULES = 512,        /* allow + deny */
    SB_EGRESS_MAX_CONNECTIONS = 256,  /* of one sandbox at one time */
    SB_EGRESS_MAX_SECRETS = 16,       /* of one sandbox */
    SB_EGRESS_SECRET_HOSTS = 16,      /* of one secret */
    SB_EGRESS_SECRET_MIN = 8,         /* bytes of a value: a shorter one stands in any text */
    SB_EGRESS_SECRET_CA = 64 << 10,   /* bytes of the certificates of one secret */
    SB_EGRESS_SECRET_MAX = 4096,      /* bytes of a value, and of what stands for it */
    SB_EGRESS_ID_SIZE = 32,           /* "sb_...", NUL-terminated */
    SB_EGRESS_MAX_TEXT = 512,         /* bytes of one string in a packet of egress, with its NUL */
};

enum sb_egress_type {
    SB_EGRESS_OPEN = 1,
    SB_EGRESS_UPDATE,
    SB_EGRESS_CLOSE,
    SB_EGRESS_READY,
    SB_EGRESS_UPDATED,
    SB_EGRESS_DENIED,
    SB_EGRESS_DECISION,
    SB_EGRESS_CLOSED,
    SB_EGRESS_SECRET,
    SB_EGRESS_AUTHORITY,
};

/** OPEN and UPDATE. Followed by allow (n_allow), deny (n_deny), each NUL-terminated: the rules of
 *  aisbx.v1.Network ("host", "*.host", either with ":port", an address or CIDR range, "[v6]:port");
 *  deny wins, and no rule at all permits nothing. */
struct sb_egress_rules {
    uint32_t type; /* SB_EGRESS_OPEN, SB_EGRESS_UPDATE */
    char id[SB_EGRESS_ID_SIZE];
    uint32_t n_allow;
    uint32_t n_deny;
    uint32_t serial;          /* of an UPDATE; echoed */
    uint32_t max_connections; /* at one time; 0: egress's own bound */
    uint16_t n_secrets;       /* of OPEN: SECRET packets that follow, */
    uint16_t has_authority;   /* and an AUTHORITY; until all are there it is not served */
    uint64_t max_bytes;       /* both ways together, over the sandbox's life; 0: no bound */
    uint64_t used_bytes;      /* of OPEN: of these, what an earlier egress let through */
};

/** A secret of a sandbox: inside is only what stands for it, and egress puts the value in its place
 *  in header fields of requests to the hosts. Followed by name, placeholder, value, and n_plain +
 *  n_tls hosts (rules with a port), and certificates (PEM) that vouch for those of TLS (may be
 * empty: the system's), each NUL-terminated. The placeholder is at least as long as the value. */
struct sb_egress_secret {
    uint32_t type; /* SB_EGRESS_SECRET */
    char id[SB_EGRESS_ID_SIZE];
    uint32_t n_plain; /* hosts that get it by HTTP */
    uint32_t n_tls;   /* hosts that get it within TLS */
};

/** Of a sandbox with secrets for hosts within TLS: an authority that its programs trust. Followed
 * by certificate and private key (PEM), each NUL-terminated. Tunnels to these hosts are opened. */
struct sb_egress_authority {
    uint32_t type; /* SB_EGRESS_AUTHORITY */
    char id[SB_EGRESS_ID_SIZE];
};

struct sb_egress_close {
    uint32_t type; /* SB_EGRESS_CLOSE */
    char id[SB_EGRESS_ID_SIZE];
};

struct sb_egress_ready {
    uint32_t type;    /* SB_EGRESS_READY */
    uint32_t version; /* SB_EGRESS_VERSION */
};

struct sb_egress_updated {
    uint32_t type; /* SB_EGRESS_UPDATED */
    char id[SB_EGRESS_ID_SIZE];
    uint32_t serial;
};

enum sb_egress_reason {
    SB_EGRESS_NO_RULE = 1, /* no rule of allow matches */
    SB_EGRESS_DENY_RULE,   /* a rule of deny does; it is in rule */
    SB_EGRESS_ADDRESS,     /* the name leads to an address that needs a rule of its own */
    SB_EGRESS_SNI,         /* TLS asks for another name than the request */
    SB_EGRESS_PROTOCOL,    /* not a request that the proxy takes: nothing can allow it */
    SB_EGRESS_LIMIT,       /* connections or bytes */
    SB_EGRESS_SECRET_HOST, /* what stands for a secret goes where the secret may not */
};

/** One kind of refusal, counted while the worker did not read. Followed by host (as asked for, no
 *  port), rule (of deny, or of LIMIT which bound: "max_connections", "max_bytes", of
 *  SECRET_HOST the name of the secret; may be empty),
 * why (a sentence for people) and allow_with (the rule that would let it through:
 * "example.org:443"; empty: none may), each NUL-terminated UTF-8 of one line. */
struct sb_egress_denied {
    uint32_t type; /* SB_EGRESS_DENIED */
    char id[SB_EGRESS_ID_SIZE];
    uint32_t reason; /* enum sb_egress_reason */
    uint32_t port;   /* 0: not known */
    uint32_t count;  /* at least 1 */
    uint32_t n_lost; /* refusals of this sandbox that were not told */
};

/** A connection that was let through. Followed by host and address (numeric), each
 *  NUL-terminated. */
struct sb_egress_decision {
    uint32_t type; /* SB_EGRESS_DECISION */
    char id[SB_EGRESS_ID_SIZE];
    uint32_t port;
    uint32_t n_lost;    /* decisions of this sandbox that were not told */
    uint64_t out_bytes; /* from the sandbox */
    uint64_t in_bytes;  /* to the sandbox */
};

struct sb_egress_closed {
    uint32_t type; /* SB_EGRESS_CLOSED */
    char id[SB_EGRESS_ID_SIZE];
    uint32_t n_connections; /* over its life */
    uint32_t n_denied;      /* what count and n_lost of all DENIED add up to */
    uint32_t n_lost;        /* decisions that were not told, and are in n_lost of no DECISION */
    uint64_t out_bytes;
    uint64_t in_bytes;
};
