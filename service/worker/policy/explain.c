#include "service/worker/policy/explain.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "service/worker/policy/network_limits.h"
#include "service/worker/policy/profile.h"

enum { LIST_MAX = 1 << 16 };

/* The one whose settings are told, and to whom. */
struct telling {
    const struct sb_profile *profile;
    int (*on_setting)(const struct sb_setting_told *setting, void *user, struct sb_err *err);
    void *user;
    struct sb_err *err;
};

const char *sb_explain_where(
    const struct sb_profile *profile, const char *kind, struct sb_str key, char *out, size_t cap)
{
    const struct sb_origin *origin = sb_origins_find(&profile->origins, kind, key);
    if (origin == NULL) {
        (void)snprintf(out, cap, "nobody says it");
    } else if (strcmp(origin->profile, profile->name) == 0) {
        (void)snprintf(out, cap, "%s", origin->where);
    } else {
        (void)snprintf(out, cap, "%s, inherited from %s", origin->where, origin->profile);
    }
    return out;
}

/* @kind, @key  as sb_origins_find knows it */
static int tell(const struct telling *telling,
                const char *kind,
                const char *key,
                const char *name,
                const char *value,
                const char *meaning)
{
    const struct sb_origin *origin =
        sb_origins_find(&telling->profile->origins, kind, sb_str_from(key));
    const struct sb_setting_told setting = {
        .name = name,
        .value = value,
        .profile = origin == NULL ? "" : origin->profile,
        .origin = origin == NULL ? "default" : origin->where,
        .meaning = meaning,
    };
    return telling->on_setting(&setting, telling->user, telling->err);
}

/* ---- limits ---- */

static const char *meaning_of_limit(struct sb_str name)
{
    static const struct {
        const char *name;
        const char *meaning;
    } meanings[] = {
        {"cpu", "All programs of a sandbox together get this many processors; more work takes "
                "longer."},
        {"memory", "Memory and tmpfs of a sandbox together; beyond it a program is killed "
                   "(oom_killed)."},
        {"pids", "Processes and threads of a sandbox; beyond it fork and clone fail with EAGAIN "
                 "(pids_exhausted)."},
        {"wall", "Each exec is killed with all it started this long after its start (timed_out)."},
        {"disk", "Bytes in /tmp, in /dev/shm and in a workspace of the sandbox's own, each; beyond "
                 "it writes fail with ENOSPC."},
        {"inodes", "Files, directories and links in each of them; beyond it ENOSPC."},
        {"file_size",
         "No single file grows beyond it (SIGXFSZ, EFBIG), nor, without a control group, "
         "beyond half of the memory limit."},
        {"open_files", "Open files of one process; beyond it open fails with EMFILE."},
        {"output", "Kept of stdout and of stderr each, beginning and end; the rest is counted "
                   "only."},
        {"io_read", "Bytes a second from each disk that /usr or a directory of the host lies on; "
                    "more work takes longer."},
        {"io_write", "Bytes a second to each of them; with cgroup v1 only what does not pass "
                     "through the page cache."},
        {"io_read_ops", "Reads a second from each of them."},
        {"io_write_ops", "Writes a second to each of them."},
        {"io_weight", "Share of a busy disk; 100 is the usual one."},
    };
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        if (sb_str_eq(sb_str_from(meanings[i].name), name)) {
            return meanings[i].meaning;
        }
    }
    return "";
}

