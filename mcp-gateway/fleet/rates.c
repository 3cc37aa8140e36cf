#include "mcp-gateway/fleet/rates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/num.h"
#include "mcp-gateway/fleet/fleet_internal.h"

enum { RATE_MAX = 1000000, TENANT_MAX = 63, TEXT_SIZE = 24 };

/* What is known of one credential. */
struct known {
    struct sb_list node; /* by use */
    char hash[SB_SHARED_HASH_SIZE];
    struct sb_shared_bucket buckets[SB_SHARED_BUCKETS];
    size_t n;
};

struct sb_rates {
    struct sb_map by_hash;
    struct sb_list by_use; /* the one not used longest first */
};

struct sb_rates_ask {
    struct sb_fleet_call *call;
    struct sb_shared_ask *ask; /* NULL: not under way */
    bool is_over;
    bool is_refused;
    struct sb_shared_bucket buckets[SB_SHARED_BUCKETS];
    char limit[TEXT_SIZE];
    char remaining[TEXT_SIZE];
    char reset_ms[TEXT_SIZE];
    char retry_ms[TEXT_SIZE];
};

/* ---- what is known ---- */

int sb_rates_new(struct sb_rates **ret_rates, struct sb_err *err)
{
    struct sb_rates *rates = calloc(1, sizeof *rates);
    if (rates == NULL) {
        return sb_err_oom(err);
    }
    sb_map_init(&rates->by_hash, SB_RATES_KNOWN);
    sb_list_init(&rates->by_use);
    *ret_rates = rates;
    return 0;
}

static void forget(struct sb_rates *rates, struct known *known)
{
    (void)sb_map_remove(&rates->by_hash, sb_str_from(known->hash));
    sb_list_remove(&known->node);
    free(known);
}

void sb_rates_free(struct sb_rates *rates)
{
    if (rates != NULL) {
        SB_FOREACH (node, &rates->by_use) {
            forget(rates, SB_LIST_ENTRY(node, struct known, node));
        }
        sb_map_done(&rates->by_hash);
        free(rates);
    }
}

static bool is_tenant(struct sb_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
            return false;
        }
    }
    return text.len > 0 && text.len <= TENANT_MAX;
}

size_t sb_rates_read(struct sb_str text,
                     const char *key,
                     struct sb_shared_bucket ret_buckets[SB_SHARED_BUCKETS])
{
    uint64_t numbers[4];
    struct sb_str piece;
    struct sb_err ignored;
    size_t n = 0;
    for (size_t i = 0; i < 4; i++) {
        if (!sb_str_next(&text, ' ', &piece) ||
            sb_num_u64(piece, 0, RATE_MAX, &numbers[i], &ignored) < 0) {
            return 0;
        }
    }
    if (!is_tenant(text)) {
        return 0;
    }
    if (numbers[2] > 0 && numbers[3] > 0 && key[0] != '\0') { /* first, as a worker does */
        ret_buckets[n] = (struct sb_shared_bucket){.rate = numbers[2], .burst = numbers[3]};
        (void)snprintf(ret_buckets[n].name, sizeof ret_buckets[n].name, "key:%s", key);
        n++;
    }
    if (numbers[0] > 0 && numbers[1] > 0) {
        ret_buckets[n] = (struct sb_shared_bucket){.rate = numbers[0], .burst = numbers[1]};
        (void)snprintf(ret_buckets[n].name, sizeof ret_buckets[n].name, "tenant:%.*s",
                       SB_STR_ARG(text));
        n++;
    }
    return n;
}

static bool has_key(const struct sb_fleet_call *call)
{
    for (size_t i = 0; i < call->n_metadata; i++) {
        if (strcmp(call->metadata[i].key, "x-api-key") == 0) {
            return true;
        }
    }
    return false;
}

static int hash_of(const struct sb_fleet_call *call, char ret_hash[SB_SHARED_HASH_SIZE])
{
    struct sb_err ignored;
    return sb_shared_hash(sb_fleet_caller(call), has_key(call) ? "key" : "", "", ret_hash,
                          &ignored);
}

static struct known *find_or_add(struct sb_rates *rates, const char *hash)
{
    struct sb_err ignored;
    struct known *known = sb_map_get(&rates->by_hash, sb_str_from(hash));
    if (known != NULL) {
        return known;
    }
    if (sb_map_count(&rates->by_hash) >= SB_RATES_KNOWN) {
        forget(rates, SB_LIST_ENTRY(rates->by_use.next, struct known, node));
    }
    known = calloc(1, sizeof *known);
    if (known == NULL) {
        return NULL;
    }
    (void)snprintf(known->hash, sizeof known->hash, "%s", hash);
    if (sb_map_put(&rates->by_hash, sb_str_from(hash), known, &ignored) < 0) {
        free(known);
        return NULL;
    }
    sb_list_append(&rates->by_use, &known->node);
    return known;
}

