#pragma once
/** Heads of HTTP/1 messages, read strictly, and written anew from what was read: bytes that two
 *  readers could understand differently are not passed on (RFC 9110, RFC 9112). */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "service/egress/host.h"

struct sb_buf;
struct sb_err;

enum {
    SB_HTTP_MAX_HEAD = 16 << 10, /* bytes */
    SB_HTTP_MAX_FIELDS = 128,
};

enum sb_http_body {
    SB_HTTP_NO_BODY,
    SB_HTTP_LENGTH, /* body_bytes of them */
    SB_HTTP_CHUNKED,
    SB_HTTP_TO_END, /* of a response: until the connection ends */
};

struct sb_http_field {
    struct sb_str name;
    struct sb_str value; /* without blanks at its ends */
};

/** Borrows from the bytes that were read. */
struct sb_http_head {
    struct sb_str method;
    bool is_connect;
    struct sb_host host;
    uint16_t port;
    uint16_t usual_port; /* of the scheme: Host need not name it */
    struct sb_str path;  /* "/..." or "?..."; may be empty */
    unsigned minor;      /* HTTP/1.minor */
    enum sb_http_body body;
    uint64_t body_bytes;
    unsigned status; /* of a response */
    struct sb_http_field fields[SB_HTTP_MAX_FIELDS];
    size_t n_fields;
};

/** How long the head at the front of @bytes is, its empty line included.
 *  0: it has not ended, and bytes.len is below SB_HTTP_MAX_HEAD. -1: SB_EXHAUSTED. */
int sb_http_head_length(struct sb_str bytes, struct sb_err *err);

/** A request to a proxy: "METHOD http://host[:port]/path" or "CONNECT host:port".
 *  @head  whole, as sb_http_head_length found it. Errors: SB_INVALID; ret_head is then undefined,
 *  but for its host and port, which are set (else host.name is "") as soon as they are known. */
int sb_http_head_read_request(struct sb_str head,
                              struct sb_http_head *ret_head,
                              struct sb_err *err);

/** A request to @host itself, as it comes within TLS: "METHOD /path", for that host and no other.
 *  As above. */
int sb_http_head_read_inner(struct sb_str head,
                            const struct sb_host *host,
                            uint16_t port,
                            struct sb_http_head *ret_head,
                            struct sb_err *err);

/** What the origin answers; only status, minor and fields are set. */
int sb_http_head_read_response(struct sb_str head,
                               struct sb_http_head *ret_head,
                               struct sb_err *err);

/** How the body of a response that was read ends: sets body and body_bytes.
 *  @is_to_head  it answers HEAD. Errors: SB_INVALID: two readers could see it end elsewhere. */
int sb_http_head_read_framing(struct sb_http_head *head, bool is_to_head, struct sb_err *err);
/** Its body is compressed, or coded otherwise. */
bool sb_http_head_is_encoded(const struct sb_http_head *head);
/** Takes every field of that name out. */
void sb_http_head_drop(struct sb_http_head *head, const char *name);

/** The request as the origin gets it: origin form, Host and framing from what was read, without
 *  fields that concern this hop only, one request per connection. Errors: SB_EXHAUSTED. */
int sb_http_head_write_request(const struct sb_http_head *head,
                               struct sb_buf *out,
                               struct sb_err *err);

/** The response as the client gets it: the same fields (framing too: the body is passed on as it
 *  is), and that the connection ends. Errors: SB_EXHAUSTED. */
int sb_http_head_write_response(const struct sb_http_head *head,
                                struct sb_buf *out,
                                struct sb_err *err);
