#include "service/worker/packages/meta.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "service/worker/packages/cache.h"

enum { BOOT_SIZE = 64 };

#define FORM "aisbx-packages 1"

static void read_boot(char out[BOOT_SIZE])
{
    struct sb_err ignored;
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(BOOT_SIZE);
    (void)snprintf(out, BOOT_SIZE, "unknown");
    if (sb_fd_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", BOOT_SIZE, &text, &ignored) ==
        0) {
        (void)snprintf(out, BOOT_SIZE, "%.36s", sb_buf_cstr(&text));
    }
}

static int put_all(struct sb_buf *out, const char *name, const struct sb_strings *texts)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < texts->n; i++) {
        rc = sb_buf_printf(out, "%s %s\n", name, texts->items[i]);
    }
    return rc;
}

int sb_package_meta_write(const struct sb_package_entry *entry, struct sb_buf *out)
{
    char boot[BOOT_SIZE];
    read_boot(boot);
    return sb_buf_printf(out,
                         FORM "\nboot %s\nkey %s\ntenant %s\nmanager %s\nmade %" PRIu64
                              "\ntook %" PRIu64 "\nbytes %" PRIu64 "\nfiles %" PRIu64 "\n",
                         boot, entry->key, entry->tenant, sb_manager_names[entry->manager],
                         entry->made_ms, entry->took_ms, entry->bytes, entry->files) < 0 ||
                   put_all(out, "name", &entry->names) < 0 ||
                   put_all(out, "installed", &entry->installed) < 0
               ? -1
               : 0;
}

static int bad(struct sb_err *err)
{
    return sb_err_set(err, SB_DATA_LOSS, "not a description of packages");
}

static int take_text(char *to, size_t size, struct sb_str value, struct sb_err *err)
{
    if (value.len >= size) {
        return bad(err);
    }
    (void)snprintf(to, size, "%.*s", SB_STR_ARG(value));
    return 0;
}

static int take_manager(struct sb_package_entry *entry, struct sb_str value, struct sb_err *err)
{
    for (int i = SB_MANAGER_PIP; i < SB_MANAGER_END_; i++) {
        if (sb_str_eq(value, sb_str_from(sb_manager_names[i]))) {
            entry->manager = (enum sb_manager)i;
            return 0;
        }
    }
    return bad(err);
}

static int take_line(struct sb_package_entry *entry,
                     struct sb_str name,
                     struct sb_str value,
                     struct sb_err *err)
{
    char boot[BOOT_SIZE];
    const struct {
        const char *name;
        uint64_t *number;
    } numbers[] = {
        {"made", &entry->made_ms},
        {"took", &entry->took_ms},
        {"bytes", &entry->bytes},
        {"files", &entry->files},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (sb_str_eq(name, sb_str_from(numbers[i].name))) {
            return sb_num_u64(value, 0, UINT64_MAX, numbers[i].number, err);
        }
    }
    if (sb_str_eq(name, SB_STR("boot"))) {
        read_boot(boot);
        return sb_str_eq(value, sb_str_from(boot)) ? 0 : bad(err);
    }
    if (sb_str_eq(name, SB_STR("key"))) {
        return take_text(entry->key, sizeof entry->key, value, err);
    }
    if (sb_str_eq(name, SB_STR("tenant"))) {
        return take_text(entry->tenant, sizeof entry->tenant, value, err);
    }
    if (sb_str_eq(name, SB_STR("manager"))) {
        return take_manager(entry, value, err);
    }
    if (sb_str_eq(name, SB_STR("name"))) {
        return sb_strings_add(&entry->names, value, err);
    }
    return sb_str_eq(name, SB_STR("installed")) ? sb_strings_add(&entry->installed, value, err)
                                                : bad(err);
}

int sb_package_meta_read(const char *text, struct sb_package_entry *entry, struct sb_err *err)
{
    struct sb_str rest = sb_str_from(text);
    struct sb_str line;
    struct sb_str name;
    struct sb_str value;
    if (!sb_str_next(&rest, '\n', &line) || !sb_str_eq(line, SB_STR(FORM))) {
        return bad(err);
    }
    while (sb_str_next(&rest, '\n', &line)) {
        if (line.len == 0) {
            continue;
        }
        if (!sb_str_split(line, ' ', &name, &value)) {
            return bad(err);
        }
        if (take_line(entry, name, value, err) < 0) {
            return -1;
        }
    }
    return entry->key[0] == '\0' || entry->manager == SB_MANAGER_UNSET ? bad(err) : 0;
}
