/* Theory of operation. The text is scanned strictly, parsed by cJSON, and read key by key into a
 * LoadFilter message. Two forms are known: OCI's ("architectures", one flat list) and Docker's
 * ("archMap", rules with "includes" and "excludes"). An unknown key is refused rather than skipped:
 * a misspelt "args" would turn a narrow rule into a wide one. What cannot apply here (other
 * architectures, newer kernels, capabilities that no sandbox has) is left out on the spot, so the
 * spawner gets only rules that count. */
#include "service/worker/policy/seccomp_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json_scan.h"
#include "base/sha256.h"
#include "proto/json/json_node.h"
#include "service/worker/policy/seccomp_rule.h"

#define RULES_MAX   4096
#define NAMES_MAX   1024 /* of one rule */
#define CALL_MAX    64   /* characters of a system call's name */
#define ARGS_MAX    256
#define ERRNO_MAX   133
#define DEFAULT_RET EPERM

#if defined(__x86_64__)
#define NATIVE_SCMP "SCMP_ARCH_X86_64"
#elif defined(__aarch64__)
#define NATIVE_SCMP "SCMP_ARCH_AARCH64"
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE_SCMP "SCMP_ARCH_RISCV64"
#else
#error "name this architecture for seccomp profiles"
#endif

static const struct sb_json_choice actions[] = {
    {"SCMP_ACT_ALLOW", SPAWN__V1__ACTION__ACTION_ALLOW},
    {"SCMP_ACT_ERRNO", SPAWN__V1__ACTION__ACTION_ERRNO},
    {"SCMP_ACT_KILL", SPAWN__V1__ACTION__ACTION_KILL_THREAD},
    {"SCMP_ACT_KILL_THREAD", SPAWN__V1__ACTION__ACTION_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SPAWN__V1__ACTION__ACTION_KILL_PROCESS},
    {"SCMP_ACT_TRAP", SPAWN__V1__ACTION__ACTION_TRAP},
    {"SCMP_ACT_LOG", SPAWN__V1__ACTION__ACTION_LOG},
    {"SCMP_ACT_NOTIFY", SPAWN__V1__ACTION__ACTION_NOTIFY},
};

static const struct sb_json_choice compares[] = {
    {"SCMP_CMP_NE", SPAWN__V1__COMPARE__COMPARE_NE},
    {"SCMP_CMP_LT", SPAWN__V1__COMPARE__COMPARE_LT},
    {"SCMP_CMP_LE", SPAWN__V1__COMPARE__COMPARE_LE},
    {"SCMP_CMP_EQ", SPAWN__V1__COMPARE__COMPARE_EQ},
    {"SCMP_CMP_GE", SPAWN__V1__COMPARE__COMPARE_GE},
    {"SCMP_CMP_GT", SPAWN__V1__COMPARE__COMPARE_GT},
    {"SCMP_CMP_MASKED_EQ", SPAWN__V1__COMPARE__COMPARE_MASKED_EQ},
};

/* ---- errno values ---- */

/* "EPERM" under @name_key, or a number under @number_key; the number wins. */
static int read_errno(const struct sb_json_node *parent,
                      const char *number_key,
                      const char *name_key,
                      uint32_t *ret_value,
                      struct sb_err *err)
{
    struct sb_json_node number = sb_json_node_member(parent, number_key);
    struct sb_json_node name = sb_json_node_member(parent, name_key);
    uint64_t value = DEFAULT_RET;
    if (!sb_json_node_is_absent(&number)) {
        if (sb_json_node_read_number(&number, 4095, &value, err) < 0) {
            return -1;
        }
    } else if (!sb_json_node_is_absent(&name)) {
        if (!cJSON_IsString(name.json)) {
            return sb_json_node_refuse(&name, err, "a name in quotes is expected");
        }
        const char *known = NULL;
        for (value = 1; value <= ERRNO_MAX; value++) {
            known = strerrorname_np((int)value);
            if (known != NULL && strcmp(known, name.json->valuestring) == 0) {
                break;
            }
        }
        if (value > ERRNO_MAX) {
            return sb_json_node_refuse(&name, err, "not the name of an errno");
        }
    }
    *ret_value = (uint32_t)value;
    return 0;
}