void sb_rates_learn(struct sb_fleet_call *call, const struct sb_leg *leg, const struct sb_err *err)
{
    char hash[SB_SHARED_HASH_SIZE];
    struct sb_shared_bucket buckets[SB_SHARED_BUCKETS];
    struct sb_rates *rates = call->fleet->rates;
    const char *told = rates == NULL ? NULL : sb_leg_trailer(leg, "x-aisbx-rates");
    if (rates == NULL || (told == NULL && err->code != SB_OK) || hash_of(call, hash) < 0) {
        return;
    }
    size_t n =
        told == NULL ? 0 : sb_rates_read(sb_str_from(told), has_key(call) ? hash : "", buckets);
    struct known *known =
        n > 0 ? find_or_add(rates, hash) : sb_map_get(&rates->by_hash, sb_str_from(hash));
    if (known != NULL && n == 0) {
        forget(rates, known);
    } else if (known != NULL) {
        memcpy(known->buckets, buckets, n * sizeof *buckets);
        known->n = n;
    }
}

/* ---- one call ---- */

static void tell(struct sb_rates_ask *ask, const struct sb_shared_rate *rate)
{
    const struct sb_shared_bucket *bucket = &ask->buckets[rate->bucket];
    (void)snprintf(ask->limit, TEXT_SIZE, "%ju", (uintmax_t)bucket->burst);
    (void)snprintf(ask->remaining, TEXT_SIZE, "%ju", (uintmax_t)rate->remaining);
    (void)snprintf(ask->reset_ms, TEXT_SIZE, "%ju", (uintmax_t)rate->reset_ms);
    (void)snprintf(ask->retry_ms, TEXT_SIZE, "%ju", (uintmax_t)rate->retry_ms);
}

static void on_taken(void *ctx, const struct sb_shared_rate *rate, const struct sb_err *err)
{
    struct sb_rates_ask *ask = ctx;
    struct sb_fleet_call *call = ask->call;
    struct sb_err refusal;
    ask->ask = NULL;
    ask->is_over = true;
    if (err->code == SB_OK && !rate->has_token) {
        const struct sb_shared_bucket *bucket = &ask->buckets[rate->bucket];
        bool is_key = strncmp(bucket->name, "key:", 4) == 0;
        ask->is_refused = true;
        tell(ask, rate);
        (void)sb_err_set(&refusal, SB_EXHAUSTED,
                         "%s%s has used all of its %ju requests a second (%ju at once) at all "
                         "gateways together; one more is free in %ju ms",
                         is_key ? "this key" : "tenant ", is_key ? "" : bucket->name + 7,
                         (uintmax_t)bucket->rate, (uintmax_t)bucket->burst,
                         (uintmax_t)rate->retry_ms);
        sb_fleet_fail(call, &refusal);
    } else if (!call->fleet->is_closing) {
        sb_fleet_route(call);
    }
}

bool sb_rates_ask(struct sb_fleet_call *call)
{
    char hash[SB_SHARED_HASH_SIZE];
    struct sb_err ignored; /* then the workers count alone */
    struct sb_rates *rates = call->fleet->rates;
    if (call->rate != NULL) {
        return !call->rate->is_over;
    }
    /* Whether workers are well, a gateway asks for itself. */
    bool is_counted = rates != NULL && strcmp(call->method->name, "GetInfo") != 0;
    struct known *known = !is_counted || hash_of(call, hash) < 0
                              ? NULL
                              : sb_map_get(&rates->by_hash, sb_str_from(hash));
    if (known == NULL || (call->rate = calloc(1, sizeof *call->rate)) == NULL) {
        return false;
    }
    sb_list_remove(&known->node);
    sb_list_append(&rates->by_use, &known->node);
    call->rate->call = call;
    memcpy(call->rate->buckets, known->buckets, sizeof known->buckets);
    call->rate->ask = sb_shared_take(call->fleet->options.shared, known->buckets, known->n,
                                     on_taken, call->rate, &ignored);
    call->rate->is_over = call->rate->ask == NULL;
    return !call->rate->is_over;
}

const char *sb_rates_trailer(const struct sb_rates_ask *ask, const char *key)
{
    const struct {
        const char *key;
        const char *value;
    } trailers[] = {
        {"ratelimit-limit", ask->limit},
        {"ratelimit-remaining", ask->remaining},
        {"ratelimit-reset-ms", ask->reset_ms},
        {"retry-after-ms", ask->retry_ms},
    };
    for (size_t i = 0; ask->is_refused && i < sizeof trailers / sizeof *trailers; i++) {
        if (strcmp(trailers[i].key, key) == 0) {
            return trailers[i].value;
        }
    }
    return NULL;
}

void sb_rates_ask_free(struct sb_rates_ask *ask)
{
    if (ask != NULL) {
        if (ask->ask != NULL) {
            sb_shared_forget(ask->ask);
        }
        free(ask);
    }
}
