#pragma once
/** Ports of a sandbox that callers may reach. What is not exposed cannot be reached. Loop thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "proto/key/keytext.h"
#include "service/worker/limits.h"

struct sb_err;
struct sb_sandbox;

#define SB_PORT_TITLE_MAX 63 /* characters */

struct sb_port {
    struct sb_list link; /* of its sandbox */
    struct sb_sandbox *sandbox;
    uint16_t number;
    char *title;
    struct sb_list tunnels; /* struct sb_tunnel */
    uint32_t n_tunnels;
    uint64_t total;                                /* tunnels there were */
    char links[SB_MAX_PORT_LINKS][SB_KEY_ID_SIZE]; /* ids; "": none. The oldest gives way */
    unsigned next_link;
};

/** May ports of it be exposed and reached now? Errors: SB_PRECONDITION. */
int sb_ports_check(const struct sb_sandbox *sandbox, struct sb_err *err);

/** Exposes it; one that is exposed gets the title.
 *  Errors: SB_INVALID; SB_EXHAUSTED: SB_MAX_PORTS are; SB_PRECONDITION. */
int sb_port_expose(struct sb_sandbox *sandbox,
                   uint32_t number,
                   const char *title,
                   struct sb_port **ret_port,
                   struct sb_err *err);
/** Errors: SB_INVALID; SB_NOT_FOUND: it is not exposed. */
int sb_port_find(const struct sb_sandbox *sandbox,
                 uint32_t number,
                 struct sb_port **ret_port,
                 struct sb_err *err);
/** May a link work for so long? 0: none is asked for. Errors: SB_INVALID. */
int sb_port_check_link(uint64_t ttl_ms, struct sb_err *err);
/** Makes a link: a key that opens this port alone.
 *  @ttl_ms  as checked.   @ret_expire_ms  real time.
 *  Errors: SB_EXHAUSTED. */
int sb_port_link(struct sb_port *port,
                 uint64_t ttl_ms,
                 char ret_text[SB_KEY_TEXT_SIZE],
                 uint64_t *ret_expire_ms,
                 struct sb_err *err);
/** Ends its connections and links, and frees it. */
void sb_port_unexpose(struct sb_port *port);
/** All of them: the sandbox ends. */
void sb_ports_done(struct sb_sandbox *sandbox);
