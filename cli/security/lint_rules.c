/* What is unwise in a profile that is valid. Each rule is a function and a row of a table; it looks
 * at the profile with all it inherits, and tells what, where that is said, and what is better. */
#include <inttypes.h>
#include <libpsl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/str.h"
#include "cli/security/finding.h"
#include "cli/security/lint.h"

/* No built-in list allows them. */
static const struct {
    const char *name;
    const char *why;
} wide_calls[] = {
    {"memfd_secret", "memory that nobody can look into"},
    {"io_setup", "the old asynchronous I/O, whose kernel code is rarely looked at"},
    {"mq_open", "message queues, which are counted by user and not by sandbox"},
    {"shmget", "System V shared memory, which outlives processes"},
    {"mbind", "the placing of memory on the nodes of the machine"},
    {"sync", "writing out the disks of the whole machine, again and again"},
};
enum { N_WIDE = sizeof wide_calls / sizeof *wide_calls };

const char *const sb_lint_syscalls[] = {"memfd_secret", "io_setup", "mq_open", "shmget",
                                        "mbind",        "sync",     NULL};

typedef void check(const Aisbx__V1__ExplainProfileResponse *reply, struct sb_findings *findings);

/* Where a setting is said; "" when nobody says it. */
static const char *where(const Aisbx__V1__ExplainProfileResponse *reply, const char *name)
{
    for (size_t i = 0; i < reply->n_settings; i++) {
        if (strcmp(reply->settings[i]->name, name) == 0) {
            return reply->settings[i]->origin;
        }
    }
    return reply->profile->origin;
}

static const char *where_mount(const Aisbx__V1__ExplainProfileResponse *reply,
                               const Aisbx__V1__Mount *mount)
{
    char name[512];
    (void)snprintf(name, sizeof name, "mounts.%s", mount->target);
    return where(reply, name);
}

