/* What the profile, the floor and init say about each call becomes the two lists that filter.c
 * explains. */
#include "service/spawner/filter_rules.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>

#include "base/err.h"
#include "base/mutate.h"
#include "service/shared/denial.h"
#include "service/shared/floor.h"
#include "service/spawner/bpf/rules.h"

enum { MAX_RULES = 4096, MAX_NAMES = 1024, MAX_ERRNO = 4095 };

/* What the kernel calls an action of the protocol. */
static int
action_of(Spawn__V1__Action action, uint32_t error, uint32_t *ret_action, struct sb_err *err)
{
    static const uint32_t actions[] = {
        [SPAWN__V1__ACTION__ACTION_ALLOW] = SECCOMP_RET_ALLOW,
        [SPAWN__V1__ACTION__ACTION_KILL_PROCESS] = SECCOMP_RET_KILL_PROCESS,
        [SPAWN__V1__ACTION__ACTION_KILL_THREAD] = SECCOMP_RET_KILL_THREAD,
        [SPAWN__V1__ACTION__ACTION_TRAP] = SECCOMP_RET_TRAP,
        [SPAWN__V1__ACTION__ACTION_LOG] = SECCOMP_RET_LOG,
    };
    if (action == SPAWN__V1__ACTION__ACTION_ERRNO || action == SPAWN__V1__ACTION__ACTION_NOTIFY) {
        if (error == 0 || error > MAX_ERRNO) {
            return sb_err_set(err, SB_INVALID, "errno: %u is not within 1..%d", error, MAX_ERRNO);
        }
        *ret_action = SECCOMP_RET_ERRNO | error;
        return 0;
    }
    if ((int)action <= 0 || (size_t)action >= sizeof actions / sizeof *actions) {
        return sb_err_set(err, SB_INVALID, "action: %d is not an action", (int)action);
    }
    *ret_action = actions[action];
    return 0;
}

static bool is_refusal(uint32_t action)
{
    return action != SECCOMP_RET_ALLOW && action != SECCOMP_RET_LOG;
}

static int
args_of(const Spawn__V1__FilterRule *rule, struct sb_argcmp *ret_args, struct sb_err *err)
{
    static const uint8_t compares[] = {
        [SPAWN__V1__COMPARE__COMPARE_NE] = SB_ARGCMP_NE,
        [SPAWN__V1__COMPARE__COMPARE_LT] = SB_ARGCMP_LT,
        [SPAWN__V1__COMPARE__COMPARE_LE] = SB_ARGCMP_LE,
        [SPAWN__V1__COMPARE__COMPARE_EQ] = SB_ARGCMP_EQ,
        [SPAWN__V1__COMPARE__COMPARE_GE] = SB_ARGCMP_GE,
        [SPAWN__V1__COMPARE__COMPARE_GT] = SB_ARGCMP_GT,
        [SPAWN__V1__COMPARE__COMPARE_MASKED_EQ] = SB_ARGCMP_MASKED_EQ,
    };
    if (rule->n_args > SB_ARGCMP_MAX) {
        return sb_err_set(err, SB_INVALID, "args: %zu, at most %d", rule->n_args, SB_ARGCMP_MAX);
    }
    unsigned seen = 0;
    for (size_t i = 0; i < rule->n_args; i++) {
        const Spawn__V1__FilterArg *arg = rule->args[i];
        if (arg->index >= SB_ARGCMP_MAX || (seen & (1U << arg->index)) != 0) {
            return sb_err_set(err, SB_INVALID, "args.index: %u is not one of 0..5, each once",
                              arg->index);
        }
        seen |= 1U << arg->index;
        if ((int)arg->op <= 0 || (size_t)arg->op >= sizeof compares / sizeof *compares) {
            return sb_err_set(err, SB_INVALID, "args.op: %d is not a comparison", (int)arg->op);
        }
        ret_args[i] = (struct sb_argcmp){
            .arg = (uint8_t)arg->index,
            .op = compares[arg->op],
            .value = arg->value,
            .value_two = arg->value_two,
        };
    }
    return 0;
}

/* Both lists while rules are added. */
struct pair {
    struct sb_bpf_list *allow;
    struct sb_bpf_list *deny;
    const Spawn__V1__LoadFilter *msg;
};

/* True when a rule of that action names the call; without condition where @always says so. */
static bool
is_named(const Spawn__V1__LoadFilter *msg, const char *name, Spawn__V1__Action action, bool always)
{
    for (size_t i = 0; i < msg->n_rules; i++) {
        const Spawn__V1__FilterRule *rule = msg->rules[i];
        if (rule->action != action || (always && rule->n_args > 0)) {
            continue;
        }
        for (size_t k = 0; k < rule->n_names; k++) {
            if (*rule->names[k] == *name && strcmp(rule->names[k], name) == 0) {
                return true;
            }
        }
    }
    return false;
}

