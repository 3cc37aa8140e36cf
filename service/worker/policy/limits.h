#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/field.h"

/** Limits of one sandbox. 0 is "not said"; in a resolved profile or a policy every member is set,
 *  but for those that are optional. */
struct sb_limits {
    uint64_t cpu_millis;   /* thousandths of a core */
    uint64_t mem_bytes;    /* memory and tmpfs together */
    uint64_t pids;         /* processes and threads */
    uint64_t wall_ms;      /* one exec */
    uint64_t disk_bytes;   /* each writable tmpfs */
    uint64_t inodes;       /* each writable tmpfs */
    uint64_t file_bytes;   /* one file */
    uint64_t open_files;   /* of one process */
    uint64_t output_bytes; /* kept of one exec, stdout and stderr each */

    /* Of each disk that a host directory lies on; 0 in a resolved profile: no limit */
    uint64_t io_read_bytes; /* a second */
    uint64_t io_write_bytes;
    uint64_t io_read_ops;
    uint64_t io_write_ops;
    uint64_t io_weight; /* 100 is the usual share */
};

/** A limit under its two names. */
struct sb_limits_row {
    struct sb_field field;  /* name as in YAML: "memory"; offset in struct sb_limits; min, max */
    const char *proto_name; /* name as in the API: "memory_bytes" */
    bool is_optional;       /* 0 in a resolved profile: no limit; a request may set one */
};

/** The one table of limits. */
extern const struct sb_limits_row sb_limits_table[];
extern const size_t sb_limits_table_n;

/** The member the row names. */
uint64_t sb_limits_get(const struct sb_limits *limits, const struct sb_limits_row *row);
void sb_limits_put(struct sb_limits *limits, const struct sb_limits_row *row, uint64_t value);

/** Fills what is 0 in @limits from @base. */
void sb_limits_inherit(struct sb_limits *limits, const struct sb_limits *base);
