#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "service/shared/shown.h"
#include "service/worker/policy/explain.h"
#include "service/worker/policy/profile.h"

enum { PATH_MAX_LEN = 4095 };

/* What is at a path and below it, unless a longer row or a mount says else; the spawner's tables
 * (rootfs.c, dev.c, proc.c) make it so. */
static const struct {
    const char *path;
    const char *word;
    bool is_alone;   /* what is below is not there */
    bool in_minimal; /* in filesystem: minimal too */
    const char *detail;
} places[] = {
    {"/", "read-only", true, true, "the sandbox's own root: nothing can be made there"},
    {"/usr", "read-only", false, false, "the host's"},
    {"/usr/bin", "read-only", false, true, "the host's"},
    {"/usr/sbin", "read-only", false, true, "the host's"},
    {"/usr/lib", "read-only", false, true, "the host's"},
    {"/usr/lib32", "read-only", false, true, "the host's"},
    {"/usr/lib64", "read-only", false, true, "the host's"},
    {"/usr/libx32", "read-only", false, true, "the host's"},
    {"/usr/libexec", "read-only", false, true, "the host's"},
    {"/usr/local/bin", "read-only", false, true, "the host's"},
    {"/usr/local/sbin", "read-only", false, true, "the host's"},
    {"/usr/local/lib", "read-only", false, true, "the host's"},
    {"/bin", "read-only", false, true, "the host's"},
    {"/sbin", "read-only", false, true, "the host's"},
    {"/lib", "read-only", false, true, "the host's"},
    {"/lib32", "read-only", false, true, "the host's"},
    {"/lib64", "read-only", false, true, "the host's"},
    {"/libx32", "read-only", false, true, "the host's"},
    {"/proc", "read-write", false, true,
     "processes of its own; what is of the host's in it is hidden or read-only"},
    {"/proc/sys", "read-only", false, true, "the host's, as far as namespaces show it"},
    {"/dev", "read-only", true, true, "null, zero, full, random, urandom, tty and terminals"},
    {"/dev/null", "read-write", true, true, "the host's device"},
    {"/dev/zero", "read-write", true, true, "the host's device"},
    {"/dev/full", "read-write", true, true, "the host's device"},
    {"/dev/random", "read-write", true, true, "the host's device"},
    {"/dev/urandom", "read-write", true, true, "the host's device"},
    {"/dev/tty", "read-write", true, true, "the terminal of the program, if it has one"},
    {"/dev/ptmx", "read-write", true, true, "terminals of its own"},
    {"/dev/pts", "read-write", false, true, "terminals of its own"},
    {"/dev/fd", "read-write", false, true, "what the program has open"},
    {"/dev/shm", "read-write", false, true, "a tmpfs of its own, bounded by limits.disk"},
    {"/tmp", "read-write", false, true, "a tmpfs of its own, bounded by limits.disk"},
    {"/run", "read-only", true, true, "empty"},
    {"/var", "read-only", true, true, "empty but for lib, run and tmp"},
    {"/var/lib", "read-only", true, true, "empty"},
    {"/var/run", "read-only", true, true, "a link to /run"},
    {"/var/tmp", "read-write", false, true, "a link to /tmp"},
};

static bool is_at_or_below(const char *path, const char *tree)
{
    size_t len = strlen(tree);
    return strcmp(tree, "/") == 0 ||
           (strncmp(path, tree, len) == 0 && (path[len] == '\0' || path[len] == '/'));
}

static int check_path(const char *path, struct sb_err *err)
{
    struct sb_str rest = sb_str_from(path);
    struct sb_str part;
    bool is_fine = rest.len > 0 && rest.len <= PATH_MAX_LEN && path[0] == '/';
    if (rest.len == 1 && is_fine) {
        return 0;
    }
    rest = sb_str_skip(rest, 1);
    while (is_fine && sb_str_next(&rest, '/', &part)) {
        is_fine = part.len > 0 && !sb_str_eq(part, SB_STR(".")) && !sb_str_eq(part, SB_STR(".."));
    }
    return is_fine ? 0
                   : sb_err_set(err, SB_INVALID,
                                "an absolute path inside is expected, without \".\", \"..\" and "
                                "empty parts");
}

/* "mounts:" YAML that would show the path, as the host has it. */
static void offer_mount(const char *path, struct sb_answer *answer)
{
    (void)snprintf(answer->allow_with, sizeof answer->allow_with,
                   "mounts: [{source: \"%.200s\", target: \"%.200s\", mode: ro}]", path, path);
}

static const struct sb_mount *find_mount(const struct sb_profile *profile, const char *path)
{
    for (size_t i = 0; i < profile->mounts.n; i++) {
        if (is_at_or_below(path, profile->mounts.items[i].target)) {
            return &profile->mounts.items[i];
        }
    }
    return NULL;
}

static void answer_mount(const struct sb_profile *profile,
                         const struct sb_mount *mount,
                         struct sb_answer *answer)
{
    char where[256];
    bool can_write = mount->is_writable || mount->is_overlay;
    answer->word = can_write ? "read-write" : "read-only";
    (void)snprintf(
        answer->decided_by, sizeof answer->decided_by, "the mount at %.200s, %s", mount->target,
        sb_explain_where(profile, "mount", sb_str_from(mount->target), where, sizeof where));
    (void)snprintf(answer->detail, sizeof answer->detail, "the host's %.500s%s", mount->source,
                   mount->is_overlay ? ", which stays as it is: copy-on-write" : "");
    if (!can_write) {
        (void)snprintf(answer->allow_with, sizeof answer->allow_with,
                       "mounts: [{source: \"%.200s\", target: \"%.200s\", mode: rw}]",
                       mount->source, mount->target);
    }
}

