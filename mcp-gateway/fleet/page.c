/* Theory of operation. A page of a merged list is made of one page of each worker: in order of
 * time, as far as all of them are known. What did not fit stands in the token, for each worker: the
 * token of the page it is in, and the last item of that page that has been shown. So pages neither
 * lose nor repeat what is there all the time, whatever comes and goes meanwhile; and no gateway
 * keeps anything.
 *
 *   w1~kfq2ab.TOKEN.TIME.sb_...~mmzt3c.x.0.~...      "x": that worker has no more */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/num.h"
#include "mcp-gateway/fleet/merge_internal.h"
#include "mcp-gateway/fleet/pbpath.h"
#include "proto/client/message.h"

enum {
    DEFAULT_SIZE = 50,
    MAX_SIZE = 1000,
    TOKEN_BYTES = 64, /* of one worker's */
    TEXT_BYTES = 16 << 10,
};

struct stand {
    char tag[SB_ID_TAG + 1];
    char token[TOKEN_BYTES]; /* of the page; "": the first; "x": none is left */
    char last[TOKEN_BYTES];  /* item shown last of it; "": none was */
    uint64_t time;           /* of that item, as sb_pbpath_time: for when it is gone */
};

struct sb_page {
    ProtobufCMessage *request; /* without a token */
    size_t size;
    struct stand stands[SB_MEMBERS_MAX];
    size_t n;
};

static const char none[] = "x";

/* ---- tokens ---- */

static int take(char *out, size_t size, struct sb_str text)
{
    if (text.len >= size) {
        return -1;
    }
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return 0;
}

static int read_stand(struct sb_str text, struct stand *ret)
{
    struct sb_str tag;
    struct sb_str token;
    struct sb_str time;
    struct sb_str last;
    struct sb_err ignored;
    return sb_str_split(text, '.', &tag, &text) && sb_str_split(text, '.', &token, &text) &&
                   sb_str_split(text, '.', &time, &last) &&
                   sb_num_u64(time, 0, INT64_MAX, &ret->time, &ignored) == 0 &&
                   take(ret->tag, sizeof ret->tag, tag) == 0 &&
                   take(ret->token, sizeof ret->token, token) == 0 &&
                   take(ret->last, sizeof ret->last, last) == 0
               ? 0
               : -1;
}

static int read_token(struct sb_page *page, struct sb_str text, struct sb_err *err)
{
    struct sb_str rest = text;
    struct sb_str piece;
    if (text.len == 0) {
        return 0;
    }
    bool is_good = sb_str_next(&rest, '~', &piece) && sb_str_eq(piece, SB_STR("w1"));
    while (is_good && sb_str_next(&rest, '~', &piece)) {
        is_good = page->n < SB_MEMBERS_MAX && read_stand(piece, &page->stands[page->n]) == 0;
        page->n += is_good;
    }
    return is_good ? 0
                   : sb_err_set(err, SB_INVALID,
                                "page_token: not a token of this list (use next_page_token of the "
                                "page before, with the same filters)");
}

static void set_text(ProtobufCMessage *message, const char *name, char *text)
{
    char **at = sb_pbpath_field(message, name);
    if (*at != NULL && *at != protobuf_c_empty_string) {
        free(*at);
    }
    memcpy(at, &text, sizeof text);
}

static char *empty_text(void)
{
    union {
        const char *in;
        char *out;
    } text = {.in = protobuf_c_empty_string};
    return text.out;
}

/* ---- asking ---- */