/* ---- rules ---- */

static int
read_arg(const struct sb_json_node *node, Spawn__V1__FilterArg **ret_arg, struct sb_err *err)
{
    static const char *const keys[] = {"index", "value", "valueTwo", "op"};
    uint64_t index = 0;
    uint64_t value = 0;
    uint64_t value_two = 0;
    int op = 0;
    if (sb_json_node_check_keys(node, keys, sizeof keys / sizeof keys[0], err) < 0) {
        return -1;
    }
    struct sb_json_node at = sb_json_node_member(node, "index");
    if (sb_json_node_read_number(&at, 5, &index, err) < 0) {
        return -1;
    }
    at = sb_json_node_member(node, "value");
    if (sb_json_node_read_number(&at, SB_JSON_NODE_EXACT_MAX, &value, err) < 0) {
        return -1;
    }
    at = sb_json_node_member(node, "valueTwo");
    if (!sb_json_node_is_absent(&at) &&
        sb_json_node_read_number(&at, SB_JSON_NODE_EXACT_MAX, &value_two, err) < 0) {
        return -1;
    }
    at = sb_json_node_member(node, "op");
    if (sb_json_node_read_choice(&at, compares, sizeof compares / sizeof compares[0], &op, err) <
        0) {
        return -1;
    }
    Spawn__V1__FilterArg *arg = (Spawn__V1__FilterArg *)malloc(sizeof *arg);
    if (arg == NULL) {
        return sb_err_oom(err);
    }
    spawn__v1__filter_arg__init(arg);
    arg->index = (uint32_t)index;
    arg->value = value;
    arg->value_two = value_two;
    arg->op = (Spawn__V1__Compare)op;
    *ret_arg = arg;
    return 0;
}

static int
read_args(const struct sb_json_node *list, Spawn__V1__FilterRule *rule, struct sb_err *err)
{
    if (sb_json_node_is_absent(list)) {
        return 0;
    }
    if (sb_json_node_expect_list(list, err) < 0) {
        return -1;
    }
    size_t n = (size_t)cJSON_GetArraySize(list->json);
    if (n > ARGS_MAX) {
        return sb_json_node_refuse(list, err, "more than 256 conditions");
    }
    rule->args = (Spawn__V1__FilterArg **)calloc(n + 1, sizeof(Spawn__V1__FilterArg *));
    if (rule->args == NULL) {
        return sb_err_oom(err);
    }
    for (const cJSON *json = list->json->child; json != NULL; json = json->next) {
        struct sb_json_node at = sb_json_node_element(list, json, rule->n_args);
        if (read_arg(&at, &rule->args[rule->n_args], err) < 0) {
            return -1;
        }
        rule->n_args++;
    }
    return 0;
}

