/* Whole directories: shown, or emptied. Page after page, as the worker gives them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "aisbx/v1/file_service.rpc.h"
#include "base/json.h"
#include "base/out.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "mcp-gateway/sandboxd/op.h"
#include "proto/client/message.h"

#define FILES(name) &aisbx__v1__file_service__methods[AISBX__V1__FILE_SERVICE__METHOD_##name]

enum { PAGE = 1000, MAX_TEXT = 32 << 20, TOKEN_SIZE = 256 };

struct sb_listing {
    struct sb_out out;
    struct sb_json json;
    ProtobufCMessage *page; /* owned copy; NULL: the next one is to be asked for */
    size_t at;              /* in page */
    char token[TOKEN_SIZE]; /* of the next page; "": there is none */
    bool has_asked;
};

void sb_listing_free(struct sb_listing *listing)
{
    if (listing != NULL) {
        sb_message_freep(&listing->page);
        sb_out_done(&listing->out);
        free(listing);
    }
}

static void ask_page(struct sb_op *op, void (*next)(struct sb_op *op, const struct sb_err *err));

static void on_page(struct sb_op *op, const ProtobufCMessage *message)
{
    struct sb_listing *listing = op->listing;
    const Aisbx__V1__ListFilesResponse *page = (const void *)message;
    struct sb_err err;
    (void)snprintf(listing->token, sizeof listing->token, "%s", page->next_page_token);
    listing->page = sb_message_copy(message, &err);
    listing->at = 0;
    if (listing->page == NULL) {
        sb_op_fail(op, &err);
    }
}

static void ask_page(struct sb_op *op, void (*next)(struct sb_op *op, const struct sb_err *err))
{
    Aisbx__V1__ListFilesRequest list = AISBX__V1__LIST_FILES_REQUEST__INIT;
    Aisbx__V1__FilePath path = AISBX__V1__FILE_PATH__INIT;
    path.path = op->path;
    list.sandbox_id = op->sandbox_id;
    list.directory = &path;
    list.page_size = PAGE;
    list.page_token = op->listing->token;
    op->listing->has_asked = true;
    sb_op_ask(op, FILES(LIST_FILES), &list.base, on_page, next);
}

static int make_listing(struct sb_op *op)
{
    op->listing = calloc(1, sizeof *op->listing);
    if (op->listing == NULL) {
        sb_op_refuse(op, 503, "UNAVAILABLE", "out of memory");
        return -1;
    }
    sb_out_init(&op->listing->out, -1);
    op->listing->json.out = &op->listing->out;
    return 0;
}

/* The file that is next, or NULL at the end of the page, which is then gone. */
static const Aisbx__V1__FileInfo *next_file(struct sb_listing *listing)
{
    const Aisbx__V1__ListFilesResponse *page = (const void *)listing->page;
    if (page != NULL && listing->at < page->n_files) {
        return page->files[listing->at++];
    }
    sb_message_freep(&listing->page);
    listing->page = NULL;
    return NULL;
}

/* ---- shown ---- */

static const char *name_of(const Aisbx__V1__FileInfo *file)
{
    const char *slash = strrchr(file->path, '/');
    return slash == NULL ? file->path : slash + 1;
}

static void add_time(struct sb_json *json, const Aisbx__V1__FileInfo *file)
{
    char text[40] = "1970-01-01T00:00:00Z";
    struct tm parts;
    time_t at = file->modify_time == NULL ? 0 : (time_t)file->modify_time->seconds;
    if (gmtime_r(&at, &parts) != NULL) {
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    }
    sb_json_cstr(json, "modified_at", text);
}

/* @name  of the link, when file is where it leads. */
static void add_entry(struct sb_json *json, const char *name, const Aisbx__V1__FileInfo *file)
{
    char mode[8];
    bool is_directory = file->kind == AISBX__V1__FILE_KIND__FILE_KIND_DIRECTORY;
    (void)snprintf(mode, sizeof mode, "%04o", (unsigned)file->mode & 0777U);
    sb_json_open(json, NULL, '{');
    sb_json_cstr(json, "name", name);
    sb_json_u64(json, "size", file->size_bytes);
    sb_json_cstr(json, "type", is_directory ? "directory" : "file");
    add_time(json, file);
    sb_json_cstr(json, "mode", mode);
    sb_json_close(json, '}');
}

static void show(struct sb_op *op, const struct sb_err *err);