struct sb_page *sb_page_new(const struct sb_fleet_call *call, struct sb_err *err)
{
    struct sb_page *page = calloc(1, sizeof *page);
    if (page == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    const char *token = sb_pbpath_text(call->message, "page_token");
    page->request = sb_message_copy(call->message, err);
    if (page->request == NULL || read_token(page, sb_str_from(token), err) < 0) {
        sb_page_free(page);
        return NULL;
    }
    uint32_t *size = sb_pbpath_field(page->request, "page_size");
    page->size = *size == 0 ? DEFAULT_SIZE : *size > MAX_SIZE ? MAX_SIZE : *size;
    *size = (uint32_t)page->size;
    set_text(page->request, "page_token", empty_text());
    return page;
}

void sb_page_free(struct sb_page *page)
{
    if (page != NULL) {
        if (page->request != NULL) {
            protobuf_c_message_free_unpacked(page->request, NULL);
        }
        free(page);
    }
}

static const struct stand *stand_of(const struct sb_page *page, const char *tag)
{
    static const struct stand first = {.tag = ""};
    for (size_t i = 0; i < page->n; i++) {
        if (strcmp(page->stands[i].tag, tag) == 0) {
            return &page->stands[i];
        }
    }
    return &first;
}

ProtobufCMessage *sb_page_request(const struct sb_page *page,
                                  const struct sb_fleet_call *call,
                                  const char *tag,
                                  struct sb_err *err)
{
    (void)call;
    const struct stand *stand = stand_of(page, tag);
    if (strcmp(stand->token, none) == 0) {
        return NULL;
    }
    ProtobufCMessage *request = sb_message_copy(page->request, err);
    char *token = request == NULL || stand->token[0] == '\0' ? NULL : strdup(stand->token);
    if (token != NULL) {
        set_text(request, "page_token", token);
    } else if (request != NULL && stand->token[0] != '\0') {
        (void)sb_err_oom(err);
        protobuf_c_message_free_unpacked(request, NULL);
        return NULL;
    }
    return request;
}

/* ---- one page of theirs ---- */

/** How far one worker's page has been read. */
struct reader {
    const struct sb_merge_leg *leg;
    ProtobufCMessage **items;
    size_t n;
    size_t at;
    const char *next; /* its next_page_token */
};

static void
item_id(const struct sb_merge_kind *kind, const ProtobufCMessage *item, char out[TOKEN_BYTES])
{
    const char *text = sb_pbpath_text(item, kind->id);
    if (text != NULL) {
        (void)snprintf(out, TOKEN_BYTES, "%s", text);
        return;
    }
    union {
        const ProtobufCMessage *in;
        ProtobufCMessage *out;
    } readable = {.in = item};
    const uint64_t *number = sb_pbpath_field(readable.out, kind->id);
    (void)snprintf(out, TOKEN_BYTES, "%" PRIu64, number == NULL ? 0 : *number);
}

/* Behind the item that was shown last; when that is gone, behind its time. */
static size_t resume(const struct sb_merge_kind *kind,
                     const struct stand *stand,
                     bool is_up,
                     struct reader *reader)
{
    char id[TOKEN_BYTES];
    size_t behind = 0;
    for (size_t k = 0; stand->last[0] != '\0' && k < reader->n; k++) {
        item_id(kind, reader->items[k], id);
        if (strcmp(id, stand->last) == 0) {
            return k + 1;
        }
        uint64_t time = (uint64_t)sb_pbpath_time(reader->items[k], kind->time);
        behind += behind == k && (is_up ? time <= stand->time : time >= stand->time);
    }
    return behind;
}

static void open_reader(const struct sb_merge *merge, size_t i, bool is_up, struct reader *ret)
{
    const struct sb_merge_kind *kind = merge->kind;
    const struct sb_merge_leg *leg = merge->legs[i];
    const struct stand *stand = stand_of(merge->page, leg->tag);
    size_t *n = NULL;
    *ret = (struct reader){.leg = leg, .next = ""};
    if (leg->message == NULL) {
        return;
    }
    ret->items = *sb_pbpath_list(leg->message, kind->items, &n);
    ret->n = *n;
    ret->next = sb_pbpath_text(leg->message, "next_page_token");
    ret->at = resume(kind, stand, is_up, ret);
}

/* Which comes first; items of one time by worker, so that all gateways agree. */
static bool is_before(const struct sb_merge_kind *kind,
                      bool is_up,
                      const struct reader *a,
                      const struct reader *b)
{
    int64_t left = sb_pbpath_time(a->items[a->at], kind->time);
    int64_t right = sb_pbpath_time(b->items[b->at], kind->time);
    return left != right ? (left < right) == is_up : strcmp(a->leg->tag, b->leg->tag) < 0;
}

static bool has_more(const struct reader *reader)
{
    return reader->next[0] != '\0';
}

/** The next item in order; NULL: none, or what comes next is on a page that is not here. */
static struct reader *
next_of(struct reader *readers, size_t n, const struct sb_merge_kind *kind, bool is_up)
{
    struct reader *best = NULL;
    for (size_t i = 0; i < n; i++) {
        struct reader *reader = &readers[i];
        if (reader->at == reader->n) {
            if (has_more(reader)) {
                return NULL;
            }
        } else if (best == NULL || is_before(kind, is_up, reader, best)) {
            best = reader;
        }
    }
    return best;
}

static int write_stand(struct sb_buf *text,
                       const struct sb_merge *merge,
                       const struct reader *reader,
                       bool *is_over)
{
    char last[TOKEN_BYTES] = "";
    int64_t time = 0;
    const char *token = stand_of(merge->page, reader->leg->tag)->token;
    if (reader->at == reader->n) { /* on to its next page */
        token = has_more(reader) ? reader->next : none;
        *is_over = *is_over && !has_more(reader);
    } else {
        *is_over = false;
        if (reader->at > 0) {
            item_id(merge->kind, reader->items[reader->at - 1], last);
            time = sb_pbpath_time(reader->items[reader->at - 1], merge->kind->time);
        }
    }
    return sb_buf_printf(text, "~%s.%s.%" PRId64 ".%s", reader->leg->tag, token, time, last);
}

/* Those that had no more are not asked again. */
static int write_done(struct sb_buf *text, const struct sb_merge *merge)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < merge->page->n; i++) {
        const struct stand *stand = &merge->page->stands[i];
        if (strcmp(stand->token, none) == 0) {
            rc = sb_buf_printf(text, "~%s.%s.0.", stand->tag, none);
        }
    }
    return rc < 0 ? -1 : 0;
}