static bool is_at_or_below(const char *path, const char *tree)
{
    size_t len = strlen(tree);
    return strncmp(path, tree, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/* ---- mounts ---- */

static bool is_home(const char *path)
{
    struct sb_str rest;
    struct sb_str part;
    if (strcmp(path, "/root") == 0 || strcmp(path, "/home") == 0) {
        return true;
    }
    if (!is_at_or_below(path, "/home")) {
        return false;
    }
    rest = sb_str_from(path + strlen("/home/"));
    return sb_str_next(&rest, '/', &part) && rest.ptr == NULL;
}

static bool is_system(const char *path)
{
    static const char *const trees[] = {"/etc", "/boot", "/proc", "/sys", "/dev"};
    /* What is below these may be data. */
    bool found = strcmp(path, "/") == 0 || strcmp(path, "/var") == 0 || strcmp(path, "/usr") == 0;
    for (size_t i = 0; i < sizeof trees / sizeof *trees; i++) {
        found = found || is_at_or_below(path, trees[i]);
    }
    return found;
}

static void check_system_mounts(const Aisbx__V1__ExplainProfileResponse *reply,
                                struct sb_findings *findings)
{
    for (size_t i = 0; i < reply->profile->n_mounts; i++) {
        const Aisbx__V1__Mount *mount = reply->profile->mounts[i];
        bool is_rw = mount->mode == AISBX__V1__MOUNT_MODE__MOUNT_MODE_RW;
        if (is_system(mount->source)) {
            sb_finding_add(findings, "system mount", is_rw ? SB_FINDING_FAIL : SB_FINDING_WARN,
                           "mount the one directory that programs need",
                           "%s: %s of the host can be %s at %s (%s)", reply->profile->name,
                           mount->source, is_rw ? "changed" : "read", mount->target,
                           where_mount(reply, mount));
        } else if (is_home(mount->source)) {
            sb_finding_add(findings, "home mount", is_rw ? SB_FINDING_FAIL : SB_FINDING_WARN,
                           "mount the project, not the home directory around it",
                           "%s: a whole home directory, %s, can be %s (%s)", reply->profile->name,
                           mount->source, is_rw ? "changed" : "read", where_mount(reply, mount));
        }
    }
}

/* Directories and files in which people and tools keep keys. */
static void check_secret_mounts(const Aisbx__V1__ExplainProfileResponse *reply,
                                struct sb_findings *findings)
{
    static const char *const names[] = {
        "/.ssh",           "/.gnupg",  "/.aws",    "/.azure",
        "/.kube",          "/.docker", "/.netrc",  "/.git-credentials",
        "/.config/gcloud", "/.npmrc",  "/.pypirc", "/.password-store"};
    for (size_t i = 0; i < reply->profile->n_mounts; i++) {
        const Aisbx__V1__Mount *mount = reply->profile->mounts[i];
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            const char *at = strstr(mount->source, names[k]);
            size_t len = strlen(names[k]);
            if (at != NULL && (at[len] == '\0' || at[len] == '/')) {
                sb_finding_add(findings, "mount of secrets", SB_FINDING_FAIL,
                               "take the mount out; what is in it can be read by every program",
                               "%s: %s holds keys (%s)", reply->profile->name, mount->source,
                               where_mount(reply, mount));
            }
        }
    }
}

/* Whoever can connect to a daemon of the host asks it to do what the sandbox may not. */
static void check_socket_mounts(const Aisbx__V1__ExplainProfileResponse *reply,
                                struct sb_findings *findings)
{
    for (size_t i = 0; i < reply->profile->n_mounts; i++) {
        const Aisbx__V1__Mount *mount = reply->profile->mounts[i];
        struct stat st;
        bool is_socket = stat(mount->source, &st) == 0 && S_ISSOCK(st.st_mode);
        if (is_socket || is_at_or_below(mount->source, "/run") ||
            is_at_or_below(mount->source, "/var/run")) {
            sb_finding_add(findings, "mount of sockets", SB_FINDING_FAIL,
                           "take the mount out: read-only does not keep from connecting",
                           "%s: programs reach daemons of the host by %s (%s)",
                           reply->profile->name, mount->source, where_mount(reply, mount));
        }
    }
}

static void check_sources(const Aisbx__V1__ExplainProfileResponse *reply,
                          struct sb_findings *findings)
{
    for (size_t i = 0; i < reply->profile->n_mounts; i++) {
        const Aisbx__V1__Mount *mount = reply->profile->mounts[i];
        struct stat st;
        if (lstat(mount->source, &st) < 0) {
            sb_finding_add(findings, "mount source", SB_FINDING_WARN,
                           "make it, or correct the path: no sandbox starts without",
                           "%s: %s is not there, or not to be looked at (%s)", reply->profile->name,
                           mount->source, where_mount(reply, mount));
        }
    }
}

/* ---- network ---- */

/* The address of a rule, "10.0.0.0/8", "10.1.2.3:80", "[::1]:80". */
static bool address_of(const char *text, unsigned char ret_address[SB_ADDR_SIZE])
{
    struct sb_str rule = sb_str_from(text);
    struct sb_str head;
    struct sb_str rest;
    if (sb_str_split(rule, '/', &head, &rest)) {
        return sb_addr_parse(head, ret_address);
    }
    if (text[0] == '[' && sb_str_split(sb_str_from(text + 1), ']', &head, &rest)) {
        return sb_addr_parse(head, ret_address);
    }
    return sb_addr_parse(rule, ret_address) ||
           (sb_str_split(rule, ':', &head, &rest) && sb_addr_parse(head, ret_address));
}

/* What a rule leads to that is not the public network, as the proxy sees it; NULL: nothing. */
static const char *private_place_of(const char *text)
{
    static const struct {
        const char *name;
        const char *place;
    } names[] = {{"localhost", "this machine"}, {"metadata.google.internal", "a metadata service"}};
    unsigned char address[SB_ADDR_SIZE];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t len = strlen(names[i].name);
        if (strncasecmp(text, names[i].name, len) == 0 && (text[len] == '\0' || text[len] == ':')) {
            return names[i].place;
        }
    }
    const struct sb_addr_block *block =
        address_of(text, address) ? sb_addr_block_of(address) : NULL;
    return block == NULL ? NULL : block->name;
}

/* Names below which anybody may have one: "com", "co.uk", "github.io"; a name of one label is
 * always taken for such. @text  behind it may stand a port */
