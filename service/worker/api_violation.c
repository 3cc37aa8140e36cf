#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/field.h"
#include "base/num.h"
#include "service/worker/api_pb.h"
#include "service/worker/denials.h"
#include "service/worker/policy/limits.h"
#include "service/worker/policy/network_limits.h"
#include "service/worker/policy/network_policy.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/seccomp_json.h"
#include "service/worker/verdict.h"

enum { MAX_TEXT = 8192, MAX_VIOLATIONS = 64 };

#define KIND(name) AISBX__V1__VIOLATION_KIND__VIOLATION_KIND_##name

static bool set(char **field, struct sb_buf *text)
{
    return sb_buf_cstr(text) != NULL && sb_api_pb_text(field, sb_buf_cstr(text));
}

static bool is_of_profile(const struct sb_policy *policy, const char *rule)
{
    for (size_t i = 0; i < policy->ceiling.deny.n; i++) {
        if (strcmp(policy->ceiling.deny.items[i], rule) == 0) {
            return true;
        }
    }
    return false;
}

/* Of a secret that was sent where it may not go. */
static bool explain_secret(const struct sb_policy *policy,
                           const struct sb_denial *denial,
                           Aisbx__V1__Violation *msg)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf rule = SB_BUF_INIT(MAX_TEXT);
    SB_CLEANUP(sb_buf_done) struct sb_buf change = SB_BUF_INIT(MAX_TEXT);
    const struct sb_profile_secret *secret =
        sb_profile_secrets_find(&policy->secrets, sb_str_from(denial->rule));
    if (denial->allow[0] == '\0') {
        return sb_buf_printf(&rule, "secrets.%s: no profile can allow it", denial->rule) == 0 &&
               set(&msg->decided_by, &rule);
    }
    return sb_buf_printf(&rule, "secrets.%s.hosts: none is this host (%s)", denial->rule,
                         secret == NULL ? "the profile" : secret->said) == 0 &&
           sb_buf_printf(&change, "secrets: {%s: {hosts: [\"%s\"]}} beside those that are there",
                         denial->rule, denial->allow) == 0 &&
           set(&msg->decided_by, &rule) && set(&msg->allow_with, &change);
}

/* Of a host: whether the profile would have to change, or what was asked for. */
static bool explain_host(const struct sb_policy *policy,
                         const struct sb_denial *denial,
                         Aisbx__V1__Violation *msg)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf rule = SB_BUF_INIT(MAX_TEXT);
    SB_CLEANUP(sb_buf_done) struct sb_buf change = SB_BUF_INIT(MAX_TEXT);
    int rc = 0;
    if (denial->is_secret) {
        return explain_secret(policy, denial, msg);
    }
    if (denial->rule == NULL && (denial->allow == NULL || denial->allow[0] == '\0')) {
        return sb_api_pb_text(&msg->decided_by, "egress proxy: no rule can allow it");
    }
    if (denial->rule != NULL && is_of_profile(policy, denial->rule)) {
        rc = sb_buf_printf(&rule, "network.deny: %s (%s)", denial->rule, policy->deny_said) < 0 ||
             sb_buf_printf(&change, "network.deny without \"%s\"", denial->rule) < 0;
    } else if (denial->rule != NULL) {
        rc = sb_buf_printf(&rule, "network.deny of the request: %s", denial->rule) < 0 ||
             sb_buf_printf(&change, "network.deny of the request without \"%s\"", denial->rule) < 0;
    } else if (!sb_network_policy_gives(policy, denial->allow)) {
        rc = sb_buf_printf(&rule, "network.allow: no rule matches (%s)", policy->allow_said) < 0 ||
             sb_buf_printf(&change, "network: {allow: [\"%s\"]} beside the rules that are there",
                           denial->allow) < 0;
    } else if (policy->network.mode == SB_NETWORK_NONE) {
        rc = sb_buf_printf(&rule, "network.mode of the request: none") < 0 ||
             sb_buf_printf(&change, "network: {mode: limited} in the request") < 0;
    } else {
        rc = sb_buf_printf(&rule, "network.allow of the request: no rule matches") < 0 ||
             sb_buf_printf(&change,
                           "network: {allow: [\"%s\"]} in the request, beside what it allows",
                           denial->allow) < 0;
    }
    return rc == 0 && set(&msg->decided_by, &rule) && set(&msg->allow_with, &change);
}

