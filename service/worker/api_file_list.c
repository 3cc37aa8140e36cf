/* ListFiles. The files come from inside in the order of their directories; the page keeps the first
 * ones by path. A token is the last path shown, in hexadecimal, under a seal. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/api_file.h"
#include "service/worker/api_pb.h"
#include "service/worker/fileframe.h"
#include "service/worker/filepage.h"
#include "service/worker/limits.h"
#include "service/worker/sandbox.h"
#include "service/worker/worker.h"

enum { DEFAULT_PAGE = 100, SEAL = 16 /* digits */, MAX_TOKEN = SEAL + 2 * SB_FILE_MAX_PATH };

struct list {
    struct sb_rpc_call *call;
    const struct sb_worker *worker;
    struct sb_fileop *op;
    struct sb_filepage page;
    uint64_t question; /* hash of what was asked */
    bool is_broken;    /* out of memory */
    size_t directory_len;
    char directory[SB_FILE_MAX_PATH];
    char after[SB_FILE_MAX_PATH]; /* the last path of the page before */
};

static const char digits[] = "0123456789abcdef";

static uint64_t seal(const struct sb_worker *worker, uint64_t question, struct sb_str path)
{
    char text[sizeof question + SB_FILE_MAX_PATH];
    memcpy(text, &question, sizeof question);
    memcpy(text + sizeof question, path.ptr, path.len);
    return sb_hash_sip13(worker->page_key.key, text, sizeof question + path.len);
}

static char *token_new(const struct list *list, struct sb_str path)
{
    char *token = malloc(SEAL + 2 * path.len + 1);
    if (token == NULL) {
        return NULL;
    }
    (void)snprintf(token, SEAL + 1, "%016" PRIx64, seal(list->worker, list->question, path));
    for (size_t i = 0; i < path.len; i++) {
        unsigned char byte = (unsigned char)path.ptr[i];
        token[SEAL + 2 * i] = digits[byte >> 4];
        token[SEAL + 2 * i + 1] = digits[byte & 15];
    }
    token[SEAL + 2 * path.len] = '\0';
    return token;
}

static int digit_of(char c)
{
    const char *digit = c == '\0' ? NULL : strchr(digits, c);
    return digit == NULL ? -1 : (int)(digit - digits);
}

/** @ret_after  SB_FILE_MAX_PATH bytes. */
static int
read_token(const struct list *list, struct sb_str token, char *ret_after, struct sb_err *err)
{
    size_t len = token.len < SEAL ? 0 : (token.len - SEAL) / 2;
    bool is_good = token.len % 2 == 0 && len > 0 && len < SB_FILE_MAX_PATH;
    ret_after[0] = '\0';
    if (token.len == 0) {
        return 0;
    }
    for (size_t i = 0; i < len && is_good; i++) {
        int high = digit_of(token.ptr[SEAL + 2 * i]);
        int low = digit_of(token.ptr[SEAL + 2 * i + 1]);
        is_good = high >= 0 && low >= 0 && high + low > 0;
        ret_after[i] = (char)(is_good ? high << 4 | low : 0);
    }
    if (is_good) {
        char wanted[SEAL + 1];
        (void)snprintf(wanted, sizeof wanted, "%016" PRIx64,
                       seal(list->worker, list->question, sb_str_of(ret_after, len)));
        is_good = memcmp(wanted, token.ptr, SEAL) == 0;
    }
    if (!is_good) {
        return sb_err_set(err, SB_INVALID,
                          "page_token: not a token of this list (use next_page_token of the page "
                          "before, with the same directory, depth and glob)");
    }
    ret_after[len] = '\0';
    return 0;
}

static void on_frame(void *ctx, const struct sb_fileframe *frame)
{
    struct list *list = ctx;
    if (frame->type == SB_FILE_INFO && frame->path.len > 0 && !list->is_broken) {
        list->is_broken = !sb_filepage_add(&list->page, &frame->info, frame->path, frame->link);
    }
}

static Aisbx__V1__FileInfo *info_of(const struct list *list, const struct sb_filepage_item *item)
{
    char path[2 * SB_FILE_MAX_PATH];
    memcpy(path, list->directory, list->directory_len);
    path[list->directory_len] = '/';
    memcpy(path + list->directory_len + 1, item->path.ptr, item->path.len);
    return sb_api_file_info(&item->info, sb_str_of(path, list->directory_len + 1 + item->path.len),
                            item->link);
}

