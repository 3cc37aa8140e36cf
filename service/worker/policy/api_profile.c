#include "service/worker/policy/api_profile.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

#define YAML_MAX (4U << 20)

Aisbx__V1__Limits *sb_api_profile_limits(const struct sb_limits *limits)
{
    Aisbx__V1__Limits *made = (Aisbx__V1__Limits *)malloc(sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    aisbx__v1__limits__init(made);
    made->cpu_millis = limits->cpu_millis;
    made->memory_bytes = limits->mem_bytes;
    made->pids = limits->pids;
    made->wall_ms = limits->wall_ms;
    made->disk_bytes = limits->disk_bytes;
    made->inodes = limits->inodes;
    made->file_bytes = limits->file_bytes;
    made->open_files = limits->open_files;
    made->output_bytes = limits->output_bytes;
    made->io_read_bytes = limits->io_read_bytes;
    made->io_write_bytes = limits->io_write_bytes;
    made->io_read_ops = limits->io_read_ops;
    made->io_write_ops = limits->io_write_ops;
    made->io_weight = limits->io_weight;
    return made;
}

/* False: out of memory; *member is then as it was. */
static bool set_text(char **member, const char *text)
{
    char *copy = text == NULL || text[0] == '\0' ? NULL : strdup(text);
    if (copy != NULL) {
        *member = copy;
    }
    return copy != NULL || text == NULL || text[0] == '\0';
}

static bool set_strings(size_t *n, char ***member, const struct sb_strings *strings)
{
    if (strings->n == 0) {
        return true;
    }
    *member = (char **)calloc(strings->n, sizeof **member);
    for (size_t i = 0; *member != NULL && i < strings->n; i++) {
        (*member)[i] = strdup(strings->items[i]);
        if ((*member)[i] == NULL) {
            return false;
        }
        (*n)++;
    }
    return *member != NULL;
}

Aisbx__V1__Network *sb_api_profile_network(const struct sb_network *network)
{
    Aisbx__V1__Network *made = (Aisbx__V1__Network *)malloc(sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    aisbx__v1__network__init(made);
    made->mode = (Aisbx__V1__NetworkMode)network->mode;
    if (!set_strings(&made->n_allow, &made->allow, &network->allow) ||
        !set_strings(&made->n_deny, &made->deny, &network->deny)) {
        aisbx__v1__network__free_unpacked(made, NULL);
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): free_unpacked has freed it
        return NULL;
    }
    return made;
}

static Aisbx__V1__Mount *make_mount(const struct sb_mount *mount)
{
    Aisbx__V1__Mount *made = (Aisbx__V1__Mount *)malloc(sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    aisbx__v1__mount__init(made);
    made->mode = mount->is_overlay    ? AISBX__V1__MOUNT_MODE__MOUNT_MODE_OVERLAY
                 : mount->is_writable ? AISBX__V1__MOUNT_MODE__MOUNT_MODE_RW
                                      : AISBX__V1__MOUNT_MODE__MOUNT_MODE_RO;
    if (!set_text(&made->source, mount->source) || !set_text(&made->target, mount->target)) {
        aisbx__v1__mount__free_unpacked(made, NULL);
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): free_unpacked has freed it
        return NULL;
    }
    return made;
}

int sb_api_profile_mounts(const struct sb_mounts *mounts,
                          size_t *ret_n,
                          Aisbx__V1__Mount ***ret_mounts)
{
    Aisbx__V1__Mount **made = NULL;
    if (mounts->n > 0) {
        made = (Aisbx__V1__Mount **)calloc(mounts->n, sizeof(Aisbx__V1__Mount *));
        if (made == NULL) {
            return -1;
        }
    }
    for (size_t i = 0; i < mounts->n; i++) {
        made[i] = make_mount(&mounts->items[i]);
        if (made[i] == NULL) {
            while (i-- > 0) {
                aisbx__v1__mount__free_unpacked(made[i], NULL);
            }
            free(made);
            return -1;
        }
    }
    *ret_n = mounts->n;
    *ret_mounts = made;
    return 0;
}

static bool set_env(Aisbx__V1__Profile *to, const struct sb_pairs *env)
{
    if (env->n == 0) {
        return true;
    }
    to->env =
        (Aisbx__V1__Profile__EnvEntry **)calloc(env->n, sizeof(Aisbx__V1__Profile__EnvEntry *));
    for (size_t i = 0; to->env != NULL && i < env->n; i++) {
        Aisbx__V1__Profile__EnvEntry *entry = (Aisbx__V1__Profile__EnvEntry *)malloc(sizeof *entry);
        if (entry == NULL) {
            return false;
        }
        aisbx__v1__profile__env_entry__init(entry);
        to->env[to->n_env++] = entry;
        if (!set_text(&entry->key, env->items[i].name) ||
            !set_text(&entry->value, env->items[i].value)) {
            return false;
        }
    }
    return to->env != NULL;
}

static bool set_yaml(Aisbx__V1__Profile *to, const struct sb_profile *profile)
{
    struct sb_err err;
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(YAML_MAX);
    return sb_profile_yaml(profile, &text, &err) == 0 && set_text(&to->yaml, sb_buf_cstr(&text));
}

/* A set that was only checked has no filters of files, and such a profile then has no hash. */
static bool set_hash(Aisbx__V1__Profile *to,
                     const struct sb_profiles *profiles,
                     const struct sb_profile *profile)
{
    struct sb_err err;
    char hash[SB_POLICY_HASH_SIZE];
    if (sb_policy_profile_hash(profiles, profile, hash, &err) < 0) {
        return err.code != SB_EXHAUSTED;
    }
    return set_text(&to->policy_hash, hash);
}

Aisbx__V1__Profile *sb_api_profile_make(const struct sb_profiles *profiles,
                                        const struct sb_profile *profile)
{
    Aisbx__V1__Profile *made = (Aisbx__V1__Profile *)malloc(sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    aisbx__v1__profile__init(made);
    made->filesystem = (Aisbx__V1__FilesystemMode)profile->filesystem;
    made->limits = sb_api_profile_limits(&profile->limits);
    made->network = sb_api_profile_network(&profile->network);
    if (made->limits == NULL || made->network == NULL || !set_text(&made->name, profile->name) ||
        !set_text(&made->description, profile->description) ||
        !set_text(&made->extends, profile->extends) ||
        !set_text(&made->driver, sb_driver_names[profile->driver]) ||
        !set_text(&made->seccomp, profile->seccomp) || !set_text(&made->origin, profile->origin) ||
        sb_api_profile_mounts(&profile->mounts, &made->n_mounts, &made->mounts) < 0 ||
        !set_env(made, &profile->env) || !set_yaml(made, profile) ||
        !set_hash(made, profiles, profile)) {
        aisbx__v1__profile__free_unpacked(made, NULL);
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): free_unpacked has freed it
        return NULL;
    }
    return made;
}

Aisbx__V1__ConfigProblem *sb_api_profile_problem(const struct sb_problem *problem)
{
    Aisbx__V1__ConfigProblem *made = (Aisbx__V1__ConfigProblem *)malloc(sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    aisbx__v1__config_problem__init(made);
    made->line = problem->line;
    made->column = problem->column;
    if (!set_text(&made->message, problem->text)) {
        aisbx__v1__config_problem__free_unpacked(made, NULL);
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): free_unpacked has freed it
        return NULL;
    }
    return made;
}