static bool is_allowed(const Spawn__V1__LoadFilter *msg, const char *name)
{
    return is_named(msg, name, SPAWN__V1__ACTION__ACTION_ALLOW, true);
}

/* Whatever its arguments are. */
static bool is_needed_by_init(const char *name)
{
    return sb_floor_need(name) == SB_FLOOR_NEEDS_ALL;
}

/* By these init becomes the job. A profile's refusal of them is the kernel's already: the job has
 * one uid, and no capability for another. */
static bool is_refused_by_kernel(const char *name)
{
    return strcmp(name, "setresuid") == 0 || strcmp(name, "getresuid") == 0;
}

static bool is_errno(uint32_t action)
{
    return (action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO;
}

/* True when the allowing list may leave refusals of that call to the denying one: nothing
 * harder than an errno is asked for, by default or by name. */
static bool is_left_to_deny(const struct pair *pair, const char *name)
{
    bool is_soft =
        !is_refusal(pair->allow->default_action) || is_errno(pair->allow->default_action);
    return is_soft && !is_named(pair->msg, name, SPAWN__V1__ACTION__ACTION_KILL_PROCESS, false) &&
           !is_named(pair->msg, name, SPAWN__V1__ACTION__ACTION_KILL_THREAD, false) &&
           !is_named(pair->msg, name, SPAWN__V1__ACTION__ACTION_TRAP, false);
}

/* Adds a refusal that is told, when the allowing list can let it pass. */
static int add_told(struct pair *pair,
                    const char *name,
                    uint32_t error,
                    unsigned n_args,
                    const struct sb_argcmp *args,
                    struct sb_err *err)
{
    int number = sb_floor_resolve(name);
    if (number < 0) {
        return 0;
    }
    if (!is_left_to_deny(pair, name)) {
        return sb_bpf_list_add(pair->deny, SECCOMP_RET_ERRNO | error, number, n_args, args, err);
    }
    if (sb_bpf_list_add(pair->deny, sb_bpf_told(error), number, n_args, args, err) < 0) {
        return -1;
    }
    bool passes = pair->allow->default_action == SECCOMP_RET_ALLOW || is_needed_by_init(name) ||
                  is_allowed(pair->msg, name);
    return passes ? 0 : sb_bpf_list_add(pair->allow, SECCOMP_RET_ALLOW, number, n_args, args, err);
}

static int add_name(struct pair *pair,
                    const Spawn__V1__FilterRule *rule,
                    const char *name,
                    uint32_t action,
                    struct sb_err *err)
{
    struct sb_argcmp args[SB_ARGCMP_MAX];
    unsigned n_args = (unsigned)rule->n_args;
    int number = sb_floor_resolve(name);
    if (number < 0 || (is_refusal(action) && is_refused_by_kernel(name))) {
        return 0;
    }
    if (args_of(rule, args, err) < 0) {
        return -1;
    }
    const struct sb_denial_call *call = sb_denial_find(name);
    bool is_told = rule->action == SPAWN__V1__ACTION__ACTION_NOTIFY ||
                   (is_errno(action) && call != NULL && call->has_rules);
    /* What init needs must not wait for a worker that does not know of the sandbox yet. */
    if (is_told && sb_floor_need(name) == SB_FLOOR_NOT_NEEDED) {
        return add_told(pair, name, rule->errno_value, n_args, args, err);
    }
    if (is_refusal(action) && sb_bpf_list_add(pair->deny, action, number, n_args, args, err) < 0) {
        return -1;
    }
    if (is_errno(action) && call != NULL && is_left_to_deny(pair, name)) {
        return 0;
    }
    /* The allowing list holds a refusal too where its default is harder, unless the call is
     * allowed: then the denying one has it. */
    if (action == pair->allow->default_action ||
        (is_refusal(action) && (is_allowed(pair->msg, name) || is_needed_by_init(name)))) {
        return 0;
    }
    if (!is_refusal(action) && n_args > 0 && is_needed_by_init(name)) {
        return 0; /* allowed anyway, below */
    }
    return sb_bpf_list_add(pair->allow, action, number, n_args, args, err);
}

static int add_rule(struct pair *pair, const Spawn__V1__FilterRule *rule, struct sb_err *err)
{
    uint32_t action = 0;
    if (action_of(rule->action, rule->errno_value, &action, err) < 0) {
        return -1;
    }
    if (rule->n_names > MAX_NAMES) {
        return sb_err_set(err, SB_INVALID, "names: %zu, at most %d", rule->n_names, MAX_NAMES);
    }
    for (size_t i = 0; i < rule->n_names; i++) {
        if (add_name(pair, rule, rule->names[i], action, err) < 0) {
            return sb_err_wrap(err, "%s", rule->names[i]);
        }
    }
    return 0;
}

/* personality takes 0, 8, 0x20000, 0x20008 and, to ask, 0xffffffff. A rule has one condition on an
 * argument, so "any other bit, but not all" is said in pairs: of the other bits, taken in a circle,
 * some bit is set while the next is not, except where all or none are. Where all are, 8 and 0x20000
 * must be as well. */
static int add_personality(struct pair *pair, struct sb_err *err)
{
    const uint64_t fine = 0x20008;
    uint64_t bits[32];
    size_t n = 0;
    for (unsigned i = 0; i < 32; i++) {
        if ((fine & (1ULL << i)) == 0) {
            bits[n++] = 1ULL << i;
        }
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t both = bits[i] | bits[(i + 1) % n];
        struct sb_argcmp arg = {0, SB_ARGCMP_MASKED_EQ, both, bits[i]};
        if (add_told(pair, "personality", EPERM, 1, &arg, err) < 0) {
            return -1;
        }
    }
    static const uint64_t fine_bits[] = {0x8, 0x20000};
    for (size_t i = 0; i < sizeof fine_bits / sizeof *fine_bits; i++) {
        struct sb_argcmp arg = {0, SB_ARGCMP_MASKED_EQ, bits[0] | fine_bits[i], bits[0]};
        if (add_told(pair, "personality", EPERM, 1, &arg, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int add_init(struct sb_bpf_list *allow, struct sb_err *err)
{
    for (size_t i = 0; i < sb_floor_n_init_calls; i++) {
        int number = sb_floor_resolve(sb_floor_init_calls[i]);
        if (number >= 0 && sb_bpf_list_add(allow, SECCOMP_RET_ALLOW, number, 0, NULL, err) < 0) {
            return sb_err_wrap(err, "init: %s", sb_floor_init_calls[i]);
        }
    }
    for (size_t i = 0; i < sb_floor_n_init_args; i++) {
        const struct sb_floor_init_arg *need = &sb_floor_init_args[i];
        if (sb_bpf_list_add(allow, SECCOMP_RET_ALLOW, sb_floor_resolve(need->name), 1, &need->arg,
                            err) < 0) {
            return sb_err_wrap(err, "init: %s", need->name);
        }
    }
    return 0;
}

static int add_floor(struct pair *pair, struct sb_err *err)
{
    for (size_t i = 0; i < sb_floor_n_rules; i++) {
        const struct sb_floor_rule *rule = &sb_floor_rules[i];
        const struct sb_denial_call *call = sb_denial_find(rule->name);
        int number = sb_floor_resolve(rule->name);
        int failed = 0;
        if (sb_mutated_part("floor", rule->name)) {
            continue;
        }
        if (call != NULL && call->error == rule->error) {
            failed = add_told(pair, rule->name, rule->error, rule->n_args, rule->args, err);
        } else if (number >= 0) {
            failed = sb_bpf_list_add(pair->deny, SECCOMP_RET_ERRNO | rule->error, number,
                                     rule->n_args, rule->args, err);
        }
        if (failed < 0) {
            return sb_err_wrap(err, "floor: %s", rule->name);
        }
    }
    if (pair->allow->default_action != SECCOMP_RET_ALLOW && add_init(pair->allow, err) < 0) {
        return -1;
    }
    return sb_mutated("floor.personality") ? 0 : add_personality(pair, err);
}

int sb_filter_rules(const Spawn__V1__LoadFilter *msg,
                    struct sb_bpf_lists *ret_lists,
                    struct sb_err *err)
{
    struct sb_bpf_lists lists = {.deny = {.default_action = SECCOMP_RET_ALLOW}};
    struct pair pair = {.allow = &lists.allow, .deny = &lists.deny, .msg = msg};
    if (action_of(msg->default_action, msg->default_errno, &lists.allow.default_action, err) < 0) {
        return sb_err_wrap(err, "default_action");
    }
    if (msg->n_rules > MAX_RULES) {
        return sb_err_set(err, SB_INVALID, "rules: %zu, at most %d", msg->n_rules, MAX_RULES);
    }
    /* The floor first: of two equal refusals the first one counts. */
    int failed = add_floor(&pair, err);
    for (size_t i = 0; failed == 0 && i < msg->n_rules; i++) {
        if (add_rule(&pair, msg->rules[i], err) < 0) {
            failed = sb_err_wrap(err, "rules[%zu]", i);
        }
    }
    if (failed < 0) {
        sb_bpf_lists_done(&lists);
        return -1;
    }
    *ret_lists = lists;
    return 0;
}
