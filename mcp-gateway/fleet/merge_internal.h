#pragma once
/** How the replies of many workers become one: by method. */
#include "mcp-gateway/fleet/fleet_internal.h"
#include "mcp-gateway/fleet/merge.h"

struct sb_page;

/** What one worker has to say. */
struct sb_merge_leg {
    struct sb_leg leg;
    struct sb_fleet_call *call;
    char address[SB_MEMBERS_ADDRESS_SIZE];
    char id[SB_ID_SIZE];
    char tag[SB_ID_TAG + 1];
    bool is_live;
    ProtobufCMessage *message; /* the last one, or all pages as one; owned; NULL: none yet, taken,
                                  or not whole */
    unsigned n_pages;          /* that came, where they are followed */
    struct sb_err err;         /* how it ended */
};

struct sb_merge {
    const struct sb_merge_kind *kind;
    struct sb_merge_leg *legs[SB_MEMBERS_MAX];
    size_t n;
    size_t n_live;
    bool is_started;
    bool wants;   /* a stream: the caller reads */
    bool is_news; /* a stream that is a sum: since it was read last */
    bool is_ending;
    struct sb_page *page;                     /* of lists; owned */
    char missing[SB_MEMBERS_MAX][SB_ID_SIZE]; /* workers that could not be asked, or "unknown" */
    size_t n_missing;
};

/** How all that a worker has is asked for, page by page. */
struct sb_merge_pages {
    /** For the first. NULL with err. */
    ProtobufCMessage *(*request)(const struct sb_fleet_call *call, struct sb_err *err);
    /** For the one after what has come. NULL: that was the last, or with err. */
    ProtobufCMessage *(*more)(const ProtobufCMessage *have, struct sb_err *err);
    /** Moves what the page has to the end of what has come. Errors: SB_EXHAUSTED. */
    int (*append)(ProtobufCMessage *have, ProtobufCMessage *page, struct sb_err *err);
};

struct sb_merge_kind {
    const char *path;
    const char *items; /* of lists: their field */
    const char *id;    /* of an item */
    const char *time;  /* of an item, a Timestamp: what lists are sorted by; NULL: by id */
    const char *up;    /* field of the request that turns the order; NULL: newest first */
    /** Unary: one reply of those that came, at least one. NULL with err.   Streams: NULL. */
    ProtobufCMessage *(*join)(const struct sb_merge *merge,
                              const struct sb_fleet_call *call,
                              struct sb_err *err);
    bool is_sum;        /* a stream whose last messages count together; else they pass one by one */
    bool one_is_enough; /* what one does not have may be another's: NOT_FOUND is left out */
    /** Each is asked for all it has; NULL: for the same as we are, or a page of it. */
    const struct sb_merge_pages *pages;
};

/** NULL: none. */
const struct sb_merge_kind *sb_merge_find(const char *path);

/** NULL with err. */
ProtobufCMessage *sb_merge_new(const ProtobufCMessageDescriptor *type, struct sb_err *err);
/** Adds the numbers of one message to those of another of its type; a bool is true when all are. */
void sb_merge_add(ProtobufCMessage *sum, const ProtobufCMessage *one, bool is_first);

/** Puts the workers that did not answer into the reply's field "missing_workers", if it has one.
 *  Errors: SB_EXHAUSTED. */
int sb_merge_tell_missing(const struct sb_merge *merge,
                          ProtobufCMessage *reply,
                          struct sb_err *err);

/* ---- profiles.c ---- */

/** join of ListProfiles: by name, each once, with the workers that have another one or none. */
ProtobufCMessage *sb_profiles_join(const struct sb_merge *merge,
                                   const struct sb_fleet_call *call,
                                   struct sb_err *err);
extern const struct sb_merge_pages sb_profiles_pages;

/* ---- page.c ---- */

/** Reads page_token and page_size of the request; NULL with err. */
struct sb_page *sb_page_new(const struct sb_fleet_call *call, struct sb_err *err);
void sb_page_free(struct sb_page *page);
/** The request to one worker, for the page it stands at; owned by the caller. NULL: nothing is left
 *  there, or with err. */
ProtobufCMessage *sb_page_request(const struct sb_page *page,
                                  const struct sb_fleet_call *call,
                                  const char *tag,
                                  struct sb_err *err);
/** join of lists. */
ProtobufCMessage *
sb_page_join(const struct sb_merge *merge, const struct sb_fleet_call *call, struct sb_err *err);
