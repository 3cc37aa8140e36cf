/* packages list, packages prune. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "aisbx/v1/worker_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"
#include "base/out.h"
#include "base/say.h"
#include "cli/connect.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/json/pbjson.h"

enum { PAGE = 100, NAMES_SIZE = 200, TOKEN_SIZE = 128 };

static const char *const titles[] = {"PACKAGES", "TENANT", "MANAGER", "SIZE", "SANDBOXES", "NAMES"};

/* Calls @each with every kept install; it returns -1 to stop. */
static int
for_each(struct sb_connect *connect,
         int (*each)(const Aisbx__V1__KeptPackages *kept, void *user, struct sb_err *err),
         void *user,
         struct sb_err *err)
{
    char token[TOKEN_SIZE] = "";
    do {
        Aisbx__V1__ListPackagesRequest request = AISBX__V1__LIST_PACKAGES_REQUEST__INIT;
        SB_CLEANUP(sb_message_freep) Aisbx__V1__ListPackagesResponse *reply = NULL;
        request.page_size = PAGE;
        request.page_token = token;
        if (aisbx__v1__worker_service__list_packages__call(connect->channel, &request,
                                                           &connect->options, &reply, err) < 0) {
            return sb_err_wrap(err, "cannot list packages");
        }
        for (size_t i = 0; i < reply->n_packages; i++) {
            if (each(reply->packages[i], user, err) < 0) {
                return -1;
            }
        }
        (void)snprintf(token, sizeof token, "%s", reply->next_page_token);
    } while (token[0] != '\0');
    return 0;
}

/* ---- list ---- */

struct listing {
    bool is_json;
    struct sb_json json;
    struct sb_out out;
    struct sb_table table;
};

static void put_names(struct sb_table *table, const Aisbx__V1__PackageSet *set)
{
    char text[NAMES_SIZE] = "";
    size_t used = 0;
    for (size_t i = 0; i < set->n_requested && used < sizeof text; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i == 0 ? "" : " ",
                                 set->requested[i]);
    }
    sb_table_cell(table, text);
}

static int list_one(const Aisbx__V1__KeptPackages *kept, void *user, struct sb_err *err)
{
    struct listing *listing = user;
    char text[SB_NUM_TEXT_SIZE];
    (void)err;
    if (listing->is_json) {
        sb_pbjson_message(&listing->json, NULL, (const void *)kept);
        return 0;
    }
    if (kept->packages == NULL) {
        return 0;
    }
    sb_table_cell(&listing->table, kept->package_id);
    sb_table_cell(&listing->table, kept->tenant);
    sb_table_cell(&listing->table, kept->packages->manager);
    sb_table_cell(&listing->table, sb_num_format_bytes_short(text, kept->packages->size_bytes));
    (void)snprintf(text, sizeof text, "%" PRIu32, kept->sandboxes);
    sb_table_cell(&listing->table, text);
    put_names(&listing->table, kept->packages);
    return 0;
}

int sb_verb_packages_list(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    struct listing listing = {.is_json = cli->args.json};
    if (sb_connect_open(cli, SB_CONNECT_FRESH, &connect, err) < 0) {
        return -1;
    }
    sb_out_init(&listing.out, STDOUT_FILENO);
    listing.json.out = &listing.out;
    sb_table_init(&listing.table, titles, sizeof titles / sizeof *titles);
    if (listing.is_json) {
        sb_json_open(&listing.json, NULL, '[');
    }
    int rc = for_each(&connect, list_one, &listing, err);
    if (rc == 0 && listing.is_json) {
        sb_json_close(&listing.json, ']');
        sb_out_put(&listing.out, "\n");
    } else if (rc == 0) {
        sb_table_print(&listing.table, &listing.out);
    }
    *ret_status = 0;
    rc = rc == 0 ? sb_out_flush(&listing.out, err) : rc;
    sb_table_done(&listing.table);
    sb_out_done(&listing.out);
    return rc;
}

/* ---- prune ---- */

struct wanted {
    const char *text; /* an id, or its beginning */
    char id[64];
    unsigned n;
};

static int match_one(const Aisbx__V1__KeptPackages *kept, void *user, struct sb_err *err)
{
    struct wanted *wanted = user;
    (void)err;
    if (strncmp(kept->package_id, wanted->text, strlen(wanted->text)) == 0) {
        (void)snprintf(wanted->id, sizeof wanted->id, "%s", kept->package_id);
        wanted->n++;
    }
    return 0;
}

static int find(struct sb_connect *connect, struct wanted *wanted, struct sb_err *err)
{
    if (for_each(connect, match_one, wanted, err) < 0) {
        return -1;
    }
    if (wanted->n == 0) {
        return sb_err_set(err, SB_NOT_FOUND, "no packages %.64s; aisbx packages list shows them",
                          wanted->text);
    }
    return wanted->n == 1 ? 0
                          : sb_err_set(err, SB_INVALID, "%.64s is the beginning of %u ids",
                                       wanted->text, wanted->n);
}

static int prune(struct sb_connect *connect,
                 char *id,
                 Aisbx__V1__DeletePackagesResponse *total,
                 struct sb_err *err)
{
    Aisbx__V1__DeletePackagesRequest request = AISBX__V1__DELETE_PACKAGES_REQUEST__INIT;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__DeletePackagesResponse *reply = NULL;
    if (id != NULL) {
        request.package_id = id;
    }
    request.all = id == NULL;
    if (aisbx__v1__worker_service__delete_packages__call(connect->channel, &request,
                                                         &connect->options, &reply, err) < 0) {
        return sb_err_wrap(err, "cannot forget packages");
    }
    total->deleted += reply->deleted;
    total->in_use += reply->in_use;
    total->freed_bytes += reply->freed_bytes;
    return 0;
}

static int
tell(const struct sb_cli *cli, const Aisbx__V1__DeletePackagesResponse *total, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    char freed[SB_NUM_TEXT_SIZE];
    sb_out_init(&out, STDOUT_FILENO);
    if (cli->args.json) {
        struct sb_json json = {.out = &out};
        sb_pbjson_message(&json, NULL, (const void *)total);
        sb_out_put(&out, "\n");
    } else {
        sb_out_printf(&out, "forgot %" PRIu32 ", freed %s", total->deleted,
                      sb_num_format_bytes_short(freed, total->freed_bytes));
        if (total->in_use > 0) {
            sb_out_printf(&out, "; %" PRIu32 " in use, to their end", total->in_use);
        }
        sb_out_put(&out, "\n");
    }
    return sb_out_flush(&out, err);
}

int sb_verb_packages_prune(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    Aisbx__V1__DeletePackagesResponse total = AISBX__V1__DELETE_PACKAGES_RESPONSE__INIT;
    if (sb_connect_open(cli, SB_CONNECT_FRESH, &connect, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < cli->args.n_operands; i++) {
        struct wanted wanted = {.text = cli->args.operands[i]};
        if (find(&connect, &wanted, err) < 0 || prune(&connect, wanted.id, &total, err) < 0) {
            return -1;
        }
    }
    if (cli->args.n_operands == 0 && prune(&connect, NULL, &total, err) < 0) {
        return -1;
    }
    *ret_status = 0;
    return tell(cli, &total, err);
}
