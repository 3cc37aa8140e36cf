#pragma once
/** The head of an HTTP/1.1 request (RFC 9112), read strictly: what two readers could understand
 *  differently is refused. Pure functions, for the fuzzer too. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "mcp-gateway/http/server.h"

struct sb_err;

enum { SB_HEAD_MAX_FIELDS = 64 };

struct sb_head_field {
    const char *name;
    const char *value; /* trimmed */
};

struct sb_head {
    enum sb_http_method method;
    struct sb_str method_text;
    struct sb_str target; /* "/path?query", or absolute */
    struct sb_head_field fields[SB_HEAD_MAX_FIELDS];
    size_t n_fields;
    const char *host;
    uint64_t body_bytes; /* of Content-Length; 0 without */
    bool is_chunked;
    bool is_http10;
    bool wants_close;    /* after this request */
    bool wants_continue; /* Expect: 100-continue */
};

/** Looks for the end of a head. @from  where to go on; starts at 0, moved forward.
 *  Returns its length with the empty line, 0 when more must come, -1 when it cannot become one (a
 *  line that does not end with CR LF). */
int sb_head_find_end(struct sb_str bytes, size_t *from);

/** Reads a whole head. @text  changed in place; *ret_head points into it. *ret_status: what to
 *  answer on failure. Errors: SB_INVALID; SB_UNIMPLEMENTED for methods and codings we do not know.
 */
int sb_head_parse(
    char *text, size_t len, struct sb_head *ret_head, int *ret_status, struct sb_err *err);

/** Reads one line, without its CR LF, which must follow in the same memory; changed in place.
 *  Errors: SB_INVALID. */
int sb_head_read_field(char *line, size_t len, struct sb_head_field *ret_field, struct sb_err *err);

/** @name  in any case; NULL when absent. */
const char *sb_head_get(const struct sb_head *head, const char *name);

const char *sb_http_method_name(enum sb_http_method method);
