#include "service/spawner/filter.h"

/* Theory of operation. A process may carry several seccomp filters; the kernel runs all of them and
 * takes the most severe answer (kill, then trap, then errno, then allow), of equals the one that
 * was put on last. libseccomp drops a conditional refusal in silence when the same filter allows
 * that call without condition. So each sandbox has two:
 *
 *   allow  what the profile says: its default action and its rules, and what init needs;
 *   deny   allows by default and holds refusals only: all of the profile, and the floor, which no
 *          profile can lift. Put on last, so that its errno values win.
 *
 * Both kill the process on a call of another architecture (x32 and 32-bit x86 too), whose numbers
 * mean other calls.
 *
 * Some refusals are told (service/shared/denial.h): the worker answers them, by way of a listener
 * (seccomp_unotify(2)), with the errno that the filter would have given. An errno of any filter
 * wins over that, so the allowing filter lets exactly these pass, and the denying one alone
 * decides. It is compiled once, with a mark that no message can name where it tells, and exists in
 * two copies: "deny" refuses by itself; "notify" asks the worker. Whoever cannot have a listener
 * (a process has one at most) gets deny.
 *
 * To learn which calls a program makes, there is a third filter that asks about all of them. The
 * refusals of allow and deny win over the question, so whatever the worker answers opens
 * nothing. */

#include <errno.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <seccomp.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/hash.h"
#include "base/mutate.h"
#include "service/shared/denial.h"
#include "service/shared/floor.h"
#include "service/shared/frame.h"

enum { MAX_RULES = 4096, MAX_NAMES = 1024, MAX_ARGS = 6, MAX_ERRNO = 4095 };

/* Fixed: the cache is filled by the worker, whose fault collisions would be alone. */
static const struct sb_hash_key content_key = {0x61697362782d6264ULL, 0x2d66696c74657273ULL};

static void release(scmp_filter_ctx *ctx)
{
    if (*ctx != NULL) {
        seccomp_release(*ctx);
    }
}

/* libseccomp's value of an action of the protocol. */
static int
action_of(Spawn__V1__Action action, uint32_t error, uint32_t *ret_action, struct sb_err *err)
{
    static const uint32_t actions[] = {
        [SPAWN__V1__ACTION__ACTION_ALLOW] = SCMP_ACT_ALLOW,
        [SPAWN__V1__ACTION__ACTION_KILL_PROCESS] = SCMP_ACT_KILL_PROCESS,
        [SPAWN__V1__ACTION__ACTION_KILL_THREAD] = SCMP_ACT_KILL_THREAD,
        [SPAWN__V1__ACTION__ACTION_TRAP] = SCMP_ACT_TRAP,
        [SPAWN__V1__ACTION__ACTION_LOG] = SCMP_ACT_LOG,
    };
    if (action == SPAWN__V1__ACTION__ACTION_ERRNO || action == SPAWN__V1__ACTION__ACTION_NOTIFY) {
        if (error == 0 || error > MAX_ERRNO) {
            return sb_err_set(err, SB_INVALID, "errno: %u is not within 1..%d", error, MAX_ERRNO);
        }
        *ret_action = SCMP_ACT_ERRNO(error);
        return 0;
    }
    if ((int)action <= 0 || (size_t)action >= sizeof actions / sizeof *actions) {
        return sb_err_set(err, SB_INVALID, "action: %d is not an action", (int)action);
    }
    *ret_action = actions[action];
    return 0;
}

/* The mark: refused with that errno, and told. */
static uint32_t told(uint32_t error)
{
    return SCMP_ACT_TRACE(error);
}

static bool is_refusal(uint32_t action)
{
    return action != SCMP_ACT_ALLOW && action != SCMP_ACT_LOG;
}

