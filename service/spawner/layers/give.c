#include "service/spawner/layers/give.h"

/* Theory of operation. What a sandbox that starts from a snapshot, or has a workspace of the host
 * copy-on-write, writes goes to a tmpfs of its
 * own, made here and kept by the keeper, so that the next snapshot finds it: the sandbox sees an
 * overlay of it, of the layers below, and of the host's directory (the ground) below those, and
 * nothing else of them. All but the top are mounts that nobody can write through. Layers are
 * mounted below /run of the new root while the overlays are made, and gone before anything of the
 * sandbox runs; the overlays hold clones of their own that no path leads to. The child makes the
 * overlays in its own user namespace, so all that copying up does, it does with no more rights than
 * the sandbox has. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mutate.h"
#include "service/spawner/child.h"
#include "service/spawner/layers/fill.h"
#include "service/spawner/mount.h"
#include "service/spawner/plan.h"
#include "service/spawner/rootfs.h"
#include "service/spawner/sandbox.h"

#define GROUND "run/ground"

enum {
    OWN_INODES = 16, /* of an upper tmpfs: its directories, and the one mark that says "removed" */
    PATH_SIZE = 48,
    OPTIONS_SIZE = 2048,
};

/* ---- the parent ---- */

static int make_upper(struct sb_layers *layers,
                      const struct sb_plan *plan,
                      struct sb_sandbox *sandbox,
                      enum sb_place place,
                      struct sb_err *err)
{
    char options[128];
    (void)snprintf(options, sizeof options, "size=%llu,nr_inodes=%llu,mode=0700,uid=%u,gid=%u",
                   sb_mutated("space.bytes") ? 0ULL : (unsigned long long)plan->disk_bytes,
                   sb_mutated("space.inodes") ? 0ULL
                                              : (unsigned long long)plan->inodes + OWN_INODES,
                   sandbox->ids.outside_uid, sandbox->ids.outside_gid);
    SB_CLEANUP(sb_closep) int fd = sb_mount_new_tmpfs(options, err);
    return fd < 0 ? -1 : sb_keeper_add(&layers->keeper, fd, &sandbox->uppers[place], err);
}

static int check_way(struct sb_layers *layers, const struct sb_plan *plan, struct sb_err *err)
{
    return plan->workspace_is_overlay && sb_layers_way(layers) != SB_LAYERS_OVERLAY
               ? sb_err_set(err, SB_PRECONDITION,
                            "no directory can be bound copy-on-write here, ro and rw can: %s",
                            layers->why.text)
               : 0;
}

/* What changed in a directory means nothing over another one. */
static int check_ground(const struct sb_layer *layer,
                        const struct sb_plan *plan,
                        const struct sb_ground *ground,
                        struct sb_err *err)
{
    for (; layer != NULL; layer = layer->below) {
        if (layer->ground.ino == 0) {
            continue;
        }
        if (ground->ino == 0 && plan->workspace_is_tmpfs) {
            return sb_err_set(err, SB_PRECONDITION,
                              "the snapshot has what changed in a directory of the host: bind that "
                              "at /workspace, copy-on-write");
        }
        if (ground->ino != 0 &&
            (layer->ground.ino != ground->ino || layer->ground.dev != ground->dev)) {
            return sb_err_set(err, SB_PRECONDITION,
                              "the snapshot has what changed in another directory of the host");
        }
    }
    return 0;
}

static int look_at_ground(int fd, struct sb_ground *ret_ground, struct sb_err *err)
{
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) < 0) {
        return sb_err_sys(err, errno, "look at the workspace");
    }
    *ret_ground = fd < 0 ? (struct sb_ground){0} : (struct sb_ground){st.st_dev, st.st_ino};
    return 0;
}

/* Returns which places have something below them. */
static unsigned list_places(const struct sb_sandbox *sandbox, struct sb_given *given)
{
    unsigned places = sandbox->ground.ino != 0 ? 1U << SB_PLACE_WORKSPACE : 0;
    size_t i = 0;
    for (const struct sb_layer *at = sandbox->layer; at != NULL; at = at->below, i++) {
        for (enum sb_place place = 0; place < SB_PLACES; place++) {
            bool is_below = sb_layer_is_below(at, place, &sandbox->ground);
            given->of_place[place] |= is_below ? 1U << i : 0;
            places |= is_below ? 1U << place : 0;
        }
    }
    return places & sandbox->places;
}

