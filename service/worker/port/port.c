#include "service/worker/port/port.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "base/utf8.h"
#include "service/shared/initproto.h"
#include "service/worker/limits.h"
#include "service/worker/policy/policy.h"
#include "service/worker/port/tunnel.h"
#include "service/worker/sandbox.h"
#include "service/worker/worker.h"

enum { MIN_LINK_MS = 1000 };

int sb_ports_check(const struct sb_sandbox *sandbox, struct sb_err *err)
{
    if (sandbox->is_only) {
        return sb_err_set(err, SB_PRECONDITION,
                          "sandbox %s was made for one program and ends with it; make one that "
                          "stays (CreateSandbox, aisbx create)",
                          sandbox->id);
    }
    if (sandbox->state != SB_STATE_RUNNING) {
        return sb_err_set(err, SB_PRECONDITION, "sandbox %s is %s", sandbox->id,
                          sb_state_name(sandbox->state));
    }
    return 0;
}

static int check_number(uint32_t number, struct sb_err *err)
{
    return number >= 1 && number <= UINT16_MAX
               ? 0
               : sb_err_set(err, SB_INVALID, "port: %u is not in 1..65535", (unsigned)number);
}

static int check_title(const char *title, struct sb_err *err)
{
    struct sb_str rest = sb_str_from(title);
    size_t n = 0;
    for (; rest.len > 0; n++) {
        if (!sb_utf8_printable(sb_utf8_next(&rest))) {
            return sb_err_set(err, SB_INVALID, "title: has a character that is not printable");
        }
    }
    return n <= SB_PORT_TITLE_MAX
               ? 0
               : sb_err_set(err, SB_INVALID, "title: more than %d characters", SB_PORT_TITLE_MAX);
}

/** @ret_at  where one with that number belongs. */
static struct sb_port *
look_up(const struct sb_sandbox *sandbox, uint32_t number, struct sb_list **ret_at)
{
    SB_FOREACH (node, &sandbox->ports) {
        struct sb_port *port = SB_LIST_ENTRY(node, struct sb_port, link);
        if (port->number >= number) {
            *ret_at = node;
            return port->number == number ? port : NULL;
        }
    }
    return NULL;
}

static int check_new(const struct sb_sandbox *sandbox, uint32_t number, struct sb_err *err)
{
    if (number == SB_INIT_EGRESS_PORT && sandbox->policy->network.mode == SB_NETWORK_LIMITED) {
        return sb_err_set(err, SB_INVALID,
                          "port: %u is the sandbox's own way to its network; let the server "
                          "listen on another",
                          (unsigned)number);
    }
    return sandbox->n_ports < SB_MAX_PORTS
               ? 0
               : sb_err_set(err, SB_EXHAUSTED,
                            "sandbox %s: %d ports are exposed already; unexpose one", sandbox->id,
                            SB_MAX_PORTS);
}

int sb_port_expose(struct sb_sandbox *sandbox,
                   uint32_t number,
                   const char *title,
                   struct sb_port **ret_port,
                   struct sb_err *err)
{
    struct sb_list *at = &sandbox->ports;
    if (check_number(number, err) < 0 || check_title(title, err) < 0 ||
        sb_ports_check(sandbox, err) < 0) {
        return -1;
    }
    struct sb_port *port = look_up(sandbox, number, &at);
    if (port == NULL && check_new(sandbox, number, err) < 0) {
        return -1;
    }
    char *kept = strdup(title);
    bool is_new = port == NULL;
    if (is_new) {
        port = calloc(1, sizeof *port);
    }
    if (kept == NULL || port == NULL) {
        free(kept);
        if (is_new) {
            free(port);
        }
        return sb_err_oom(err);
    }
    if (is_new) {
        port->sandbox = sandbox;
        port->number = (uint16_t)number;
        sb_list_init(&port->tunnels);
        sb_list_insert_before(at, &port->link);
        sandbox->n_ports++;
    }
    free(port->title);
    port->title = kept;
    *ret_port = port;
    return 0;
}

