/* Profiles of many workers. One is of the same name everywhere, or should be: a page shows each
 * name once, as most of the workers that have it know it, and which of them have another one or
 * none. Workers have few, so each is asked for all of them, page by page, and the token of a page
 * of ours is the name shown last. */
#include <stdlib.h>
#include <string.h>

#include "aisbx/v1/worker_service.pb-c.h"
#include "base/cleanup.h"
#include "mcp-gateway/fleet/merge_internal.h"
#include "proto/client/message.h"

enum {
    DEFAULT_SIZE = 50,
    MAX_SIZE = 1000,
    WORKER_SIZE = 100, /* of a worker's page: it must fit into a message */
};

#define TOKEN "p1~"

/** One profile of one worker. */
struct found {
    Aisbx__V1__Profile **profile; /* in its reply */
    const char *name;             /* as there; it stays when the profile is taken */
    size_t leg;
};

static ProtobufCMessage *request(const struct sb_fleet_call *call, struct sb_err *err)
{
    const char *token =
        ((const Aisbx__V1__ListProfilesRequest *)(const void *)call->message)->page_token;
    if (token[0] != '\0' && strncmp(token, TOKEN, sizeof TOKEN - 1) != 0) {
        (void)sb_err_set(err, SB_INVALID,
                         "page_token: not a token of this list (use next_page_token of the page "
                         "before)");
        return NULL;
    }
    Aisbx__V1__ListProfilesRequest all = AISBX__V1__LIST_PROFILES_REQUEST__INIT;
    all.page_size = WORKER_SIZE;
    return sb_message_copy(&all.base, err);
}

static ProtobufCMessage *more(const ProtobufCMessage *have, struct sb_err *err)
{
    const Aisbx__V1__ListProfilesResponse *reply = (const void *)have;
    Aisbx__V1__ListProfilesRequest next = AISBX__V1__LIST_PROFILES_REQUEST__INIT;
    next.page_size = WORKER_SIZE;
    next.page_token = reply->next_page_token;
    return next.page_token[0] == '\0' ? NULL : sb_message_copy(&next.base, err);
}

static int append(ProtobufCMessage *have, ProtobufCMessage *page, struct sb_err *err)
{
    Aisbx__V1__ListProfilesResponse *all = (void *)have;
    Aisbx__V1__ListProfilesResponse *next = (void *)page;
    char *token = all->next_page_token;
    Aisbx__V1__Profile **profiles =
        realloc(all->profiles, (all->n_profiles + next->n_profiles + 1) * sizeof(void *));
    if (profiles == NULL) {
        return sb_err_oom(err);
    }
    for (size_t i = 0; i < next->n_profiles; i++) {
        profiles[all->n_profiles++] = next->profiles[i];
    }
    all->profiles = profiles;
    next->n_profiles = 0;
    all->next_page_token = next->next_page_token; /* changed hands, so that each is freed once */
    next->next_page_token = token;
    return 0;
}

const struct sb_merge_pages sb_profiles_pages = {request, more, append};

static int by_name(const void *a, const void *b)
{
    const struct found *left = a;
    const struct found *right = b;
    int order = strcmp(left->name, right->name);
    return order != 0 ? order : (left->leg > right->leg) - (left->leg < right->leg);
}

static const Aisbx__V1__ListProfilesResponse *reply_of(const struct sb_merge *merge, size_t i)
{
    return (const void *)merge->legs[i]->message;
}

static struct found *collect(const struct sb_merge *merge, size_t *ret_n)
{
    size_t n = 0;
    for (size_t i = 0; i < merge->n; i++) {
        n += reply_of(merge, i) == NULL ? 0 : reply_of(merge, i)->n_profiles;
    }
    struct found *found = calloc(n + 1, sizeof *found);
    *ret_n = 0;
    for (size_t i = 0; found != NULL && i < merge->n; i++) {
        const Aisbx__V1__ListProfilesResponse *reply = reply_of(merge, i);
        for (size_t k = 0; reply != NULL && k < reply->n_profiles; k++) {
            found[(*ret_n)++] = (struct found){&reply->profiles[k], reply->profiles[k]->name, i};
        }
    }
    if (found != NULL) {
        qsort(found, *ret_n, sizeof *found, by_name);
    }
    return found;
}

static bool is_alike(const struct found *a, const struct found *b)
{
    return strcmp((*a->profile)->policy_hash, (*b->profile)->policy_hash) == 0;
}

