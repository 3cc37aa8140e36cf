#include "service/spawner/layers/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mutate.h"
#include "service/spawner/idmap.h"
#include "service/spawner/mount.h"

const char *const sb_place_names[SB_PLACES] = {
    [SB_PLACE_TMP] = "tmp",
    [SB_PLACE_WORKSPACE] = "workspace",
};

void sb_layers_init(struct sb_layers *layers, const struct sb_host *host)
{
    *layers = (struct sb_layers){.host = host};
    sb_list_init(&layers->list);
}

void sb_layers_done(struct sb_layers *layers)
{
    sb_keeper_end(&layers->keeper);
    SB_FOREACH (node, &layers->list) {
        sb_list_remove(node);
        free(SB_LIST_ENTRY(node, struct sb_layer, link));
    }
}

struct sb_layer *sb_layer_find(const struct sb_layers *layers, uint64_t id)
{
    SB_FOREACH (node, &layers->list) {
        struct sb_layer *layer = SB_LIST_ENTRY(node, struct sb_layer, link);
        if (layer->id == id && layer->is_known) {
            return layer;
        }
    }
    return NULL;
}

enum sb_layers_way sb_layers_way(struct sb_layers *layers)
{
    if (layers->way == SB_LAYERS_UNKNOWN) {
        layers->way = sb_layers_find_way(layers->host, &layers->why);
    }
    return layers->way;
}

struct sb_layer *sb_layer_new(struct sb_layers *layers,
                              int mount_fd,
                              unsigned places,
                              const struct sb_ids *ids,
                              const struct sb_ground *ground,
                              struct sb_layer *below,
                              struct sb_err *err)
{
    struct sb_layer *layer = calloc(1, sizeof *layer);
    if (layer == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    if ((!sb_mutated("layers.read-only") && sb_mount_freeze_tmpfs(mount_fd, err) < 0) ||
        sb_keeper_add(&layers->keeper, mount_fd, &layer->kept, err) < 0) {
        free(layer);
        return NULL;
    }
    layer->id = ++layers->last_id;
    layer->refs = 1;
    layer->is_known = true;
    layer->places = places;
    layer->ids = *ids;
    layer->ids.link = (struct sb_list){NULL, NULL}; /* numbers, not a claim on them */
    layer->ground = *ground;
    layer->below = below == NULL ? NULL : sb_layer_ref(below);
    layer->depth = below == NULL ? 1 : below->depth + 1;
    sb_list_append(&layers->list, &layer->link);
    return layer;
}

void sb_layer_release(struct sb_layers *layers, uint64_t id)
{
    struct sb_layer *layer = sb_layer_find(layers, id);
    if (layer != NULL) {
        layer->is_known = false;
        sb_layer_unref(layers, layer);
    }
}

struct sb_layer *sb_layer_ref(struct sb_layer *layer)
{
    layer->refs++;
    return layer;
}

bool sb_layer_is_below(const struct sb_layer *layer,
                       enum sb_place place,
                       const struct sb_ground *ground)
{
    bool is_on_ground = place == SB_PLACE_WORKSPACE && layer->ground.ino != 0;
    bool wants_ground = place == SB_PLACE_WORKSPACE && ground->ino != 0;
    return (layer->places >> place & 1) != 0 && is_on_ground == wants_ground;
}

void sb_layer_unref(struct sb_layers *layers, struct sb_layer *layer)
{
    while (layer != NULL && --layer->refs == 0) {
        struct sb_layer *below = layer->below;
        sb_keeper_drop(&layers->keeper, layer->kept);
        sb_list_remove(&layer->link);
        free(layer);
        layer = below;
    }
}

static int map_ids(int fd, const struct sb_ids *from, const struct sb_ids *to, struct sb_err *err)
{
    struct sb_idmap map = {
        .disk_uid = from->outside_uid,
        .disk_gid = from->outside_gid,
        .host_uid = to->outside_uid,
        .host_gid = to->outside_gid,
        .count = from->count < to->count ? from->count : to->count,
    };
    if (from->inside != to->inside) { /* one has the job's id alone */
        map = (struct sb_idmap){
            .disk_uid = sb_ids_job_uid(from),
            .disk_gid = sb_ids_job_gid(from),
            .host_uid = sb_ids_job_uid(to),
            .host_gid = sb_ids_job_gid(to),
            .count = 1,
        };
    }
    bool is_same = map.disk_uid == map.host_uid && map.disk_gid == map.host_gid;
    if (is_same || sb_mutated("layers.ids")) {
        return 0;
    }
    int mapped = sb_idmap_apply(fd, &map, err);
    return mapped == 0 ? sb_err_set(err, SB_PRECONDITION,
                                    "this kernel cannot map the ids of a tmpfs: it takes Linux 6.3")
                       : mapped;
}

static int open_one(int fd, const struct sb_ids *from, const struct sb_ids *to, struct sb_err *err)
{
    const uint64_t attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY;
    if (sb_mount_add_attr(fd, "", attr, err) < 0) {
        return -1;
    }
    return to == NULL ? 0 : map_ids(fd, from, to, err);
}

int sb_layer_open(struct sb_layers *layers,
                  const struct sb_layer *top,
                  const struct sb_ids *ids,
                  int *ret_fds,
                  size_t *ret_n,
                  struct sb_err *err)
{
    uint64_t kept[SB_LAYERS_MAX] = {0};
    size_t n = 0;
    for (const struct sb_layer *layer = top; layer != NULL && n < SB_LAYERS_MAX;
         layer = layer->below) {
        kept[n++] = layer->kept;
    }
    if (sb_keeper_clone(&layers->keeper, kept, n, ret_fds, err) < 0) {
        return -1;
    }
    size_t i = 0;
    for (const struct sb_layer *layer = top; i < n; layer = layer->below) {
        if (open_one(ret_fds[i++], &layer->ids, ids, err) < 0) {
            sb_fd_close_all(ret_fds, n);
            return -1;
        }
    }
    *ret_n = n;
    return 0;
}