static bool is_public_suffix(const char *text)
{
    char name[256];
    size_t len = strcspn(text, ":");
    if (len >= sizeof name) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        name[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    name[len] = '\0';
    return psl_is_public_suffix(psl_builtin(), name) == 1;
}

/* "*.com", "*.github.io", "10.0.0.0/6" */
static bool is_wide_rule(const char *text)
{
    const char *slash = strchr(text, '/');
    if (strncmp(text, "*.", 2) == 0) {
        return is_public_suffix(text + 2);
    }
    if (slash == NULL) {
        return false;
    }
    bool is_six = memchr(text, ':', (size_t)(slash - text)) != NULL;
    return strtoul(slash + 1, NULL, 10) < (is_six ? 32U : 16U);
}

static bool has_port(const char *text)
{
    const char *colon = strrchr(text, ':');
    const char *bracket = strrchr(text, ']');
    return colon != NULL && (bracket == NULL ? strchr(text, ':') == colon : colon > bracket);
}

static void check_network(const Aisbx__V1__ExplainProfileResponse *reply,
                          struct sb_findings *findings)
{
    const Aisbx__V1__Network *network = reply->profile->network;
    const char *at = where(reply, "network.allow");
    bool is_limited = network->mode == AISBX__V1__NETWORK_MODE__NETWORK_MODE_LIMITED;
    if (!is_limited && network->n_allow > 0) {
        sb_finding_add(findings, "network rules", SB_FINDING_NOTE,
                       "network: {enabled: true}, or take the rules out",
                       "%s: rules of network.allow without effect, as there is no network (%s)",
                       reply->profile->name, at);
    }
    for (size_t i = 0; is_limited && i < network->n_allow; i++) {
        const char *text = network->allow[i];
        const char *place = private_place_of(text);
        if (place != NULL && !is_wide_rule(text)) {
            sb_finding_add(findings, "network to here", SB_FINDING_WARN,
                           "name the one address and port that is meant",
                           "%s: \"%s\" lets programs reach %s (%s)", reply->profile->name, text,
                           place, at);
        } else if (is_wide_rule(text)) {
            sb_finding_add(findings, "wide network rule", SB_FINDING_WARN,
                           "name the hosts that are needed",
                           "%s: \"%s\" covers names or addresses of strangers, to which data can "
                           "be sent (%s)",
                           reply->profile->name, text, at);
        } else if (!has_port(text) && strchr(text, '/') == NULL) {
            sb_finding_add(findings, "network port", SB_FINDING_NOTE, "add :443",
                           "%s: \"%s\" allows every port (%s)", reply->profile->name, text, at);
        }
    }
}

/* ---- environment, calls, driver, limits ---- */

static void check_environment(const Aisbx__V1__ExplainProfileResponse *reply,
                              struct sb_findings *findings)
{
    static const char *const parts[] = {"TOKEN",   "SECRET", "PASSWORD",    "PASSWD",
                                        "API_KEY", "APIKEY", "PRIVATE_KEY", "CREDENTIAL"};
    for (size_t i = 0; i < reply->profile->n_env; i++) {
        const Aisbx__V1__Profile__EnvEntry *entry = reply->profile->env[i];
        char name[320];
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
            if (strstr(entry->key, parts[k]) != NULL && entry->value[0] != '\0') {
                (void)snprintf(name, sizeof name, "environment.%s", entry->key);
                sb_finding_add(findings, "secret in environment", SB_FINDING_WARN,
                               "take it out: every program can read it, and print it",
                               "%s: %s looks like a secret (%s)", reply->profile->name, entry->key,
                               where(reply, name));
                break;
            }
        }
    }
}

static void check_calls(const Aisbx__V1__ExplainProfileResponse *reply,
                        struct sb_findings *findings)
{
    const char *at = where(reply, "seccomp");
    bool is_open = false;
    for (size_t i = 0; i < reply->n_syscalls && !is_open; i++) {
        const Aisbx__V1__ProfileAnswer *answer = reply->syscalls[i];
        if (strcmp(answer->answer, "allowed") != 0) {
            continue;
        }
        is_open = strstr(answer->decided_by, "its default is to allow") != NULL;
        for (size_t k = 0; k < N_WIDE && !is_open; k++) {
            if (strcmp(wide_calls[k].name, answer->subject) == 0) {
                sb_finding_add(findings, "wide system call", SB_FINDING_WARN,
                               "take it out, unless a program was seen to need it "
                               "(aisbx-security profile learn)",
                               "%s: %s is allowed: %s (%s)", reply->profile->name, answer->subject,
                               wide_calls[k].why, at);
            }
        }
    }
    if (is_open) {
        sb_finding_add(findings, "open system calls", SB_FINDING_FAIL,
                       "a list with \"defaultAction\": \"SCMP_ACT_ERRNO\"; aisbx-security profile "
                       "learn writes one",
                       "%s: its seccomp list allows what it does not name, which is the whole "
                       "kernel but the floor (%s)",
                       reply->profile->name, at);
    }
}