static int tell_limits(const struct telling *telling)
{
    for (size_t i = 0; i < sb_limits_table_n; i++) {
        const struct sb_field *field = &sb_limits_table[i].field;
        char name[64];
        char value[SB_NUM_TEXT_SIZE];
        if (sb_limits_table[i].is_optional &&
            sb_limits_get(&telling->profile->limits, &sb_limits_table[i]) == 0) {
            continue;
        }
        (void)snprintf(name, sizeof name, "limits.%.*s", SB_STR_ARG(field->name));
        if (tell(telling, NULL, field->name.ptr, name,
                 sb_field_format(field, &telling->profile->limits, value, sizeof value),
                 meaning_of_limit(field->name)) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- network ---- */

static int put_list(struct sb_buf *value, const struct sb_strings *items, struct sb_err *err)
{
    int rc = sb_buf_printf(value, "[");
    for (size_t i = 0; rc == 0 && i < items->n; i++) {
        rc = sb_buf_printf(value, "%s\"%s\"", i == 0 ? "" : ", ", items->items[i]);
    }
    return rc < 0 || sb_buf_printf(value, "]") < 0 ? sb_err_oom(err) : 0;
}

static int
tell_rules(const struct telling *telling, const char *key, const struct sb_strings *rules)
{
    bool is_allow = strcmp(key, "allow") == 0;
    SB_CLEANUP(sb_buf_done) struct sb_buf value = SB_BUF_INIT(LIST_MAX);
    if (put_list(&value, rules, telling->err) < 0) {
        return -1;
    }
    return tell(telling, NULL, key, is_allow ? "network.allow" : "network.deny",
                sb_buf_cstr(&value),
                is_allow ? "The only destinations, where the network is limited."
                         : "Never, even where allow has them.");
}

/* Those that are said. */
static int tell_network_limits(const struct telling *telling)
{
    static const char *const meanings[] = {
        "Connections of a sandbox at one time; the next ones wait.",
        "Bytes both ways over the life of a sandbox; then its connections end, and no other "
        "begins.",
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof meanings / sizeof *meanings; i++) {
        const struct sb_field *field = &sb_network_limits[i];
        const struct sb_network *network = &telling->profile->network;
        char name[64];
        char value[SB_NUM_TEXT_SIZE];
        (void)snprintf(name, sizeof name, "network.%s", field->name.ptr);
        if (sb_network_limits_get(network, field) != 0) {
            rc = tell(telling, NULL, field->name.ptr, name,
                      sb_field_format(field, network, value, sizeof value), meanings[i]);
        }
    }
    return rc;
}

static int tell_network(const struct telling *telling)
{
    const struct sb_network *network = &telling->profile->network;
    bool is_limited = network->mode == SB_NETWORK_LIMITED;
    if (tell(telling, NULL, "mode", "network.mode", sb_network_names[network->mode],
             is_limited ? "Destinations on the allow list, through the egress proxy; nothing else."
                        : "A network of its own with loopback only: nothing outside is reached, "
                          "and no name is looked up.") < 0 ||
        tell_rules(telling, "allow", &network->allow) < 0 ||
        tell_rules(telling, "deny", &network->deny) < 0) {
        return -1;
    }
    return tell_network_limits(telling);
}

/* ---- files, environment, calls ---- */

static const char *meaning_of_filesystem(enum sb_filesystem filesystem)
{
    static const char *const meanings[] = {
        [SB_FILESYSTEM_UNSET] = "",
        [SB_FILESYSTEM_RESTRICTED] = "The system is read-only, /workspace can be written, /tmp is "
                                     "private and goes with the sandbox.",
        [SB_FILESYSTEM_READ_ONLY] = "Everything is read-only, /workspace too; /tmp is private and "
                                    "goes with the sandbox.",
        [SB_FILESYSTEM_MINIMAL] = "Programs and libraries only, read-only; no /workspace; a small "
                                  "private /tmp.",
    };
    return meanings[filesystem];
}

static int tell_mounts(const struct telling *telling)
{
    const struct sb_mounts *mounts = &telling->profile->mounts;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < mounts->n; i++) {
        const struct sb_mount *mount = &mounts->items[i];
        char name[512];
        char value[1024];
        (void)snprintf(name, sizeof name, "mounts.%s", mount->target);
        (void)snprintf(value, sizeof value, "%s from %s", sb_mount_mode(mount), mount->source);
        rc = tell(telling, "mount", mount->target, name, value,
                  mount->is_overlay ? "Programs see what the host has there; what they change is "
                                      "the sandbox's own, and the host's stays as it is."
                  : mount->is_writable ? "Programs may change and delete what the host has there."
                                       : "Programs may read what the host has there.");
    }
    return rc;
}

static int tell_environment(const struct telling *telling)
{
    const struct sb_pairs *env = &telling->profile->env;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < env->n; i++) {
        char name[320];
        (void)snprintf(name, sizeof name, "environment.%s", env->items[i].name);
        rc = tell(telling, "environment", env->items[i].name, name, env->items[i].value,
                  "Every program gets this variable; a request may set it otherwise.");
    }
    return rc;
}

static int put_hosts(struct sb_buf *out, const struct sb_profile_secret *secret)
{
    int rc = sb_buf_printf(out, "for ");
    for (size_t i = 0; rc == 0 && i < secret->plain.n + secret->tls.n; i++) {
        bool is_tls = i >= secret->plain.n;
        rc = sb_buf_printf(out, "%s%s%s", i == 0 ? "" : ", ",
                           is_tls ? secret->tls.items[i - secret->plain.n] : secret->plain.items[i],
                           is_tls ? " (TLS)" : "");
    }
    return rc;
}

/* Never what they are. */
static int tell_secrets(const struct telling *telling)
{
    const struct sb_profile_secrets *secrets = &telling->profile->secrets;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < secrets->n; i++) {
        const struct sb_profile_secret *secret = &secrets->items[i];
        SB_CLEANUP(sb_buf_done) struct sb_buf value = SB_BUF_INIT(LIST_MAX);
        char name[320];
        (void)snprintf(name, sizeof name, "secrets.%s", secret->name);
        if (put_hosts(&value, secret) < 0 ||
            sb_buf_printf(&value, " from %s %s", secret->file != NULL ? "file" : "variable",
                          secret->file != NULL ? secret->file : secret->env) < 0) {
            return sb_err_oom(telling->err);
        }
        rc = tell(telling, "secret", secret->name, name, sb_buf_cstr(&value),
                  "Programs get this variable with something that stands for the value; the egress "
                  "proxy puts the value in its place, in header fields to these hosts only.");
    }
    return rc;
}