int sb_given_make(struct sb_layers *layers,
                  struct sb_layer *layer,
                  const struct sb_plan *plan,
                  struct sb_sandbox *sandbox,
                  struct sb_given *ret_given,
                  struct sb_err *err)
{
    sandbox->layers = layers;
    if (check_way(layers, plan, err) < 0 ||
        look_at_ground(sandbox->ground_fd, &sandbox->ground, err) < 0 ||
        check_ground(layer, plan, &sandbox->ground, err) < 0) {
        return -1;
    }
    sandbox->layer = layer == NULL ? NULL : sb_layer_ref(layer);
    if (sb_layers_way(layers) == SB_LAYERS_COPY) {
        return sb_fill_make(layers, layer, plan, sandbox, ret_given, err);
    }
    ret_given->ground = sandbox->ground_fd;
    unsigned places = list_places(sandbox, ret_given);
    for (enum sb_place place = 0; place < SB_PLACES; place++) {
        if ((places >> place & 1) != 0 &&
            (make_upper(layers, plan, sandbox, place, err) < 0 ||
             sb_keeper_clone(&layers->keeper, &sandbox->uppers[place], 1, &ret_given->uppers[place],
                             err) < 0)) {
            return -1;
        }
    }
    return layer == NULL ? 0
                         : sb_layer_open(layers, layer, &sandbox->ids, ret_given->layers,
                                         &ret_given->n_layers, err);
}

void sb_given_done(struct sb_given *given)
{
    sb_fd_close_all(given->layers, given->n_layers);
    sb_fd_close_all(given->uppers, SB_PLACES);
    sb_fd_close_all(&given->wait_fd, 1);
    sb_fd_close_all(&given->report_fd, 1);
    given->n_layers = 0;
}

/* ---- the child ---- */

static int attach(int fd, const char *at, struct sb_err *err)
{
    return sb_rootfs_mkdir(at, 0700, err) < 0 ? -1 : sb_mount_attach(fd, AT_FDCWD, at, err);
}

static int detach(const char *at, struct sb_err *err)
{
    return umount2(at, MNT_DETACH) < 0 || rmdir(at) < 0 ? sb_err_sys(err, errno, "unmount %s", at)
                                                        : 0;
}

/* The directory on top looks as the one below does; its owner is known. */
static int
make_top(const char *below, const char *upper, unsigned uid, unsigned gid, struct sb_err *err)
{
    struct stat st;
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/w", upper);
    if (sb_rootfs_mkdir(path, 0700, err) < 0) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/u", upper);
    if (sb_rootfs_mkdir(path, 0700, err) < 0) {
        return -1;
    }
    if (lstat(below, &st) < 0 || chown(path, uid, gid) < 0 || chmod(path, st.st_mode & 01777) < 0) {
        return sb_err_sys(err, errno, "make the top of an overlay");
    }
    return 0;
}

static int mount_overlay(
    const char *lower, const char *upper, const char *at, bool is_on_ground, struct sb_err *err)
{
    char options[OPTIONS_SIZE];
    int len = snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s/u,workdir=%s/w,userxattr",
                       lower, upper, upper);
    unsigned long flags = (sb_mutated("space.nosuid") ? 0UL : MS_NOSUID) |
                          (sb_mutated("space.nodev") ? 0UL : MS_NODEV);
    if (len < 0 || (size_t)len >= sizeof options) {
        return sb_err_set(err, SB_INTERNAL, "too many layers");
    }
    if (mount("overlay", at, "overlay", flags, options) == 0) {
        return 0;
    }
    return is_on_ground && errno == EINVAL
               ? sb_err_set(err, SB_PRECONDITION,
                            "the workspace cannot be copy-on-write: its file system cannot lie "
                            "below an overlay, or another one is mounted within it; bind it ro or "
                            "rw, or copy it into a workspace of the sandbox's own")
               : sb_err_sys(err, errno, "mount an overlay at %s, which takes Linux 6.6", at);
}

