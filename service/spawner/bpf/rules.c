#include "service/spawner/bpf/rules.h"

#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* Makes room for @more elements of that size behind the first @n. */
static int
reserve(void **array, size_t *cap, size_t n, size_t more, size_t size, struct sb_err *err)
{
    if (more <= *cap - n) {
        return 0;
    }
    size_t wanted = *cap == 0 ? 256 : *cap * 2;
    void *moved = realloc(*array, wanted * size);
    if (moved == NULL) {
        return sb_err_oom(err);
    }
    *array = moved;
    *cap = wanted;
    return 0;
}

int sb_bpf_list_add(struct sb_bpf_list *list,
                    uint32_t action,
                    int number,
                    unsigned n_args,
                    const struct sb_argcmp *args,
                    struct sb_err *err)
{
    if (list->n_rules == SB_BPF_MAX_RULES) {
        return sb_err_set(err, SB_INVALID, "more than %d rules", SB_BPF_MAX_RULES);
    }
    if (reserve((void **)&list->rules, &list->rules_cap, list->n_rules, 1, sizeof *list->rules,
                err) < 0 ||
        reserve((void **)&list->args, &list->args_cap, list->n_args, n_args, sizeof *list->args,
                err) < 0) {
        return -1;
    }
    list->rules[list->n_rules++] = (struct sb_bpf_rule){
        .number = number,
        .action = action,
        .first_arg = (uint32_t)list->n_args,
        .n_args = (uint8_t)n_args,
    };
    for (unsigned i = 0; i < n_args; i++) {
        list->args[list->n_args++] = args[i];
    }
    return 0;
}

static void list_done(struct sb_bpf_list *list)
{
    free(list->rules);
    free(list->args);
    *list = (struct sb_bpf_list){0};
}

void sb_bpf_lists_done(struct sb_bpf_lists *lists)
{
    list_done(&lists->allow);
    list_done(&lists->deny);
}

uint32_t sb_bpf_told(uint32_t error)
{
    return SECCOMP_RET_TRACE | error;
}

uint32_t sb_bpf_resolve(uint32_t action, bool asks)
{
    if ((action & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_TRACE) {
        return action;
    }
    return asks ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ERRNO | (action & SECCOMP_RET_DATA);
}

int32_t sb_bpf_severity(uint32_t action)
{
    const uint32_t bare = action & SECCOMP_RET_ACTION_FULL;
    return (int32_t)(bare == SECCOMP_RET_TRACE ? SECCOMP_RET_ERRNO : bare);
}

uint32_t sb_bpf_more_severe(uint32_t first, uint32_t second)
{
    return sb_bpf_severity(first) < sb_bpf_severity(second) ? first : second;
}
