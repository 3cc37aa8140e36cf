#pragma once
/** Fields between a client and a server in a sandbox: which pass, and as what. Pure, for the fuzzer
 *  too. */
#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

struct sb_port_place;

#define SB_FIELD_COOKIE_MARK "aisbx-" /* before the names of a sandbox's cookies, outside */

/** True when @list, a comma list such as Connection's, names that. */
bool sb_field_list_has(struct sb_str list, struct sb_str name);

/** Is the field kept from the server? Credentials, what is about this hop, and what the gateway
 * says itself. */
bool sb_field_is_kept_from_server(struct sb_str name);
/** Is the field kept from the client? What is about that hop, what would speak for the gateway's
 *  origin or change it. */
bool sb_field_is_kept_from_client(struct sb_str name);

/** The cookies of a request that are the sandbox's own, by their names inside; nothing appended:
 * none are. -1: no room. */
int sb_field_cookies(struct sb_str value, struct sb_buf *out);
/** Set-Cookie, renamed and kept to the place; nothing appended: it is none. -1: no room. */
int sb_field_set_cookie(struct sb_str value, const struct sb_port_place *place, struct sb_buf *out);
/** Location: what leads to the server leads to the place; the rest stays. -1: no room. */
int sb_field_location(struct sb_str value, const struct sb_port_place *place, struct sb_buf *out);
