/* EXPORT: a tree as an archive. */
#include <errno.h>

#include "service/init/file_sys.h"
#include "service/init/file_tar.h"
#include "service/init/place.h"
#include "service/init/text.h"

enum { READ_SIZE = 4096, MAX_LEVELS = 256 };

struct export
{
    const struct sb_file *file;
    struct sb_filetar *tar;
    char path[SB_FILE_MAX_PATH]; /* below the directory, of the entry looked at */
};

/* NOLINTBEGIN(misc-no-recursion): MAX_LEVELS levels at most */
static void export_dir(struct export *export, int fd, char *end, unsigned level);

static void
export_entry(struct export *export, int dir, const char *name, char *end, unsigned level)
{
    struct stat st = {.st_mode = 0};
    char *after = end;
    const char *limit = export->path + sizeof export->path;
    if (sb_text_len(name) + 2 > (size_t)(limit - end)) {
        sb_file_fail_at(export->file, -ENAMETOOLONG, 0, export->path);
    }
    sb_text_add(&after, limit, name);
    sb_filetar_add(export->tar, dir, name, export->path, &st);
    if (!S_ISDIR(st.st_mode) || sb_place_is_proc(&st)) {
        return;
    }
    int fd = sb_file_open_dir(dir, name);
    if (fd == -ENOENT || fd == -ELOOP || fd == -ENOTDIR) {
        return;
    }
    if (fd < 0) {
        sb_file_fail_at(export->file, fd, 0, export->path);
    }
    if (level == MAX_LEVELS) {
        sb_file_fail_at(export->file, -ELOOP, SB_FILE_WHY_DEEP, "");
    }
    sb_text_add(&after, limit, "/");
    export_dir(export, fd, after, level + 1);
    sb_sys_close(fd);
}

static void export_dir(struct export *export, int fd, char *end, unsigned level)
{
    _Alignas(struct sb_sys_entry) char entries[READ_SIZE] = {0};
    long len = 0;
    while ((len = sb_sys_getdents(fd, entries, sizeof entries)) > 0) {
        sb_file_check_listener(export->file);
        for (long i = 0; i < len;) {
            const struct sb_sys_entry *entry =
                (const struct sb_sys_entry *)(const void *)(entries + i);
            if (!sb_file_is_itself(entry->name) && !sb_file_is_part(entry->name)) {
                export_entry(export, fd, entry->name, end, level);
            }
            i += entry->len;
        }
    }
    *end = '\0';
    if (len < 0 && len != -ENOENT) { /* that one was removed */
        sb_file_fail_at(export->file, len, 0, export->path);
    }
}
/* NOLINTEND(misc-no-recursion) */

void sb_file_export(const struct sb_file *file)
{
    static struct sb_place place;
    static struct export export;
    int fd = sb_file_open_root(file, &place);
    export.file = file;
    export.tar = sb_filetar_new(file);
    export_dir(&export, fd, export.path, 0);
    sb_filetar_finish(export.tar);
}
