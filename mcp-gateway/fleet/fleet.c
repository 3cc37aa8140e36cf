#include "mcp-gateway/fleet/fleet.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "mcp-gateway/fleet/fleet_internal.h"
#include "mcp-gateway/fleet/merge.h"
#include "mcp-gateway/fleet/rates.h"

/* ---- who there is ---- */

struct sb_member *sb_fleet_by_tag(const struct sb_fleet *fleet, struct sb_str tag)
{
    struct sb_member *found = NULL;
    SB_FOREACH (node, &fleet->members) {
        struct sb_member *member = SB_LIST_ENTRY(node, struct sb_member, node);
        /* One that is up counts more than what was at another address before. */
        if (sb_str_eq(sb_id_tag(sb_str_from(member->id), "wk_"), tag) &&
            (found == NULL || sb_fleet_is_up(member))) {
            found = member;
        }
    }
    return found;
}

bool sb_fleet_is_up(const struct sb_member *member)
{
    return member->state == SB_MEMBER_SERVING || member->state == SB_MEMBER_DRAINING;
}

bool sb_fleet_is_settled(const struct sb_fleet *fleet)
{
    SB_FOREACH (node, &fleet->members) {
        const struct sb_member *member = SB_LIST_ENTRY(node, struct sb_member, node);
        if (member->state == SB_MEMBER_CONNECTING && member->n_losses == 0) {
            return false;
        }
    }
    return fleet->has_looked;
}

uint64_t sb_fleet_random(struct sb_fleet *fleet)
{
    fleet->random ^= fleet->random << 13; /* xorshift64: spreads, keeps no secret */
    fleet->random ^= fleet->random >> 7;
    fleet->random ^= fleet->random << 17;
    return fleet->random;
}

void sb_fleet_each(const struct sb_fleet *fleet,
                   void (*tell)(const struct sb_fleet_worker *worker, void *ctx),
                   void *ctx)
{
    SB_FOREACH (node, &fleet->members) {
        const struct sb_member *member = SB_LIST_ENTRY(node, struct sb_member, node);
        const struct sb_fleet_worker worker = {.address = member->address,
                                               .id = member->id,
                                               .state = sb_member_states[member->state],
                                               .calls = member->n_legs};
        tell(&worker, ctx);
    }
}

/* ---- changes ---- */

void sb_fleet_changed(struct sb_fleet *fleet)
{
    if (!fleet->is_closing) {
        event_active(fleet->news, EV_TIMEOUT, 0);
    }
}

static void on_news(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_fleet *fleet = ctx;
    SB_FOREACH (node, &fleet->calls) {
        struct sb_fleet_call *call = SB_LIST_ENTRY(node, struct sb_fleet_call, node);
        if (call->merge != NULL) {
            sb_merge_widen(call);
        } else if (call->is_waiting) {
            sb_fleet_route(call);
        }
    }
}

void sb_fleet_forget(struct sb_fleet *fleet, struct sb_member *member)
{
    SB_LOG_INFO("worker gone", "address=%s id=%s", member->address, member->id);
    fleet->n_members--;
    sb_member_free(member);
    sb_fleet_changed(fleet);
}

static struct sb_member *by_address(const struct sb_fleet *fleet, const char *address)
{
    SB_FOREACH (node, &fleet->members) {
        struct sb_member *member = SB_LIST_ENTRY(node, struct sb_member, node);
        if (strcmp(member->address, address) == 0) {
            return member;
        }
    }
    return NULL;
}

static void add(struct sb_fleet *fleet, const char *address, const char *name)
{
    struct sb_err err;
    struct sb_member *member = NULL;
    if (fleet->n_members == SB_MEMBERS_MAX) { /* lost ones make room soon */
        SB_LOG_WARN("too many workers", "address=%s max=%d", address, SB_MEMBERS_MAX);
    } else if (sb_member_new(fleet, address, name, &member, &err) < 0) {
        SB_LOG_WARN("worker not taken", "address=%s why=%s", address, err.text);
    } else {
        SB_LOG_INFO("worker named", "address=%s", address);
        sb_list_append(&fleet->members, &member->node);
        fleet->n_members++;
    }
}

/* Those that have lost their name stay while they are there: what lives on them is reached. */
static void on_names(void *ctx, const char *const *addresses, const char *const *names, size_t n)
{
    struct sb_fleet *fleet = ctx;
    fleet->has_looked = true;
    SB_FOREACH (node, &fleet->members) {
        SB_LIST_ENTRY(node, struct sb_member, node)->is_named = false;
    }
    for (size_t i = 0; i < n; i++) {
        struct sb_member *member = by_address(fleet, addresses[i]);
        if (member != NULL) {
            member->is_named = true;
        } else {
            add(fleet, addresses[i], names[i]);
        }
    }
    sb_fleet_changed(fleet);
}

/* ---- life ---- */

int sb_fleet_new(const struct sb_fleet_options *options,
                 struct sb_fleet **ret_fleet,
                 struct sb_err *err)
{
    struct sb_fleet *fleet = calloc(1, sizeof *fleet);
    if (fleet == NULL) {
        return sb_err_oom(err);
    }
    fleet->options = *options;
    sb_list_init(&fleet->members);
    sb_list_init(&fleet->calls);
    if (getrandom(&fleet->random, sizeof fleet->random, GRND_NONBLOCK) < 0 || fleet->random == 0) {
        fleet->random = sb_clock_mono_ns() | 1U;
    }
    fleet->news = event_new(options->base, -1, 0, on_news, fleet);
    if (fleet->news == NULL) {
        sb_fleet_free(fleet);
        return sb_err_oom(err);
    }
    if (options->shared != NULL && sb_rates_new(&fleet->rates, err) < 0) {
        sb_fleet_free(fleet);
        return -1;
    }
    if (sb_members_new(options->base, options->workers, on_names, fleet, &fleet->names, err) < 0) {
        sb_fleet_free(fleet);
        return -1;
    }
    *ret_fleet = fleet;
    return 0;
}

void sb_fleet_free(struct sb_fleet *fleet)
{
    if (fleet == NULL) {
        return;
    }
    struct sb_err ended;
    fleet->is_closing = true;
    sb_members_free(fleet->names);
    (void)sb_err_set(&ended, SB_CANCELLED, "the connection is being closed");
    while (!sb_list_is_empty(&fleet->members)) {
        sb_member_free(SB_LIST_ENTRY(fleet->members.next, struct sb_member, node));
    }
    while (!sb_list_is_empty(&fleet->calls)) { /* those without a leg */
        sb_fleet_finish(SB_LIST_ENTRY(fleet->calls.next, struct sb_fleet_call, node), &ended);
    }
    if (fleet->news != NULL) {
        event_free(fleet->news);
    }
    sb_rates_free(fleet->rates);
    free(fleet);
}