/* The line that set a bound of the network, and one that gives twice as much. */
static bool explain_bound(const struct sb_policy *policy,
                          const struct sb_denial *denial,
                          Aisbx__V1__Violation *msg)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf rule = SB_BUF_INIT(MAX_TEXT);
    SB_CLEANUP(sb_buf_done) struct sb_buf change = SB_BUF_INIT(MAX_TEXT);
    char value[SB_NUM_TEXT_SIZE];
    size_t i = 0;
    while (i < sb_network_limits_n &&
           strcmp(denial->name + strlen("network."), sb_network_limits[i].name.ptr) != 0) {
        i++;
    }
    uint64_t now = i == sb_network_limits_n
                       ? 0
                       : sb_network_limits_get(&policy->network, &sb_network_limits[i]);
    if (now == 0) { /* not the profile's */
        return sb_api_pb_text(&msg->decided_by, "egress proxy: no profile can allow more");
    }
    const struct sb_field *field = &sb_network_limits[i];
    struct sb_network more = policy->network;
    sb_network_limits_put(&more, field, now > field->max / 2 ? field->max : now * 2);
    return sb_buf_printf(&rule, "%s: %s (%s)", denial->name,
                         sb_field_format(field, &policy->network, value, sizeof value),
                         policy->network_said.items[i]) == 0 &&
           set(&msg->decided_by, &rule) &&
           (now == field->max ||
            (sb_buf_printf(&change, "network: {%s: %s}", field->name.ptr,
                           sb_field_format(field, &more, value, sizeof value)) == 0 &&
             set(&msg->allow_with, &change)));
}

static const struct sb_mount *find_mount(const struct sb_policy *policy, const char *path)
{
    for (size_t i = 0; i < policy->mounts.n; i++) {
        size_t len = strlen(policy->mounts.items[i].target);
        if (strncmp(path, policy->mounts.items[i].target, len) == 0 &&
            (path[len] == '\0' || path[len] == '/')) {
            return &policy->mounts.items[i];
        }
    }
    return NULL;
}

/* Landlock opens what the mounts show, and as they show it. */
static bool explain_path(const struct sb_policy *policy,
                         const struct sb_denial *denial,
                         Aisbx__V1__Violation *msg)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf rule = SB_BUF_INIT(MAX_TEXT);
    SB_CLEANUP(sb_buf_done) struct sb_buf change = SB_BUF_INIT(MAX_TEXT);
    const struct sb_mount *mount = find_mount(policy, denial->name);
    if (mount == NULL || mount->is_writable || mount->is_overlay) {
        return sb_api_pb_text(&msg->decided_by, "built-in file system: no profile can allow it");
    }
    const char *where = mount->is_requested ? " of the request" : "";
    return sb_buf_printf(&rule, "mounts%s: %s is read-only", where, mount->target) == 0 &&
           sb_buf_printf(&change, "mounts: [{source: \"%s\", target: \"%s\", mode: rw}]%s%s",
                         mount->source, mount->target, where[0] == '\0' ? "" : " in",
                         where[0] == '\0' ? "" : " the request") == 0 &&
           set(&msg->decided_by, &rule) && set(&msg->allow_with, &change);
}

