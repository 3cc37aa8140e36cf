#include "service/worker/auth/quota.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "service/worker/auth/bucket.h"
#include "service/worker/policy/auth_config.h"
#include "service/worker/policy/limits.h"
#include "service/worker/policy/policy.h"
#include "service/worker/registry.h"
#include "service/worker/sandbox.h"

enum { RETRY_MS = 1000, RETRY_MAX_MS = 60000 };

struct used {
    uint64_t sandboxes;
    uint64_t mem_bytes;
    uint64_t cpu_millis;
    uint64_t next_end_ms; /* real time; 0: none has a ttl */
};

static void add(uint64_t *sum, uint64_t value)
{
    *sum = value > UINT64_MAX - *sum ? UINT64_MAX : *sum + value;
}

static struct used count(const struct sb_registry *registry, const char *tenant)
{
    struct used used = {0};
    SB_FOREACH (node, &registry->sandbox_list) {
        const struct sb_sandbox *sandbox = SB_LIST_ENTRY(node, struct sb_sandbox, link);
        if (sandbox->state == SB_STATE_DESTROYED || sandbox->is_internal ||
            strcmp(sandbox->tenant, tenant) != 0) {
            continue;
        }
        used.sandboxes++;
        add(&used.mem_bytes, sandbox->policy->limits.mem_bytes);
        add(&used.cpu_millis, sandbox->policy->limits.cpu_millis);
        uint64_t end_ms = sandbox->expire_ms;
        if (end_ms != 0 && (used.next_end_ms == 0 || end_ms < used.next_end_ms)) {
            used.next_end_ms = end_ms;
        }
    }
    return used;
}

static const char *number(char out[SB_NUM_TEXT_SIZE], uint64_t value)
{
    (void)snprintf(out, SB_NUM_TEXT_SIZE, "%ju", (uintmax_t)value);
    return out;
}

static uint64_t retry_after(const struct used *used)
{
    uint64_t now_ms = sb_clock_real_ms();
    uint64_t left_ms = used->next_end_ms > now_ms ? used->next_end_ms - now_ms : RETRY_MS;
    return left_ms > RETRY_MAX_MS ? RETRY_MAX_MS : left_ms;
}

int sb_quota_check(const struct sb_registry *registry,
                   const struct sb_auth_config *config,
                   const char *tenant,
                   const struct sb_limits *wanted,
                   struct sb_rate *ret_rate,
                   struct sb_err *err)
{
    struct sb_tenant_limits limits = sb_auth_config_limits(config, tenant);
    if (limits.max_sandboxes == 0 && limits.mem_bytes == 0 && limits.cpu_millis == 0) {
        return 0;
    }
    struct used used = count(registry, tenant);
    const struct {
        const char *name;
        uint64_t most;
        uint64_t used;
        uint64_t wanted;
        const char *(*format)(char out[SB_NUM_TEXT_SIZE], uint64_t value);
        const char *less;
    } quotas[] = {
        {"max_sandboxes", limits.max_sandboxes, used.sandboxes, 1, number, ""},
        {"max_memory", limits.mem_bytes, used.mem_bytes, wanted->mem_bytes, sb_num_format_bytes,
         ", ask for less memory"},
        {"max_cpu", limits.cpu_millis, used.cpu_millis, wanted->cpu_millis, sb_num_format_cpu,
         ", ask for less cpu"},
    };
    for (size_t i = 0; i < sizeof quotas / sizeof *quotas; i++) {
        uint64_t left = quotas[i].used < quotas[i].most ? quotas[i].most - quotas[i].used : 0;
        if (quotas[i].most == 0 || quotas[i].wanted <= left) {
            continue;
        }
        char texts[3][SB_NUM_TEXT_SIZE];
        *ret_rate = (struct sb_rate){
            .limit = quotas[i].most,
            .remaining = left,
            .reset_ms = retry_after(&used),
            .retry_ms = retry_after(&used),
        };
        return sb_err_set(
            err, SB_EXHAUSTED,
            "tenant %s: %s is %s, of which %s is in use by %ju sandboxes, and this one needs %s; "
            "destroy one (aisbx list shows them), wait for one to end%s, or have the quota raised",
            tenant, quotas[i].name, quotas[i].format(texts[0], quotas[i].most),
            quotas[i].format(texts[1], quotas[i].used), (uintmax_t)used.sandboxes,
            quotas[i].format(texts[2], quotas[i].wanted), quotas[i].less);
    }
    return 0;
}
