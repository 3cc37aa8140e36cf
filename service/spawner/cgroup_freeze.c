/* Groups are frozen whole: nothing in one can see it, undo it or run on. Version 2 does it by a
 * file of every group. Where version 1 has the controllers, its hierarchy of version 2, if mounted,
 * is taken for this all the same, as SIGKILL acts there on what is frozen, and clone3 can start
 * inside; with the freezer of version 1 a killed process must be thawed to die. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "service/spawner/cgroup_driver.h"

static bool is_frozen_v2(int base, const char *group)
{
    char text[SB_CGROUP_FILE_SIZE];
    uint64_t value = 0;
    return sb_cgroup_keyed(sb_cgroup_get(base, group, "cgroup.events", text), "frozen", &value) &&
           value == 1;
}

/* Reading it is what brings the kernel from FREEZING to FROZEN. */
static bool is_frozen_v1(int base, const char *group)
{
    char text[SB_CGROUP_FILE_SIZE];
    return sb_str_eq(sb_cgroup_get(base, group, "freezer.state", text), SB_STR("FROZEN\n"));
}

static const struct sb_cgroup_freezer v2 = {
    .base = 0,
    .file = "cgroup.freeze",
    .freeze = "1",
    .thaw = "0",
    .clones_into = true,
    .is_frozen = is_frozen_v2,
};
static const struct sb_cgroup_freezer unified = {
    .base = SB_CGROUP_FREEZE_BASE,
    .file = "cgroup.freeze",
    .freeze = "1",
    .thaw = "0",
    .clones_into = true,
    .is_frozen = is_frozen_v2,
};
static const struct sb_cgroup_freezer v1 = {
    .base = SB_CGROUP_FREEZE_BASE,
    .file = "freezer.state",
    .freeze = "FROZEN",
    .thaw = "THAWED",
    .keeps_from_end = true,
    .is_frozen = is_frozen_v1,
};

static bool has_file(const struct sb_cgroups *cgroups, const struct sb_cgroup_freezer *freezer)
{
    return faccessat(cgroups->bases[freezer->base], freezer->file, W_OK, AT_EACCESS) == 0;
}

void sb_cgroup_freeze_by_v2(struct sb_cgroups *cgroups)
{
    cgroups->freezer = has_file(cgroups, &v2) ? &v2 : NULL; /* Linux 5.2 */
}

/* Makes the base of one of the two. */
static bool try_hierarchy(const struct sb_cgroup_view *view,
                          const char *controller,
                          const struct sb_cgroup_freezer *freezer,
                          struct sb_cgroups *cgroups)
{
    char dir[PATH_MAX];
    char root[PATH_MAX];
    struct sb_err err;
    if (!sb_cgroup_find(view, controller, dir, root)) {
        return false;
    }
    int parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0) {
        return false;
    }
    if (sb_cgroup_make_base(cgroups, freezer->base, parent, &err) < 0 ||
        !has_file(cgroups, freezer)) {
        sb_cgroup_drop_base(cgroups, freezer->base);
        return false;
    }
    cgroups->freezer = freezer;
    return true;
}

void sb_cgroup_freeze_by_v1(const struct sb_cgroup_view *view, struct sb_cgroups *cgroups)
{
    if (!try_hierarchy(view, NULL, &unified, cgroups) &&
        !try_hierarchy(view, "freezer", &v1, cgroups)) {
        SB_LOG_DEBUG("nothing here freezes sandboxes", "why=%s", "no such control group");
    }
}

void sb_cgroup_thaw_to_end(int base, const char *group)
{
    struct sb_err ignored;
    (void)sb_cgroup_write(base, group, v1.file, v1.thaw, &ignored); /* no file: nothing to thaw */
}

int sb_cgroup_freeze(const struct sb_cgroup *cgroup,
                     bool is_frozen,
                     bool *ret_done,
                     struct sb_err *err)
{
    const struct sb_cgroup_freezer *freezer = cgroup->host == NULL ? NULL : cgroup->host->freezer;
    if (freezer == NULL) {
        return sb_err_set(
            err, SB_PRECONDITION,
            "a sandbox is paused by its control group, and here it has none that "
            "freezes: start the worker as root, or in a group of its own, systemd-run "
            "--user --scope -p Delegate=yes aisbx-worker (cgroup v2, Linux 5.2)");
    }
    int base = cgroup->host->bases[freezer->base];
    if (sb_cgroup_write(base, cgroup->name, freezer->file,
                        is_frozen ? freezer->freeze : freezer->thaw, err) < 0) {
        return -1;
    }
    *ret_done = !is_frozen || freezer->is_frozen(base, cgroup->name);
    return 0;
}
