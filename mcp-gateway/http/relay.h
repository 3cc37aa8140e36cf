#pragma once
/** Requests that are passed on rather than served: their body comes as it arrives, their answer
 * goes as it comes, and both may become a raw connection. Of requests with a streamed body
 * (server.h) the body alone.
 *
 *  Theory of operation. A relayed request is handed over when its head was read. Its body is not
 * read before sb_http_relay_read asked for it, which also answers "Expect: 100-continue"; so a
 * server that does not take it stops the client, by its socket. The answer is counted against
 *  SB_HTTP_HIGH_BYTES as any stream. A connection whose body was not read to its end is closed
 * behind the answer. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct sb_http_request;

#define SB_HTTP_LENGTH_UNKNOWN UINT64_MAX

/** Which requests are relayed, by their target as it came. */
enum sb_http_relays {
    SB_HTTP_RELAYS_NOT,
    SB_HTTP_RELAYS,
    SB_HTTP_RELAYS_OPENLY, /* the target holds what opens it: pages of any origin may have it */
};

/** What a relayed request tells. Borrowed, as struct sb_http_watcher, which it has as well. */
struct sb_http_body_watcher {
    /** A piece of the body, or, once upgraded, of what the client sends. False: no more until
     *  sb_http_relay_read. */
    bool (*piece)(struct sb_http_request *request, struct sb_str piece, void *user);
    /** The body is whole, or, once upgraded, the client sends no more. */
    void (*end)(struct sb_http_request *request, void *user);
};

/** Method as it came. */
struct sb_str sb_http_method_text(const struct sb_http_request *request);
/** Target as it came. */
struct sb_str sb_http_target(const struct sb_http_request *request);
void sb_http_each_header(const struct sb_http_request *request,
                         void (*visit)(const char *name, const char *value, void *ctx),
                         void *ctx);
/** False: it comes in chunks, of which the length is not known. */
bool sb_http_body_length(const struct sb_http_request *request, uint64_t *ret_length);
bool sb_http_is_http10(const struct sb_http_request *request);
bool sb_http_is_tls(const struct sb_http_request *request);
bool sb_http_is_relayed(const struct sb_http_request *request);

void sb_http_watch_body(struct sb_http_request *request,
                        const struct sb_http_body_watcher *watcher,
                        void *user);
/** Reads the body, on. From the loop, not from within. */
void sb_http_relay_read(struct sb_http_request *request);

/** As sb_http_add_header, but of any length. False: the head has no room for it. */
bool sb_http_add_field(struct sb_http_request *request, struct sb_str name, struct sb_str value);
/** Takes all back that was added. */
void sb_http_clear_fields(struct sb_http_request *request);
/** Begins the answer. @length  of the body; for HEAD and 304, of what it would be.
 *  @has_body  false: whatever the length. */
void sb_http_relay_begin(struct sb_http_request *request,
                         int status,
                         uint64_t length,
                         bool has_body);
/** 101; from here on bytes go as they come. */
void sb_http_relay_upgrade(struct sb_http_request *request);
/** As sb_http_stream_write. */
bool sb_http_relay_write(struct sb_http_request *request, const void *data, size_t len);
void sb_http_relay_end(struct sb_http_request *request);
/* sb_http_stream_abort cuts it. */