int sb_port_find(const struct sb_sandbox *sandbox,
                 uint32_t number,
                 struct sb_port **ret_port,
                 struct sb_err *err)
{
    struct sb_list *at = NULL;
    if (check_number(number, err) < 0) {
        return -1;
    }
    struct sb_port *port = look_up(sandbox, number, &at);
    if (port == NULL) {
        return sb_err_set(err, SB_NOT_FOUND,
                          "port %u of sandbox %s is not exposed (ExposePort, aisbx expose %s %u)",
                          (unsigned)number, sandbox->id, sandbox->id, (unsigned)number);
    }
    *ret_port = port;
    return 0;
}

/* ---- links ---- */

static void forget_link(struct sb_port *port, unsigned i)
{
    struct sb_keys *links = &port->sandbox->worker->auth.links;
    struct sb_key *link =
        port->links[i][0] == '\0' ? NULL : sb_keys_get(links, sb_str_from(port->links[i]));
    if (link != NULL) {
        sb_keys_remove(links, link);
    }
    port->links[i][0] = '\0';
}

int sb_port_check_link(uint64_t ttl_ms, struct sb_err *err)
{
    return ttl_ms == 0 || (ttl_ms >= MIN_LINK_MS && ttl_ms <= SB_MAX_PORT_LINK_MS)
               ? 0
               : sb_err_set(err, SB_INVALID, "share_ttl_ms: must be 0 or in %d..%d", MIN_LINK_MS,
                            SB_MAX_PORT_LINK_MS);
}

int sb_port_link(struct sb_port *port,
                 uint64_t ttl_ms,
                 char ret_text[SB_KEY_TEXT_SIZE],
                 uint64_t *ret_expire_ms,
                 struct sb_err *err)
{
    const struct sb_sandbox *sandbox = port->sandbox;
    struct sb_keys *links = &sandbox->worker->auth.links;
    struct sb_key link = {.create_ms = sb_clock_real_ms(), .port = port->number};
    struct sb_key *kept = NULL;
    link.role = SB_ROLE_USER;
    link.expire_ms = link.create_ms + ttl_ms;
    memcpy(link.sandbox_id, sandbox->id, sizeof link.sandbox_id);
    memcpy(link.tenant, sandbox->tenant, sizeof link.tenant);
    if (sb_key_text_make(link.id, ret_text, err) < 0) {
        return -1;
    }
    sb_key_text_hash(sb_str_from(ret_text), link.hash);
    forget_link(port, port->next_link);
    if (sb_keys_add(links, &link, &kept, err) < 0) {
        return -1;
    }
    memcpy(port->links[port->next_link], link.id, sizeof link.id);
    port->next_link = (port->next_link + 1) % SB_MAX_PORT_LINKS;
    *ret_expire_ms = link.expire_ms;
    return 0;
}

/* ---- the end ---- */

static void drop(struct sb_port *port, const struct sb_err *why)
{
    port->sandbox->n_ports--;
    sb_list_remove(&port->link);
    for (unsigned i = 0; i < SB_MAX_PORT_LINKS; i++) {
        forget_link(port, i);
    }
    while (!sb_list_is_empty(&port->tunnels)) { /* a cut tunnel is in no list */
        sb_tunnel_cut(SB_LIST_ENTRY(port->tunnels.next, struct sb_tunnel, link), why);
    }
    free(port->title);
    free(port);
}

void sb_port_unexpose(struct sb_port *port)
{
    struct sb_err why;
    (void)sb_err_set(&why, SB_ABORTED, "port %u of sandbox %s was unexposed",
                     (unsigned)port->number, port->sandbox->id);
    drop(port, &why);
}

void sb_ports_done(struct sb_sandbox *sandbox)
{
    struct sb_err why;
    (void)sb_err_set(&why, SB_ABORTED, "sandbox %s has ended%s%s", sandbox->id,
                     sandbox->destroy_message[0] == '\0' ? "" : ": ", sandbox->destroy_message);
    while (!sb_list_is_empty(&sandbox->ports)) {
        drop(SB_LIST_ENTRY(sandbox->ports.next, struct sb_port, link), &why);
    }
}
