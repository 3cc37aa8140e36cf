#pragma once
/** What kind of place an address is. Addresses are 16 bytes; IPv4 is ::ffff:a.b.c.d. */
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct sockaddr;
struct sockaddr_storage;

#define SB_ADDR_SIZE      16
#define SB_ADDR_TEXT_SIZE 48 /* bytes of sb_addr_format, with the NUL */

/** One block of addresses that are not the public network's. */
struct sb_addr_block {
    const char *name; /* "a private address" */
    unsigned char base[SB_ADDR_SIZE];
    unsigned prefix;  /* bits, 0..128 */
    bool is_never;    /* no rule can permit a connection to it */
    bool is_embedded; /* leads to the IPv4 address in its last 32 bits, which is what counts */
};

/** The narrowest block that holds the address; NULL: a public one. */
const struct sb_addr_block *sb_addr_block_of(const unsigned char address[SB_ADDR_SIZE]);

/** The narrowest block that holds every address with these first bits; NULL: there are public ones
 *  among them. @bits  0..128 */
const struct sb_addr_block *sb_addr_block_around(const unsigned char address[SB_ADDR_SIZE],
                                                 unsigned bits);

/** True: the address only wraps an IPv4 address (NAT64), which is then in ret_inner. */
bool sb_addr_unwrap(const unsigned char address[SB_ADDR_SIZE],
                    unsigned char ret_inner[SB_ADDR_SIZE]);

/** The first @bits of both are the same. */
bool sb_addr_same_prefix(const unsigned char *a, const unsigned char *b, unsigned bits);

/** Strict: a dotted quad without leading zeros, or an IPv6 address without brackets and zone. */
bool sb_addr_parse(struct sb_str text, unsigned char ret_address[SB_ADDR_SIZE]);

/** "192.0.2.1", "2001:db8::1"; returns out. */
const char *sb_addr_format(char out[SB_ADDR_TEXT_SIZE], const unsigned char address[SB_ADDR_SIZE]);

/** False: of a family that is neither IPv4 nor IPv6. */
bool sb_addr_from_socket(const struct sockaddr *from, unsigned char ret_address[SB_ADDR_SIZE]);

/** What connect(2) takes: AF_INET for IPv4. Returns its length. */
unsigned sb_addr_to_socket(const unsigned char address[SB_ADDR_SIZE],
                           uint16_t port,
                           struct sockaddr_storage *ret_to);