/** Which line decided, and what would have to change. */
static bool
explain(const struct sb_policy *policy, const struct sb_denial *denial, Aisbx__V1__Violation *msg)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf rule = SB_BUF_INIT(MAX_TEXT);
    SB_CLEANUP(sb_buf_done) struct sb_buf change = SB_BUF_INIT(MAX_TEXT);
    if (denial->kind == SB_DENIAL_HOST) {
        return explain_host(policy, denial, msg);
    }
    if (denial->kind == SB_DENIAL_BOUND) {
        return explain_bound(policy, denial, msg);
    }
    if (denial->kind == SB_DENIAL_PATH) {
        return explain_path(policy, denial, msg);
    }
    if (!denial->is_by_rule) {
        return sb_api_pb_text(&msg->decided_by, "built-in floor: no profile can allow it");
    }
    const char *list = policy->filter->message->name;
    return sb_buf_printf(&rule, "seccomp %s: a rule of it refuses the call", list) == 0 &&
           sb_buf_printf(&change,
                         "seccomp: a copy of %s with {\"names\": [\"%s\"], \"action\": "
                         "\"SCMP_ACT_ALLOW\"} in its place",
                         list, denial->name) == 0 &&
           set(&msg->decided_by, &rule) && set(&msg->allow_with, &change);
}

static Aisbx__V1__Violation *violation_new(Aisbx__V1__ViolationKind kind,
                                           const char *subject,
                                           uint64_t count,
                                           const char *profile)
{
    Aisbx__V1__Violation *msg = sb_api_pb_new(&aisbx__v1__violation__descriptor);
    if (msg == NULL) {
        return NULL;
    }
    msg->kind = kind;
    msg->count = count;
    if (!sb_api_pb_text(&msg->subject, subject) || !sb_api_pb_text(&msg->profile, profile)) {
        aisbx__v1__violation__free_unpacked(msg, NULL);
        return NULL;
    }
    return msg;
}

Aisbx__V1__Violation *sb_api_pb_violation(const struct sb_policy *policy,
                                          const struct sb_denial *denial)
{
    static const Aisbx__V1__ViolationKind kinds[] = {
        [SB_DENIAL_CALL] = AISBX__V1__VIOLATION_KIND__VIOLATION_KIND_SYSCALL,
        [SB_DENIAL_HOST] = AISBX__V1__VIOLATION_KIND__VIOLATION_KIND_HOST,
        [SB_DENIAL_BOUND] = AISBX__V1__VIOLATION_KIND__VIOLATION_KIND_LIMIT,
        [SB_DENIAL_PATH] = AISBX__V1__VIOLATION_KIND__VIOLATION_KIND_PATH,
    };
    char detail[SB_DENIAL_TEXT_SIZE];
    uint64_t count = denial->count == 0 ? 1 : denial->count;
    Aisbx__V1__Violation *msg =
        violation_new(kinds[denial->kind], denial->name, count, policy->profile);
    if (msg != NULL && (!sb_api_pb_text(&msg->detail, sb_denials_describe(denial, detail)) ||
                        !explain(policy, denial, msg))) {
        aisbx__v1__violation__free_unpacked(msg, NULL);
        return NULL;
    }
    return msg;
}

/** The row that a limit has; sb_limits_table_n: none, as no profile sets it. */
static size_t row_of(const char *name)
{
    size_t i = 0;
    while (i < sb_limits_table_n && strcmp(sb_limits_table[i].field.name.ptr, name) != 0) {
        i++;
    }
    return i;
}

/** The line that set a limit, and one that gives twice as much: of the profile, or of the request
 *  when that asked for less. */