static int
args_of(const Spawn__V1__FilterRule *rule, struct scmp_arg_cmp *ret_args, struct sb_err *err)
{
    static const enum scmp_compare compares[] = {
        [SPAWN__V1__COMPARE__COMPARE_NE] = SCMP_CMP_NE,
        [SPAWN__V1__COMPARE__COMPARE_LT] = SCMP_CMP_LT,
        [SPAWN__V1__COMPARE__COMPARE_LE] = SCMP_CMP_LE,
        [SPAWN__V1__COMPARE__COMPARE_EQ] = SCMP_CMP_EQ,
        [SPAWN__V1__COMPARE__COMPARE_GE] = SCMP_CMP_GE,
        [SPAWN__V1__COMPARE__COMPARE_GT] = SCMP_CMP_GT,
        [SPAWN__V1__COMPARE__COMPARE_MASKED_EQ] = SCMP_CMP_MASKED_EQ,
    };
    if (rule->n_args > MAX_ARGS) {
        return sb_err_set(err, SB_INVALID, "args: %zu, at most %d", rule->n_args, MAX_ARGS);
    }
    unsigned seen = 0;
    for (size_t i = 0; i < rule->n_args; i++) {
        const Spawn__V1__FilterArg *arg = rule->args[i];
        if (arg->index >= MAX_ARGS || (seen & (1U << arg->index)) != 0) {
            return sb_err_set(err, SB_INVALID, "args.index: %u is not one of 0..5, each once",
                              arg->index);
        }
        seen |= 1U << arg->index;
        if ((int)arg->op <= 0 || (size_t)arg->op >= sizeof compares / sizeof *compares) {
            return sb_err_set(err, SB_INVALID, "args.op: %d is not a comparison", (int)arg->op);
        }
        ret_args[i] = (struct scmp_arg_cmp){
            .arg = arg->index,
            .op = compares[arg->op],
            .datum_a = arg->value,
            .datum_b = arg->value_two,
        };
    }
    return 0;
}

static int add(scmp_filter_ctx ctx,
               uint32_t action,
               int number,
               unsigned n_args,
               const struct scmp_arg_cmp *args,
               struct sb_err *err)
{
    int failed = seccomp_rule_add_array(ctx, action, number, n_args, args);
    /* EEXIST: said before; one rule is enough. */
    if (failed != 0 && failed != -EEXIST) {
        return sb_err_sys(err, -failed, "add rule for system call %d", number);
    }
    return 0;
}

static scmp_filter_ctx new_context(uint32_t default_action, struct sb_err *err)
{
    scmp_filter_ctx ctx = seccomp_init(default_action);
    if (ctx == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    /* NNP: not libseccomp's to set. OPTIMIZE 2: a binary tree of numbers instead of a list. */
    if (seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0) != 0 ||
        seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
                         sb_mutated("filter.abi") ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS) != 0 ||
        seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2) != 0) {
        seccomp_release(ctx);
        (void)sb_err_set(err, SB_INTERNAL, "libseccomp is too old");
        return NULL;
    }
    return ctx;
}

