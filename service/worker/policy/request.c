#include "service/worker/policy/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/utf8.h"
#include "service/shared/egressproto.h"
#include "service/shared/network.h"

#define MOUNTS_MAX      32
#define LABELS_MAX      64
#define LABEL_BYTES_MAX 63
#define ENV_MAX         256
#define ENV_ENTRY_MAX   (32U << 10)
#define ENV_TOTAL_MAX   (128U << 10)
#define PATH_BYTES_MAX  4095
#define HOSTNAME_MAX    63
#define LIFE_MS_MAX     UINT64_C(31622400000) /* 366 days */
#define CONTROLS_MAX    63

/* "sandbox.limits": a field in messages. */
#define FIELD_SIZE 128

static int bad(struct sb_err *err, const char *field, const char *name, const char *text)
{
    return sb_err_set(err, SB_INVALID, "%s.%s: %s", field, name, text);
}

static bool only_has(struct sb_str text, const char *punctuation, bool allow_upper)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                        (allow_upper && c >= 'A' && c <= 'Z');
        if (!is_alnum && (c == '\0' || strchr(punctuation, c) == NULL)) {
            return false;
        }
    }
    return true;
}

/* ---- limits ---- */

static uint64_t limit_of(const Aisbx__V1__Limits *limits, size_t row)
{
    const uint64_t values[] = {
        limits->cpu_millis,   limits->memory_bytes,  limits->pids,           limits->wall_ms,
        limits->disk_bytes,   limits->inodes,        limits->file_bytes,     limits->open_files,
        limits->output_bytes, limits->io_read_bytes, limits->io_write_bytes, limits->io_read_ops,
        limits->io_write_ops, limits->io_weight,
    };
    return values[row];
}

static int take_limits(const Aisbx__V1__Limits *limits,
                       const char *field,
                       struct sb_limits *to,
                       struct sb_err *err)
{
    for (size_t i = 0; limits != NULL && i < sb_limits_table_n; i++) {
        const struct sb_limits_row *row = &sb_limits_table[i];
        uint64_t value = limit_of(limits, i);
        if (value == 0) {
            continue;
        }
        if (value < row->field.min || value > row->field.max) {
            return sb_err_set(err, SB_INVALID, "%s.limits.%s: %llu is outside %llu..%llu", field,
                              row->proto_name, (unsigned long long)value,
                              (unsigned long long)row->field.min,
                              (unsigned long long)row->field.max);
        }
        sb_limits_put(to, row, value);
    }
    return 0;
}

/* ---- network ---- */

static int take_rules(char **rules,
                      size_t n,
                      const char *field,
                      const char *name,
                      struct sb_strings *to,
                      struct sb_err *err)
{
    if (n > SB_NETWORK_RULES_MAX) {
        return bad(err, field, name, "more than 256 rules");
    }
    for (size_t i = 0; i < n; i++) {
        struct sb_network_rule rule;
        if (sb_network_parse_rule(sb_str_from(rules[i]), &rule, err) < 0) {
            bool is_long = strlen(rules[i]) > SB_NETWORK_RULE_MAX;
            return is_long ? sb_err_wrap(err, "%s.%s[%zu]", field, name, i)
                           : sb_err_wrap(err, "%s.%s[%zu] \"%s\"", field, name, i, rules[i]);
        }
        if (sb_strings_add(to, sb_str_from(rules[i]), err) < 0) {
            return -1;
        }
    }
    return 0;
}

int sb_request_network(const Aisbx__V1__Network *network,
                       const char *field,
                       struct sb_network *to,
                       struct sb_err *err)
{
    if ((int)network->mode < 0 || (int)network->mode > SB_NETWORK_LIMITED) {
        return bad(err, field, "mode", "unknown mode");
    }
    to->mode = (enum sb_network_mode)network->mode;
    to->has_allow = network->n_allow > 0;
    to->has_deny = network->n_deny > 0;
    if (take_rules(network->allow, network->n_allow, field, "allow", &to->allow, err) < 0) {
        return -1;
    }
    return take_rules(network->deny, network->n_deny, field, "deny", &to->deny, err);
}

