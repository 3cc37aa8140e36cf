#pragma once
/** Who calls. Made by auth.h for each call; plain bytes, good as long as the call. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/id.h"
#include "service/worker/policy/auth_config.h"

struct sb_ticket;

#define SB_CALLER_ACTOR_SIZE (4 + SB_IDENTITY_MAX + 1) /* bytes, with the NUL, as all here */
#define SB_CALLER_PEER_SIZE  64

struct sb_caller {
    char actor[SB_CALLER_ACTOR_SIZE]; /* "key:ID", "uid:1000", "tls:NAME", "tcp:loopback" */
    char tenant[SB_TENANT_SIZE];      /* whose sandboxes it sees and makes */
    enum sb_role role;
    bool is_here;                      /* on this machine, so process ids mean something */
    int peer_fd;                       /* its own unix connection; borrowed; -1: none */
    char link_sandbox[SB_ID_SIZE];     /* with link_port */
    uint16_t link_port;                /* 0: any; else it came by a link to that port alone */
    char gateway[SB_IDENTITY_MAX + 1]; /* certificate of the gateway that brings it and is believed
                                          (auth.gateways); "": none does. For records */
    const char *protocol;              /* "local", "grpc", "rest", "mcp"; static */
    struct sb_ticket *ticket;          /* of the gate; borrowed, until the call is answered */
    char peer[SB_CALLER_PEER_SIZE]; /* "uid:1000", "127.0.0.1:4711"; for records, not for rules */
};

static inline bool sb_caller_is_admin(const struct sb_caller *caller)
{
    return caller->role == SB_ROLE_ADMIN;
}

/** May the caller know of what belongs to that tenant? Admins see all; so does an auditor of "*".
 */
static inline bool sb_caller_sees(const struct sb_caller *caller, const char *tenant)
{
    return sb_caller_is_admin(caller) || strcmp(caller->tenant, tenant) == 0 ||
           (caller->role == SB_ROLE_AUDITOR && strcmp(caller->tenant, SB_TENANT_ALL) == 0);
}
