#include "service/worker/policy/seccomp_rule.h"

#include <stdint.h>
#include <sys/utsname.h>

#include <cjson/cJSON.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "proto/json/json_node.h"

#if defined(__x86_64__)
#define NATIVE_GO "amd64"
#elif defined(__aarch64__)
#define NATIVE_GO "arm64"
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE_GO "riscv64"
#else
#error "name this architecture for seccomp profiles"
#endif

/* "6.1.0-28-amd64" or "4.8": what stands before the second point. */
static bool read_version(struct sb_str text, uint64_t *ret_major, uint64_t *ret_minor)
{
    struct sb_err ignored;
    struct sb_str major;
    struct sb_str minor;
    if (!sb_str_split(text, '.', &major, &minor)) {
        return false;
    }
    size_t digits = 0;
    while (digits < minor.len && minor.ptr[digits] >= '0' && minor.ptr[digits] <= '9') {
        digits++;
    }
    return sb_num_u64(major, 0, 9999, ret_major, &ignored) == 0 &&
           sb_num_u64(sb_str_head(minor, digits), 0, 9999, ret_minor, &ignored) == 0;
}

/* True in *ret_met when the running kernel is at least that one. */
static int kernel_at_least(const struct sb_json_node *node, bool *ret_met, struct sb_err *err)
{
    uint64_t major = 0;
    uint64_t minor = 0;
    uint64_t own_major = 0;
    uint64_t own_minor = 0;
    struct utsname own;
    if (!cJSON_IsString(node->json) ||
        !read_version(sb_str_from(node->json->valuestring), &major, &minor)) {
        return sb_json_node_refuse(node, err, "a kernel version such as \"4.8\" is expected");
    }
    if (uname(&own) < 0 || !read_version(sb_str_from(own.release), &own_major, &own_minor)) {
        return sb_err_set(err, SB_INTERNAL, "the version of the running kernel is not known");
    }
    *ret_met = own_major != major ? own_major > major : own_minor >= minor;
    return 0;
}

struct condition {
    bool has_caps;
    bool has_arches;
    bool has_kernel;
    bool arch_matches;
    bool kernel_matches;
};

static int
read_condition(const struct sb_json_node *node, struct condition *ret_condition, struct sb_err *err)
{
    static const char *const keys[] = {"caps", "arches", "minKernel"};
    struct condition c = {0};
    if (sb_json_node_is_absent(node)) {
        *ret_condition = c;
        return 0;
    }
    if (sb_json_node_check_keys(node, keys, sizeof keys / sizeof keys[0], err) < 0) {
        return -1;
    }
    struct sb_json_node caps = sb_json_node_member(node, "caps");
    struct sb_json_node arches = sb_json_node_member(node, "arches");
    struct sb_json_node kernel = sb_json_node_member(node, "minKernel");
    bool ignored = false;
    if (!sb_json_node_is_absent(&caps)) {
        if (sb_json_node_list_has(&caps, "", &ignored, err) < 0) {
            return -1;
        }
        c.has_caps = caps.json->child != NULL;
    }
    if (!sb_json_node_is_absent(&arches)) {
        if (sb_json_node_list_has(&arches, NATIVE_GO, &c.arch_matches, err) < 0) {
            return -1;
        }
        c.has_arches = arches.json->child != NULL;
    }
    if (!sb_json_node_is_absent(&kernel)) {
        c.has_kernel = true;
        if (kernel_at_least(&kernel, &c.kernel_matches, err) < 0) {
            return -1;
        }
    }
    *ret_condition = c;
    return 0;
}

int sb_seccomp_rule_applies(const struct sb_json_node *rule, bool *ret_applies, struct sb_err *err)
{
    struct sb_json_node includes = sb_json_node_member(rule, "includes");
    struct sb_json_node excludes = sb_json_node_member(rule, "excludes");
    struct condition in;
    struct condition ex;
    if (read_condition(&includes, &in, err) < 0 || read_condition(&excludes, &ex, err) < 0) {
        return -1;
    }
    bool included = !in.has_caps && (!in.has_arches || in.arch_matches) &&
                    (!in.has_kernel || in.kernel_matches);
    bool excluded = (ex.has_arches && ex.arch_matches) || (ex.has_kernel && ex.kernel_matches);
    *ret_applies = included && !excluded;
    return 0;
}
