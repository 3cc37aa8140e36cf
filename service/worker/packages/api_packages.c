#include "service/worker/packages/api_packages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/api_pb.h"
#include "service/worker/packages/cache.h"
#include "service/worker/packages/packages.h"
#include "service/worker/page.h"
#include "service/worker/worker.h"

enum { PAGE_MAX = 100 }; /* names are long: a page has to fit a message */

static bool is_seen(const struct sb_caller *caller, const struct sb_package_entry *entry)
{
    return !entry->is_forgotten && sb_caller_sees(caller, entry->tenant);
}

/* ---- ListPackages ---- */

static Aisbx__V1__KeptPackages *kept_new(const struct sb_package_entry *entry)
{
    Aisbx__V1__KeptPackages *kept = sb_api_pb_new(&aisbx__v1__kept_packages__descriptor);
    if (kept == NULL) {
        return NULL;
    }
    kept->sandboxes = entry->uses;
    kept->packages = sb_api_pb_package_set(entry);
    if (kept->packages == NULL || !sb_api_pb_text(&kept->package_id, entry->id) ||
        !sb_api_pb_text(&kept->tenant, entry->tenant) ||
        !sb_api_pb_time(entry->made_ms, &kept->create_time)) {
        aisbx__v1__kept_packages__free_unpacked(kept, NULL);
        return NULL;
    }
    return kept;
}

/* The newest that came before the cursor: they are few, and listed in the order of their use. */
static const struct sb_package_entry *
next_before(const struct sb_package_cache *cache, const struct sb_caller *caller, uint64_t cursor)
{
    const struct sb_package_entry *found = NULL;
    SB_FOREACH (node, &cache->entries) {
        const struct sb_package_entry *entry = SB_LIST_ENTRY(node, struct sb_package_entry, link);
        if (is_seen(caller, entry) && entry->seq < cursor &&
            (found == NULL || entry->seq > found->seq)) {
            found = entry;
        }
    }
    return found;
}

static int fill_page(struct sb_worker *worker,
                     const struct sb_caller *caller,
                     const Aisbx__V1__ListPackagesRequest *req,
                     Aisbx__V1__ListPackagesResponse *msg,
                     struct sb_err *err)
{
    char text[SB_CALLER_ACTOR_SIZE + 16];
    const struct sb_package_cache *cache = sb_packages_cache(worker->packages);
    const struct sb_package_entry *entry = NULL;
    uint64_t cursor = 0;
    size_t size = sb_page_size(req->page_size);
    int n = snprintf(text, sizeof text, "packages|%s", caller->actor);
    uint64_t question = sb_hash_sip13(worker->page_key.key, text, (size_t)n);
    if (sb_page_cursor(&worker->page_key, sb_str_from(req->page_token), question, &cursor, err) <
        0) {
        return -1;
    }
    size = size > PAGE_MAX ? PAGE_MAX : size;
    msg->packages = calloc(size, sizeof(Aisbx__V1__KeptPackages *));
    if (msg->packages == NULL) {
        return sb_err_oom(err);
    }
    while ((entry = next_before(cache, caller, cursor)) != NULL) {
        if (msg->n_packages == size) {
            char token[SB_PAGE_TOKEN_SIZE];
            sb_page_token(&worker->page_key, cursor, question, token);
            return sb_api_pb_text(&msg->next_page_token, token) ? 0 : sb_err_oom(err);
        }
        Aisbx__V1__KeptPackages *kept = kept_new(entry);
        if (kept == NULL) {
            return sb_err_oom(err);
        }
        msg->packages[msg->n_packages++] = kept;
        cursor = entry->seq;
    }
    return 0;
}

void sb_api_packages_list(struct sb_rpc_call *call,
                          const Aisbx__V1__ListPackagesRequest *req,
                          void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_caller caller;
    struct sb_err err = {.code = SB_OK};
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    Aisbx__V1__ListPackagesResponse *msg =
        sb_api_pb_new(&aisbx__v1__list_packages_response__descriptor);
    if (msg != NULL) {
        const struct sb_package_cache *cache = sb_packages_cache(worker->packages);
        msg->max_bytes = cache->max_bytes;
        SB_FOREACH (node, &cache->entries) {
            const struct sb_package_entry *entry =
                SB_LIST_ENTRY(node, struct sb_package_entry, link);
            msg->total_bytes += is_seen(&caller, entry) ? entry->bytes : 0;
        }
        (void)fill_page(worker, &caller, req, msg, &err);
    }
    sb_api_finish(call, msg, &err);
}

/* ---- DeletePackages ---- */

static void forget(struct sb_package_cache *cache,
                   struct sb_package_entry *entry,
                   Aisbx__V1__DeletePackagesResponse *msg)
{
    msg->deleted++;
    msg->in_use += entry->uses > 0 ? 1 : 0;
    msg->freed_bytes += entry->uses > 0 ? 0 : entry->bytes;
    sb_package_cache_forget(cache, entry);
}

static int forget_those(struct sb_package_cache *cache,
                        const struct sb_caller *caller,
                        const Aisbx__V1__DeletePackagesRequest *req,
                        Aisbx__V1__DeletePackagesResponse *msg,
                        struct sb_err *err)
{
    if (req->all == (req->package_id[0] != '\0')) {
        return sb_err_set(err, SB_INVALID, "package_id: name one, or say all");
    }
    SB_FOREACH (node, &cache->entries) {
        struct sb_package_entry *entry = SB_LIST_ENTRY(node, struct sb_package_entry, link);
        if (is_seen(caller, entry) && (req->all || strcmp(entry->id, req->package_id) == 0)) {
            forget(cache, entry, msg);
        }
    }
    return req->all || msg->deleted > 0
               ? 0
               : sb_err_set(err, SB_NOT_FOUND,
                            "no packages %.64s (aisbx packages list shows what is kept)",
                            req->package_id);
}

void sb_api_packages_delete(struct sb_rpc_call *call,
                            const Aisbx__V1__DeletePackagesRequest *req,
                            void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_caller caller;
    struct sb_err err = {.code = SB_OK};
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    Aisbx__V1__DeletePackagesResponse *msg =
        sb_api_pb_new(&aisbx__v1__delete_packages_response__descriptor);
    if (msg != NULL) {
        (void)forget_those(sb_packages_cache(worker->packages), &caller, req, msg, &err);
    }
    sb_api_finish(call, msg, &err);
}
