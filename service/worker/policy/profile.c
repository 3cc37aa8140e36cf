#include "service/worker/policy/profile.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "service/worker/policy/network_limits.h"
#include "service/worker/policy/preload.h"
#include "service/worker/policy/seccomp_json.h"
#include "service/worker/policy/yaml.h"

const char *const sb_driver_names[] = {
    [SB_DRIVER_UNSET] = "",        [SB_DRIVER_NATIVE] = "native", [SB_DRIVER_BWRAP] = "bwrap",
    [SB_DRIVER_CHROOT] = "chroot", [SB_DRIVER_LIMA] = "lima",     NULL,
};
const char *const sb_network_names[] = {
    [SB_NETWORK_UNSET] = "",
    [SB_NETWORK_NONE] = "none",
    [SB_NETWORK_LIMITED] = "limited",
    NULL,
};
const char *const sb_filesystem_names[] = {
    [SB_FILESYSTEM_UNSET] = "",
    [SB_FILESYSTEM_RESTRICTED] = "restricted",
    [SB_FILESYSTEM_READ_ONLY] = "read-only",
    [SB_FILESYSTEM_MINIMAL] = "minimal",
    NULL,
};

void sb_profile_free(struct sb_profile *profile)
{
    if (profile == NULL) {
        return;
    }
    free(profile->name);
    free(profile->description);
    free(profile->extends);
    sb_strings_done(&profile->network.allow);
    sb_strings_done(&profile->network.deny);
    sb_mounts_done(&profile->mounts);
    sb_pairs_done(&profile->env);
    sb_profile_secrets_done(&profile->secrets);
    sb_profile_packages_done(&profile->packages);
    sb_strings_done(&profile->preload);
    free(profile->seccomp);
    free(profile->seccomp_path);
    free(profile->origin);
    sb_origins_done(&profile->origins);
    sb_strings_done(&profile->bases);
    sb_filter_unref(profile->filter);
    free(profile);
}

/* "<indent><name>: <quoted text>\n"; nothing for a NULL text */
static int
line(struct sb_buf *out, const char *indent, const char *name, const char *text, struct sb_err *err)
{
    if (text == NULL) {
        return 0;
    }
    if (sb_buf_printf(out, "%s%s: ", indent, name) < 0) {
        return sb_err_sys(err, errno, "profile");
    }
    if (sb_yaml_quote(out, sb_str_from(text), err) < 0) {
        return -1;
    }
    return sb_buf_append_byte(out, '\n') < 0 ? sb_err_sys(err, errno, "profile") : 0;
}

/* The same without quotes, for words of our own. */
static int word(struct sb_buf *out, const char *name, const char *text, struct sb_err *err)
{
    if (text[0] != '\0' && sb_buf_printf(out, "    %s: %s\n", name, text) < 0) {
        return sb_err_sys(err, errno, "profile");
    }
    return 0;
}

static int write_limits(struct sb_buf *out, const struct sb_limits *limits, struct sb_err *err)
{
    if (sb_buf_printf(out, "    limits:\n") < 0) {
        return sb_err_sys(err, errno, "profile");
    }
    for (size_t i = 0; i < sb_limits_table_n; i++) {
        const struct sb_field *field = &sb_limits_table[i].field;
        char text[SB_NUM_TEXT_SIZE];
        if (sb_limits_get(limits, &sb_limits_table[i]) != 0 &&
            sb_buf_printf(out, "      %s: %s\n", field->name.ptr,
                          sb_field_format(field, limits, text, sizeof text)) < 0) {
            return sb_err_sys(err, errno, "profile");
        }
    }
    return 0;
}

static int write_rules(struct sb_buf *out,
                       const char *name,
                       const struct sb_strings *rules,
                       struct sb_err *err)
{
    int rc = sb_buf_printf(out, "      %s:%s\n", name, rules->n == 0 ? " []" : "");
    for (size_t i = 0; rc == 0 && i < rules->n; i++) {
        rc = sb_buf_printf(out, "        - \"%s\"\n", rules->items[i]);
    }
    return rc < 0 ? sb_err_sys(err, errno, "profile") : 0;
}

