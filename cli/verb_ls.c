#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "aisbx/v1/file_service.rpc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"
#include "base/out.h"
#include "base/say.h"
#include "cli/boxpath.h"
#include "cli/connect.h"
#include "cli/filecopy.h"
#include "cli/resolve.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/json/pbjson.h"
#include "proto/json/when.h"

enum { PAGE = 10000, DEPTH = 64 };

static const char *const titles[] = {"KIND", "MODE", "SIZE", "AGE", "PATH"};

struct listing {
    const struct sb_args *args;
    struct sb_out out;
    struct sb_json json;
    struct sb_table table;
    uint64_t now_ms;
    size_t base;                    /* slashes in the path of what is listed */
    char too_deep[SB_BOXPATH_SIZE]; /* the first directory that is not looked into; empty: none */
};

static size_t slashes(const char *path)
{
    size_t n = 0;
    for (size_t i = 0; path[i] != '\0'; i++) {
        n += path[i] == '/' && path[i + 1] != '\0' ? 1U : 0U;
    }
    return n;
}

static void note_depth(struct listing *listing, const Aisbx__V1__FileInfo *file)
{
    if (listing->args->recursive && listing->too_deep[0] == '\0' &&
        file->kind == AISBX__V1__FILE_KIND__FILE_KIND_DIRECTORY &&
        slashes(file->path) == listing->base + DEPTH) {
        (void)snprintf(listing->too_deep, sizeof listing->too_deep, "%s", file->path);
    }
}

static void put_file(struct listing *listing, const Aisbx__V1__FileInfo *file)
{
    char text[SB_NUM_TEXT_SIZE + 64];
    struct sb_table *table = &listing->table;
    if (listing->args->json) {
        sb_pbjson_message(&listing->json, NULL, (const void *)file);
        return;
    }
    if (listing->args->quiet) {
        sb_out_put_safe(&listing->out, sb_str_from(file->path));
        sb_out_put(&listing->out, "\n");
        return;
    }
    sb_table_cell(table, sb_pbjson_enum(&aisbx__v1__file_kind__descriptor, (int)file->kind, text));
    (void)snprintf(text, sizeof text, "%04" PRIo32, file->mode);
    sb_table_cell(table, text);
    sb_table_cell(table, sb_num_format_bytes_short(text, file->size_bytes));
    sb_table_cell(table, sb_when_format_age(text, file->modify_time, listing->now_ms));
    sb_table_cell(table, file->path);
}

static int each_page(struct listing *listing,
                     struct sb_connect *connect,
                     char *sandbox_id,
                     const char *path,
                     struct sb_err *err)
{
    Aisbx__V1__FilePath directory = sb_filecopy_path(path);
    Aisbx__V1__ListFilesRequest request = AISBX__V1__LIST_FILES_REQUEST__INIT;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ListFilesResponse *page = NULL;
    char none[] = "";
    request.sandbox_id = sandbox_id;
    request.directory = &directory;
    request.depth = listing->args->recursive ? DEPTH : 1;
    request.page_size = PAGE;
    request.page_token = none;
    do {
        Aisbx__V1__ListFilesResponse *next = NULL;
        if (aisbx__v1__file_service__list_files__call(connect->channel, &request, &connect->options,
                                                      &next, err) < 0) {
            return -1;
        }
        sb_message_freep(&page);
        page = next;
        for (size_t i = 0; i < page->n_files; i++) {
            note_depth(listing, page->files[i]);
            put_file(listing, page->files[i]);
        }
        request.page_token = page->next_page_token;
    } while (page->next_page_token[0] != '\0');
    return 0;
}

static int
list(struct sb_cli *cli, struct listing *listing, const char *operand, struct sb_err *err)
{
    struct sb_boxpath where = sb_boxpath_of(operand);
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    char sandbox[SB_ID_SIZE + 1];
    char id[SB_ID_SIZE];
    char path[SB_BOXPATH_SIZE];
    struct sb_str name = where.is_inside ? where.sandbox : sb_str_from(operand);
    (void)snprintf(sandbox, sizeof sandbox, "%.*s", SB_STR_ARG(name));
    if (sb_boxpath_absolute(where.is_inside ? where.path : "", path, err) < 0 ||
        sb_connect_open(cli, SB_CONNECT_PRESENT, &connect, err) < 0 ||
        sb_resolve_sandbox(&connect, sandbox, id, err) < 0) {
        return -1;
    }
    listing->base = slashes(path);
    return each_page(listing, &connect, id, path, err);
}

int sb_verb_ls(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    struct listing listing = {.args = &cli->args, .now_ms = sb_clock_real_ms()};
    sb_out_init(&listing.out, STDOUT_FILENO);
    sb_table_init(&listing.table, titles, sizeof titles / sizeof titles[0]);
    listing.json.out = &listing.out;
    if (cli->args.json) {
        sb_json_open(&listing.json, NULL, '[');
    }
    int rc = list(cli, &listing, cli->args.operands[0], err);
    if (rc == 0 && cli->args.json) {
        sb_json_close(&listing.json, ']');
        sb_out_put(&listing.out, "\n");
    } else if (rc == 0 && !cli->args.quiet) {
        sb_table_print(&listing.table, &listing.out);
    }
    rc = rc < 0 ? rc : sb_out_flush(&listing.out, err);
    if (rc == 0 && listing.too_deep[0] != '\0') {
        sb_say_note("%s lies %d directories deep: what is below it and its like is left out; "
                    "list it by itself",
                    listing.too_deep, DEPTH);
    }
    sb_table_done(&listing.table);
    sb_out_done(&listing.out);
    *ret_status = 0;
    return rc;
}
