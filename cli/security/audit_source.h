#pragma once
/** Where records come from: a worker, page by page, or a database. */
#include <stdint.h>

#include "aisbx/v1/worker_service.rpc.h"
#include "cli/arena.h"
#include "cli/connect.h"
#include "trail/read.h"

struct sb_cli;
struct sb_err;
struct sb_out;

struct sb_audit_source {
    struct sb_connect connect;
    struct sb_arena arena; /* of the request's texts */
    Aisbx__V1__ListAuditRecordsRequest request;
    Google__Protobuf__Timestamp start;
    Google__Protobuf__Timestamp end;
    uint64_t max; /* records that one walk gives at most */
};

/** @record  its texts are valid during the call. */
typedef int (*sb_audit_found_fn)(void *ctx,
                                 const struct sb_trail_record *record,
                                 struct sb_err *err);

/** The filter of --sandbox, --action, --since and --until; its texts point into the arguments.
 *  Errors: SB_INVALID. */
int sb_audit_filter(struct sb_cli *cli, struct sb_trail_filter *ret_filter, struct sb_err *err);

/** Connects, and asks for what passes the filter, newest first. Errors: of sb_connect_open. */
int sb_audit_source_open(struct sb_audit_source *source,
                         struct sb_cli *cli,
                         const struct sb_trail_filter *filter,
                         struct sb_err *err);
void sb_audit_source_done(struct sb_audit_source *source);
/** From now on: those behind that one, oldest first. */
void sb_audit_source_after(struct sb_audit_source *source, uint64_t sequence);
/** Goes over all pages. Errors: of the worker and of found. */
int sb_audit_source_walk(struct sb_audit_source *source,
                         sb_audit_found_fn found,
                         void *ctx,
                         struct sb_err *err);
/** The number of the newest record that the caller may see, whatever the filter; 0: none. */
int sb_audit_source_newest(struct sb_audit_source *source, uint64_t *ret, struct sb_err *err);

/** One line for people, with its newline; whatever the texts hold, it is one line, and a text
 *  cannot pass for two. */
void sb_audit_put_line(const struct sb_trail_record *record, struct sb_out *out);