static int write_token(const struct sb_merge *merge,
                       const struct reader *readers,
                       ProtobufCMessage *page,
                       struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(TEXT_BYTES);
    bool is_over = true;
    int rc = sb_buf_printf(&text, "w1");
    for (size_t i = 0; rc >= 0 && i < merge->n; i++) {
        rc = write_stand(&text, merge, &readers[i], &is_over);
    }
    if (rc >= 0) {
        rc = write_done(&text, merge);
    }
    if (is_over) {
        return 0;
    }
    char *token = rc < 0 ? NULL : strdup(sb_buf_cstr(&text));
    if (token == NULL) {
        return sb_err_oom(err);
    }
    set_text(page, "next_page_token", token);
    return 0;
}

/* The items that a page took are the page's now. */
static void leave_rest(const struct sb_merge *merge, struct reader *reader, size_t from)
{
    size_t *n = NULL;
    if (reader->leg->message != NULL && reader->n > 0) {
        ProtobufCMessage **items = *sb_pbpath_list(reader->leg->message, merge->kind->items, &n);
        memmove(items + from, items + reader->at,
                (reader->n - reader->at) * sizeof(ProtobufCMessage *));
        *n = reader->n - (reader->at - from);
    }
}

ProtobufCMessage *
sb_page_join(const struct sb_merge *merge, const struct sb_fleet_call *call, struct sb_err *err)
{
    struct reader readers[SB_MEMBERS_MAX];
    size_t from[SB_MEMBERS_MAX];
    size_t *n = NULL;
    bool is_up = merge->kind->up != NULL && sb_pbpath_bool(call->message, merge->kind->up);
    ProtobufCMessage *page = sb_merge_new(call->method->out, err);
    if (page == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < merge->n; i++) {
        open_reader(merge, i, is_up, &readers[i]);
        from[i] = readers[i].at;
        if (merge->legs[i]->message != NULL) {
            sb_merge_add(page, merge->legs[i]->message, false);
        }
    }
    ProtobufCMessage ***items = sb_pbpath_list(page, merge->kind->items, &n);
    *items = calloc(merge->page->size, sizeof(ProtobufCMessage *));
    struct reader *reader = NULL;
    while (*items != NULL && *n < merge->page->size &&
           (reader = next_of(readers, merge->n, merge->kind, is_up)) != NULL) {
        (*items)[(*n)++] = reader->items[reader->at++];
    }
    int rc = *items == NULL ? sb_err_oom(err) : write_token(merge, readers, page, err);
    for (size_t i = 0; i < merge->n; i++) {
        leave_rest(merge, &readers[i], from[i]);
    }
    if (rc < 0) {
        protobuf_c_message_free_unpacked(page, NULL);
        return NULL;
    }
    return page;
}