static int take_network(const Aisbx__V1__SandboxSpec *spec,
                        const char *field,
                        struct sb_network *to,
                        struct sb_err *err)
{
    char at[FIELD_SIZE];
    (void)snprintf(at, sizeof at, "%s.network", field);
    return spec->network == NULL ? 0 : sb_request_network(spec->network, at, to, err);
}

/* ---- mounts ---- */

static int take_mount(const Aisbx__V1__Mount *mount,
                      const char *field,
                      struct sb_mounts *to,
                      struct sb_err *err)
{
    struct sb_str source = sb_str_from(mount->source);
    struct sb_str target = sb_str_from(mount->target);
    if (source.len == 0 || source.ptr[0] != '/' || source.len > PATH_BYTES_MAX) {
        return bad(err, field, "source", "an absolute path of at most 4095 bytes is expected");
    }
    if (sb_mounts_check_target(target, err) < 0) {
        return sb_err_wrap(err, "%s.target", field);
    }
    if ((int)mount->mode < 0 || mount->mode > AISBX__V1__MOUNT_MODE__MOUNT_MODE_OVERLAY) {
        return bad(err, field, "mode", "unknown mode");
    }
    bool is_overlay = mount->mode == AISBX__V1__MOUNT_MODE__MOUNT_MODE_OVERLAY;
    if (is_overlay && !sb_str_eq(target, SB_STR("/workspace"))) {
        return bad(err, field, "mode", "only /workspace can be copy-on-write");
    }
    if (sb_mounts_find(to, target) != NULL) {
        return bad(err, field, "target", "another mount has the same target");
    }
    struct sb_mount made = {
        .source = mount->source,
        .target = mount->target,
        .is_writable = mount->mode == AISBX__V1__MOUNT_MODE__MOUNT_MODE_RW,
        .is_overlay = is_overlay,
        .is_requested = true,
        .is_as_profile = mount->mode == AISBX__V1__MOUNT_MODE__MOUNT_MODE_UNSPECIFIED &&
                         sb_str_eq(target, SB_STR("/workspace")),
    };
    return sb_mounts_set(to, &made, err);
}