static int tell_preload(const struct telling *telling)
{
    const struct sb_profile *profile = telling->profile;
    SB_CLEANUP(sb_buf_done) struct sb_buf value = SB_BUF_INIT(LIST_MAX);
    if (!profile->has_preload) {
        return 0;
    }
    return put_list(&value, &profile->preload, telling->err) < 0
               ? -1
               : tell(telling, NULL, "preload", "preload", sb_buf_cstr(&value),
                      "An interpreter that waits for a program has these imported already; "
                      "programs import them as ever, and find them sooner.");
}

static int tell_seccomp(const struct telling *telling)
{
    const struct sb_profile *profile = telling->profile;
    bool is_file = profile->seccomp_path != NULL;
    const char *value = is_file ? profile->seccomp_path : profile->seccomp;
    return tell(telling, NULL, "seccomp", "seccomp", value == NULL ? "" : value,
                is_file ? "The system calls that this file allows, but those that no profile can "
                          "allow."
                        : "The system calls of this built-in list, but those that no profile can "
                          "allow.");
}

static const char *meaning_of_driver(enum sb_driver driver)
{
    static const char *const meanings[] = {
        [SB_DRIVER_UNSET] = "",
        [SB_DRIVER_NATIVE] = "The spawner makes the sandbox: every control that the host gives.",
        [SB_DRIVER_BWRAP] = "bubblewrap makes the sandbox: no Landlock, and denials are not told.",
        [SB_DRIVER_CHROOT] = "Without a user namespace: weaker, and every result says so.",
        [SB_DRIVER_LIMA] = "In a virtual machine.",
    };
    return meanings[driver];
}

int sb_explain_settings(const struct sb_profile *profile,
                        int (*on_setting)(const struct sb_setting_told *setting,
                                          void *user,
                                          struct sb_err *err),
                        void *user,
                        struct sb_err *err)
{
    const struct telling telling = {
        .profile = profile, .on_setting = on_setting, .user = user, .err = err};
    if (tell(&telling, NULL, "driver", "driver", sb_driver_names[profile->driver],
             meaning_of_driver(profile->driver)) < 0 ||
        tell(&telling, NULL, "filesystem", "filesystem", sb_filesystem_names[profile->filesystem],
             meaning_of_filesystem(profile->filesystem)) < 0 ||
        tell_mounts(&telling) < 0 || tell_network(&telling) < 0 || tell_limits(&telling) < 0 ||
        tell_environment(&telling) < 0 || tell_secrets(&telling) < 0 ||
        tell_preload(&telling) < 0) {
        return -1;
    }
    return tell_seccomp(&telling);
}
