#include "service/worker/registry.h"

#include <string.h>

#include "base/err.h"
#include "service/worker/elsewhere.h"
#include "service/worker/exec.h"
#include "service/worker/limits.h"
#include "service/worker/sandbox.h"

void sb_registry_init(struct sb_registry *registry)
{
    *registry =
        (struct sb_registry){.next_seq = SB_MAX_TOMBSTONES + 1, .past_seq = SB_MAX_TOMBSTONES};
    sb_map_init(&registry->sandboxes, SB_MAX_SANDBOXES + SB_MAX_TOMBSTONES + 1);
    sb_map_init(&registry->slots, SB_MAX_SANDBOXES);
    sb_map_init(&registry->execs, SB_MAX_EXECS + SB_MAX_ENDED_EXECS + 1);
    sb_list_init(&registry->sandbox_list);
    sb_list_init(&registry->exec_list);
    sb_list_init(&registry->tombs);
    sb_list_init(&registry->ended);
}

static struct sb_str slot_key(const uint64_t *slot)
{
    return sb_str_of(slot, sizeof *slot);
}

static void forget_sandbox(struct sb_registry *registry, struct sb_sandbox *sandbox)
{
    (void)sb_map_remove(&registry->sandboxes, sb_str_from(sandbox->id));
    sb_list_remove(&sandbox->link);
    if (sb_list_is_linked(&sandbox->tomb_link)) {
        sb_list_remove(&sandbox->tomb_link);
        registry->n_tombs--;
    }
    sb_sandbox_unref(sandbox);
}

static uint64_t kept_of(const struct sb_exec *exec)
{
    return sb_spool_kept(&exec->out[0].spool) + sb_spool_kept(&exec->out[1].spool);
}

static void forget_exec(struct sb_registry *registry, struct sb_exec *exec)
{
    (void)sb_map_remove(&registry->execs, sb_str_from(exec->id));
    sb_list_remove(&exec->link);
    if (sb_list_is_linked(&exec->ended_link)) {
        sb_list_remove(&exec->ended_link);
        registry->n_ended--;
        registry->kept_bytes -= kept_of(exec);
    } else {
        registry->n_live_execs--;
    }
    sb_exec_free(exec);
}

void sb_registry_done(struct sb_registry *registry)
{
    SB_FOREACH (node, &registry->exec_list) {
        forget_exec(registry, SB_LIST_ENTRY(node, struct sb_exec, link));
    }
    SB_FOREACH (node, &registry->sandbox_list) {
        forget_sandbox(registry, SB_LIST_ENTRY(node, struct sb_sandbox, link));
    }
    sb_map_done(&registry->sandboxes);
    sb_map_done(&registry->slots);
    sb_map_done(&registry->execs);
}

int sb_registry_add_sandbox(struct sb_registry *registry,
                            struct sb_sandbox *sandbox,
                            struct sb_err *err)
{
    if (registry->n_live >= SB_MAX_SANDBOXES) {
        return sb_elsewhere(
            err, sb_err_set(err, SB_EXHAUSTED,
                            "this worker has %d sandboxes already; destroy one, or use another",
                            SB_MAX_SANDBOXES));
    }
    if (sb_map_put(&registry->sandboxes, sb_str_from(sandbox->id), sandbox, err) < 0) {
        return sb_err_wrap(err, "sandbox %s", sandbox->id);
    }
    sandbox->seq = registry->next_seq++;
    sb_list_prepend(&registry->sandbox_list, &sandbox->link);
    registry->n_live++;
    return 0;
}

int sb_registry_add_slot(struct sb_registry *registry,
                         struct sb_sandbox *sandbox,
                         struct sb_err *err)
{
    return sb_map_put(&registry->slots, slot_key(&sandbox->slot), sandbox, err);
}

void sb_registry_remove_slot(struct sb_registry *registry, const struct sb_sandbox *sandbox)
{
    if (sb_registry_slot(registry, sandbox->slot) == sandbox) {
        (void)sb_map_remove(&registry->slots, slot_key(&sandbox->slot));
    }
}