static int fill(struct list *list, Aisbx__V1__ListFilesResponse *msg, struct sb_err *err)
{
    struct sb_filepage *page = &list->page;
    sb_filepage_sort(page);
    msg->files = calloc(page->n + 1, sizeof(Aisbx__V1__FileInfo *));
    if (msg->files == NULL || list->is_broken) {
        return sb_err_oom(err);
    }
    for (size_t i = 0; i < page->n; i++) {
        Aisbx__V1__FileInfo *info = info_of(list, page->items[i]);
        if (info == NULL) {
            return sb_err_oom(err);
        }
        msg->files[msg->n_files++] = info;
    }
    if (page->has_more) {
        char *token = token_new(list, page->items[page->n - 1]->path);
        if (token == NULL) {
            return sb_err_oom(err);
        }
        msg->next_page_token = token;
    }
    return 0;
}

static void on_done(void *ctx, const struct sb_file_done *done, const struct sb_err *failure)
{
    (void)done;
    struct list *list = ctx;
    struct sb_err err = *failure;
    Aisbx__V1__ListFilesResponse *msg = NULL;
    if (err.code == SB_OK) {
        msg = sb_api_pb_new(&aisbx__v1__list_files_response__descriptor);
    }
    if (msg != NULL) {
        (void)fill(list, msg, &err);
    }
    sb_api_finish(list->call, msg, &err);
}

static const struct sb_fileop_events events = {.frame = on_frame, .done = on_done};

static uint64_t question_of(const struct sb_worker *worker,
                            const Aisbx__V1__ListFilesRequest *req,
                            struct sb_str directory)
{
    char text[SB_FILE_MAX_PATH + SB_FILE_MAX_GLOB + 128];
    int n = snprintf(text, sizeof text, "files|%.64s|%u|%s|%.*s", req->sandbox_id, req->depth,
                     req->glob, SB_STR_ARG(directory));
    return sb_hash_sip13(worker->page_key.key, text, (size_t)n);
}

static int begin(struct list *list,
                 const Aisbx__V1__ListFilesRequest *req,
                 struct sb_fileop_options *options,
                 struct sb_err *err)
{
    uint32_t size = req->page_size == 0                 ? DEFAULT_PAGE
                    : req->page_size > SB_MAX_FILE_PAGE ? SB_MAX_FILE_PAGE
                                                        : req->page_size;
    if (sb_api_file_path(req->directory, "directory", &options->path, err) < 0) {
        return -1;
    }
    if (req->depth > SB_FILE_MAX_DEPTH) {
        return sb_err_set(err, SB_INVALID, "depth: %u is more than %d", req->depth,
                          SB_FILE_MAX_DEPTH);
    }
    if (sb_api_file_glob(req->glob, err) < 0) {
        return -1;
    }
    list->question = question_of(list->worker, req, options->path);
    if (read_token(list, sb_str_from(req->page_token), list->after, err) < 0) {
        return -1;
    }
    options->request.op = SB_FILE_LIST;
    options->request.depth = req->depth == 0 ? 1 : req->depth;
    options->second = sb_str_from(req->glob);
    options->third = sb_str_from(list->after);
    list->directory_len = options->path.len;
    memcpy(list->directory, options->path.ptr, options->path.len);
    while (list->directory_len > 0 && list->directory[list->directory_len - 1] == '/') {
        list->directory_len--;
    }
    if (!sb_filepage_init(&list->page, size, SB_MAX_FILE_PAGE_BYTES)) {
        return sb_err_oom(err);
    }
    return sb_fileop_start(options, &list->op, err);
}

static void list_free(struct list *list)
{
    sb_fileop_free(list->op);
    sb_filepage_done(&list->page);
    free(list);
}

void sb_api_file_list(struct sb_rpc_call *call, const Aisbx__V1__ListFilesRequest *req, void *svc)
{
    struct sb_err err;
    struct sb_fileop_options options = {.events = &events};
    options.sandbox = sb_api_call_sandbox(call, svc, req->sandbox_id);
    if (options.sandbox == NULL) {
        return;
    }
    struct list *list = calloc(1, sizeof *list);
    if (list == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return;
    }
    options.ctx = list;
    list->call = call;
    list->worker = svc;
    if (begin(list, req, &options, &err) < 0) {
        list_free(list);
        sb_rpc_call_fail(call, &err);
        return;
    }
    sb_rpc_call_set_user(call, list);
}

void sb_api_file_list_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    struct list *list = sb_rpc_call_user(call);
    if (list != NULL) {
        sb_rpc_call_set_user(call, NULL);
        list_free(list);
    }
}
