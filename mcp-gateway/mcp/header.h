#pragma once
/** The headers that repeat what the body says, since 2026-07-28, so that machines on the way need
 *  not read it. They are compared, for who routes by a header must not be lied to. */
#include <stdbool.h>

#include "base/str.h"

struct cJSON;
struct sb_buf;
struct sb_err;

/** Headers of one request. */
struct sb_mcp_head {
    bool is_http;                 /* false: there are none, as on stdio */
    const char *protocol_version; /* NULL: absent, as the others */
    const char *method;
    const char *name;
    /** @name  in any case. */
    const char *(*header)(const char *name, void *ctx);
    void *ctx;
};

/** Without blanks at both ends; ptr NULL for NULL. */
struct sb_str sb_mcp_header_value(const char *value);

/** Undoes "=?base64?...?=", else the value is as it is. @buf  holds what was decoded.
 *  False: it begins so and is none, or not UTF-8. */
bool sb_mcp_header_decode(struct sb_str value, struct sb_buf *buf, struct sb_str *ret_value);

/** Mcp-Name against the body. @expected  ptr NULL: the body has none.
 *  Errors: SB_INVALID with text for the client. */
int sb_mcp_header_check_name(const struct sb_mcp_head *head,
                             const char *member,
                             struct sb_str expected,
                             struct sb_err *err);

/** Mcp-Param-* against arguments, for what the schema marks with x-mcp-header. As above. */
int sb_mcp_header_check_params(const struct sb_mcp_head *head,
                               const struct cJSON *schema,
                               const struct cJSON *arguments,
                               struct sb_err *err);