static bool
explain_limit(const struct sb_policy *policy, const struct sb_met *met, Aisbx__V1__Violation *msg)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf rule = SB_BUF_INIT(MAX_TEXT);
    SB_CLEANUP(sb_buf_done) struct sb_buf change = SB_BUF_INIT(MAX_TEXT);
    size_t i = row_of(met->name);
    if (i == sb_limits_table_n) {
        return sb_api_pb_text(&msg->decided_by, "built-in limit: no profile can raise it");
    }
    const struct sb_limits_row *row = &sb_limits_table[i];
    const struct sb_field *field = &row->field;
    struct sb_limits limits = policy->limits;
    char value[SB_NUM_TEXT_SIZE];
    char given[SB_NUM_TEXT_SIZE];
    bool is_of_exec = met->value != 0 && met->value != sb_limits_get(&limits, row);
    bool is_of_request = is_of_exec || (policy->lowered >> i & 1) != 0;
    const char *where = i < policy->limits_said.n ? policy->limits_said.items[i] : "the profile";
    if (is_of_exec) {
        sb_limits_put(&limits, row, met->value);
    }
    if (sb_buf_printf(&rule, "limits.%s: %s (%s)", met->name,
                      sb_field_format(field, &limits, value, sizeof value),
                      is_of_request ? "the request" : where) < 0 ||
        !set(&msg->decided_by, &rule)) {
        return false;
    }
    uint64_t now = sb_limits_get(&limits, row);
    uint64_t most = is_of_request ? sb_limits_get(&policy->most, row) : field->max;
    if (now == most) {
        return true;
    }
    sb_limits_put(&limits, row, now > most / 2 ? most : now * 2);
    (void)sb_field_format(field, &limits, value, sizeof value);
    (void)sb_field_format(field, &policy->most, given, sizeof given);
    return (is_of_request
                ? sb_buf_printf(&change, "limits: {%s: %s} in the request; its profile gives %s",
                                met->name, value, given)
                : sb_buf_printf(&change, "limits: {%s: %s}", met->name, value)) == 0 &&
           set(&msg->allow_with, &change);
}

static Aisbx__V1__Violation *limit_new(const struct sb_policy *policy, const struct sb_met *met)
{
    Aisbx__V1__Violation *msg = violation_new(KIND(LIMIT), met->name, met->count, policy->profile);
    if (msg != NULL &&
        (!sb_api_pb_text(&msg->detail, met->detail) || !explain_limit(policy, met, msg))) {
        aisbx__v1__violation__free_unpacked(msg, NULL);
        return NULL;
    }
    return msg;
}

bool sb_api_pb_violations(const struct sb_policy *policy,
                          const struct sb_denials *denials,
                          const struct sb_verdict *verdict,
                          size_t *ret_n,
                          Aisbx__V1__Violation ***ret_violations)
{
    size_t n_met = verdict == NULL ? 0 : verdict->n_met;
    uint64_t n_more = denials->n_more;
    *ret_n = 0;
    if (denials->n == 0 && n_met == 0) {
        return true;
    }
    *ret_violations = calloc(MAX_VIOLATIONS, sizeof(Aisbx__V1__Violation *));
    if (*ret_violations == NULL) {
        return false;
    }
    for (size_t i = 0; i < n_met; i++) {
        Aisbx__V1__Violation *msg = limit_new(policy, &verdict->met[i]);
        if (msg == NULL) {
            return false;
        }
        (*ret_violations)[(*ret_n)++] = msg;
    }
    for (size_t i = 0; i < 2 * denials->n; i++) { /* limits come first */
        const struct sb_denial *denial = &denials->items[i % denials->n];
        if ((denial->kind == SB_DENIAL_BOUND) != (i < denials->n)) {
            continue;
        }
        if (*ret_n == MAX_VIOLATIONS - 1) { /* the last is for the others */
            n_more += denial->count;
            continue;
        }
        Aisbx__V1__Violation *msg = sb_api_pb_violation(policy, denial);
        if (msg == NULL) {
            return false;
        }
        (*ret_violations)[(*ret_n)++] = msg;
    }
    if (n_more > 0) {
        Aisbx__V1__Violation *msg =
            violation_new(KIND(UNSPECIFIED), "others", n_more, policy->profile);
        if (msg == NULL) {
            return false;
        }
        (*ret_violations)[(*ret_n)++] = msg;
        return sb_api_pb_text(&msg->detail, "denials of further kinds, not told apart");
    }
    return true;
}