static void answer_workspace(const struct sb_profile *profile, struct sb_answer *answer)
{
    char where[256];
    bool is_restricted = profile->filesystem == SB_FILESYSTEM_RESTRICTED;
    answer->word = profile->filesystem == SB_FILESYSTEM_MINIMAL ? "hidden"
                   : is_restricted                              ? "read-write"
                                                                : "read-only";
    (void)snprintf(answer->decided_by, sizeof answer->decided_by, "filesystem: %s, %s",
                   sb_filesystem_names[profile->filesystem],
                   sb_explain_where(profile, NULL, SB_STR("filesystem"), where, sizeof where));
    (void)snprintf(answer->detail, sizeof answer->detail,
                   profile->filesystem == SB_FILESYSTEM_MINIMAL
                       ? "there is no workspace"
                       : "the directory that the request brings, else a tmpfs of its own, bounded "
                         "by limits.disk");
    if (!is_restricted) {
        (void)snprintf(answer->allow_with, sizeof answer->allow_with, "filesystem: restricted");
    }
}

/* "ssl" of the row "ssl/certs" is there as well. */
static bool is_parent(const char *name, const char *row)
{
    size_t len = strlen(name);
    return strncmp(row, name, len) == 0 && row[len] == '/';
}

/* Only what is named is there: the host's /etc is full of secrets. */
static void answer_etc(const struct sb_profile *profile, const char *path, struct sb_answer *answer)
{
    bool is_minimal = profile->filesystem == SB_FILESYSTEM_MINIMAL;
    const char *name = path + strlen("/etc");
    name += *name == '/';
    (void)snprintf(answer->decided_by, sizeof answer->decided_by,
                   "built-in: /etc is made for each sandbox%s",
                   is_minimal ? ", with the least in it for filesystem: minimal" : "");
    (void)snprintf(answer->detail, sizeof answer->detail,
                   "of the host's /etc only what programs need and what holds no secret is there");
    answer->word = *name == '\0' ? "read-only" : "hidden";
    for (const struct sb_shown_etc *row = sb_shown_etc; row->name != NULL; row++) {
        if ((row->in_minimal || !is_minimal) &&
            (is_at_or_below(name, row->name) || is_parent(name, row->name))) {
            answer->word = "read-only";
            (void)snprintf(answer->detail, sizeof answer->detail,
                           row->is_made ? "made for the sandbox" : "the host's, if it has one");
        }
    }
}

/* The place with the longest path that has this one; -1: none. */
static int find_place(const char *path, bool is_minimal)
{
    int best = -1;
    size_t best_len = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        bool is_here = places[i].is_alone ? strcmp(path, places[i].path) == 0
                                          : is_at_or_below(path, places[i].path);
        size_t len = strlen(places[i].path);
        if (is_here && (places[i].in_minimal || !is_minimal) && len >= best_len) {
            best = (int)i;
            best_len = len;
        }
    }
    return best;
}

/* True when something that is there lies below: so its directories are there, empty of others. */
static bool is_on_the_way(const struct sb_profile *profile, const char *path)
{
    bool is_minimal = profile->filesystem == SB_FILESYSTEM_MINIMAL;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if ((places[i].in_minimal || !is_minimal) && is_at_or_below(places[i].path, path)) {
            return true;
        }
    }
    for (size_t i = 0; i < profile->mounts.n; i++) {
        if (is_at_or_below(profile->mounts.items[i].target, path)) {
            return true;
        }
    }
    return false;
}

static void
answer_place(const struct sb_profile *profile, const char *path, struct sb_answer *answer)
{
    bool is_minimal = profile->filesystem == SB_FILESYSTEM_MINIMAL;
    int place = find_place(path, is_minimal);
    if (place >= 0) {
        answer->word = places[place].word;
        (void)snprintf(answer->decided_by, sizeof answer->decided_by,
                       "built-in: %s is part of every sandbox%s", places[place].path,
                       places[place].in_minimal ? "" : " but with filesystem: minimal");
        (void)snprintf(answer->detail, sizeof answer->detail, "%s", places[place].detail);
        return;
    }
    if (is_on_the_way(profile, path)) {
        answer->word = "read-only";
        (void)snprintf(answer->decided_by, sizeof answer->decided_by,
                       "built-in: a directory for what lies below it");
        return;
    }
    answer->word = "hidden";
    if (find_place(path, false) >= 0) {
        (void)snprintf(answer->decided_by, sizeof answer->decided_by,
                       "filesystem: minimal leaves it out");
        (void)snprintf(answer->allow_with, sizeof answer->allow_with, "filesystem: read-only");
        return;
    }
    (void)snprintf(answer->decided_by, sizeof answer->decided_by,
                   "built-in: no mount has it, so it is not there");
    if (sb_mounts_check_target(sb_str_from(path), &(struct sb_err){.code = SB_OK}) == 0) {
        offer_mount(path, answer);
    }
}

int sb_explain_path(const struct sb_profile *profile,
                    const char *path,
                    struct sb_answer *ret_answer,
                    struct sb_err *err)
{
    if (check_path(path, err) < 0) {
        return -1;
    }
    *ret_answer = (struct sb_answer){.word = "hidden"};
    const struct sb_mount *mount = find_mount(profile, path);
    if (mount != NULL) {
        answer_mount(profile, mount, ret_answer);
    } else if (is_at_or_below(path, "/workspace")) {
        answer_workspace(profile, ret_answer);
    } else if (is_at_or_below(path, "/etc")) {
        answer_etc(profile, path, ret_answer);
    } else {
        answer_place(profile, path, ret_answer);
    }
    return 0;
}
