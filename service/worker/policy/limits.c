#include "service/worker/policy/limits.h"

#include <string.h>

#define KIB        (UINT64_C(1) << 10)
#define MIB        (UINT64_C(1) << 20)
#define GIB        (UINT64_C(1) << 30)
#define TIB        (UINT64_C(1) << 40)
#define AT(member) offsetof(struct sb_limits, member)

/* The same bounds stand in the comments of aisbx.v1.Limits. */
const struct sb_limits_row sb_limits_table[] = {
    {{SB_STR("cpu"), SB_FIELD_CPU, AT(cpu_millis), 10, 1024000, "CPUs", "processor time", NULL},
     "cpu_millis",
     false},
    {{SB_STR("memory"), SB_FIELD_BYTES, AT(mem_bytes), 4 * MIB, TIB, "bytes",
      "memory and tmpfs together", NULL},
     "memory_bytes",
     false},
    {{SB_STR("pids"), SB_FIELD_U64, AT(pids), 1, 1048576, NULL, "processes and threads", NULL},
     "pids",
     false},
    {{SB_STR("wall"), SB_FIELD_MILLIS, AT(wall_ms), 1, 86400000, "milliseconds",
      "wall time of one exec", NULL},
     "wall_ms",
     false},
    {{SB_STR("disk"), SB_FIELD_BYTES, AT(disk_bytes), 64 * KIB, TIB, "bytes",
      "writable space of the sandbox's own", NULL},
     "disk_bytes",
     false},
    {{SB_STR("inodes"), SB_FIELD_U64, AT(inodes), 16, 100000000, NULL,
      "files, directories and links in that space", NULL},
     "inodes",
     false},
    {{SB_STR("file_size"), SB_FIELD_BYTES, AT(file_bytes), 4 * KIB, TIB, "bytes", "one file", NULL},
     "file_bytes",
     false},
    {{SB_STR("open_files"), SB_FIELD_U64, AT(open_files), 16, 1048576, NULL,
      "open files of one process", NULL},
     "open_files",
     false},
    {{SB_STR("output"), SB_FIELD_BYTES, AT(output_bytes), KIB, GIB, "bytes",
      "output kept of one exec, of stdout and of stderr each", NULL},
     "output_bytes",
     false},
    {{SB_STR("io_read"), SB_FIELD_BYTES, AT(io_read_bytes), KIB, TIB, "bytes",
      "read from each disk a second", NULL},
     "io_read_bytes",
     true},
    {{SB_STR("io_write"), SB_FIELD_BYTES, AT(io_write_bytes), KIB, TIB, "bytes",
      "written to each disk a second", NULL},
     "io_write_bytes",
     true},
    {{SB_STR("io_read_ops"), SB_FIELD_U64, AT(io_read_ops), 1, 1000000000, NULL,
      "reads from each disk a second", NULL},
     "io_read_ops",
     true},
    {{SB_STR("io_write_ops"), SB_FIELD_U64, AT(io_write_ops), 1, 1000000000, NULL,
      "writes to each disk a second", NULL},
     "io_write_ops",
     true},
    {{SB_STR("io_weight"), SB_FIELD_U64, AT(io_weight), 1, 10000, NULL,
      "share of busy disks; 100 is the usual one", NULL},
     "io_weight",
     true},
};
const size_t sb_limits_table_n = sizeof sb_limits_table / sizeof sb_limits_table[0];

uint64_t sb_limits_get(const struct sb_limits *limits, const struct sb_limits_row *row)
{
    uint64_t value = 0;
    memcpy(&value, (const char *)limits + row->field.offset, sizeof value);
    return value;
}

void sb_limits_put(struct sb_limits *limits, const struct sb_limits_row *row, uint64_t value)
{
    memcpy((char *)limits + row->field.offset, &value, sizeof value);
}

void sb_limits_inherit(struct sb_limits *limits, const struct sb_limits *base)
{
    for (size_t i = 0; i < sb_limits_table_n; i++) {
        const struct sb_limits_row *row = &sb_limits_table[i];
        if (sb_limits_get(limits, row) == 0) {
            sb_limits_put(limits, row, sb_limits_get(base, row));
        }
    }
}