static int write_network(struct sb_buf *out, const struct sb_network *network, struct sb_err *err)
{
    if (sb_buf_printf(out, "    network:\n      mode: %s\n", sb_network_names[network->mode]) < 0) {
        return sb_err_sys(err, errno, "profile");
    }
    if (network->has_allow && write_rules(out, "allow", &network->allow, err) < 0) {
        return -1;
    }
    if (network->has_deny && write_rules(out, "deny", &network->deny, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < sb_network_limits_n; i++) {
        const struct sb_field *field = &sb_network_limits[i];
        char text[SB_NUM_TEXT_SIZE];
        if (sb_network_limits_get(network, field) != 0 &&
            sb_buf_printf(out, "      %s: %s\n", field->name.ptr,
                          sb_field_format(field, network, text, sizeof text)) < 0) {
            return sb_err_sys(err, errno, "profile");
        }
    }
    return 0;
}

static int write_mounts(struct sb_buf *out, const struct sb_mounts *mounts, struct sb_err *err)
{
    if (mounts->n > 0 && sb_buf_printf(out, "    mounts:\n") < 0) {
        return sb_err_sys(err, errno, "profile");
    }
    for (size_t i = 0; i < mounts->n; i++) {
        const struct sb_mount *mount = &mounts->items[i];
        if (line(out, "      - ", "source", mount->source, err) < 0 ||
            line(out, "        ", "target", mount->target, err) < 0) {
            return -1;
        }
        if (sb_buf_printf(out, "        mode: %s\n", sb_mount_mode(mount)) < 0) {
            return sb_err_sys(err, errno, "profile");
        }
    }
    return 0;
}

static int write_env(struct sb_buf *out, const struct sb_pairs *env, struct sb_err *err)
{
    if (env->n > 0 && sb_buf_printf(out, "    environment:\n") < 0) {
        return sb_err_sys(err, errno, "profile");
    }
    for (size_t i = 0; i < env->n; i++) {
        if (sb_buf_append(out, "      ", 6) < 0) {
            return sb_err_sys(err, errno, "profile");
        }
        if (sb_yaml_quote(out, sb_str_from(env->items[i].name), err) < 0 ||
            line(out, "", "", env->items[i].value, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int write_secret_hosts(struct sb_buf *out,
                              const struct sb_strings *hosts,
                              bool is_tls,
                              struct sb_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < hosts->n; i++) {
        rc = is_tls ? sb_buf_printf(out, "          - {host: \"%s\", tls: true}\n", hosts->items[i])
                    : sb_buf_printf(out, "          - \"%s\"\n", hosts->items[i]);
    }
    return rc < 0 ? sb_err_sys(err, errno, "profile") : 0;
}

/* Where they come from and whom they are for; what they are is nowhere here. */
static int
write_secrets(struct sb_buf *out, const struct sb_profile_secrets *secrets, struct sb_err *err)
{
    if (secrets->n > 0 && sb_buf_printf(out, "    secrets:\n") < 0) {
        return sb_err_sys(err, errno, "profile");
    }
    for (size_t i = 0; i < secrets->n; i++) {
        const struct sb_profile_secret *secret = &secrets->items[i];
        if (sb_buf_printf(out, "      %s:\n", secret->name) < 0) {
            return sb_err_sys(err, errno, "profile");
        }
        if (line(out, "        ", "file", secret->file, err) < 0 ||
            line(out, "        ", "env", secret->env, err) < 0 ||
            line(out, "        ", "ca_file", secret->ca_file, err) < 0) {
            return -1;
        }
        if (sb_buf_printf(out, "        hosts:\n") < 0) {
            return sb_err_sys(err, errno, "profile");
        }
        if (write_secret_hosts(out, &secret->plain, false, err) < 0 ||
            write_secret_hosts(out, &secret->tls, true, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int sb_profile_yaml(const struct sb_profile *profile, struct sb_buf *out, struct sb_err *err)
{
    const char *seccomp = profile->seccomp_path == NULL ? profile->seccomp : profile->seccomp_path;
    if (sb_buf_printf(out, "profiles:\n  %s:\n", profile->name) < 0) {
        return sb_err_sys(err, errno, "profile");
    }
    if (line(out, "    ", "description", profile->description, err) < 0 ||
        word(out, "driver", sb_driver_names[profile->driver], err) < 0 ||
        write_limits(out, &profile->limits, err) < 0 ||
        write_network(out, &profile->network, err) < 0 ||
        word(out, "filesystem", sb_filesystem_names[profile->filesystem], err) < 0 ||
        write_mounts(out, &profile->mounts, err) < 0 || write_env(out, &profile->env, err) < 0 ||
        write_secrets(out, &profile->secrets, err) < 0) {
        return -1;
    }
    if (sb_profile_packages_yaml(&profile->packages, out) < 0) {
        return sb_err_sys(err, errno, "profile");
    }
    if (profile->has_preload && sb_preload_yaml(&profile->preload, out) < 0) {
        return sb_err_sys(err, errno, "profile");
    }
    return line(out, "    ", "seccomp", seccomp, err);
}