int sb_registry_add_exec(struct sb_registry *registry, struct sb_exec *exec, struct sb_err *err)
{
    if (registry->n_live_execs >= SB_MAX_EXECS) {
        return sb_err_set(err, SB_EXHAUSTED,
                          "this worker has %d execs already, those with background processes "
                          "included; end some, or use another worker",
                          SB_MAX_EXECS);
    }
    if (sb_map_put(&registry->execs, sb_str_from(exec->id), exec, err) < 0) {
        return sb_err_wrap(err, "exec %s", exec->id);
    }
    exec->seq = registry->next_seq++;
    sb_list_prepend(&registry->exec_list, &exec->link);
    registry->n_live_execs++;
    return 0;
}

struct sb_sandbox *sb_registry_sandbox(const struct sb_registry *registry, const char *id)
{
    return sb_map_get(&registry->sandboxes, sb_str_from(id));
}

struct sb_sandbox *sb_registry_slot(const struct sb_registry *registry, uint64_t slot)
{
    return sb_map_get(&registry->slots, slot_key(&slot));
}

struct sb_exec *sb_registry_exec(const struct sb_registry *registry, const char *id)
{
    return sb_map_get(&registry->execs, sb_str_from(id));
}

void sb_registry_bury(struct sb_registry *registry, struct sb_sandbox *sandbox)
{
    sb_registry_remove_slot(registry, sandbox);
    registry->n_live--;
    registry->n_tombs++;
    sb_list_append(&registry->tombs, &sandbox->tomb_link);
}

int sb_registry_recall(struct sb_registry *registry, struct sb_sandbox *sandbox, struct sb_err *err)
{
    if (registry->past_seq == 0) {
        return sb_err_set(err, SB_EXHAUSTED, "more than %d sandboxes of before", SB_MAX_TOMBSTONES);
    }
    if (sb_map_put(&registry->sandboxes, sb_str_from(sandbox->id), sandbox, err) < 0) {
        return sb_err_wrap(err, "sandbox %s", sandbox->id);
    }
    sandbox->seq = registry->past_seq--;
    sb_list_append(&registry->sandbox_list, &sandbox->link);
    sb_list_prepend(&registry->tombs, &sandbox->tomb_link);
    registry->n_tombs++;
    return 0;
}

void sb_registry_exec_ended(struct sb_registry *registry, struct sb_exec *exec)
{
    registry->n_live_execs--;
    registry->n_ended++;
    registry->kept_bytes += kept_of(exec);
    sb_list_append(&registry->ended, &exec->ended_link);
}

static void sweep_execs(struct sb_registry *registry, uint64_t now_ms)
{
    SB_FOREACH (node, &registry->ended) {
        struct sb_exec *exec = SB_LIST_ENTRY(node, struct sb_exec, ended_link);
        bool is_too_much =
            registry->n_ended > SB_MAX_ENDED_EXECS || registry->kept_bytes > SB_MAX_KEPT_BYTES;
        if (!is_too_much && exec->end_real_ms + SB_MAX_MEMORY_MS > now_ms) {
            return;
        }
        if (sb_list_is_empty(&exec->observers)) {
            forget_exec(registry, exec);
        }
    }
}

void sb_registry_sweep(struct sb_registry *registry, uint64_t now_ms)
{
    sweep_execs(registry, now_ms);
    SB_FOREACH (node, &registry->tombs) {
        struct sb_sandbox *sandbox = SB_LIST_ENTRY(node, struct sb_sandbox, tomb_link);
        if (registry->n_tombs <= SB_MAX_TOMBSTONES &&
            sandbox->destroy_ms + SB_MAX_MEMORY_MS > now_ms) {
            return;
        }
        if (sb_list_is_empty(&sandbox->observers)) {
            forget_sandbox(registry, sandbox);
        }
    }
}