static bool is_call_name(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len <= CALL_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

static int
add_name(const struct sb_json_node *node, Spawn__V1__FilterRule *rule, struct sb_err *err)
{
    if (!cJSON_IsString(node->json) || !is_call_name(node->json->valuestring)) {
        return sb_json_node_refuse(node, err, "the name of a system call is expected");
    }
    char *copy = strdup(node->json->valuestring);
    if (copy == NULL) {
        return sb_err_oom(err);
    }
    rule->names[rule->n_names++] = copy;
    return 0;
}

static int
read_names(const struct sb_json_node *syscall, Spawn__V1__FilterRule *rule, struct sb_err *err)
{
    struct sb_json_node list = sb_json_node_member(syscall, "names");
    struct sb_json_node single = sb_json_node_member(syscall, "name");
    bool has_list = !sb_json_node_is_absent(&list);
    if (has_list != sb_json_node_is_absent(&single)) {
        return sb_json_node_refuse(syscall, err, "either \"names\" or \"name\" is expected");
    }
    if (has_list && sb_json_node_expect_list(&list, err) < 0) {
        return -1;
    }
    size_t n = has_list ? (size_t)cJSON_GetArraySize(list.json) : 1;
    if (n > NAMES_MAX) {
        return sb_json_node_refuse(&list, err, "more than 1024 names");
    }
    rule->names = (char **)calloc(n + 1, sizeof(char *));
    if (rule->names == NULL) {
        return sb_err_oom(err);
    }
    if (!has_list) {
        return add_name(&single, rule, err);
    }
    for (const cJSON *json = list.json->child; json != NULL; json = json->next) {
        struct sb_json_node at = sb_json_node_element(&list, json, rule->n_names);
        if (add_name(&at, rule, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static void free_rule(Spawn__V1__FilterRule **rule)
{
    if (*rule != NULL) {
        spawn__v1__filter_rule__free_unpacked(*rule, NULL);
    }
}

static Spawn__V1__FilterRule *new_rule(void)
{
    Spawn__V1__FilterRule *rule = (Spawn__V1__FilterRule *)malloc(sizeof *rule);
    if (rule != NULL) {
        spawn__v1__filter_rule__init(rule);
    }
    return rule;
}

static bool needs_errno(Spawn__V1__Action action)
{
    return action == SPAWN__V1__ACTION__ACTION_ERRNO || action == SPAWN__V1__ACTION__ACTION_NOTIFY;
}

/* The whole of one rule; *ret_rule is NULL when it does not apply here. */
static int
read_rule(const struct sb_json_node *node, Spawn__V1__FilterRule **ret_rule, struct sb_err *err)
{
    static const char *const keys[] = {"names", "name",     "action",   "errnoRet", "errno",
                                       "args",  "includes", "excludes", "comment"};
    SB_CLEANUP(free_rule) Spawn__V1__FilterRule *rule = new_rule();
    int action = 0;
    bool applies = false;
    if (rule == NULL) {
        return sb_err_oom(err);
    }
    if (sb_json_node_check_keys(node, keys, sizeof keys / sizeof keys[0], err) < 0) {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): its cleanup frees what it holds
        return -1;
    }
    struct sb_json_node action_node = sb_json_node_member(node, "action");
    struct sb_json_node args = sb_json_node_member(node, "args");
    if (read_names(node, rule, err) < 0 ||
        sb_json_node_read_choice(&action_node, actions, sizeof actions / sizeof actions[0], &action,
                                 err) < 0 ||
        read_errno(node, "errnoRet", "errno", &rule->errno_value, err) < 0 ||
        read_args(&args, rule, err) < 0 || sb_seccomp_rule_applies(node, &applies, err) < 0) {
        return -1;
    }
    rule->action = (Spawn__V1__Action)action;
    if (rule->errno_value == 0 && needs_errno(rule->action)) {
        return sb_json_node_refuse(node, err, "errno 0 would make a refusal look like success");
    }
    *ret_rule = applies && rule->n_names > 0 ? SB_STEAL_PTR(rule) : NULL;
    return 0;
}

/* ---- the filter ---- */

static int add_rule(Spawn__V1__LoadFilter *filter, Spawn__V1__FilterRule *rule, struct sb_err *err)
{
    if (filter->n_rules == RULES_MAX) {
        spawn__v1__filter_rule__free_unpacked(rule, NULL);
        return sb_err_set(err, SB_INVALID, "syscalls: more than %d rules", RULES_MAX);
    }
    filter->rules[filter->n_rules++] = rule;
    return 0;
}

/* OCI means "or" when one argument has several conditions; libseccomp would refuse such a rule, so
 * it becomes one rule per condition, as runc does it. */
static bool has_repeated_index(const Spawn__V1__FilterRule *rule)
{
    unsigned seen = 0;
    for (size_t i = 0; i < rule->n_args; i++) {
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): n_args of them are there
        unsigned bit = 1U << rule->args[i]->index;
        if ((seen & bit) != 0) {
            return true;
        }
        seen |= bit;
    }
    return false;
}

static Spawn__V1__FilterRule *copy_without_args(const Spawn__V1__FilterRule *rule)
{
    Spawn__V1__FilterRule *copy = new_rule();
    if (copy == NULL) {
        return NULL;
    }
    copy->action = rule->action;
    copy->errno_value = rule->errno_value;
    copy->names = (char **)calloc(rule->n_names, sizeof(char *));
    copy->args = (Spawn__V1__FilterArg **)calloc(1, sizeof(Spawn__V1__FilterArg *));
    for (size_t i = 0; copy->names != NULL && copy->args != NULL && i < rule->n_names; i++) {
        copy->names[i] = strdup(rule->names[i]);
        if (copy->names[i] == NULL) {
            break;
        }
        copy->n_names++;
    }
    if (copy->args == NULL || copy->n_names < rule->n_names) {
        spawn__v1__filter_rule__free_unpacked(copy, NULL);
        return NULL;
    }
    return copy;
}

static int
add_split_rule(Spawn__V1__LoadFilter *filter, Spawn__V1__FilterRule *rule, struct sb_err *err)
{
    SB_CLEANUP(free_rule) Spawn__V1__FilterRule *owned = rule;
    if (!has_repeated_index(rule)) {
        return add_rule(filter, SB_STEAL_PTR(owned), err);
    }
    while (rule->n_args > 0) {
        Spawn__V1__FilterRule *copy = copy_without_args(rule);
        if (copy == NULL) {
            return sb_err_oom(err);
        }
        copy->args[copy->n_args++] = rule->args[--rule->n_args];
        if (add_rule(filter, copy, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
read_syscalls(const struct sb_json_node *list, Spawn__V1__LoadFilter *filter, struct sb_err *err)
{
    size_t i = 0;
    if (sb_json_node_is_absent(list)) {
        return 0;
    }
    if (sb_json_node_expect_list(list, err) < 0) {
        return -1;
    }
    filter->rules = (Spawn__V1__FilterRule **)calloc(RULES_MAX, sizeof(Spawn__V1__FilterRule *));
    if (filter->rules == NULL) {
        return sb_err_oom(err);
    }
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): rules are the filter's
    for (const cJSON *json = list->json->child; json != NULL; json = json->next) {
        Spawn__V1__FilterRule *rule = NULL;
        struct sb_json_node at = sb_json_node_element(list, json, i++);
        if (read_rule(&at, &rule, err) < 0 ||
            (rule != NULL && add_split_rule(filter, rule, err) < 0)) {
            return -1;
        }
    }
    return 0;
}

/* OCI names architectures in one list, Docker maps each to those that run on it. */
static int check_arches(const struct sb_json_node *root, struct sb_err *err)
{
    static const char *const keys[] = {"architecture", "subArchitectures"};
    struct sb_json_node flat = sb_json_node_member(root, "architectures");
    struct sb_json_node map = sb_json_node_member(root, "archMap");
    bool found = sb_json_node_is_absent(&flat) && sb_json_node_is_absent(&map);
    size_t i = 0;
    if (!sb_json_node_is_absent(&flat)) {
        if (sb_json_node_list_has(&flat, NATIVE_SCMP, &found, err) < 0) {
            return -1;
        }
        found = found || flat.json->child == NULL;
    }
    if (!sb_json_node_is_absent(&map) && sb_json_node_expect_list(&map, err) < 0) {
        return -1;
    }
    const cJSON *json = sb_json_node_is_absent(&map) ? NULL : map.json->child;
    for (; json != NULL; json = json->next) {
        struct sb_json_node at = sb_json_node_element(&map, json, i++);
        if (sb_json_node_check_keys(&at, keys, sizeof keys / sizeof keys[0], err) < 0) {
            return -1;
        }
        struct sb_json_node arch = sb_json_node_member(&at, "architecture");
        if (!cJSON_IsString(arch.json)) {
            return sb_json_node_refuse(&arch, err, "a name in quotes is expected");
        }
        found = found || strcmp(arch.json->valuestring, NATIVE_SCMP) == 0;
    }
    if (!found) {
        return sb_err_set(err, SB_INVALID,
                          "architectures: this machine's, " NATIVE_SCMP ", is not among them");
    }
    return 0;
}

static int
read_filter(const struct sb_json_node *root, Spawn__V1__LoadFilter *filter, struct sb_err *err)
{
    static const char *const keys[] = {"defaultAction", "defaultErrnoRet", "defaultErrno",
                                       "architectures", "archMap",         "flags",
                                       "syscalls",      "comment"};
    int action = 0;
    if (sb_json_node_check_keys(root, keys, sizeof keys / sizeof keys[0], err) < 0) {
        return -1;
    }
    struct sb_json_node default_action = sb_json_node_member(root, "defaultAction");
    struct sb_json_node syscalls = sb_json_node_member(root, "syscalls");
    if (sb_json_node_read_choice(&default_action, actions, sizeof actions / sizeof actions[0],
                                 &action, err) < 0 ||
        read_errno(root, "defaultErrnoRet", "defaultErrno", &filter->default_errno, err) < 0 ||
        check_arches(root, err) < 0) {
        return -1;
    }
    filter->default_action = (Spawn__V1__Action)action;
    if (filter->default_errno == 0 && needs_errno(filter->default_action)) {
        return sb_json_node_refuse(root, err, "errno 0 would make a refusal look like success");
    }
    return read_syscalls(&syscalls, filter, err);
}

static void free_json(cJSON **json)
{
    cJSON_Delete(*json);
}

static void unref_filter(struct sb_filter **filter)
{
    sb_filter_unref(*filter);
}

static struct sb_filter *new_filter(const char *name)
{
    struct sb_filter *filter = (struct sb_filter *)calloc(1, sizeof *filter);
    Spawn__V1__LoadFilter *message = (Spawn__V1__LoadFilter *)malloc(sizeof *message);
    char *copy = strdup(name);
    if (filter == NULL || message == NULL || copy == NULL) {
        free(filter);
        free(message);
        free(copy);
        return NULL;
    }
    spawn__v1__load_filter__init(message);
    message->name = copy;
    filter->message = message;
    filter->refs = 1;
    return filter;
}

/* The name is for people, and does not make another filter of the same rules. */
static int hash_filter(struct sb_filter *filter, struct sb_err *err)
{
    Spawn__V1__LoadFilter nameless = *filter->message;
    char empty[] = "";
    nameless.name = empty;
    size_t len = spawn__v1__load_filter__get_packed_size(&nameless);
    SB_CLEANUP(sb_freep) uint8_t *packed = (uint8_t *)malloc(len + 1);
    if (packed == NULL) {
        return sb_err_oom(err);
    }
    (void)spawn__v1__load_filter__pack(&nameless, packed);
    sb_sha256_hex(sb_str_of(packed, len), filter->hash);
    return 0;
}

int sb_seccomp_json_parse(const char *name,
                          struct sb_str json,
                          struct sb_filter **ret_filter,
                          struct sb_err *err)
{
    static const struct sb_json_scan_limits limits = {
        .bytes = SB_SECCOMP_JSON_MAX, .depth = 16, .values = 100000};
    if (sb_json_scan(json, &limits, err) < 0) {
        return -1;
    }
    SB_CLEANUP(free_json) cJSON *parsed = cJSON_ParseWithLength(json.ptr, json.len);
    SB_CLEANUP(unref_filter) struct sb_filter *filter = new_filter(name);
    if (parsed == NULL || filter == NULL) {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): its cleanup frees what it holds
        return sb_err_oom(err);
    }
    struct sb_json_node root = {.json = parsed};
    if (read_filter(&root, filter->message, err) < 0 || hash_filter(filter, err) < 0) {
        return -1;
    }
    *ret_filter = SB_STEAL_PTR(filter);
    return 0;
}

struct sb_filter *sb_filter_ref(struct sb_filter *filter)
{
    filter->refs++;
    return filter;
}

void sb_filter_unref(struct sb_filter *filter)
{
    if (filter == NULL || --filter->refs > 0) {
        return;
    }
    spawn__v1__load_filter__free_unpacked(filter->message, NULL);
    free(filter);
}