/* Whoever writes it decides what every sandbox may. */
static void check_list_file(const Aisbx__V1__ExplainProfileResponse *reply,
                            struct sb_findings *findings)
{
    for (size_t i = 0; i < reply->n_settings; i++) {
        const Aisbx__V1__ProfileSetting *setting = reply->settings[i];
        struct stat st;
        if (strcmp(setting->name, "seccomp") == 0 && setting->value[0] == '/' &&
            stat(setting->value, &st) == 0 && (st.st_mode & 022) != 0) {
            sb_finding_add(findings, "list others write", SB_FINDING_FAIL, "chmod go-w FILE",
                           "%s: %s can be changed by others than its owner (%s)",
                           reply->profile->name, setting->value, setting->origin);
        }
    }
}

/* What the worker would refuse to read, and who else could. */
static void check_secrets(const Aisbx__V1__ExplainProfileResponse *reply,
                          struct sb_findings *findings)
{
    static const char from[] = " from file ";
    for (size_t i = 0; i < reply->n_settings; i++) {
        const Aisbx__V1__ProfileSetting *setting = reply->settings[i];
        const char *path = strstr(setting->value, from);
        struct stat st;
        if (strncmp(setting->name, "secrets.", strlen("secrets.")) != 0 || path == NULL) {
            continue;
        }
        path += strlen(from);
        if (stat(path, &st) < 0) {
            sb_finding_add(
                findings, "missing secret", SB_FINDING_WARN,
                "make the file, mode 600, or correct the path: no sandbox starts without",
                "%s: %s: %s is not there, or not to be looked at (%s)", reply->profile->name,
                setting->name, path, setting->origin);
        } else if ((st.st_mode & 077) != 0) {
            sb_finding_add(findings, "readable secret", SB_FINDING_FAIL, "chmod 600 FILE",
                           "%s: %s: %s can be used by others than its owner, so no sandbox starts "
                           "(%s)",
                           reply->profile->name, setting->name, path, setting->origin);
        }
    }
}

static void check_driver(const Aisbx__V1__ExplainProfileResponse *reply,
                         struct sb_findings *findings)
{
    if (strcmp(reply->profile->driver, "chroot") == 0) {
        sb_finding_add(findings, "weak driver", SB_FINDING_WARN,
                       "driver: native; or leave chroot to a request",
                       "%s: the driver chroot has no user namespace, even where one could be had "
                       "(%s)",
                       reply->profile->name, where(reply, "driver"));
    }
}

static void check_limits(const Aisbx__V1__ExplainProfileResponse *reply,
                         struct sb_findings *findings)
{
    const Aisbx__V1__Limits *limits = reply->profile->limits;
    long pages = sysconf(_SC_PHYS_PAGES);
    long page = sysconf(_SC_PAGESIZE);
    uint64_t memory = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_MAX;
    if (limits->memory_bytes >= memory) {
        sb_finding_add(findings, "memory limit", SB_FINDING_NOTE, "a lower limits.memory",
                       "%s: one sandbox may use all memory of this machine, %" PRIu64 " MiB (%s)",
                       reply->profile->name, memory >> 20, where(reply, "limits.memory"));
    }
    if (limits->pids > 32768) {
        sb_finding_add(findings, "process limit", SB_FINDING_NOTE, "a lower limits.pids",
                       "%s: one sandbox may have %" PRIu64
                       " processes, as many as many machines have numbers (%s)",
                       reply->profile->name, limits->pids, where(reply, "limits.pids"));
    }
}

void sb_lint_profile(const Aisbx__V1__ExplainProfileResponse *reply, struct sb_findings *findings)
{
    static check *const rules[] = {
        check_system_mounts, check_secret_mounts, check_socket_mounts, check_sources,
        check_network,       check_environment,   check_calls,         check_list_file,
        check_driver,        check_limits,        check_secrets,
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        rules[i](reply, findings);
    }
}
