#pragma once
/** Where the body of a request ends, so that no second request hides in it. Chunked bodies are
 *  written anew: no extensions, no trailers. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "service/egress/http_head.h"

struct sb_err;

enum sb_http_body_state {
    SB_HTTP_BODY_DATA,  /* left bytes of a chunk or of the whole */
    SB_HTTP_BODY_SIZE,  /* the line with the size of a chunk */
    SB_HTTP_BODY_AFTER, /* CR LF behind a chunk */
    SB_HTTP_BODY_LAST,  /* CR LF behind the chunk of size 0 */
    SB_HTTP_BODY_DONE,
};

struct sb_http_body_reader {
    enum sb_http_body_state state;
    bool is_chunked;
    uint64_t left; /* bytes, in DATA */
};

void sb_http_body_start(struct sb_http_body_reader *reader, const struct sb_http_head *head);

/** How many bytes of @bytes can be passed on as they are: part of the body by the book. Call again
 *  with what is left when more has come. 0: more are needed, or it is done (state).
 *  Returns -1 with SB_INVALID: these are no chunks. */
ptrdiff_t
sb_http_body_take(struct sb_http_body_reader *reader, struct sb_str bytes, struct sb_err *err);
