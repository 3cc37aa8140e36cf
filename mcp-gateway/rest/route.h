#pragma once
/** The REST interface as a table: which method and path is which call, and where its parts go. */
#include <stddef.h>

#include "base/str.h"
#include "mcp-gateway/http/server.h"
#include "proto/rpc/rpc.h"

enum sb_route_body {
    SB_ROUTE_NO_BODY,
    SB_ROUTE_MESSAGE, /* JSON of the call's request, less what the path says */
    SB_ROUTE_FIELD,   /* JSON of its field body_field */
    SB_ROUTE_MASKED,  /* the same, and what it names is its update_mask */
    SB_ROUTE_BYTES,   /* application/octet-stream, its field body_field */
    SB_ROUTE_TAR,     /* application/x-tar, its field body_field */
};

enum sb_route_kind {
    SB_ROUTE_UNARY,  /* JSON of the reply, or of its field reply_field */
    SB_ROUTE_FIRST,  /* the first message of a stream, then it is left */
    SB_ROUTE_EVENTS, /* text/event-stream, an event a message */
    SB_ROUTE_EXEC,   /* the same of ExecEvents, with ids to go on from */
    SB_ROUTE_CODE,   /* the same of what code says; what is no text of a value is base64 there */
    SB_ROUTE_OUTPUT, /* a range of kept output as bytes */
    SB_ROUTE_READ,   /* a file's bytes, with ranges */
    SB_ROUTE_WRITE,  /* a file from bytes */
    SB_ROUTE_EXPORT, /* a tree as an archive */
    SB_ROUTE_IMPORT, /* a tree from one */
};

enum { SB_ROUTE_MAX_VARS = 2 };

struct sb_route {
    const char *id;      /* "createSandbox" */
    const char *tag;     /* the group in the document */
    const char *summary; /* one line */
    /* "/sandboxes/{sandbox_id}": names fields of the request, also of messages in it */
    const char *pattern;
    const struct sb_rpc_method *rpc;
    enum sb_http_method method;
    enum sb_route_kind kind;
    enum sb_route_body body;
    int status; /* of success */
    const char *body_field;
    const char *reply_field;
    const char *location; /* 201: "/sandboxes/%s", of the reply's id_field; NULL: none */
    const char *id_field;
    const char *preset; /* an enum of the request that no parameter says; NULL: none */
    int preset_value;
};

struct sb_route_match {
    const struct sb_route *route; /* NULL: none */
    struct sb_str values[SB_ROUTE_MAX_VARS];
    unsigned allowed; /* methods that the path knows, a set of enum sb_http_method */
};

extern const struct sb_route sb_routes[];
extern const size_t sb_routes_count;

#define SB_ROUTE_PREFIX "/api/v1"

/** @path  with the prefix, decoded. HEAD finds the route of GET. */
void sb_route_find(enum sb_http_method method,
                   struct sb_str path,
                   struct sb_route_match *ret_match);

/** The i-th name in braces; false: there are not so many. */
bool sb_route_var(const struct sb_route *route, size_t i, struct sb_str *ret_name);
/** Whether its body goes to the worker as it comes, however long. */
bool sb_route_streams(const struct sb_route *route);
/** Whether a query parameter of that name is taken. */
bool sb_route_has_param(const struct sb_route *route, struct sb_str name);
