#pragma once

struct sb_err;
struct sb_host;

/** How a sandbox starts from a snapshot. The numbers of spawn.v1.LayersWay. */
enum sb_layers_way {
    SB_LAYERS_UNKNOWN, /* not asked yet */
    SB_LAYERS_OVERLAY, /* on top of it: what is not changed is shared */
    SB_LAYERS_COPY,    /* with a copy of it in its own writable places */
    SB_LAYERS_NONE,    /* not at all: none is taken */
};

/** Tries what the kernel can; some milliseconds. @ret_why  why it is not the one before it in the
 *  list; empty: there is none better. Spawner only. */
enum sb_layers_way sb_layers_find_way(const struct sb_host *host, struct sb_err *ret_why);
