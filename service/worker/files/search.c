/* SearchFiles. The pattern is compiled here to tell what is wrong with it, and matched inside. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/regex.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/api_file.h"
#include "service/worker/fileframe.h"
#include "service/worker/files/stream.h"

enum { DEFAULT_MATCHES = 100, MAX_MATCHES = 10000 };

static void on_frame(void *ctx, const struct sb_fileframe *frame)
{
    struct sb_filestream *stream = ctx;
    char joined[2 * SB_FILE_MAX_PATH];
    struct sb_err err;
    Aisbx__V1__SearchFilesResponse msg = AISBX__V1__SEARCH_FILES_RESPONSE__INIT;
    if (frame->type != SB_FILE_MATCH || stream->is_over) {
        return;
    }
    msg.file = sb_api_file_path_new(
        sb_api_file_join(sb_str_of(stream->path, stream->path_len), frame->path, joined));
    if (msg.file == NULL) {
        (void)sb_err_oom(&err);
        sb_filestream_fail(stream, &err);
        return;
    }
    msg.line = frame->match.line;
    msg.text.len = frame->data.len;
    memcpy(&msg.text.data, &frame->data.ptr, sizeof msg.text.data);
    sb_filestream_sent(stream, aisbx__v1__file_service__search_files__send(stream->call, &msg));
    aisbx__v1__file_path__free_unpacked(msg.file, NULL);
}

static const struct sb_fileop_events events = {.frame = on_frame, .done = sb_filestream_over};

static int check_pattern(const char *pattern, bool fold, struct sb_err *err)
{
    struct sb_regex *regex = malloc(sizeof *regex);
    if (regex == NULL) {
        return sb_err_oom(err);
    }
    enum sb_regex_result result = pattern[0] == '\0'
                                      ? SB_REGEX_RESULTS
                                      : sb_regex_compile(pattern, strlen(pattern), fold, regex);
    free(regex);
    if (result == SB_REGEX_RESULTS) {
        return sb_err_set(err, SB_INVALID, "pattern: is missing");
    }
    return result == SB_REGEX_OK ? 0
                                 : sb_err_set(err, SB_INVALID, "pattern: %s", sb_regex_why(result));
}

static int fill(const Aisbx__V1__SearchFilesRequest *req,
                struct sb_fileop_options *options,
                struct sb_err *err)
{
    if (sb_api_file_path(req->directory, "directory", &options->path, err) < 0 ||
        check_pattern(req->pattern, req->ignore_case, err) < 0) {
        return -1;
    }
    if (sb_api_file_glob(req->glob, err) < 0) {
        return -1;
    }
    if (req->max_matches > MAX_MATCHES) {
        return sb_err_set(err, SB_INVALID, "max_matches: %u is more than %d", req->max_matches,
                          MAX_MATCHES);
    }
    options->second = sb_str_from(req->glob);
    options->third = sb_str_from(req->pattern);
    options->request = (struct sb_file_request){
        .op = SB_FILE_SEARCH,
        .flags = req->ignore_case ? SB_FILE_FOLD : 0,
        .count = req->max_matches == 0 ? DEFAULT_MATCHES : req->max_matches,
    };
    return 0;
}

void sb_api_file_search(struct sb_rpc_call *call,
                        const Aisbx__V1__SearchFilesRequest *req,
                        void *svc)
{
    struct sb_err err;
    struct sb_fileop_options options = {.events = &events};
    options.sandbox = sb_api_call_sandbox(call, svc, req->sandbox_id);
    if (options.sandbox == NULL) {
        return;
    }
    if (fill(req, &options, &err) < 0) {
        sb_rpc_call_fail(call, &err);
    } else {
        sb_filestream_begin(call, &options);
    }
}

void sb_api_file_search_drained(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    sb_filestream_drained(call);
}

void sb_api_file_search_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    sb_filestream_done(call);
}