static int attach_layers(const struct sb_given *given, struct sb_err *err)
{
    char at[PATH_SIZE];
    for (size_t i = 0; i < given->n_layers; i++) {
        (void)snprintf(at, sizeof at, "run/%zu", i);
        if (attach(given->layers[i], at, err) < 0) {
            return -1;
        }
    }
    return given->ground < 0 ? 0 : attach(given->ground, GROUND, err);
}

static int detach_layers(const struct sb_given *given, struct sb_err *err)
{
    char at[PATH_SIZE];
    for (size_t i = 0; i < given->n_layers; i++) {
        (void)snprintf(at, sizeof at, "run/%zu", i);
        if (detach(at, err) < 0) {
            return -1;
        }
    }
    return given->ground < 0 ? 0 : detach(GROUND, err);
}

/* What lies below the place, in the form of an option. @ret_first  of it. */
static void list_lowers(const struct sb_given *given,
                        enum sb_place place,
                        char ret_lower[OPTIONS_SIZE],
                        char ret_first[PATH_SIZE])
{
    char dir[PATH_SIZE];
    size_t len = 0;
    for (size_t i = 0; i <= given->n_layers; i++) {
        bool is_ground = i == given->n_layers;
        bool is_below = is_ground ? place == SB_PLACE_WORKSPACE && given->ground >= 0
                                  : (given->of_place[place] >> i & 1) != 0;
        if (!is_below) {
            continue;
        }
        (void)snprintf(dir, sizeof dir, is_ground ? GROUND : "run/%zu/%s", i,
                       sb_place_names[place]);
        if (len == 0) {
            memcpy(ret_first, dir, sizeof dir);
        }
        len +=
            (size_t)snprintf(ret_lower + len, OPTIONS_SIZE - len, "%s%s", len == 0 ? "" : ":", dir);
    }
}

static int mount_place(const struct sb_child *child, enum sb_place place, struct sb_err *err)
{
    const struct sb_given *given = &child->given;
    char lower[OPTIONS_SIZE];
    char first[PATH_SIZE];
    const char *name = sb_place_names[place];
    bool is_job = place == SB_PLACE_WORKSPACE; /* /tmp is everybody's */
    unsigned uid = is_job ? child->job_uid : child->setup_id;
    unsigned gid = is_job ? child->job_gid : child->setup_id;
    list_lowers(given, place, lower, first);
    bool is_on_ground = is_job && given->ground >= 0;
    return attach(given->uppers[place], "run/upper", err) < 0 ||
                   make_top(first, "run/upper", uid, gid, err) < 0 ||
                   mount_overlay(lower, "run/upper", name, is_on_ground, err) < 0
               ? -1
               : detach("run/upper", err);
}

static int mount_filled(const struct sb_given *given, unsigned *ret_places, struct sb_err *err)
{
    if (sb_fill_wait(given, err) < 0) {
        return -1;
    }
    for (enum sb_place place = 0; place < SB_PLACES; place++) {
        if (given->uppers[place] < 0) {
            continue;
        }
        if (sb_mount_attach(given->uppers[place], AT_FDCWD, sb_place_names[place], err) < 0) {
            return -1;
        }
        *ret_places |= 1U << place;
    }
    return 0;
}

int sb_given_mount(const struct sb_child *child, unsigned *ret_places, struct sb_err *err)
{
    const struct sb_given *given = &child->given;
    *ret_places = 0;
    if (given->wait_fd >= 0) {
        return mount_filled(given, ret_places, err);
    }
    if (given->n_layers == 0 && given->ground < 0) {
        return 0;
    }
    if (attach_layers(given, err) < 0) {
        return -1;
    }
    for (enum sb_place place = 0; place < SB_PLACES; place++) {
        if (given->uppers[place] < 0) {
            continue;
        }
        if (mount_place(child, place, err) < 0) {
            return -1;
        }
        *ret_places |= 1U << place;
    }
    return detach_layers(given, err);
}