static void on_target(struct sb_op *op, const ProtobufCMessage *message)
{
    struct sb_listing *listing = op->listing;
    const Aisbx__V1__StatFileResponse *stat = (const void *)message;
    const Aisbx__V1__ListFilesResponse *page = (const void *)listing->page;
    if (stat->file != NULL) {
        add_entry(&listing->json, name_of(page->files[listing->at - 1]), stat->file);
    }
}

/* A link that leads nowhere is left out. */
static void on_target_done(struct sb_op *op, const struct sb_err *err)
{
    static const struct sb_err ok = {.code = SB_OK};
    bool is_gone = err->code == SB_UNAVAILABLE || err->code == SB_UNAUTHENTICATED;
    show(op, is_gone ? err : &ok);
}

static void follow(struct sb_op *op, const Aisbx__V1__FileInfo *link)
{
    Aisbx__V1__StatFileRequest stat = AISBX__V1__STAT_FILE_REQUEST__INIT;
    Aisbx__V1__FilePath path = AISBX__V1__FILE_PATH__INIT;
    path.path = link->path;
    path.raw_path = link->raw_path;
    stat.sandbox_id = op->sandbox_id;
    stat.file = &path;
    stat.follow = true;
    sb_op_ask(op, FILES(STAT_FILE), &stat.base, on_target, on_target_done);
}

static void finish(struct sb_op *op)
{
    struct sb_listing *listing = op->listing;
    sb_json_close(&listing->json, ']');
    sb_json_close(&listing->json, '}');
    sb_out_put(&listing->out, "\n");
    if (listing->out.broken != 0 || listing->out.buf.len > MAX_TEXT) {
        sb_op_refuse(op, 500, "INTERNAL", "the directory has more entries than one answer holds");
    } else {
        sb_op_reply_json(op, 200, sb_buf_str(&listing->out.buf));
    }
}

/* Goes on where it stopped, until it has to ask. */
static void show(struct sb_op *op, const struct sb_err *err)
{
    struct sb_listing *listing = op->listing;
    const Aisbx__V1__FileInfo *file = NULL;
    if (err->code != SB_OK) {
        sb_op_fail(op, err);
        return;
    }
    while ((file = next_file(listing)) != NULL && listing->out.buf.len <= MAX_TEXT) {
        if (file->kind == AISBX__V1__FILE_KIND__FILE_KIND_SYMLINK) {
            follow(op, file);
            return;
        }
        add_entry(&listing->json, name_of(file), file);
    }
    if (listing->token[0] != '\0' && listing->out.buf.len <= MAX_TEXT) {
        ask_page(op, show);
    } else {
        finish(op);
    }
}

void sb_op_list(struct sb_op *op)
{
    if (make_listing(op) < 0) {
        return;
    }
    if (sb_http_method(op->request) == SB_HTTP_HEAD) {
        sb_op_reply_json(op, 200, SB_STR(""));
        return;
    }
    const char *shown = op->path + sizeof SB_OP_ROOT - 1;
    sb_json_open(&op->listing->json, NULL, '{');
    sb_json_cstr(&op->listing->json, "path", shown[0] == '\0' ? "/" : shown);
    sb_json_open(&op->listing->json, "entries", '[');
    ask_page(op, show);
}

/* ---- emptied ---- */

static void clear(struct sb_op *op, const struct sb_err *err);

static void ignore(struct sb_op *op, const ProtobufCMessage *message)
{
    (void)op;
    (void)message;
}

static void on_one_removed(struct sb_op *op, const struct sb_err *err)
{
    static const struct sb_err ok = {.code = SB_OK};
    clear(op, err->code == SB_NOT_FOUND ? &ok : err); /* somebody else was faster */
}

static void clear(struct sb_op *op, const struct sb_err *err)
{
    const Aisbx__V1__FileInfo *file = NULL;
    if (err->code != SB_OK) {
        sb_op_fail(op, err);
    } else if ((file = next_file(op->listing)) != NULL) {
        Aisbx__V1__RemoveFileRequest remove = AISBX__V1__REMOVE_FILE_REQUEST__INIT;
        Aisbx__V1__FilePath path = AISBX__V1__FILE_PATH__INIT;
        path.path = file->path;
        path.raw_path = file->raw_path;
        remove.sandbox_id = op->sandbox_id;
        remove.file = &path;
        remove.recursive = true;
        sb_op_ask(op, FILES(REMOVE_FILE), &remove.base, ignore, on_one_removed);
    } else if (op->listing->token[0] != '\0') {
        ask_page(op, clear);
    } else {
        sb_op_reply_empty(op, 204);
    }
}

void sb_op_clear(struct sb_op *op)
{
    if (make_listing(op) == 0) {
        ask_page(op, clear);
    }
}
