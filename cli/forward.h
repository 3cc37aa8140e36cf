#pragma once
/** Connections made here, each carried to a port of a sandbox by a call of ForwardPort.
 *
 *  Theory of operation. One thread and one poll(2). A connection is read only while its call takes
 *  more, and the call only while the connection does, so what one holds is bounded by a piece. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

struct sb_connect;
struct sb_err;

enum { SB_FORWARD_MAX = 32 }; /* ports */

/** One port. */
struct sb_forward_port {
    uint16_t local; /* 0: any, filled in by sb_forward_listen */
    uint16_t remote;
    int fd; /* listening; -1: not yet */
};

struct sb_forward {
    struct sb_connect *connect; /* borrowed */
    const char *sandbox_id;     /* borrowed */
    struct sb_forward_port ports[SB_FORWARD_MAX];
    size_t n_ports;
    struct sb_list conns;
    size_t n_conns;
    bool is_verbose;
    bool is_ended;        /* the sandbox is no more */
    bool is_closing;      /* calls end because we do */
    struct sb_err *ended; /* why; borrowed */
};

/** "8080" or "9000:8080"; local 0 picks one. Errors: SB_INVALID. */
int sb_forward_parse(const char *text, struct sb_forward_port *ret_port, struct sb_err *err);
/** @address  IPv4 or IPv6. Errors: SB_INVALID; SB_EXISTS: the port is taken. */
int sb_forward_listen(struct sb_forward *forward, const char *address, struct sb_err *err);
/** Until stop_fd is readable: 0, or the sandbox is no more: -1. */
int sb_forward_serve(struct sb_forward *forward, int stop_fd, struct sb_err *err);
/** Resets what is open. */
void sb_forward_done(struct sb_forward *forward);
