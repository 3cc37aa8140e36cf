#pragma once
/** Where a request wants to go: one canonical form, used for the check and for the connection. */
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/str.h"

struct sb_err;

#define SB_HOST_MAX 253 /* characters of a name */

struct sb_host {
    bool is_address;
    char name[SB_HOST_MAX + 1]; /* lower case, no dot at its end; an address in its usual form */
    unsigned char address[SB_ADDR_SIZE]; /* when is_address */
};

/** A name of letters, digits, "-" and "_" with one "." between labels (one at the end is dropped),
 *  a dotted quad, or an IPv6 address (@in_brackets: only as "[...]"). Names that some resolvers
 * take for a number ("127.1", "0x7f000001", "2130706433") are refused. Errors: SB_INVALID with a
 * text for people. */
int sb_host_parse(struct sb_str text,
                  bool in_brackets,
                  struct sb_host *ret_host,
                  struct sb_err *err);

/** "host", "host:port", "[v6]", "[v6]:port"; no user, no blanks.
 *  @port  taken when there is none; 0: there has to be one. Errors: SB_INVALID. */
int sb_host_parse_authority(struct sb_str text,
                            uint16_t port,
                            struct sb_host *ret_host,
                            uint16_t *ret_port,
                            struct sb_err *err);

bool sb_host_eq(const struct sb_host *a, const struct sb_host *b);