/* The one that most have; of several the first worker's. */
static const struct found *most(const struct found *all, size_t n)
{
    const struct found *best = all;
    size_t best_n = 0;
    for (size_t i = 0; i < n; i++) {
        size_t alike = 0;
        for (size_t k = 0; k < n; k++) {
            alike += is_alike(&all[i], &all[k]);
        }
        if (alike > best_n) {
            best = &all[i];
            best_n = alike;
        }
    }
    return best;
}

static int add_id(Aisbx__V1__Profile *profile, const char *id)
{
    char **ids = realloc(profile->differs_on, (profile->n_differs_on + 1) * sizeof *ids);
    char *copy = ids == NULL ? NULL : strdup(id);
    profile->differs_on = ids == NULL ? profile->differs_on : ids;
    if (copy != NULL) {
        ids[profile->n_differs_on++] = copy;
    }
    return copy == NULL ? -1 : 0;
}

/* Of a worker that is told to have none the ids come before those that have others: by worker. */
static int
mark(const struct sb_merge *merge, const struct found *all, size_t n, const struct found *shown)
{
    for (size_t i = 0; i < merge->n; i++) {
        bool has_it = reply_of(merge, i) == NULL; /* it is among those that are missing */
        for (size_t k = 0; k < n; k++) {
            has_it = has_it || (all[k].leg == i && is_alike(&all[k], shown));
        }
        if (!has_it && add_id(*shown->profile, merge->legs[i]->id) < 0) {
            return -1;
        }
    }
    return 0;
}

static int set_token(Aisbx__V1__ListProfilesResponse *page, const char *last)
{
    char *token = malloc(sizeof TOKEN + strlen(last));
    if (token == NULL) {
        return -1;
    }
    (void)stpcpy(stpcpy(token, TOKEN), last);
    page->next_page_token = token;
    return 0;
}

static int fill(const struct sb_merge *merge,
                const struct found *found,
                size_t n,
                const Aisbx__V1__ListProfilesRequest *asked,
                Aisbx__V1__ListProfilesResponse *page)
{
    const char *after = asked->page_token[0] == '\0' ? "" : asked->page_token + sizeof TOKEN - 1;
    size_t size = asked->page_size == 0         ? DEFAULT_SIZE
                  : asked->page_size > MAX_SIZE ? MAX_SIZE
                                                : asked->page_size;
    page->profiles = calloc(size, sizeof(void *));
    size_t len = 0;
    const char *last = after;
    for (size_t at = 0; page->profiles != NULL && at < n; at += len) {
        for (len = 1; at + len < n && strcmp(found[at + len].name, found[at].name) == 0; len++) {
        }
        if (strcmp(found[at].name, after) <= 0) {
            continue;
        }
        if (page->n_profiles == size) {
            return set_token(page, last);
        }
        const struct found *shown = most(&found[at], len);
        if (mark(merge, &found[at], len, shown) < 0) {
            return -1;
        }
        page->profiles[page->n_profiles++] = *shown->profile;
        last = found[at].name;
    }
    return page->profiles == NULL ? -1 : 0;
}

/* What the page took is the page's; the others stay with their replies. */
static void give(const struct sb_merge *merge, const Aisbx__V1__ListProfilesResponse *page)
{
    for (size_t i = 0; i < merge->n; i++) {
        Aisbx__V1__ListProfilesResponse *reply = (void *)merge->legs[i]->message;
        size_t kept = 0;
        for (size_t k = 0; reply != NULL && k < reply->n_profiles; k++) {
            bool is_taken = false;
            for (size_t p = 0; p < page->n_profiles; p++) {
                is_taken = is_taken || page->profiles[p] == reply->profiles[k];
            }
            if (!is_taken) {
                reply->profiles[kept++] = reply->profiles[k];
            }
        }
        if (reply != NULL) {
            reply->n_profiles = kept;
        }
    }
}

ProtobufCMessage *
sb_profiles_join(const struct sb_merge *merge, const struct sb_fleet_call *call, struct sb_err *err)
{
    size_t n = 0;
    ProtobufCMessage *page = sb_merge_new(call->method->out, err);
    SB_CLEANUP(sb_freep) struct found *found = page == NULL ? NULL : collect(merge, &n);
    int rc = found == NULL ? -1
                           : fill(merge, found, n, (const void *)call->message,
                                  (Aisbx__V1__ListProfilesResponse *)(void *)page);
    if (page != NULL) {
        give(merge, (const Aisbx__V1__ListProfilesResponse *)(const void *)page);
    }
    if (rc < 0 && page != NULL) {
        (void)sb_err_oom(err);
        protobuf_c_message_free_unpacked(page, NULL);
        return NULL;
    }
    return page;
}