static int take_mounts(const Aisbx__V1__SandboxSpec *spec,
                       const char *field,
                       struct sb_mounts *to,
                       struct sb_err *err)
{
    if (spec->n_mounts > MOUNTS_MAX) {
        return bad(err, field, "mounts", "more than 32 mounts");
    }
    for (size_t i = 0; i < spec->n_mounts; i++) {
        char at[FIELD_SIZE];
        (void)snprintf(at, sizeof at, "%s.mounts[%zu]", field, i);
        if (take_mount(spec->mounts[i], at, to, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- environment and labels ---- */

int sb_request_check_env(struct sb_str name,
                         struct sb_str value,
                         const char *field,
                         size_t *total_bytes,
                         struct sb_err *err)
{
    if (name.len == 0 || sb_str_has_nul(name) || memchr(name.ptr, '=', name.len) != NULL) {
        return sb_err_set(err, SB_INVALID,
                          "%s: \"%.*s\" is not a variable name (empty, or with \"=\" or NUL)",
                          field, SB_STR_ARG(sb_str_head(name, 64)));
    }
    if (sb_str_has_nul(value)) {
        return sb_err_set(err, SB_INVALID, "%s: the value of \"%.*s\" has a NUL", field,
                          SB_STR_ARG(name));
    }
    size_t bytes = name.len + value.len + 2; /* "=" and NUL */
    if (bytes > ENV_ENTRY_MAX) {
        return sb_err_set(err, SB_INVALID, "%s: \"%.*s\" is longer than 32 KiB", field,
                          SB_STR_ARG(sb_str_head(name, 64)));
    }
    if (bytes > ENV_TOTAL_MAX - *total_bytes) {
        return sb_err_set(err, SB_INVALID, "%s: more than 128 KiB together", field);
    }
    *total_bytes += bytes;
    return 0;
}

static int take_env(const Aisbx__V1__SandboxSpec *spec,
                    const char *field,
                    struct sb_pairs *to,
                    struct sb_err *err)
{
    size_t total_bytes = 0;
    char at[FIELD_SIZE];
    (void)snprintf(at, sizeof at, "%s.env", field);
    if (spec->n_env > ENV_MAX) {
        return bad(err, field, "env", "more than 256 variables");
    }
    for (size_t i = 0; i < spec->n_env; i++) {
        struct sb_str name = sb_str_from(spec->env[i]->key);
        struct sb_str value = sb_str_from(spec->env[i]->value);
        if (sb_request_check_env(name, value, at, &total_bytes, err) < 0 ||
            sb_pairs_set(to, name, value, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int take_labels(const Aisbx__V1__SandboxSpec *spec,
                       const char *field,
                       struct sb_pairs *to,
                       struct sb_err *err)
{
    if (spec->n_labels > LABELS_MAX) {
        return bad(err, field, "labels", "more than 64 labels");
    }
    for (size_t i = 0; i < spec->n_labels; i++) {
        struct sb_str name = sb_str_from(spec->labels[i]->key);
        struct sb_str value = sb_str_from(spec->labels[i]->value);
        if (name.len == 0 || name.len > LABEL_BYTES_MAX || value.len > LABEL_BYTES_MAX ||
            !only_has(name, "._/-", true) || !only_has(value, "._/-", true)) {
            return sb_err_set(err, SB_INVALID,
                              "%s.labels[\"%.*s\"]: key and value have at most 63 characters of "
                              "[A-Za-z0-9._/-], the key at least one",
                              field, SB_STR_ARG(sb_str_head(name, 64)));
        }
        if (sb_pairs_set(to, name, value, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- the rest ---- */

static int take_profile(const Aisbx__V1__SandboxSpec *spec,
                        const char *field,
                        struct sb_request *to,
                        struct sb_err *err)
{
    struct sb_str name = sb_str_from(spec->profile);
    if (name.len > SB_PROFILE_NAME_MAX) {
        return bad(err, field, "profile", "longer than 63 characters");
    }
    if (name.len > 0) {
        to->profile = sb_str_dup(name);
        return to->profile == NULL ? sb_err_oom(err) : 0;
    }
    return 0;
}

static int take_driver(const Aisbx__V1__SandboxSpec *spec,
                       const char *field,
                       struct sb_request *to,
                       struct sb_err *err)
{
    for (int i = SB_DRIVER_UNSET; sb_driver_names[i] != NULL; i++) {
        if (strcmp(spec->driver, sb_driver_names[i]) == 0) {
            to->driver = (enum sb_driver)i;
            return 0;
        }
    }
    return bad(err, field, "driver", "one of native, bwrap, chroot is expected");
}

static int take_hostname(const Aisbx__V1__SandboxSpec *spec,
                         const char *field,
                         struct sb_request *to,
                         struct sb_err *err)
{
    struct sb_str name = sb_str_from(spec->hostname);
    if (name.len == 0) {
        name = SB_STR(SB_REQUEST_HOSTNAME);
    }
    if (name.len > HOSTNAME_MAX || !only_has(name, "-", false) || name.ptr[0] == '-' ||
        name.ptr[name.len - 1] == '-') {
        return bad(err, field, "hostname",
                   "at most 63 characters of [a-z0-9-] are expected, none of the ends a \"-\"");
    }
    to->hostname = sb_str_dup(name);
    return to->hostname == NULL ? sb_err_oom(err) : 0;
}

static int take_life(const Aisbx__V1__SandboxSpec *spec,
                     const char *field,
                     struct sb_request *to,
                     struct sb_err *err)
{
    if (spec->ttl_ms > LIFE_MS_MAX) {
        return bad(err, field, "ttl_ms", "longer than 366 days");
    }
    if (spec->idle_ms > LIFE_MS_MAX) {
        return bad(err, field, "idle_ms", "longer than 366 days");
    }
    to->ttl_ms = spec->ttl_ms;
    to->idle_ms = spec->idle_ms;
    return 0;
}

/* A control this build does not know can never be shown to be in force, so it is refused here. */
static int take_require(const Aisbx__V1__SandboxSpec *spec,
                        const char *field,
                        struct sb_request *to,
                        struct sb_err *err)
{
    for (size_t i = 0; i < spec->n_require; i++) {
        int control = (int)spec->require[i];
        if (control <= 0 || control > CONTROLS_MAX ||
            protobuf_c_enum_descriptor_get_value(&aisbx__v1__control__descriptor, control) ==
                NULL) {
            return sb_err_set(err, SB_INVALID, "%s.require[%zu]: unknown control %d", field, i,
                              control);
        }
        to->require |= UINT64_C(1) << control;
    }
    return 0;
}

static int take_secrets(const Aisbx__V1__SandboxSpec *spec,
                        const char *field,
                        struct sb_request *to,
                        struct sb_err *err)
{
    if (spec->n_without_secrets > SB_EGRESS_MAX_SECRETS) {
        return bad(err, field, "without_secrets", "more than 16 names");
    }
    for (size_t i = 0; i < spec->n_without_secrets; i++) {
        if (sb_strings_add(&to->without_secrets, sb_str_from(spec->without_secrets[i]), err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int take_packages(const Aisbx__V1__SandboxSpec *spec,
                         const char *field,
                         struct sb_request *to,
                         struct sb_err *err)
{
    if (spec->n_packages > SB_PACKAGES_MAX) {
        return bad(err, field, "packages", "more than 64 packages");
    }
    for (size_t i = 0; i < spec->n_packages; i++) {
        if (sb_strings_add(&to->packages, sb_str_from(spec->packages[i]), err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* For who asks for the same once more. */
static int
take_spec(const Aisbx__V1__SandboxSpec *spec, struct sb_request *request, struct sb_err *err)
{
    request->spec_len = aisbx__v1__sandbox_spec__get_packed_size(spec);
    request->spec = malloc(request->spec_len + 1);
    if (request->spec == NULL) {
        return sb_err_oom(err);
    }
    (void)aisbx__v1__sandbox_spec__pack(spec, request->spec);
    return 0;
}

int sb_request_make(const Aisbx__V1__SandboxSpec *spec,
                    const char *field,
                    struct sb_request **ret_request,
                    struct sb_err *err)
{
    static const Aisbx__V1__SandboxSpec empty = AISBX__V1__SANDBOX_SPEC__INIT;
    SB_CLEANUP(sb_request_freep)
    struct sb_request *request = (struct sb_request *)calloc(1, sizeof *request);
    if (request == NULL) {
        return sb_err_oom(err);
    }
    if (spec == NULL) {
        spec = &empty;
    }
    (void)snprintf(request->field, sizeof request->field, "%s", field);
    request->learns = spec->learn_syscalls;
    if (take_profile(spec, field, request, err) < 0 || take_driver(spec, field, request, err) < 0 ||
        take_limits(spec->limits, field, &request->limits, err) < 0 ||
        take_network(spec, field, &request->network, err) < 0 ||
        take_mounts(spec, field, &request->mounts, err) < 0 ||
        take_env(spec, field, &request->env, err) < 0 ||
        take_labels(spec, field, &request->labels, err) < 0 ||
        take_life(spec, field, request, err) < 0 || take_require(spec, field, request, err) < 0 ||
        take_hostname(spec, field, request, err) < 0 ||
        take_secrets(spec, field, request, err) < 0 ||
        take_packages(spec, field, request, err) < 0 || take_spec(spec, request, err) < 0) {
        return -1;
    }
    *ret_request = SB_STEAL_PTR(request);
    return 0;
}

void sb_request_free(struct sb_request *request)
{
    if (request == NULL) {
        return;
    }
    free(request->profile);
    sb_strings_done(&request->network.allow);
    sb_strings_done(&request->network.deny);
    sb_mounts_done(&request->mounts);
    sb_pairs_done(&request->env);
    sb_pairs_done(&request->labels);
    sb_strings_done(&request->without_secrets);
    sb_strings_done(&request->packages);
    free(request->hostname);
    free(request->spec);
    free(request);
}

void sb_request_freep(struct sb_request **request)
{
    sb_request_free(*request);
}