/* Both contexts while rules are added. */
struct pair {
    scmp_filter_ctx allow;
    scmp_filter_ctx deny;
    uint32_t default_action; /* of allow */
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
            if (strcmp(rule->names[k], name) == 0) {
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

static bool is_needed_by_init(const char *name)
{
    for (size_t i = 0; i < sb_floor_n_init_calls; i++) {
        if (strcmp(sb_floor_init_calls[i], name) == 0) {
            return true;
        }
    }
    return false;
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

/* True when the allowing filter may leave refusals of that call to the denying one: nothing
 * harder than an errno is asked for, by default or by name. */
static bool is_left_to_deny(const struct pair *pair, const char *name)
{
    bool is_soft = !is_refusal(pair->default_action) || is_errno(pair->default_action);
    return is_soft && !is_named(pair->msg, name, SPAWN__V1__ACTION__ACTION_KILL_PROCESS, false) &&
           !is_named(pair->msg, name, SPAWN__V1__ACTION__ACTION_KILL_THREAD, false) &&
           !is_named(pair->msg, name, SPAWN__V1__ACTION__ACTION_TRAP, false);
}

/* Adds a refusal that is told, when the allowing filter can let it pass. */
static int add_told(struct pair *pair,
                    const char *name,
                    uint32_t error,
                    unsigned n_args,
                    const struct scmp_arg_cmp *args,
                    struct sb_err *err)
{
    int number = sb_floor_resolve(name);
    if (number < 0) {
        return 0;
    }
    if (!is_left_to_deny(pair, name)) {
        return add(pair->deny, SCMP_ACT_ERRNO(error), number, n_args, args, err);
    }
    if (add(pair->deny, told(error), number, n_args, args, err) < 0) {
        return -1;
    }
    bool passes = pair->default_action == SCMP_ACT_ALLOW || is_needed_by_init(name) ||
                  is_allowed(pair->msg, name);
    return passes ? 0 : add(pair->allow, SCMP_ACT_ALLOW, number, n_args, args, err);
}

static int add_name(struct pair *pair,
                    const Spawn__V1__FilterRule *rule,
                    const char *name,
                    uint32_t action,
                    struct sb_err *err)
{
    struct scmp_arg_cmp args[MAX_ARGS];
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
    if (is_told && !is_needed_by_init(name)) {
        return add_told(pair, name, rule->errno_value, n_args, args, err);
    }
    if (is_refusal(action) && add(pair->deny, action, number, n_args, args, err) < 0) {
        return -1;
    }
    if (is_errno(action) && call != NULL && is_left_to_deny(pair, name)) {
        return 0;
    }
    /* The allowing filter holds a refusal too where it has another default, unless the call is
     * allowed, which libseccomp does not take side by side. */
    if (action == pair->default_action ||
        (is_refusal(action) && (is_allowed(pair->msg, name) || is_needed_by_init(name)))) {
        return 0;
    }
    if (!is_refusal(action) && n_args > 0 && is_needed_by_init(name)) {
        return 0; /* allowed anyway, below */
    }
    return add(pair->allow, action, number, n_args, args, err);
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
        struct scmp_arg_cmp arg = {0, SCMP_CMP_MASKED_EQ, both, bits[i]};
        if (add_told(pair, "personality", EPERM, 1, &arg, err) < 0) {
            return -1;
        }
    }
    static const uint64_t fine_bits[] = {0x8, 0x20000};
    for (size_t i = 0; i < sizeof fine_bits / sizeof *fine_bits; i++) {
        struct scmp_arg_cmp arg = {0, SCMP_CMP_MASKED_EQ, bits[0] | fine_bits[i], bits[0]};
        if (add_told(pair, "personality", EPERM, 1, &arg, err) < 0) {
            return -1;
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
            failed =
                add(pair->deny, SCMP_ACT_ERRNO(rule->error), number, rule->n_args, rule->args, err);
        }
        if (failed < 0) {
            return sb_err_wrap(err, "floor: %s", rule->name);
        }
    }
    for (size_t i = 0; i < sb_floor_n_init_calls; i++) {
        int number = sb_floor_resolve(sb_floor_init_calls[i]);
        if (number >= 0 && pair->default_action != SCMP_ACT_ALLOW &&
            add(pair->allow, SCMP_ACT_ALLOW, number, 0, NULL, err) < 0) {
            return sb_err_wrap(err, "init: %s", sb_floor_init_calls[i]);
        }
    }
    return sb_mutated("floor.personality") ? 0 : add_personality(pair, err);
}

/* The program as the kernel takes it. */
static int export_program(scmp_filter_ctx ctx, struct sock_fprog *ret_program, struct sb_err *err)
{
    SB_CLEANUP(sb_closep) int fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0) {
        return sb_err_sys(err, errno, "make memfd");
    }
    int failed = seccomp_export_bpf(ctx, fd);
    if (failed != 0) {
        return sb_err_sys(err, -failed, "compile filter");
    }
    off_t size = lseek(fd, 0, SEEK_CUR);
    size_t len = size > 0 ? (size_t)size / sizeof(struct sock_filter) : 0;
    if (len == 0 || len > BPF_MAXINSNS) {
        return sb_err_set(err, SB_INVALID, "rules: %zu instructions, at most %d", len,
                          BPF_MAXINSNS);
    }
    SB_CLEANUP(sb_freep) struct sock_filter *code = calloc(len, sizeof *code);
    if (code == NULL) {
        return sb_err_oom(err);
    }
    if (pread(fd, code, len * sizeof *code, 0) != size) {
        return sb_err_set(err, SB_INTERNAL, "read compiled filter");
    }
    *ret_program = (struct sock_fprog){.len = (unsigned short)len, .filter = SB_STEAL_PTR(code)};
    return 0;
}

/* Puts into the marked returns what they stand for: the action, or, for 0, the errno alone. */
static void resolve_marks(const struct sock_fprog *program, uint32_t action)
{
    for (size_t i = 0; i < program->len; i++) {
        struct sock_filter *op = &program->filter[i];
        if (op->code == (BPF_RET | BPF_K) &&
            (op->k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_TRACE) {
            op->k = action != 0 ? action : SECCOMP_RET_ERRNO | (op->k & SECCOMP_RET_DATA);
        }
    }
}

/* Makes deny and notify of the marked program that deny is. */
static int split(struct sb_filter *filter, struct sb_err *err)
{
    size_t size = filter->deny.len * sizeof *filter->deny.filter;
    struct sock_filter *copy = size == 0 ? NULL : malloc(size);
    if (copy == NULL) {
        return sb_err_oom(err);
    }
    memcpy(copy, filter->deny.filter, size);
    filter->notify = (struct sock_fprog){.len = filter->deny.len, .filter = copy};
    resolve_marks(&filter->notify, SECCOMP_RET_USER_NOTIF);
    resolve_marks(&filter->deny, 0);
    return 0;
}

int sb_filter_compile(const Spawn__V1__LoadFilter *msg,
                      struct sb_filter *ret_filter,
                      struct sb_err *err)
{
    uint32_t default_action = 0;
    if (action_of(msg->default_action, msg->default_errno, &default_action, err) < 0) {
        return sb_err_wrap(err, "default_action");
    }
    if (msg->n_rules > MAX_RULES) {
        return sb_err_set(err, SB_INVALID, "rules: %zu, at most %d", msg->n_rules, MAX_RULES);
    }
    SB_CLEANUP(release) scmp_filter_ctx allow = new_context(default_action, err);
    SB_CLEANUP(release) scmp_filter_ctx deny = new_context(SCMP_ACT_ALLOW, err);
    if (allow == NULL || deny == NULL) {
        return -1;
    }
    struct pair pair = {.allow = allow, .deny = deny, .default_action = default_action, .msg = msg};
    /* The floor first: of two rules for one call and condition, libseccomp keeps the first. */
    if (add_floor(&pair, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < msg->n_rules; i++) {
        if (add_rule(&pair, msg->rules[i], err) < 0) {
            return sb_err_wrap(err, "rules[%zu]", i);
        }
    }
    struct sb_filter filter = {0};
    if (export_program(allow, &filter.allow, err) < 0 ||
        export_program(deny, &filter.deny, err) < 0 || split(&filter, err) < 0) {
        sb_filter_done(&filter);
        return -1;
    }
    *ret_filter = filter;
    return 0;
}

void sb_filter_done(struct sb_filter *filter)
{
    free(filter->allow.filter);
    free(filter->deny.filter);
    free(filter->notify.filter);
    *filter = (struct sb_filter){0};
}

int sb_filter_load(struct sb_filter_cache *cache,
                   const Spawn__V1__LoadFilter *msg,
                   uint64_t *ret_id,
                   struct sb_err *err)
{
    uint8_t packed[SB_FRAME_MAX];
    size_t len = spawn__v1__load_filter__get_packed_size(msg);
    if (len > sizeof packed) {
        return sb_err_set(err, SB_INVALID, "rules: %zu bytes, at most %d", len, SB_FRAME_MAX);
    }
    (void)spawn__v1__load_filter__pack(msg, packed);
    uint64_t hash = sb_hash_sip13(content_key, packed, len);
    for (size_t i = 0; i < cache->n; i++) {
        if (cache->entries[i].hash == hash && cache->entries[i].packed_len == len) {
            *ret_id = i + 1;
            return 0;
        }
    }
    if (cache->n == SB_FILTER_MAX_CACHED) {
        return sb_err_set(err, SB_EXHAUSTED, "%d different filters are loaded, which is the most",
                          SB_FILTER_MAX_CACHED);
    }
    struct sb_filter filter;
    if (sb_filter_compile(msg, &filter, err) < 0) {
        return sb_err_wrap(err, "filter %.64s", msg->name);
    }
    cache->entries[cache->n].hash = hash;
    cache->entries[cache->n].packed_len = len;
    cache->entries[cache->n].filter = filter;
    *ret_id = ++cache->n;
    return 0;
}

const struct sb_filter *sb_filter_find(const struct sb_filter_cache *cache, uint64_t id)
{
    return id == 0 || id > cache->n ? NULL : &cache->entries[id - 1].filter;
}

void sb_filter_cache_done(struct sb_filter_cache *cache)
{
    for (size_t i = 0; i < cache->n; i++) {
        sb_filter_done(&cache->entries[i].filter);
    }
    cache->n = 0;
}
